"""Places where something was other than expected: they are worth a second look, once.

Surprise says where the world may have changed; it does not say where to explore (a noisy screen
surprises for ever). So an alarm asks for one more look, and what was looked at again is calm.

Axis letters: n places.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from memory.frames import wrap_rad
from policies.surprise import ALARM, LIMIT

AHEAD_M = 1.5
"""What surprised is taken to stand so far before the body."""
SAME_M = 1.0
NEAR_M = 1.0
"""A place to look from counts for an alarm within this distance."""
LOOK_M, LOOK_RAD = 2.5, 0.6
"""A body so near that faces the place looks at it."""
AGAIN_STEPS = 25
"""Looks sooner than this after the alarm are still the first."""
QUIET_STEPS = 500
"""An alarm at a place that was looked at again waits so long before it asks once more."""
MAX_ALARMS = 16
WORTH = 1.0
"""Worth of an alarm at the threshold; a look at a place left alone for long is worth 0.7."""


@dataclass(slots=True, kw_only=True)
class Alarm:
    """A place that surprised."""

    xy_m: tuple[float, float]
    surprise: float
    step: int
    looked_step: int | None = None


class Alarms:
    """The newest alarms, and what a look at a place is worth for them."""

    def __init__(self) -> None:
        self.items: list[Alarm] = []

    def clear(self) -> None:
        """Forget all."""
        self.items = []

    def note(self, pose: Float64[np.ndarray, "3"], surprise: float, step: int) -> None:
        """Take in the surprise of a tick.

        Args:
            pose: x_m, y_m, yaw_rad of the body.
            surprise: In deviations; NaN where nothing was expected.
            step: Now.
        """
        if not np.isfinite(pose).all():
            return
        self._calm(pose, step)
        if not surprise >= ALARM:
            return
        x, y, yaw = pose.tolist()
        there = (x + AHEAD_M * math.cos(yaw), y + AHEAD_M * math.sin(yaw))
        for item in self.items:
            if math.dist(item.xy_m, there) < SAME_M:
                if item.looked_step is None:
                    item.surprise = max(item.surprise, surprise)
                elif step - item.looked_step >= QUIET_STEPS:
                    item.surprise, item.step, item.looked_step = surprise, step, None
                return
        self.items = [*self.items, Alarm(xy_m=there, surprise=surprise, step=step)][-MAX_ALARMS:]

    def worth(self, xy_m: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n"]:
        """Return what a look from each place is worth, 0 where nothing waits."""
        value = np.zeros(len(xy_m))
        for item in self.items:
            if item.looked_step is None:
                near = np.hypot(*(xy_m - np.array(item.xy_m)).T) <= NEAR_M
                value[near] = np.maximum(value[near], WORTH * min(item.surprise, LIMIT) / ALARM)
        return value

    def _calm(self, pose: Float64[np.ndarray, "3"], step: int) -> None:
        for item in self.items:
            if item.looked_step is not None or step - item.step < AGAIN_STEPS:
                continue
            dx, dy = item.xy_m[0] - pose[0], item.xy_m[1] - pose[1]
            off = abs(wrap_rad(math.atan2(dy, dx) - float(pose[2])))
            gap = math.hypot(dx, dy)
            if gap <= LOOK_M and (off <= LOOK_RAD or gap < 0.3):
                item.looked_step = step
