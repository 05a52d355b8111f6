"""Options that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from agentd.home import Home
    from configs.load import LoadedConfig

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="FOLDER",
        help="Folder of the life [default: $AGENTD_HOME, else ~/.local/share/agentd/life].",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="NAME",
        help="Settings to begin with: default, first_life, robot-sim, test, or a .toml file.",
        show_default=False,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override one setting, as in life.pace=max; may be repeated.",
        show_default=False,
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        "--seed",
        min=0,
        help="Which house, and the agent's own draws. Fixed when the life begins.",
        show_default=False,
    ),
]


def open_home(path: Path | None) -> "Home":
    """Return the home that was asked for; it need not exist."""
    from agentd.home import Home, default_home

    return Home(path if path is not None else default_home())


def born_home(path: Path | None) -> "Home":
    """Return the home that was asked for; refuse one without a life, or one that is damaged."""
    home = open_home(path)
    home.read()
    return home


def load_settings(
    home: "Home",
    profile: str | None = None,
    overrides: list[str] | None = None,
    seed: int | None = None,
) -> "LoadedConfig":
    """Return the settings of a home, born or not yet."""
    from configs.load import load_config

    return load_config(
        profile,
        home.config_file,
        None,
        overrides or [],
        seed=seed,
        born=home.read().born if home.exists else None,
    )
