"""Figures of a comparison of strategies, as PNG files."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

_CURVES = {
    "coverage_curve": ("coverage.png", "share of the reachable floor in the map (%)"),
    "things_curve": ("things_seen.png", "share of the things seen (%)"),
}


def draw(summary: dict[str, Any], folder: Path) -> list[Path]:
    """Draw coverage and things seen over time, one line per strategy; return the files.

    Args:
        summary: As `agentd.evaluate.explore.command.run` returns it.
        folder: Where the files go; made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for curve, (name, label) in _CURVES.items():
        figure = Figure(figsize=(6.4, 3.8), layout="constrained")
        axes = figure.subplots()
        for strategy, found in summary["strategies"].items():
            ours = strategy == "information"
            axes.plot(
                found["curve_steps"],
                [100 * value for value in found[curve]],
                label=strategy,
                linewidth=2.4 if ours else 1.2,
                color="black" if ours else None,
                linestyle="--" if strategy == "nearest_frontier" else "-",
            )
        axes.set_xlabel("steps")
        axes.set_ylabel(label)
        axes.set_ylim(0, 100)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.3)
        axes.legend(frameon=False, fontsize="small")
        path = folder / name
        figure.savefig(path, dpi=150)
        paths.append(path)
    return paths
