"""When the semantics of frontiers are worth heeding.

Axis letters: f frontiers.

References:
    ApexNav (2025), adaptive exploration: semantics are used if std > a threshold and max / mean >
    1.10, among frontiers with value / mean > max(1.10, 0.90 max / mean); else geometry decides. The
    threshold on the spread is theirs for cosines (0.015); here values are shares from 0 to 1.
"""

import numpy as np
from jaxtyping import Bool, Float64

MIN_STD = 0.10
"""Spread of the shares below which frontiers are alike; about one companion in ten."""
MIN_RATIO = 1.10
KEEP_RATIO = 0.90
MAX_DETOUR_M = 6.0
"""A likely frontier that is so much farther than the nearest one is not worth the way."""


def worth_heeding(
    values: Float64[np.ndarray, "f"], distance_m: Float64[np.ndarray, "f"]
) -> Bool[np.ndarray, "f"] | None:
    """Return which frontiers to choose among, None where the values do not tell them apart.

    Args:
        values: Value of each frontier.
        distance_m: Way to each.
    """
    if len(values) < 2:
        return None
    mean = float(values.mean())
    if mean <= 0.0 or float(values.std()) <= MIN_STD:
        return None
    ratio = float(values.max()) / mean
    if ratio <= MIN_RATIO:
        return None
    chosen: Bool[np.ndarray, "f"] = values / mean > max(MIN_RATIO, KEEP_RATIO * ratio)
    chosen &= distance_m <= distance_m.min() + MAX_DETOUR_M
    return chosen if chosen.any() else None
