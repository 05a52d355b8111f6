"""The command line. Loads quickly: what a command needs is imported when it runs."""

import os
from typing import Annotated

import typer

import agentd
from agentd.commands import (
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
    memory,
    recipes,
    robot,
    tools,
)
from agentd.commands.errors import ErrorGroup

app = typer.Typer(
    name="agentd",
    cls=ErrorGroup,
    no_args_is_help=True,
    add_completion=False,
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


app.command()(life.run)
app.command()(life.start)
app.command()(life.stop)
app.command()(life.pause)
app.command()(life.resume)
app.command()(life.status)
app.command()(tools.tui)
app.command()(tools.report)
app.command()(export.export)
app.command("import")(importing.import_)
app.add_typer(goals.app, name="goal")
app.add_typer(memory.app, name="memory")
app.add_typer(checkpoints.app, name="checkpoints")
learning.app.command()(recipes.recipes)
learning.app.command()(recipes.compare)
learning.app.command()(recipes.probe)
app.add_typer(learning.app, name="learn")
evaluate.app.command("life")(evaluate_life.evaluate_life)
evaluate.app.command("objectnav")(evaluate_objectnav.evaluate_objectnav)
app.add_typer(evaluate.app, name="eval")
app.add_typer(guardian.app, name="guardian")
app.add_typer(robot.app, name="robot")
app.command()(tools.doctor)
app.add_typer(tools.config_app, name="config")


def main() -> None:
    """Run the command line of this process.

    Numerical libraries get one thread each unless the environment says otherwise: the arrays are
    small, and threads that wait for each other take the core that the learner needs.
    """
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    app()
