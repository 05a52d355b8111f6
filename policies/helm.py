"""Turns wanted motions into commands for the body as it is, not as it is specified.

What was told and has not acted yet cannot be taken back. So every motion is wanted from where the
body will have come to rest by then, and the command is what brings that motion in the end.
"""

import math

import numpy as np
from jaxtyping import Float64

from memory.frames import compose, wrap_rad
from memory.records import Action, BodySpec, Observation
from policies.body_model import BodyModel
from policies.config import PoliciesConfig
from policies.follower import Follower, LocalClearance
from policies.occupancy import OccupancyMap

COAST_MATTERS_M = 0.15
"""Way that the body still goes on its own from which obstacles are looked at around its end."""
JUMP_M, JUMP_RAD = 0.3, 0.6
"""A pose this far from where its own motion led was put there by somebody."""
TOLD_TICKS = 50
"""Ticks for which decisions say that the body has changed."""


class Helm:
    """Drives the body: follows paths and turns, through a model of how it moves.

    Attributes:
        body: How the body moves when it is told to.
        rests_m: Where it will stand when all that it was told has acted: x, y, yaw.
    """

    def __init__(self, spec: BodySpec, config: PoliciesConfig, occupancy: OccupancyMap) -> None:
        self._spec = spec
        self._map = occupancy
        self._follower = Follower(spec, config.map.clearance_m)
        self.body = BodyModel(spec, config.drive)
        self._pose_before: Float64[np.ndarray, "3"] | None = None
        self.rests_m: Float64[np.ndarray, "3"] = np.zeros(3)

    def sense(self, observation: Observation, pose: Float64[np.ndarray, "3"]) -> None:
        """Learn from the last tick and look ahead."""
        if self._pose_before is not None:
            gap = pose - compose(self._pose_before, observation.egomotion)
            jumped = not math.hypot(gap[0], gap[1]) < JUMP_M
            if jumped or not abs(wrap_rad(float(gap[2]))) < JUMP_RAD:
                self.body.interrupt()
        self._pose_before = pose
        self.body.sense(observation)
        self.rests_m = self.body.coast(pose)

    def note_unseen(self) -> None:
        """Take in a tick in which nothing can be sensed and the body is told to stand."""
        self._pose_before = None
        self.body.note_unseen()

    def note_told(self, v_mps: float, w_radps: float) -> None:
        """Take in what was decided for this tick."""
        self.body.note_told(v_mps, w_radps)

    def note_applied(self, action: Action) -> None:
        """Take in what the wheels were told in the end."""
        self.body.note_applied(action)

    def turn_to(self, yaw_rad: float) -> tuple[float, float]:
        """Return the command that turns to a heading on the spot."""
        w = wrap_rad(yaw_rad - float(self.rests_m[2])) / self._spec.tick_s
        w_max = self._spec.w_max_radps
        return self.body.command(0.0, min(max(w, -w_max), w_max))

    def follow(
        self, path_m: Float64[np.ndarray, "t 2"], near: LocalClearance
    ) -> tuple[float, float] | None:
        """Return the command that follows a path, None where every arc touches something."""
        wanted = self._follower.command(self.rests_m, path_m, self._around_rest(near))
        return None if wanted is None else self.body.command(*wanted)

    def aim(
        self, path_m: Float64[np.ndarray, "t 2"], near: LocalClearance
    ) -> Float64[np.ndarray, "2"]:
        """Return the point of a path that is driven to."""
        return self._follower.aim(self.rests_m, path_m, self._around_rest(near))

    def news(self) -> str:
        """Return how the body has changed, for a while after it was noticed, else ""."""
        drift, about = self.body.drift, self.body.about()
        recent = drift is not None and self.body.step - drift.step < TOLD_TICKS
        if not (recent and about):
            return ""
        return about if self.body.frozen else f"{about}: compensated"

    def _around_rest(self, near: LocalClearance) -> LocalClearance:
        if self._pose_before is None:
            return near
        if math.dist(self.rests_m[:2], self._pose_before[:2]) < COAST_MATTERS_M:
            return near
        return LocalClearance(self._map, self.rests_m[:2])
