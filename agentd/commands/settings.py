"""Commands around settings: config show, set, unset, schema."""

from typing import TYPE_CHECKING, Annotated, Any

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
from agentd.commands.output import print_json, say

if TYPE_CHECKING:
    from agentd.home import Home

app = typer.Typer(no_args_is_help=True, help="Settings and where they come from.")

KeyArgument = Annotated[
    str, typer.Argument(metavar="KEY", help="Dotted, as in life.pace; `config show` lists all.")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Show what would change; change nothing.")
]


@app.command()
def show(
    origin: Annotated[
        bool, typer.Option("--origin", help="Also show where each value comes from.")
    ] = False,
    home: HomeOption = None,
    profile: ProfileOption = None,
    set_: SetOption = None,
    seed: SeedOption = None,
    json_: JsonOption = False,
) -> None:
    """Show all settings of a life in this home.

    The output is a valid config.toml.
    Later wins: defaults, profile, what the life was born with, the home's config.toml, environment
    variables like AGENTD_LIFE__PACE, --set.
    """
    from configs.render import to_toml

    loaded = load_settings(open_home(home), profile, set_, seed)
    if json_:
        data: dict[str, Any] = {"profile": loaded.profile, "values": loaded.values()}
        if origin:
            data["origins"] = loaded.origins
        print_json(data)
    else:
        typer.echo(to_toml(loaded, with_origin=origin))


@app.command("set", context_settings={"ignore_unknown_options": True})
def set_value(
    key: KeyArgument,
    value: Annotated[
        str, typer.Argument(metavar="VALUE", help="As in TOML; texts need no quotes.")
    ],
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    json_: JsonOption = False,
) -> None:
    """Set one value in the home's config.toml.

    It is checked together with all others first; comments stay. Undo it with `config unset`, or
    with the value that is printed. A running life takes it up at its next start.

    Example: agentd config set learners.round.budget_s 30
    """
    from configs.edit import with_value
    from configs.load import parse_value

    chosen = open_home(home)
    before = load_settings(chosen)
    parsed = parse_value(key, value)
    if parsed is None:
        unset(key, home, dry_run, json_)
        return
    load_settings(chosen, None, [f"{key}={value}"])  # refuses what cannot be
    text = with_value(chosen.config_file, key, parsed)
    _write(chosen, text, key, before.values()[key], parsed, dry_run=dry_run, json_=json_)


@app.command()
def unset(
    key: KeyArgument,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    json_: JsonOption = False,
) -> None:
    """Take one value out of the home's config.toml.

    What the profile says, or the default, holds again.
    """
    from agentd.exit_codes import NotFoundError
    from configs.edit import without_value
    from configs.load import load_config

    chosen = open_home(home)
    before = load_settings(chosen).values().get(key)
    text = without_value(chosen.config_file, key)
    if text is None:
        raise NotFoundError(f"{key} is not set in {chosen.config_file}")
    after = load_config(born=chosen.read().born if chosen.exists else None).values().get(key)
    _write(chosen, text, key, before, after, dry_run=dry_run, json_=json_)


@app.command()
def schema() -> None:
    """Print the JSON schema of the settings, for editors.

    Example: agentd config schema > agentd.schema.json
    """
    from configs.schema import AgentConfig

    print_json(AgentConfig.model_json_schema())


def _write(
    home: "Home", text: str, key: str, before: Any, after: Any, *, dry_run: bool, json_: bool
) -> None:
    from memory.files import write_atomic

    path = home.config_file
    if not dry_run:
        home.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomic(path, text.encode())
    if json_:
        data = {"key": key, "before": before, "after": after, "file": str(path)}
        print_json({**data, "written": not dry_run})
        return
    typer.echo(f"{key}: {_shown(before)} -> {_shown(after)}")
    say(f"would be written to {path}" if dry_run else f"written to {path}")
    if not dry_run and home.holder_pid() is not None:
        say("the running life takes it up at its next start")


def _shown(value: Any) -> str:
    from configs.render import literal

    return "unset" if value is None else literal(value)
