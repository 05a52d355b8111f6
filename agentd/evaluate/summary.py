"""Compares the arms of an evaluation: means, paired differences and their intervals."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int64
from rich.console import Group
from rich.table import Table

from agentd.evaluate.metrics import mean, path_ratio
from agentd.evaluate.plain import as_dict, finite, number, percent
from agentd.evaluate.rows import GoalRow, HouseResult
from agentd.evaluate.statistics import (
    cluster_bootstrap,
    mcnemar_exact,
    paired_difference,
)

FORMAT = 1

COMPARISONS = (
    ("kept", "reset"),
    ("kept", "floor"),
    ("reset", "floor"),
    ("kept_model", "kept"),
    ("lived", "kept"),
    ("mpc_euclid", "fmm"),
    ("mpc_qd", "fmm"),
    ("mpc_qd_novisits", "mpc_qd"),
)
"""Pairs of arms whose difference is reported where both were played."""

METRICS: dict[str, Callable[[GoalRow], float]] = {
    "success": lambda row: float(row.success),
    "spl": lambda row: row.spl,
    "soft_spl": lambda row: row.soft_spl,
}

_TITLES = {"success": "Success", "spl": "SPL", "soft_spl": "SoftSPL"}


def summarise(results: Sequence[HouseResult], arms: Sequence[str], *, seed: int) -> dict[str, Any]:
    """Return the comparison as a dict that JSON can hold (NaN becomes None).

    Args:
        results: At most one per house and arm.
        arms: Arms in the order of the table.
        seed: Seed of the resampling.
    """
    by_arm = {arm: _rows_of(results, arm) for arm in arms}
    summary = {
        "format": FORMAT,
        "arms": {arm: _summarise_arm(results, arm, by_arm[arm], seed) for arm in arms},
        "paired": [
            _compare(a, b, metric, by_arm[a], by_arm[b], seed)
            for a, b in COMPARISONS
            if by_arm.get(a) and by_arm.get(b)
            for metric in METRICS
        ],
        "houses": [result.model_dump(mode="json") for result in results],
    }
    plain: dict[str, Any] = finite(summary)
    return plain


def report(summary: dict[str, Any]) -> Group:
    """Return the tables of a comparison for a terminal."""
    tables = [_arms_table(summary), _by_goal_table(summary)]
    if summary["paired"]:
        tables.insert(1, _paired_table(summary))
    return Group(*tables)


def _rows_of(results: Sequence[HouseResult], arm: str) -> dict[tuple[int, int], GoalRow]:
    return {(r.house, row.index): row for r in results if r.arm == arm for row in r.goals}


def _summarise_arm(
    results: Sequence[HouseResult], arm: str, rows: dict[tuple[int, int], GoalRow], seed: int
) -> dict[str, Any]:
    goals = list(rows.values())
    steps = sum(row.steps for row in goals)
    coverages = [r.coverage for r in results if r.arm == arm and r.coverage is not None]
    return {
        "num_houses": len({house for house, _ in rows}),
        "num_goals": len(goals),
        **{name: _interval(rows, metric, seed) for name, metric in METRICS.items()},
        "spl_known": mean([row.spl for row in goals if row.known]),
        "spl_new": mean([row.spl for row in goals if not row.known]),
        "num_known": sum(row.known for row in goals),
        "path_ratio": mean([path_ratio(r.path_m, r.shortest_m) for r in goals if r.success]),
        "failures": dict(Counter(row.failure for row in goals if row.failure)),
        "bumps_per_100_steps": 100 * sum(row.bumps for row in goals) / max(steps, 1),
        "act_ms": mean([row.act_ms for row in goals]),
        "steps": steps,
        "coverage": mean(coverages),
        "spl_by_goal": [
            {"index": index, **_interval(part, METRICS["spl"], seed)}
            for index in sorted({index for _, index in rows})
            if (part := {key: row for key, row in rows.items() if key[1] == index})
        ],
    }


def _compare(
    arm_a: str,
    arm_b: str,
    metric: str,
    rows_a: dict[tuple[int, int], GoalRow],
    rows_b: dict[tuple[int, int], GoalRow],
    seed: int,
) -> dict[str, Any]:
    """Return the paired difference a - b over the goals that both arms played."""
    keys = sorted(rows_a.keys() & rows_b.keys())
    values_a = np.array([METRICS[metric](rows_a[key]) for key in keys])
    values_b = np.array([METRICS[metric](rows_b[key]) for key in keys])
    found: dict[str, Any] = {"a": arm_a, "b": arm_b, "metric": metric, "num_goals": len(keys)}
    if not keys:
        return found | {"mean": math.nan, "low": math.nan, "high": math.nan}
    difference = paired_difference(values_a, values_b, _houses(keys), seed=seed)
    found |= as_dict(difference)
    if metric == "success":
        found["mcnemar_p"] = mcnemar_exact(values_a > 0, values_b > 0)
    return found


def _interval(
    rows: dict[tuple[int, int], GoalRow], metric: Callable[[GoalRow], float], seed: int
) -> dict[str, float]:
    if not rows:
        return {"mean": math.nan, "low": math.nan, "high": math.nan}
    values = np.array([metric(row) for row in rows.values()])
    return as_dict(cluster_bootstrap(values, _houses(list(rows)), seed=seed))


def _houses(keys: Sequence[tuple[int, int]]) -> Int64[np.ndarray, "n"]:
    return np.array([house for house, _ in keys], dtype=np.int64)


def _arms_table(summary: dict[str, Any]) -> Table:
    table = Table(title="Arms (%, 95 % cluster bootstrap over houses)")
    for name in ("arm", "houses x goals", *_TITLES.values(), "path ratio", "act ms", "failures"):
        table.add_column(name)
    for arm, found in summary["arms"].items():
        table.add_row(
            arm,
            f"{found['num_houses']} x {found['num_goals'] / max(found['num_houses'], 1):g}",
            *(percent(found[metric]) for metric in METRICS),
            number(found["path_ratio"], ".2f"),
            number(found["act_ms"], ".1f"),
            ", ".join(f"{n} {why}" for why, n in sorted(found["failures"].items())) or "none",
        )
    return table


def _paired_table(summary: dict[str, Any]) -> Table:
    table = Table(title="Paired differences (points, 95 % cluster bootstrap over houses)")
    for name in ("difference", *_TITLES.values()):
        table.add_column(name)
    cells: dict[str, list[str]] = {}
    for found in summary["paired"]:
        mark = " *" if (found["low"] or 0) > 0 or (found["high"] or 0) < 0 else ""
        cells.setdefault(f"{found['a']} - {found['b']}", []).append(percent(found, "+.1f") + mark)
    for name, row in cells.items():
        table.add_row(name, *row)
    table.caption = "* the interval excludes zero"
    return table


def _by_goal_table(summary: dict[str, Any]) -> Table:
    table = Table(title="SPL by the number of the goal in its house (%)")
    table.add_column("arm")
    arms = summary["arms"]
    for index in range(max((len(found["spl_by_goal"]) for found in arms.values()), default=0)):
        table.add_column(str(index + 1))
    for arm, found in arms.items():
        table.add_row(arm, *(percent(point, bounds=False) for point in found["spl_by_goal"]))
    return table
