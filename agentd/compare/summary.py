"""From the results of all runs to one table: centre, spread, and differences with intervals."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agentd.evaluate.statistics import Interval, crossed_bootstrap, student_interval
from learners.recipes.run_spec import RunResult


def summarise(
    results: Sequence[RunResult], titles: Mapping[str, str], against: str
) -> dict[str, Any]:
    """Return rows and differences as JSON can hold them (NaN becomes None).

    Args:
        results: Of all runs.
        titles: Of the recipes, in the order of the table.
        against: Recipe that all others are compared with.
    """
    by_recipe = {
        name: {r.seed: r for r in results if r.recipe == name and r.failure is None}
        for name in titles
    }
    metrics = _metrics(results)
    rows = [
        _row(name, titles[name], list(by_recipe[name].values()), metrics, results)
        for name in titles
    ]
    reference = by_recipe.get(against, {})
    return {
        "metrics": metrics,
        "rows": rows,
        "against": against if reference else None,
        "differences": {
            name: _differences(found, reference, metrics)
            for name, found in by_recipe.items()
            if name != against and found and reference
        },
    }


def _metrics(results: Sequence[RunResult]) -> list[str]:
    """Return the metrics that any run has, in the order of the probes."""
    known = list(dict.fromkeys(name for r in results for name in r.metrics))
    return [name for name in known if any(r.metrics.get(name) is not None for r in results)]


def _row(
    name: str,
    title: str,
    found: Sequence[RunResult],
    metrics: Sequence[str],
    results: Sequence[RunResult],
) -> dict[str, Any]:
    failures = [r for r in results if r.recipe == name and r.failure is not None]
    row: dict[str, Any] = {
        "recipe": name,
        "title": title,
        "seeds": [r.seed for r in found],
        "failures": {str(r.seed): r.failure for r in failures},
        "parameters": found[0].parameters if found else None,
        "updates": _spread([float(r.updates) for r in found]),
        "cpu_s_per_update": _spread([r.cpu_s / r.updates for r in found if r.updates]),
    }
    for name in ("windows_per_s", "mfu"):
        row[name] = _spread([v for r in found if (v := (r.throughput or {}).get(name)) is not None])
    row["metrics"] = {
        metric: _spread([v for r in found if (v := r.metrics.get(metric)) is not None])
        for metric in metrics
    }
    return row


def _spread(values: Sequence[float]) -> dict[str, Any] | None:
    """Return centre and spread over seeds, None without values."""
    if not values:
        return None
    return {
        "mean": float(np.mean(values)),
        "median": float(np.median(values)),
        "std": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "min": float(min(values)),
        "max": float(max(values)),
        "values": list(values),
    }


def _differences(
    found: Mapping[int, RunResult], reference: Mapping[int, RunResult], metrics: Sequence[str]
) -> dict[str, Any]:
    """Return recipe minus reference per metric, over the seeds that both have."""
    out: dict[str, Any] = {}
    for metric in metrics:
        seeds = sorted(
            seed
            for seed in found.keys() & reference.keys()
            if None not in (found[seed].metrics.get(metric), reference[seed].metrics.get(metric))
        )
        if seeds:
            pairs = [(found[seed], reference[seed]) for seed in seeds]
            values, over_windows = _paired(pairs, metric)
            interval = crossed_bootstrap(values) if over_windows else student_interval(values[:, 0])
            out[metric] = _as_dict(interval) | {
                "over": "seeds and windows" if over_windows else "seeds",
                "num_seeds": len(seeds),
                "num_windows": values.shape[1] if over_windows else None,
            }
    return out


def _paired(pairs: Sequence[tuple[RunResult, RunResult]], metric: str) -> tuple[np.ndarray, bool]:
    """Return differences per seed and window; per seed alone where a metric is no mean of windows.

    Axes: seeds, windows.
    """
    if all(metric in r.windows for pair in pairs for r in pair):
        rows = [np.subtract(a.windows[metric], b.windows[metric]) for a, b in pairs]
        return np.array(rows), True
    values = [[(a.metrics[metric] or 0.0) - (b.metrics[metric] or 0.0)] for a, b in pairs]
    return np.array(values), False


def _as_dict(interval: Interval) -> dict[str, Any]:
    low, high = (None if math.isnan(v) else v for v in (interval.low, interval.high))
    return {
        "mean": interval.mean,
        "low": low,
        "high": high,
        "excludes_zero": interval.excludes_zero,
    }
