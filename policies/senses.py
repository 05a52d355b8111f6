"""Whether what is sensed can be believed: a pose that is lost or jumps, a camera without depth.

Axis letters: n cells.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from memory.records import BodySpec, Observation
from policies.occupancy import OccupancyMap
from policies.scan import is_blind

JUMP_TICKS = 2.5
"""A pose that moved farther than the body can drive in this many ticks has jumped."""
JUMP_M = 0.4
"""Less than this is no jump, however slow the body is."""
FRESH_STEPS = 15
"""A jump is looked into for so long, unless the map agrees with what is seen before."""
DOUBT_STEPS = 50
"""After so long the pose is taken for right, and what is seen for a place that changed."""
LOST_STEPS = 50
"""Goals fail, also new ones, when nothing could be sensed for so long."""
ENOUGH_CELLS = 25
WRONG_LOG_ODDS = -0.5
SOLID_LOG_ODDS = 1.0
_AROUND = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1], indexing="ij"), axis=-1).reshape(-1, 2)


class Trust(NamedTuple):
    """What may be done with an observation.

    Attributes:
        lost: Why the body must stand still, "" if it need not.
        gives_up: Whether it has stood still for too long for any goal.
        doubt: Why the observation must stay out of the map, "" if it may go in.
        jumped_m: How far the pose has jumped since the last tick, 0 if it did not.
    """

    lost: str = ""
    gives_up: bool = False
    doubt: str = ""
    jumped_m: float = 0.0


class SenseWatch:
    """Looks at every observation before the map does."""

    def __init__(self, spec: BodySpec) -> None:
        self._jump_m = max(JUMP_TICKS * spec.v_max_mps * spec.tick_s, JUMP_M)
        self._num_lost = 0
        self.clear()

    def clear(self) -> None:
        """Forget where the body was."""
        self._xy_m: tuple[float, float] | None = None
        self._fresh = self._doubted = 0

    def check(
        self, observation: Observation, pose: Float64[np.ndarray, "3"], occupancy: OccupancyMap
    ) -> Trust:
        """Return what may be done with an observation.

        Args:
            observation: Newest one.
            pose: Its pose of the body.
            occupancy: What was known before it.
        """
        lost = ""
        if not np.isfinite(observation.T_world_camera).all():
            lost = "the pose is not a number"
        elif is_blind(observation.depth_m):
            lost = "the camera returns no depth"
        self._num_lost = self._num_lost + 1 if lost else 0
        if lost:
            text = f"{lost}, for {self._num_lost} steps: standing still"
            return Trust(lost=text, gives_up=self._num_lost >= LOST_STEPS)
        xy = (float(pose[0]), float(pose[1]))
        gap_m = math.dist(xy, self._xy_m) if self._xy_m is not None else 0.0
        self._xy_m = xy
        if gap_m <= self._jump_m:
            return Trust(doubt=self._doubt(observation, pose, occupancy))
        self._fresh, self._doubted = FRESH_STEPS, 0
        return Trust(doubt=self._doubt(observation, pose, occupancy), jumped_m=gap_m)

    def _doubt(
        self, observation: Observation, pose: Float64[np.ndarray, "3"], occupancy: OccupancyMap
    ) -> str:
        """Return why the pose is not believed while a jump is fresh."""
        if self._fresh == 0:
            return ""
        right, wrong = fit(observation, pose, occupancy)
        if wrong >= ENOUGH_CELLS and wrong > right and self._doubted < DOUBT_STEPS:
            self._doubted += 1
            return (
                f"the pose jumped and what is seen does not fit the map ({wrong} cells against "
                f"{right}): looking around, nothing is mapped"
            )
        agrees = right >= ENOUGH_CELLS and right > wrong
        self._fresh = 0 if agrees or self._doubted >= DOUBT_STEPS else self._fresh - 1
        return ""


def fit(
    observation: Observation, pose: Float64[np.ndarray, "3"], occupancy: OccupancyMap
) -> tuple[int, int]:
    """Return how many cells of one image agree with the map and how many contradict it.

    What is hit agrees where something stands, and contradicts where all around is free; a free ray
    contradicts where something solid and tall stands.
    """
    camera = observation.T_world_camera[:3, 3].astype(np.float64)
    scan = occupancy.rays.scan(observation.depth_m, camera, float(pose[2]))
    hits, rays = _inside(scan.hit_xy_m, occupancy), _inside(scan.free_xy_m, occupancy)
    n = occupancy.num_cells
    around = np.clip(hits[:, None] + _AROUND, 0, n - 1)
    nearby = occupancy.log_odds[around[..., 0], around[..., 1]].max(axis=1)
    free = occupancy.log_odds[hits[:, 0], hits[:, 1]] < WRONG_LOG_ODDS
    i, j = rays[:, 0], rays[:, 1]
    crossed = (occupancy.log_odds[i, j] > SOLID_LOG_ODDS) & occupancy.lintels[i, j]
    right = int(np.count_nonzero(nearby > 0))
    wrong = int(np.count_nonzero(free & (nearby <= 0)) + np.count_nonzero(crossed))
    return right, wrong


def _inside(xy_m: Float64[np.ndarray, "n 2"], occupancy: OccupancyMap) -> Int64[np.ndarray, "m 2"]:
    """Return the cells of world points, each once, without those beyond the grid."""
    n = occupancy.num_cells
    cells = occupancy.cells(xy_m)
    cells = cells[((cells >= 0) & (cells < n)).all(axis=1)]
    flat = np.unique(cells[:, 0] * n + cells[:, 1])
    return np.stack([flat // n, flat % n], axis=-1)
