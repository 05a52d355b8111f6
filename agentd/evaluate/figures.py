"""Figures of an evaluation, as PNG files."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_COLOURS = {
    "floor": "#8c8c8c",
    "reset": "#d1782f",
    "kept": "#2a6fb0",
    "kept_model": "#7b4fa3",
    "lived": "#2f8f5b",
}
_TITLES = {"success": "success", "spl": "SPL", "soft_spl": "SoftSPL"}


def draw(summary: dict[str, Any], folder: Path) -> list[Path]:
    """Draw SPL by goal number and the paired differences; return the files.

    Args:
        summary: As `agentd.evaluate.command.run` returns it.
        folder: Where the files go; made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    figures = {"spl_by_goal.png": _spl_by_goal(summary)}
    if summary["paired"]:
        figures["paired_differences.png"] = _paired(summary)
    paths = []
    for name, figure in figures.items():
        path = folder / name
        figure.savefig(path, dpi=150)
        paths.append(path)
    return paths


def _spl_by_goal(summary: dict[str, Any]) -> Figure:
    """Return SPL over the number of the goal in its house, one line per arm."""
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    arms = summary["arms"]
    for place, (arm, found) in enumerate(arms.items()):
        points = found["spl_by_goal"]
        # Shifted a little, so that the bars of the arms do not hide each other.
        x = np.array([point["index"] + 1 for point in points]) + 0.06 * (place - len(arms) / 2)
        axes.errorbar(
            x,
            [100 * point["mean"] for point in points],
            yerr=_error_bars(points),
            marker="o",
            capsize=2,
            color=_COLOURS.get(arm),
            label=arm,
        )
    _finish(axes, "goal in the house", "SPL (%)")
    axes.set_ylim(0, 100)
    axes.legend(frameon=False)
    axes.set_title("Finding things in held-out houses, 95 % intervals over houses")
    return figure


def _paired(summary: dict[str, Any]) -> Figure:
    """Return the paired differences as bars with intervals, a panel per comparison."""
    pairs = list(dict.fromkeys((found["a"], found["b"]) for found in summary["paired"]))
    figure = Figure(figsize=(1.6 + 2.2 * len(pairs), 3.4), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(pairs), sharey=True))
    for axes, (a, b) in zip(panels, pairs, strict=True):
        rows = [found for found in summary["paired"] if (found["a"], found["b"]) == (a, b)]
        axes.errorbar(
            range(len(rows)),
            [100 * row["mean"] for row in rows],
            yerr=_error_bars(rows),
            fmt="o",
            capsize=4,
            color=_COLOURS.get(a),
        )
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_xticks(range(len(rows)), [_TITLES[row["metric"]] for row in rows])
        axes.set_xlim(-0.5, len(rows) - 0.5)
        axes.set_title(f"{a} - {b}")
        _finish(axes, "", "points" if axes is panels[0] else "")
    return figure


def _error_bars(points: list[dict[str, Any]]) -> Any:
    """Return the distances from mean to bounds, 0 where a single house gives no bounds."""
    lows = [100 * (p["mean"] - p["low"]) if p["low"] is not None else 0.0 for p in points]
    highs = [100 * (p["high"] - p["mean"]) if p["high"] is not None else 0.0 for p in points]
    return np.maximum(np.array([lows, highs]), 0.0)


def _finish(axes: Axes, x_label: str, y_label: str) -> None:
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
