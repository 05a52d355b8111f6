"""What the commands that measure have in common."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentd.commands.output import print_json, say

if TYPE_CHECKING:
    from rich.console import RenderableType

WorkersOption = Annotated[int, typer.Option("--workers", min=1, max=256, help="Processes.")]
FiguresOption = Annotated[
    Path | None,
    typer.Option("--figures", help="Folder for the plots (PNG).", show_default=False),
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", help="Folder for the results; continued.", show_default=False),
]
HouseSeedsOption = Annotated[
    str | None,
    typer.Option(
        "--house-seeds",
        metavar="N,N",
        help="These houses instead of held-out ones.",
        show_default=False,
    ),
]
BudgetOption = Annotated[int, typer.Option("--budget-steps", min=1, help="Steps per goal.")]
ArmsOption = Annotated[str, typer.Option("--arms", metavar="A,B", help="Arms to compare.")]


def names(text: str) -> tuple[str, ...]:
    """Return the names of a list that is parted by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def show(
    summary: dict[str, Any],
    report: Callable[[dict[str, Any]], "RenderableType"],
    *,
    drawer: str = "",
    figures: Path | None = None,
    as_json: bool,
) -> None:
    """Draw a comparison where that is asked for, and print it.

    Args:
        summary: The comparison.
        report: Returns its tables.
        drawer: Module whose `draw` makes its figures; loaded only for them.
        figures: Folder for the figures, if any are asked for.
        as_json: Print the comparison instead of its tables.
    """
    if figures is not None:
        paths = import_module(drawer).draw(summary, figures)
        say(f"drew {', '.join(str(path) for path in paths)}")
    if as_json:
        print_json(summary)
        return
    from rich.console import Console

    Console().print(report(summary))
