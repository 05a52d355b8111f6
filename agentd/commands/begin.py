"""The command `agentd init`: five questions, and the settings of a life to come."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentd.commands.options import HomeOption, open_home
from agentd.commands.output import print_json, say
from agentd.exit_codes import UsageError

if TYPE_CHECKING:
    from agentd.home import Home

BODIES: dict[str, tuple[str, str, str]] = {
    "house": ("the embedded 3-D house", "world.house.seed", "which house, a number"),
    "robot-sim": ("the house as a ROS 2 robot: agentd robot simulate", "", ""),
    "ros2": ("a robot over ROS 2", "world.ros2.robot", "its name or .toml file"),
    "habitat": ("a scanned house in Habitat", "world.habitat.scene", "file of the scene"),
    "recorded": ("a recorded log", "world.recorded.path", "bag or dataset"),
    "gymnasium": ("a Gymnasium environment", "world.gymnasium.id", "its id"),
    "plugin": ("your own class", "world.plugin.factory", "as in my_robot:MyRobot"),
}
_DEFAULTS = {"house": "0", "ros2": "turtlebot4"}


def init(
    home: HomeOption = None,
    body: Annotated[
        str | None,
        typer.Option("--body", metavar="NAME", help=f"One of {', '.join(BODIES)}."),
    ] = None,
    which: Annotated[
        str | None,
        typer.Option("--which", metavar="TEXT", help="Which house, robot, scene, log or id."),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Of the life.")] = None,
    disk_gib: Annotated[
        float | None,
        typer.Option("--disk-gib", min=0, help="What the memory may take; 0 for no limit."),
    ] = None,
    learn: Annotated[
        bool | None, typer.Option("--learn/--no-learn", help="Learn on this machine.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing; take the defaults.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace settings; the old ones become config.toml.old.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Set up a life: five questions, or their flags.

    Writes the home's config.toml and begins nothing. What is not asked has a default; `agentd
    config set` changes it later.

    Example: agentd init --body ros2 --which turtlebot4 --name kitchen --disk-gib 50 --yes
    """
    chosen = open_home(home)
    if chosen.config_file.exists() and not force:
        raise UsageError(
            f"{chosen.config_file} exists; look at it with {chosen.command('config show')}, change "
            f"it with `agentd config set`, or replace it with --force"
        )
    ask = _Asker(yes or json_ or not sys.stdin.isatty())
    body = ask.choice("Which body?", body, "house")
    _, key, meaning = BODIES[body]
    if key:
        which = ask.text(f"Which one ({meaning})?", which, _DEFAULTS.get(body, ""), "--which")
    name = ask.text("What is the life called?", name, "life", "--name")
    disk_text = None if disk_gib is None else f"{disk_gib:g}"
    disk = ask.text(
        "How many GiB may its memory take (0: no limit)?", disk_text, "20", "--disk-gib"
    )
    learn = ask.yes("Shall it learn on this machine?", learn)
    settings = {"life.name": name, "learners.enabled": learn}
    if key and which is not None:
        settings[key] = which
    if _number(disk) > 0:
        settings["memory.retention.budget_bytes"] = int(_number(disk) * 2**30)
    text = _write(chosen, body, settings)
    if json_:
        print_json({"file": str(chosen.config_file), "settings": text})
        return
    typer.echo(text.rstrip())
    say(f"written to {chosen.config_file}; begin with: {chosen.command('run')}")


class _Asker:
    """Asks on a terminal what no flag has said."""

    def __init__(self, is_silent: bool) -> None:
        self._is_silent = is_silent

    def text(self, question: str, given: str | None, default: str, flag: str) -> str:
        if given is not None:
            return given
        if not self._is_silent:
            return str(typer.prompt(question, default=default or None, err=True))
        if not default:
            raise UsageError(f"{question} Say it with {flag}")
        return default

    def choice(self, question: str, given: str | None, default: str) -> str:
        if given is None and not self._is_silent:
            for body, (meaning, _, _) in BODIES.items():
                say(f"  {body:<10} {meaning}")
        chosen = self.text(question, given, default, "--body")
        if chosen not in BODIES:
            raise UsageError(f"body {chosen!r}; accepted: {', '.join(BODIES)}")
        return chosen

    def yes(self, question: str, given: bool | None) -> bool:
        if given is not None or self._is_silent:
            return given is not False
        return bool(typer.confirm(question, default=True, err=True))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--disk-gib {text}: expected a number") from None


def _write(home: "Home", body: str, settings: Mapping[str, Any]) -> str:
    """Write the settings once they are checked; return their text."""
    from configs.edit import with_value
    from configs.load import parse_value, profile_text
    from memory.files import write_atomic

    home.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = home.path / ".config.toml.draft"
    try:
        if body == "robot-sim":
            draft.write_text(profile_text("robot-sim"), "utf-8")
        else:
            draft.write_text(f'[world]\nkind = "{body}"\n', "utf-8")
        for key, value in settings.items():
            parsed = parse_value(key, value) if isinstance(value, str) else value
            draft.write_text(with_value(draft, key, parsed), "utf-8")
        text = draft.read_text("utf-8")
        _check(home, draft)
        if home.config_file.exists():
            old = home.config_file.with_name("config.toml.old")
            write_atomic(old, home.config_file.read_bytes())
        write_atomic(home.config_file, text.encode())
    finally:
        draft.unlink(missing_ok=True)
    return text


def _check(home: "Home", draft: Path) -> None:
    from configs.load import load_config

    load_config(None, draft, born=home.read().born if home.exists else None)
