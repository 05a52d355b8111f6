"""Means of episodes with their intervals, as JSON and as tables."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table

from agentd.evaluate.metrics import mean
from agentd.evaluate.objectnav.rows import EpisodeRow
from agentd.evaluate.plain import as_dict, finite, number, percent
from agentd.evaluate.statistics import cluster_bootstrap

FORMAT = 1

METRICS: dict[str, Callable[[EpisodeRow], float | None]] = {
    "success": lambda row: None if row.success is None else float(row.success),
    "spl": lambda row: row.spl,
    "soft_spl": lambda row: row.soft_spl,
    "distance_to_goal_m": lambda row: row.distance_to_goal_m,
}


def summarise(rows: Sequence[EpisodeRow], *, seed: int) -> dict[str, Any]:
    """Return means as a dict that JSON can hold (NaN becomes None).

    Args:
        rows: The episodes.
        seed: Seed of the resampling, which draws whole scenes.
    """
    categories = sorted({row.category for row in rows})
    summary: dict[str, Any] = {
        "format": FORMAT,
        "all": _means(rows, seed),
        "categories": {
            name: _means([row for row in rows if row.category == name], seed) for name in categories
        },
        "episodes": [row.model_dump(mode="json") for row in rows],
    }
    plain: dict[str, Any] = finite(summary)
    return plain


def report(summary: dict[str, Any]) -> Group:
    """Return the tables for a terminal."""
    table = Table(title="ObjectNav (%, 95 % bootstrap over scenes)")
    for name in ("category", "episodes", "Success", "SPL", "SoftSPL", "to goal m", "failures"):
        table.add_column(name, overflow="fold")
    for name, found in {**summary["categories"], "all": summary["all"]}.items():
        left_out = found["num_unreachable"]
        table.add_row(
            name,
            f"{found['num_episodes']}" + (f" (+{left_out} unreachable)" if left_out else ""),
            *(
                percent(found[metric], bounds=name == "all")
                for metric in ("success", "spl", "soft_spl")
            ),
            number(found["distance_to_goal_m"]["mean"], ".2f"),
            ", ".join(f"{n} {why}" for why, n in sorted(found["failures"].items())) or "none",
        )
    body = summary["body"]
    table.caption = (
        f"{summary['all']['num_scenes']} scenes, detector {summary['detector']}, "
        f"{body['control']} control, success below {body['success_m']:g} m, "
        f"{number(summary['all']['act_ms'], '.1f')} ms a step"
    )
    return Group(table)


def _means(rows: Sequence[EpisodeRow], seed: int) -> dict[str, Any]:
    known = [row for row in rows if row.spl is not None]
    steps = sum(row.steps for row in known)
    return {
        "num_scenes": len({row.scene for row in rows}),
        "num_episodes": len(known),
        "num_unreachable": len(rows) - len(known),
        **{name: _interval(known, metric, seed) for name, metric in METRICS.items()},
        "failures": dict(Counter(row.failure for row in known if row.failure)),
        "stopped": mean([float(row.stopped) for row in known]),
        "steps": steps,
        "bumps_per_100_steps": 100 * sum(row.bumps for row in known) / max(steps, 1),
        "act_ms": mean([row.act_ms for row in known]),
        "restarts": sum(row.restarts for row in rows),
    }


def _interval(
    rows: Sequence[EpisodeRow], metric: Callable[[EpisodeRow], float | None], seed: int
) -> dict[str, float]:
    found = [(value, row.scene) for row in rows if (value := metric(row)) is not None]
    if not found:
        return {"mean": math.nan, "low": math.nan, "high": math.nan}
    scenes = {scene: number for number, scene in enumerate(sorted({scene for _, scene in found}))}
    values = np.array([value for value, _ in found], dtype=np.float64)
    houses = np.array([scenes[scene] for _, scene in found], dtype=np.int64)
    return as_dict(cluster_bootstrap(values, houses, seed=seed))
