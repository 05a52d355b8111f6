"""Plots of a comparison, as PNG files."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_PANEL_IN = (2.6, 0.28)
"""Width of a panel, and height of a recipe in it."""
_COLUMNS = 4
_COLOUR = "#2a6fb0"


def draw(summary: dict[str, Any], folder: Path) -> list[Path]:
    """Draw every metric of every recipe, and the differences from the reference.

    Args:
        summary: As `agentd.compare.command.compare` returns it.
        folder: Where the files go.
    """
    paths = []
    measured = [row["recipe"] for row in summary["rows"] if row["seeds"]]
    if measured and summary["metrics"]:
        figure, panels = _panels(summary["metrics"], len(measured))
        for axes, metric in zip(panels, summary["metrics"], strict=False):
            _points(axes, summary, metric, measured)
        paths.append(_save(figure, folder / "metrics.png"))
    compared = list(summary["differences"])
    if compared:
        figure, panels = _panels(summary["metrics"], len(compared))
        for axes, metric in zip(panels, summary["metrics"], strict=False):
            _intervals(axes, summary, metric, compared)
        figure.suptitle(f"minus {summary['against']}, 95 % intervals")
        paths.append(_save(figure, folder / "differences.png"))
    return paths


def _panels(metrics: list[str], num_recipes: int) -> tuple[Figure, list[Axes]]:
    columns = min(_COLUMNS, len(metrics))
    rows = -(-len(metrics) // columns)
    size = (_PANEL_IN[0] * columns + 1.0, rows * (0.9 + _PANEL_IN[1] * num_recipes) + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    grid = np.atleast_1d(figure.subplots(rows, columns, sharey=True, squeeze=False)).ravel()
    for axes in grid[len(metrics) :]:
        axes.set_axis_off()
    return figure, list(grid[: len(metrics)])


def _points(axes: Axes, summary: dict[str, Any], metric: str, recipes: list[str]) -> None:
    """Show each seed as a dot and the mean as a bar."""
    rows = {row["recipe"]: row for row in summary["rows"]}
    for place, name in enumerate(recipes):
        found = rows[name]["metrics"][metric]
        if found is None:
            continue
        values = found["values"]
        axes.plot(values, [place] * len(values), "o", color=_COLOUR, alpha=0.5, markersize=4)
        axes.plot([found["mean"]], [place], "|", color="black", markersize=12)
    _finish(axes, metric, recipes)


def _intervals(axes: Axes, summary: dict[str, Any], metric: str, recipes: list[str]) -> None:
    for place, name in enumerate(recipes):
        found = summary["differences"][name].get(metric)
        if found is None:
            continue
        if found["low"] is not None:
            axes.plot([found["low"], found["high"]], [place, place], "-", color=_COLOUR)
        axes.plot([found["mean"]], [place], "o", color=_COLOUR, markersize=4)
    axes.axvline(0, color="black", linewidth=0.8)
    _finish(axes, metric, recipes)


def _finish(axes: Axes, metric: str, recipes: list[str]) -> None:
    axes.set_title(metric, fontsize="small")
    axes.set_yticks(range(len(recipes)), recipes, fontsize="small")
    axes.set_ylim(len(recipes) - 0.5, -0.5)
    axes.tick_params(axis="x", labelsize="x-small")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", alpha=0.3)


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=150)
    return path
