"""Scores of one goal, and their means.

References:
    Anderson et al. 2018, arXiv:1807.06757 (success, SPL); Datta et al. 2020, arXiv:2009.03231
    (SoftSPL).
"""

import math
from collections.abc import Sequence


def spl(success: bool, shortest_m: float, path_m: float) -> float:
    """Return success weighted by path length, 0 to 1.

    Args:
        success: Whether the agent stopped in the goal's success region.
        shortest_m: Geodesic from the start to the region. At 0 the ratio 0/0 is taken as 1, so
            that a goal solved by stopping at once counts fully; at infinity the goal cannot be
            reached and the score is 0.
        path_m: Length of the path that was driven.

    Raises:
        ValueError: If a length is negative or not a number.
    """
    return float(success) * _efficiency(shortest_m, path_m)


def soft_spl(final_m: float, shortest_m: float, path_m: float) -> float:
    """Return progress towards the goal weighted by path length, 0 to 1.

    Args:
        final_m: Geodesic that was left at the end.
        shortest_m: Geodesic from the start; 0 and infinity as in `spl`.
        path_m: Length of the path that was driven.

    Raises:
        ValueError: If a length is negative or not a number.
    """
    _check_length("final_m", final_m)
    efficiency = _efficiency(shortest_m, path_m)
    if shortest_m == 0 or math.isinf(final_m):
        progress = float(final_m == 0)
    else:
        progress = max(0.0, 1.0 - final_m / shortest_m)
    return progress * efficiency


def path_ratio(path_m: float, shortest_m: float) -> float:
    """Return how many times the shortest path was driven; NaN where there is no shortest path."""
    _check_length("path_m", path_m)
    _check_length("shortest_m", shortest_m)
    if shortest_m == 0 or math.isinf(shortest_m):
        return math.nan
    return path_m / shortest_m


def mean(values: Sequence[float]) -> float:
    """Return the mean, NaN of nothing."""
    return math.fsum(values) / len(values) if values else math.nan


def _efficiency(shortest_m: float, path_m: float) -> float:
    _check_length("shortest_m", shortest_m)
    _check_length("path_m", path_m)
    if math.isinf(shortest_m):
        return 0.0
    if shortest_m == 0:
        return 1.0
    return shortest_m / max(shortest_m, path_m)


def _check_length(name: str, value_m: float) -> None:
    if math.isnan(value_m) or value_m < 0:
        raise ValueError(f"{name} must be >= 0, got {value_m}")
