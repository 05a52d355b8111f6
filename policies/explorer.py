"""Where to go on one's own account: frontiers first, then places that are worth another look.

Axis letters: f frontiers, n places.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64, Int64

from memory.frames import wrap_rad
from policies.config import ExploreConfig
from policies.frontiers import Frontier, UnreachableSet, find_frontiers
from policies.geodesic import Field, Terrain
from policies.layers import ProgressMap

W_GAIN = 1.0
GAIN_SCALE_M2 = 4.0
"""Gains saturate: a huge unknown is not worth any detour."""
W_DISTANCE = 0.45
"""Per metre."""
W_TURN = 0.25
"""For a frontier right behind the body."""
W_FOOTPRINT = 0.5
FOOTPRINT_M = 1.5
W_KEEP = 0.5
KEEP_M = 0.8
"""A frontier this close to the last one is the same one, moved on."""
MAX_TRAIL = 64
REVISIT_CELLS = 5
"""Planning cells between two places that may be re-visited."""
REVISIT_MIN_M = 1.0
W_REVISIT_DISTANCE = 0.05
W_OLDEST = 0.7
ROUND_S = 60.0
AGE_MIDDLE_S = 600.0
"""Age at which another look is worth half of a fresh frontier."""
AGE_SPREAD_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExploreTarget:
    """A place worth going to.

    Attributes:
        kind: What it is.
        xy_m: What to look at.
        stand_cell: Where to stand.
        distance_m: Way to it.
        reason: Why this one.
    """

    kind: Literal["frontier", "revisit"]
    xy_m: tuple[float, float]
    stand_cell: Int64[np.ndarray, "2"]
    distance_m: float
    reason: str


class Explorer:
    """Chooses frontiers by gain, distance, footprint and habit; then re-visits by age and progress.

    Attributes:
        unreachable: Frontiers that failed; they are not offered again.
        progress: Learning progress per place.
        frontiers: Those of the last choice, for display.
    """

    def __init__(self, config: ExploreConfig, size_m: float, tick_s: float) -> None:
        self._config = config
        self._tick_s = tick_s
        self.progress = ProgressMap(size_m)
        self.clear((0.0, 0.0))

    def clear(self, origin_m: tuple[float, float]) -> None:
        """Forget everything about the place."""
        self.unreachable = UnreachableSet()
        self.progress.layer.clear(origin_m)
        self.frontiers: list[Frontier] = []
        self._trail: list[tuple[float, float]] = []
        self._last: tuple[float, float] | None = None

    def note_pose(self, xy_m: Float64[np.ndarray, "2"]) -> None:
        """Extend the footprint that frontiers are kept away from."""
        point = (float(xy_m[0]), float(xy_m[1]))
        if not self._trail or math.dist(point, self._trail[-1]) > 0.5:
            self._trail = [*self._trail[1 - MAX_TRAIL :], point]

    def choose_frontier(
        self, terrain: Terrain, from_body: Field, pose: Float64[np.ndarray, "3"]
    ) -> ExploreTarget | None:
        """Return the frontier with the highest utility, None when none is left."""
        self.frontiers = find_frontiers(
            terrain, from_body, self.unreachable, self._config.min_frontier_m
        )
        if not self.frontiers:
            self._last = None
            return None
        if self._config.nearest_only:
            best = min(self.frontiers, key=lambda f: f.distance_m)
            why = "the nearest"
        else:
            utility = [self._utility(f, pose) for f in self.frontiers]
            order = np.argsort(utility)[::-1]
            best = self.frontiers[int(order[0])]
            why = self._why(best)
        self._last = best.xy_m
        return ExploreTarget(
            kind="frontier",
            xy_m=best.xy_m,
            stand_cell=best.stand_cell,
            distance_m=best.distance_m,
            reason=(
                f"frontier {best.distance_m:.1f} m away opens {best.gain_m2:.1f} m2, {why} "
                f"of {len(self.frontiers)}"
            ),
        )

    def choose_revisit(
        self,
        terrain: Terrain,
        from_body: Field,
        step: int,
        *,
        not_seen_since: int | None = None,
    ) -> ExploreTarget | None:
        """Return the place whose second look is worth most.

        Args:
            terrain: Known part of the map.
            from_body: Distances from the body.
            step: Now.
            not_seen_since: Only places last seen before this step (for a search).
        """
        cells = self._places(terrain, from_body)
        if len(cells) == 0:
            return None
        i, j = cells[:, 0], cells[:, 1]
        seen, distance = terrain.seen_step[i, j], from_body.values_m[i, j]
        keep: Bool[np.ndarray, "n"] = distance >= REVISIT_MIN_M
        xy = terrain.centers_m(cells)
        keep &= ~self.unreachable.covers(xy)
        if not_seen_since is not None:
            keep &= seen < not_seen_since
        if not keep.any():
            return None
        age_s = (step - seen) * self._tick_s
        value = 1.0 / (1.0 + np.exp(-(age_s - AGE_MIDDLE_S) / AGE_SPREAD_S))
        # In a young life nothing is old: the round goes to what was left alone longest.
        value = np.maximum(value, W_OLDEST * age_s / max(float(age_s[keep].max()), ROUND_S))
        bonus = self.progress.bonus(xy)
        if not_seen_since is None:
            value = value + bonus - W_REVISIT_DISTANCE * distance
        else:
            value = value - W_DISTANCE * distance
        best = int(np.argmax(np.where(keep, value, -np.inf)))
        why = f"not seen for {step - int(seen[best])} steps"
        if not_seen_since is None and bonus[best] > 0.5:
            why += f", the model still learns there ({bonus[best]:.1f} spreads of progress)"
        return ExploreTarget(
            kind="revisit",
            xy_m=(float(xy[best, 0]), float(xy[best, 1])),
            stand_cell=cells[best],
            distance_m=float(distance[best]),
            reason=f"place {distance[best]:.1f} m away {why}",
        )

    def _utility(self, frontier: Frontier, pose: Float64[np.ndarray, "3"]) -> float:
        gain = 1.0 - math.exp(-frontier.gain_m2 / GAIN_SCALE_M2)
        dx, dy = frontier.xy_m[0] - pose[0], frontier.xy_m[1] - pose[1]
        turn = abs(wrap_rad(math.atan2(dy, dx) - float(pose[2]))) / math.pi
        old = self._trail[:-4]
        footprint = sum(
            math.exp(-(math.dist(frontier.xy_m, p) ** 2) / (2 * FOOTPRINT_M**2)) for p in old
        )
        keep = self._last is not None and math.dist(frontier.xy_m, self._last) < KEEP_M
        return (
            W_GAIN * gain
            - W_DISTANCE * frontier.distance_m
            - W_TURN * turn
            - W_FOOTPRINT * min(footprint, 4.0) / 4.0
            + W_KEEP * keep
        )

    def _why(self, best: Frontier) -> str:
        others = [f for f in self.frontiers if f is not best]
        if not others or best.distance_m <= min(f.distance_m for f in others):
            return "the nearest"
        if best.gain_m2 >= max(f.gain_m2 for f in others):
            return "the largest"
        return "the best for its way"

    def _places(self, terrain: Terrain, from_body: Field) -> Int64[np.ndarray, "n 2"]:
        reachable = np.isfinite(from_body.values_m) & terrain.free
        cells = np.argwhere(reachable)
        return cells[((cells % REVISIT_CELLS) == 0).all(axis=1)]

    def save(self) -> dict[str, np.ndarray]:
        """Return the arrays that `load` takes."""
        items: Sequence = self.unreachable.items
        return {
            "explore_unreachable": np.array(
                [(*item.xy_m, item.step) for item in items], dtype=np.float64
            ).reshape(-1, 3),
            "explore_reasons": np.array([item.reason for item in items], dtype=np.str_),
            "explore_progress": self.progress.layer.values.copy(),
        }

    def load(self, arrays: dict[str, np.ndarray], origin_m: tuple[float, float]) -> None:
        """Take over what was saved for the map with this origin.

        Raises:
            ValueError: If the progress layer has another size.
        """
        self.clear(origin_m)
        values = arrays["explore_progress"]
        if values.shape != self.progress.layer.values.shape:
            raise ValueError(
                f"saved progress layer has {values.shape} cells, "
                f"accepted are {self.progress.layer.values.shape}"
            )
        self.progress.layer.values[:] = values
        rows = zip(arrays["explore_unreachable"], arrays["explore_reasons"], strict=True)
        for (x, y, step), reason in rows:
            self.unreachable.add((float(x), float(y)), str(reason), int(step))
