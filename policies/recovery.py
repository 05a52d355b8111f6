"""Notices that the body does not move as told, and gets it out.

Axis letters: a headings.
"""

import math
from collections import deque

import numpy as np
from jaxtyping import Float64

from memory.frames import wrap_rad
from memory.records import BodySpec
from policies.follower import LocalClearance

WINDOW_STEPS = 6
MIN_WANTED_M = 0.25
"""Commanded way below which nothing can be said."""
MOVED_SHARE = 0.3
"""A body that moved less than this share of what was commanded is stuck."""
HEADINGS = 16
LEAVE_M = 0.45
MAX_STEPS = 12


class StuckWatch:
    """Compares what was commanded with how far the body came."""

    def __init__(self, spec: BodySpec) -> None:
        self._tick_s = spec.tick_s
        self._window: deque[tuple[float, float, float]] = deque(maxlen=WINDOW_STEPS)

    def clear(self) -> None:
        """Forget the last steps."""
        self._window.clear()

    def note(self, pose: Float64[np.ndarray, "3"], v_mps: float) -> None:
        """Record the pose at which a speed was commanded."""
        self._window.append((float(pose[0]), float(pose[1]), max(0.0, v_mps)))

    def is_stuck(self, pose: Float64[np.ndarray, "3"]) -> bool:
        """Return whether the body hardly moved although it was told to."""
        if len(self._window) < WINDOW_STEPS:
            return False
        x, y, _ = self._window[0]
        wanted = sum(v for _, _, v in self._window) * self._tick_s
        moved = math.hypot(pose[0] - x, pose[1] - y)
        return wanted > MIN_WANTED_M and moved < MOVED_SHARE * wanted


class Recovery:
    """Turns to the side with most room and drives a little way out."""

    def __init__(self, spec: BodySpec, rng: np.random.Generator) -> None:
        self._spec = spec
        self._rng = rng
        self._left = 0
        self._yaw_rad = 0.0
        self._start = (0.0, 0.0)

    @property
    def is_active(self) -> bool:
        """Whether a recovery is under way."""
        return self._left > 0

    def start(self, pose: Float64[np.ndarray, "3"], near: LocalClearance) -> None:
        """Choose the way out: the longest clear run, ties and noise by chance."""
        angles = np.arange(HEADINGS) * (2 * math.pi / HEADINGS)
        steps = np.arange(1, 9) * (LEAVE_M / 6)
        unit = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        points = pose[:2] + unit[:, None] * steps[:, None]
        room = near.at(points)
        open_run = np.logical_and.accumulate(room > 0.6 * self._spec.radius_m, axis=1).sum(axis=1)
        score = open_run + 4 * room.min(axis=1) + 0.5 * self._rng.random(HEADINGS)
        self._yaw_rad = float(angles[int(np.argmax(score))])
        self._start = (float(pose[0]), float(pose[1]))
        self._left = MAX_STEPS

    def cancel(self) -> None:
        """Stop recovering."""
        self._left = 0

    def command(self, pose: Float64[np.ndarray, "3"]) -> tuple[float, float]:
        """Return (v_mps, w_radps) of the next tick of the way out."""
        self._left -= 1
        error = wrap_rad(self._yaw_rad - float(pose[2]))
        w = float(np.clip(error / self._spec.tick_s, -1, 1)) * self._spec.w_max_radps
        w = math.copysign(min(abs(w), abs(error) / self._spec.tick_s), error)
        if abs(error) > 0.3:
            return 0.0, w
        if math.hypot(pose[0] - self._start[0], pose[1] - self._start[1]) >= LEAVE_M:
            self._left = 0
        return 0.4 * self._spec.v_max_mps, w
