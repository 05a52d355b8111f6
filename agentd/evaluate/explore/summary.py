"""Compares strategies: means, and paired differences to the nearest frontier with intervals.

Axis letters: n runs.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table

from agentd.evaluate.explore.rows import EVERY_STEPS, METRICS, ExploreRow
from agentd.evaluate.plain import as_dict, finite
from agentd.evaluate.statistics import cluster_bootstrap, paired_difference

FORMAT = 1
FLOOR = "nearest_frontier"

_TITLES = {
    "coverage_auc": ("coverage AUC %", 100.0, ".1f"),
    "things_auc": ("things seen AUC %", 100.0, ".1f"),
    "t90": ("T90 steps", 1.0, ".0f"),
    "coverage_per_m": ("coverage/m %", 100.0, ".2f"),
    "noise_dwell": ("noise in view %", 100.0, ".1f"),
    "coverage": ("covered %", 100.0, ".1f"),
}

Key = tuple[int, int]


def summarise(rows: Sequence[ExploreRow], strategies: Sequence[str]) -> dict[str, Any]:
    """Return the comparison as a dict that JSON can hold.

    Args:
        rows: At most one per house, seed and strategy.
        strategies: In the order of the table.
    """
    found = {
        name: {(r.house, r.seed): r for r in rows if r.strategy == name} for name in strategies
    }
    return {
        "format": FORMAT,
        "strategies": {name: _one(part) for name, part in found.items() if part},
        "paired": [
            _pair(name, metric, part, found[FLOOR])
            for name, part in found.items()
            if name != FLOOR and part.keys() & found.get(FLOOR, {}).keys()
            for metric in METRICS
        ],
        "runs": [
            {
                **row.model_dump(mode="json", exclude={"coverage", "things"}),
                **{name: finite(value) for name, value in row.metrics().items()},
            }
            for row in rows
        ],
    }


def report(summary: dict[str, Any]) -> Group:
    """Return the tables of a comparison for a terminal."""
    table = Table(title="Exploring (95 % cluster bootstrap over houses)")
    for title in ("strategy", "runs", *(title for title, _, _ in _TITLES.values()), "act ms"):
        table.add_column(title)
    for name, found in summary["strategies"].items():
        cells = (_cell(found[metric], metric) for metric in METRICS)
        table.add_row(name, str(found["num_runs"]), *cells, f"{found['act_ms']:.1f}")
    if not summary["paired"]:
        return Group(table)
    paired = Table(title="Paired differences to nearest_frontier", caption="* excludes zero")
    for title in ("strategy", *(title for title, _, _ in _TITLES.values()), "AUC ratio"):
        paired.add_column(title)
    for name in dict.fromkeys(row["strategy"] for row in summary["paired"]):
        mine = {row["metric"]: row for row in summary["paired"] if row["strategy"] == name}
        cells = (_cell(mine[metric], metric, signed=True) for metric in METRICS)
        paired.add_row(name, *cells, f"{mine['coverage_auc']['ratio']:.3f}")
    return Group(table, paired)


def _one(part: dict[Key, ExploreRow]) -> dict[str, Any]:
    rows = list(part.values())
    houses = np.array([row.house for row in rows])
    metrics = [row.metrics() for row in rows]
    curve = np.mean([row.coverage for row in rows], axis=0)
    things = np.mean([row.things for row in rows], axis=0)
    return {
        "num_runs": len(rows),
        **{
            name: finite(as_dict(cluster_bootstrap(_values(metrics, name), houses)))
            for name in METRICS
        },
        "act_ms": float(np.mean([row.act_ms for row in rows])),
        "bumps_per_100_steps": 100 * float(np.mean([row.bumps / row.num_steps for row in rows])),
        "curve_steps": [EVERY_STEPS * k for k in range(len(curve))],
        "coverage_curve": [round(float(v), 4) for v in curve],
        "things_curve": [round(float(v), 4) for v in things],
    }


def _pair(
    name: str, metric: str, part: dict[Key, ExploreRow], floor: dict[Key, ExploreRow]
) -> dict[str, Any]:
    """Return the paired difference to the floor, and the ratio of the means."""
    keys = sorted(part.keys() & floor.keys())
    mine = _values([part[key].metrics() for key in keys], metric)
    theirs = _values([floor[key].metrics() for key in keys], metric)
    houses = np.array([house for house, _ in keys])
    difference = paired_difference(mine, theirs, houses)
    ratio = float(mine.mean() / theirs.mean()) if theirs.mean() else math.nan
    return {
        "strategy": name,
        "metric": metric,
        "num_runs": len(keys),
        **finite(as_dict(difference)),
        "ratio": finite(ratio),
    }


def _values(metrics: Sequence[dict[str, float]], name: str) -> np.ndarray:
    return np.nan_to_num(np.array([found[name] for found in metrics]), posinf=0.0)


def _cell(found: dict[str, Any], metric: str, *, signed: bool = False) -> str:
    _, factor, style = _TITLES[metric]
    style = f"+{style}" if signed else style
    text = format(factor * found["mean"], style)
    if found["low"] is None:
        return text
    low, high = (format(factor * found[bound], style) for bound in ("low", "high"))
    mark = " *" if signed and (found["low"] > 0 or found["high"] < 0) else ""
    return f"{text} [{low}, {high}]{mark}"
