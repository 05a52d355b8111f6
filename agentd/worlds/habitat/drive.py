"""How commands of speed become motion in Habitat: along the navmesh, or by primitives.

Poses are x_m, y_m, z_m, yaw_rad in our frame, z the height of the feet.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from agentd.worlds.habitat import frames

_SUBSTEP_M = 0.05
"""Arcs are cut into chords no longer than this."""
_SUBSTEP_RAD = 0.1
_COLLIDED_M = 1e-3
"""Less progress than asked for, by more than this, is a collision."""

TURN_SHARE = 0.5
FORWARD_SHARE = 0.5
"""Shares of a primitive from which on it is what comes nearest to the command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chords:
    """An arc as displacements in Habitat's frame.

    Attributes:
        steps_m: One after the other, level.
        lengths_m: Signed length of each, negative backwards.
        directions: Unit direction of forward motion of each, Habitat's frame.
        yaw_rad: Heading at the end.
    """

    steps_m: Float64[np.ndarray, "n 3"]
    lengths_m: Float64[np.ndarray, "n"]
    directions: Float64[np.ndarray, "n 3"]
    yaw_rad: float


def chords(yaw_rad: float, v_mps: float, w_radps: float, duration_s: float) -> Chords:
    """Return the arc of a unicycle that holds (v, w); nothing to step where it only turns."""
    way_m, turn_rad = v_mps * duration_s, w_radps * duration_s
    number = max(math.ceil(max(abs(way_m) / _SUBSTEP_M, abs(turn_rad) / _SUBSTEP_RAD)), 1)
    if way_m == 0:
        number = 0
    part_rad = turn_rad / max(number, 1)
    headings = yaw_rad + part_rad * (np.arange(number) + 0.5)
    # A chord of an arc is shorter than the arc by this.
    length_m = way_m / max(number, 1) * float(np.sinc(part_rad / (2 * np.pi)))
    ours = np.stack([np.cos(headings), np.sin(headings), np.zeros(number)], axis=-1)
    directions = frames.points_to_habitat(ours)
    lengths_m = np.full(number, length_m)
    return Chords(
        steps_m=directions * lengths_m[:, None],
        lengths_m=lengths_m,
        directions=directions,
        yaw_rad=(yaw_rad + turn_rad + math.pi) % (2 * math.pi) - math.pi,
    )


def progress(arc: Chords, path_m: Float64[np.ndarray, "n1 3"]) -> tuple[float, bool]:
    """Return the share of an arc that was driven, 0 to 1, and whether something was in the way.

    Args:
        arc: What was tried.
        path_m: Where the feet got, start first; heights do not count.
    """
    if not len(arc.steps_m):
        return 1.0, False
    moved = np.diff(path_m, axis=0)
    along = (moved * arc.directions).sum(axis=1) * np.sign(arc.lengths_m)
    asked = np.abs(arc.lengths_m)
    level_m = np.hypot(moved[:, 0], moved[:, 2])
    collided = bool((level_m < asked - _COLLIDED_M).any())
    share = float(np.clip(along, 0, asked).sum() / asked.sum())
    return (share if collided else 1.0), collided


class Primitives:
    """Chooses the primitive that comes nearest to the speeds that are asked for.

    Small speeds add up until they make a primitive. While driving, a turn that is less than half of
    one is left: the error grows on the way until a whole one is due.

    Args:
        forward_m: Length of a step forward.
        turn_rad: Angle of a turn.
    """

    def __init__(self, forward_m: float, turn_rad: float) -> None:
        self._forward_m, self._turn_rad = forward_m, turn_rad
        self.owed = np.zeros(2)
        """Metres and radians that were asked for and not driven yet."""

    def choose(self, way_m: float, angle_rad: float) -> str:
        """Return move_forward, turn_left, turn_right, or "" to stand.

        Args:
            way_m: Asked for in this tick; there is no way backwards.
            angle_rad: Asked for in this tick, positive to the left.
        """
        if way_m > 0 or angle_rad * self.owed[1] < 0 or angle_rad == 0:
            self.owed[1] = 0.0
        if way_m <= 0:
            self.owed[0] = 0.0
        owed_m, owed_rad = self.owed[0] + max(way_m, 0.0), self.owed[1] + angle_rad
        if abs(owed_rad) >= TURN_SHARE * self._turn_rad:
            self.owed[:] = 0.0
            return "turn_left" if owed_rad > 0 else "turn_right"
        if owed_m >= FORWARD_SHARE * self._forward_m:
            self.owed[:] = owed_m - self._forward_m, 0.0
            return "move_forward"
        self.owed[:] = owed_m, owed_rad
        return ""
