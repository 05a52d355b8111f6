"""How far a disc can drive along an arc before it touches a point.

Axis letters: n points. Points are in the body frame.
"""

import math

import numpy as np
from jaxtyping import Float64

_STRAIGHT = 1e-3
"""A smaller curvature is straight, in 1/m."""


def gaps_m(
    xy_m: Float64[np.ndarray, "n 2"], v_mps: float, w_radps: float, radius_m: float, reach_m: float
) -> Float64[np.ndarray, "n"]:
    """Return the way to contact with each point that the drive would touch, in no order.

    Args:
        xy_m: Points.
        v_mps: Speed; its sign says which way.
        w_radps: Turn rate.
        radius_m: Radius of the body.
        reach_m: Points whose contact lies farther than this are left out.
    """
    if not len(xy_m) or v_mps == 0:
        return np.empty(0)
    x, y = xy_m[:, 0], xy_m[:, 1]
    if v_mps < 0:  # backwards is forwards in the mirror
        x = -x
    curvature = w_radps / v_mps  # backwards, the mirror turns the other way
    if abs(curvature) < _STRAIGHT:
        hit = (np.abs(y) < radius_m) & (x > 0)
        x, y = x[hit], y[hit]
        gaps: Float64[np.ndarray, "n"] = x - np.sqrt(radius_m**2 - y**2)
        return gaps[gaps < reach_m]
    turn_m = 1.0 / abs(curvature)
    # The centre of the turn is at (0, turn_m); angles count along the drive.
    across = turn_m - y * math.copysign(1.0, curvature)
    distance = np.hypot(x, across)
    swept = np.abs(distance - turn_m) < radius_m
    x, across, distance = x[swept], across[swept], distance[swept]
    angle = np.arctan2(x, across)
    cosine = (turn_m**2 + distance**2 - radius_m**2) / (2 * turn_m * np.maximum(distance, 1e-9))
    half = np.arccos(np.clip(cosine, -1.0, 1.0))
    # What lies behind is met after most of a turn.
    behind = angle < np.minimum(0.0, -half)
    begin = np.where(behind, angle + 2 * math.pi, angle) - half
    touching = x**2 + (turn_m - across) ** 2 < radius_m**2
    begin = np.where(touching & (x <= 0), 2 * math.pi, begin)  # it is being left
    gaps = begin * turn_m
    return gaps[gaps < reach_m]


def speed_for(gap_m: float, react_s: float, decel_mps2: float, margin_m: float) -> float:
    """Return the largest speed whose stopping distance d(v) fits into a gap.

    d(v) = v * react_s + v^2 / (2 decel_mps2) + margin_m.
    """
    room_m = gap_m - margin_m
    if room_m <= 0:
        return 0.0
    if math.isinf(room_m):
        return math.inf
    return 2 * room_m / (math.sqrt(react_s**2 + 2 * room_m / decel_mps2) + react_s)


def stopping_m(v_mps: float, react_s: float, decel_mps2: float, margin_m: float) -> float:
    """Return d(v); see `speed_for`."""
    return abs(v_mps) * react_s + v_mps**2 / (2 * decel_mps2) + margin_m
