"""How fast a policy may be at a distance so that its guardian never has to step in."""

from collections.abc import Callable

import numpy as np

from agentd.guardian.arcs import stopping_m
from agentd.guardian.zones import SLOW_BAND_M, STOP_BAND_M
from configs.guardian import GuardianConfig

_SPARE_M = 0.03
"""Two that measure the same gap do not get the same number."""
_SPEEDS = 61


def speed_law(config: GuardianConfig, tick_s: float) -> Callable[[float], float]:
    """Return a function of the way to contact, m, that gives the largest speed, m/s.

    What is asked for once a tick must also hold at its end, when the body has come nearer.

    Args:
        config: Of the guardian.
        tick_s: Time between two decisions.
    """
    zone, full_mps = config.zone, config.limit.v_fwd_mps
    speeds = np.linspace(0.0, full_mps, _SPEEDS)
    needed = []
    for v in speeds.tolist():
        stop_m = stopping_m(v, zone.react_s, zone.decel_mps2, zone.margin_m)
        room_m = max(stop_m + STOP_BAND_M, v * zone.contact_s)
        if v > zone.slow_factor * full_mps and zone.slow_extra_m > 0:
            room_m = max(room_m, stop_m + zone.slow_extra_m + SLOW_BAND_M)
        needed.append(room_m + v * tick_s + _SPARE_M)
    ways = np.maximum.accumulate(needed)

    def speed_mps(gap_m: float) -> float:
        k = int(np.searchsorted(ways, gap_m, side="right"))
        return float(speeds[k - 1]) if k else 0.0

    return speed_mps
