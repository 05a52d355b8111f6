"""Commands that live a life: run, start, stop, status, pause, resume."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentd.commands.options import (
    HomeOption,
    JsonOption,
    ProfileOption,
    SeedOption,
    SetOption,
    load_settings,
    open_home,
)
from agentd.commands.output import is_terminal, print_json, say

if TYPE_CHECKING:
    from configs.load import LoadedConfig

MinutesOption = Annotated[
    float | None,
    typer.Option("--minutes", min=0.01, help="Stop after this long.", show_default=False),
]
StepsOption = Annotated[
    int | None,
    typer.Option("--steps", min=1, help="Stop after so many steps.", show_default=False),
]
PaceOption = Annotated[
    str | None,
    typer.Option(
        "--pace",
        metavar="real|max",
        help="Tick at the body's own rate, or as fast as the machine allows.",
        show_default=False,
    ),
]


def run(
    home: HomeOption = None,
    seed: SeedOption = None,
    minutes: MinutesOption = None,
    steps: StepsOption = None,
    pace: PaceOption = None,
    profile: ProfileOption = None,
    set_: SetOption = None,
    no_view: Annotated[
        bool, typer.Option("--no-view", help="Log lines instead of the live view.")
    ] = False,
) -> None:
    """Live in this terminal until stopped.

    Begins a life in a new home, goes on with the life of an old one. Ctrl-C stops it in good
    order; the next `agentd run` goes on where it was.
    """
    chosen = open_home(home)
    overrides = _overrides(set_, pace)
    was_born = chosen.exists
    loaded = load_settings(chosen, profile, overrides, seed)
    _check_recipe(loaded)
    with chosen.locked():
        if chosen.exists != was_born:  # born by someone else a moment ago
            loaded = load_settings(chosen, profile, overrides, seed)
        from agentd.build import open_body
        from agentd.life import run_life

        # A body that cannot be had is told before there is a life that is bound to it.
        world = open_body(chosen, loaded.config)
        with contextlib.closing(world):
            chosen.open_or_create(loaded.values())
            view = is_terminal() and not no_view
            code = run_life(chosen, loaded, world=world, minutes=minutes, steps=steps, view=view)
    raise typer.Exit(code)


def start(
    home: HomeOption = None,
    seed: SeedOption = None,
    minutes: MinutesOption = None,
    steps: StepsOption = None,
    pace: PaceOption = None,
    profile: ProfileOption = None,
    set_: SetOption = None,
) -> None:
    """Live in the background.

    Prints the process id as soon as the life answers.
    """
    from agentd.daemonize import start_life

    chosen = open_home(home)
    overrides = _overrides(set_, pace)
    loaded = load_settings(chosen, profile, overrides, seed)
    _check_recipe(loaded)  # a mistake is told here, not in a log
    options: list[str] = [word for text in overrides for word in ("--set", text)]
    if profile is not None:
        is_file = profile.endswith(".toml")
        options += ["--profile", str(Path(profile).expanduser().absolute()) if is_file else profile]
    recipe = loaded.config.learners.recipe
    if recipe.endswith(".toml"):  # the life runs in another folder
        options += ["--set", f"learners.recipe={Path(recipe).expanduser().absolute()}"]
    for flag, value in (("--seed", seed), ("--minutes", minutes), ("--steps", steps)):
        if value is not None:
            options += [flag, str(value)]
    pid = start_life(chosen, options)
    typer.echo(pid)
    say(f"lives in {chosen.path}; look at it with: {chosen.command('tui')}")


def stop(home: HomeOption = None) -> None:
    """Stop the life in good order.

    Asks over the socket, then sends SIGTERM. Everything that was lived is kept.
    """
    from agentd.daemonize import stop_life

    chosen = open_home(home)
    stopped = stop_life(chosen)
    how = "when asked" if stopped.how == "asked" else "on SIGTERM: it did not answer"
    say(f"stopped {how} after {stopped.seconds:.1f} s; go on with: {chosen.command('run')}")


def status(home: HomeOption = None, json_: JsonOption = False) -> None:
    """Show what the running life is doing and why."""
    from agentd.client import Client
    from agentd.commands.status_text import status_lines

    with Client(open_home(home).path) as client:
        result = client.call("status")
    if json_:
        print_json(result)
        return
    for line in status_lines(result):
        typer.echo(line)


def pause(home: HomeOption = None) -> None:
    """Stand still; memory and learning go on."""
    _call(home, "pause")
    say("paused; go on with: agentd resume")


def resume(home: HomeOption = None) -> None:
    """Go on after `pause`."""
    _call(home, "resume")
    say("goes on")


def _call(home: Path | None, command: str) -> None:
    from agentd.client import Client

    with Client(open_home(home).path) as client:
        client.call(command)


def _overrides(set_: list[str] | None, pace: str | None) -> list[str]:
    return [*(set_ or []), *([f"life.pace={pace}"] if pace is not None else [])]


def _check_recipe(loaded: "LoadedConfig") -> None:
    """Refuse a recipe that a life cannot act with, before there is one."""
    from agentd.recipe import life_recipe

    life_recipe(loaded)
