"""The headline figure: SPL against the number of the goal, with what happened marked."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_COLOURS = {
    "floor": "#8c8c8c",
    "memory": "#2a6fb0",
    "adapting": "#d1782f",
    "frozen": "#7b4fa3",
    "learning": "#2f8f5b",
    "ungated": "#c2495f",
}
_SMOOTH = 3
"""Goals that a point of the curve is the mean of."""


def draw(summary: dict[str, Any], folder: Path) -> list[Path]:
    """Draw SPL by goal number over the life; return the files.

    Args:
        summary: As `agentd.evaluate.life.command.run` returns it, or its `result.json`.
        folder: Where the files go; made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "life_spl.png"
    _life(summary).savefig(path, dpi=150)
    return [path]


def _life(summary: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(10.0, 4.4), layout="constrained")
    axes = figure.subplots()
    for arm, found in summary["arms"].items():
        points = found["by_number"]
        if not points:
            continue
        x = np.array([p["number"] + 1 for p in points], dtype=float)
        mean, low, high = (
            _smooth(np.array([np.nan if p[k] is None else 100 * p[k] for p in points]), x, summary)
            for k in ("mean", "low", "high")
        )
        colour = _COLOURS.get(arm)
        axes.plot(x, mean, color=colour, linewidth=1.8, label=arm)
        axes.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0)
    _mark_phases(axes, summary)
    axes.set_xlabel("goal in the life")
    axes.set_ylabel("SPL (%)")
    axes.set_ylim(0, 100)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=len(summary["arms"]), loc="lower right")
    lives = max((found["num_lives"] for found in summary["arms"].values()), default=0)
    axes.set_title(
        f"{summary['about']}: {lives} lives, bands are 95 % intervals over lives", fontsize=9
    )
    return figure


def _smooth(values: np.ndarray, x: np.ndarray, summary: dict[str, Any]) -> np.ndarray:
    """Return the mean over neighbours of the same phase."""
    out = values.copy()
    for phase in summary["phases"]:
        inside = np.flatnonzero((x > phase["first"]) & (x <= phase["first"] + phase["goals"]))
        for i in inside:
            near = inside[np.abs(inside - i) <= _SMOOTH // 2]
            known = values[near][np.isfinite(values[near])]
            out[i] = known.mean() if len(known) else np.nan
    return out


def _mark_phases(axes: Axes, summary: dict[str, Any]) -> None:
    for phase in summary["phases"]:
        begin = phase["first"] + 0.5
        style = "-" if phase["changes_body"] else "--" if phase["changes_place"] else ":"
        if phase["first"]:
            axes.axvline(begin, color="black", linewidth=0.8, linestyle=style)
        axes.text(begin + 0.2, 3, phase["name"], fontsize=8, rotation=90, va="bottom")
    axes.set_xlim(0.5, summary["phases"][-1]["first"] + summary["phases"][-1]["goals"] + 0.5)
