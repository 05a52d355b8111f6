"""The command line. Loads quickly: what a command needs is imported when it runs."""

import os
from typing import Annotated

import typer

import agentd
from agentd.commands import (
    begin,
    checkpoints,
    evaluate,
    evaluate_life,
    evaluate_objectnav,
    export,
    goals,
    guardian,
    importing,
    learning,
    life,
    logs,
    memory,
    recipes,
    robot,
    settings,
    tools,
)
from agentd.commands.errors import ErrorGroup

app = typer.Typer(
    name="agentd",
    cls=ErrorGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # drawing help with rich takes longer than all the rest
    context_settings={"help_option_names": ["-h", "--help"]},
    help="An agent that lives in one place, remembers what it saw there, and learns from it.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"agentd {agentd.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """An agent that lives in one place, remembers what it saw there, and learns from it."""


learning.app.command()(recipes.recipes)
learning.app.command()(recipes.compare)
learning.app.command()(recipes.probe)
evaluate.app.command("life")(evaluate_life.evaluate_life)
evaluate.app.command("objectnav")(evaluate_objectnav.evaluate_objectnav)

_LIVE, _LOOK, _MAKE, _CARE = "Live", "Look and ask", "Learn and measure", "Set up and care"
app.command(rich_help_panel=_LIVE)(begin.init)
app.command(rich_help_panel=_LIVE)(life.run)
app.command(rich_help_panel=_LIVE)(life.start)
app.command(rich_help_panel=_LIVE)(life.stop)
app.command(rich_help_panel=_LIVE)(life.pause)
app.command(rich_help_panel=_LIVE)(life.resume)
app.command(rich_help_panel=_LOOK)(life.status)
app.command(rich_help_panel=_LOOK)(tools.tui)
app.command(rich_help_panel=_LOOK)(logs.logs)
app.command(rich_help_panel=_LOOK)(tools.report)
app.add_typer(goals.app, name="goal", rich_help_panel=_LOOK)
app.add_typer(memory.app, name="memory", rich_help_panel=_LOOK)
app.add_typer(checkpoints.app, name="checkpoints", rich_help_panel=_MAKE)
app.add_typer(learning.app, name="learn", rich_help_panel=_MAKE)
app.add_typer(evaluate.app, name="eval", rich_help_panel=_MAKE)
app.command(rich_help_panel=_MAKE)(export.export)
app.command("import", rich_help_panel=_MAKE)(importing.import_)
app.add_typer(guardian.app, name="guardian", rich_help_panel=_CARE)
app.add_typer(robot.app, name="robot", rich_help_panel=_CARE)
app.add_typer(settings.app, name="config", rich_help_panel=_CARE)
app.command(rich_help_panel=_CARE)(tools.doctor)


def main() -> None:
    """Run the command line of this process.

    Numerical libraries get one thread each unless the environment says otherwise: the arrays are
    small, and threads that wait for each other take the core that the learner needs.
    """
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    app()
