"""From results to the tables: success with intervals, paired differences, what a plan costs.

Axis letters: s training seeds, w pairs.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agentd.evaluate.statistics import Interval, crossed_bootstrap


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """Episodes of one arm on one task.

    Attributes:
        success: Per training seed and pair, 0 or 1; arms without training have one seed.
        steps: Environment steps taken, the budget where the goal was not reached.
        plan_cpu_s: CPU-seconds of every plan.
    """

    success: np.ndarray
    steps: np.ndarray
    plan_cpu_s: np.ndarray


def read(files: Sequence[Path], num_pairs: int, budget: int) -> Played | None:
    """Return what the files of all training seeds hold; None while one is missing or not done."""
    success, steps, plans = [], [], []
    for file in files:
        lines = file.read_text().splitlines() if file.is_file() else []
        if len(lines) < num_pairs:
            return None
        rows = [json.loads(line) for line in lines[:num_pairs]]
        success.append([row["steps"] is not None for row in rows])
        steps.append([budget if row["steps"] is None else row["steps"] for row in rows])
        plans += [cpu_s for row in rows for cpu_s in row["plan_cpu_s"]]
    return Played(
        success=np.array(success, dtype=np.float64),
        steps=np.array(steps),
        plan_cpu_s=np.array(plans),
    )


def shared(a: Played, b: Played) -> tuple[np.ndarray, np.ndarray]:
    """Return the successes of both on the pairs and training seeds that both have.

    The n-th seed of one is paired with the n-th of the other: both drew the same batches.
    """
    seeds = min(len(a.success), len(b.success))
    pairs = min(a.success.shape[1], b.success.shape[1])
    return a.success[:seeds, :pairs], b.success[:seeds, :pairs]


def difference(a: Played, b: Played) -> Interval:
    """Return the mean of a - b over what both have, and its interval."""
    ours, theirs = shared(a, b)
    return crossed_bootstrap(ours - theirs)


def row(name: str, played: Played, crosses: np.ndarray) -> str:
    """Return an arm's line of the table; percent."""
    all_, same, across = (
        _percent(crossed_bootstrap(part)) if part.size else "-"
        for part in (
            played.success,
            played.success[:, ~crosses],
            played.success[:, crosses],
        )
    )
    plans = played.plan_cpu_s
    cost = "- | -"
    if plans.size:
        cost = f"{1000 * plans.mean():.1f} | {1000 * plans.sum() / played.steps.sum():.2f}"
    return (
        f"| {name} | {len(played.success)} x {played.success.shape[1]} | {all_} | {same} | "
        f"{across} | {cost} |"
    )


def table(title: str, arms: Mapping[str, Played], crosses: np.ndarray) -> str:
    """Return a task's table."""
    lines = [
        f"### {title}",
        "",
        "| arm | seeds x pairs | success % | same room | other room | ms per plan | ms per step |",
        "|---|---|---|---|---|---|---|",
        *(row(name, played, crosses[: played.success.shape[1]]) for name, played in arms.items()),
    ]
    return "\n".join(lines)


def differences(arms: Mapping[str, Played], reference: str, others: Sequence[str]) -> str:
    """Return the paired differences to a reference, in points of success."""
    lines = ["| paired difference | points of success | ratio |", "|---|---|---|"]
    for name in others:
        if name in arms and reference in arms:
            gap = difference(arms[name], arms[reference])
            ours, theirs = shared(arms[name], arms[reference])
            ratio = f"{ours.mean() / theirs.mean():.2f}" if theirs.any() else "-"
            lines.append(f"| {name} - {reference} | {_percent(gap, signed=True)} | {ratio} |")
    return "\n".join(lines)


def _percent(interval: Interval, *, signed: bool = False) -> str:
    mean, low, high = (100 * x for x in (interval.mean, interval.low, interval.high))
    sign = "+" if signed else ""
    return f"{mean:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]"
