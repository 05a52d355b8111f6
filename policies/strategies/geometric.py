"""Strategies that need nothing but the map: random, uniform, nearest frontier, count."""

import math

import numpy as np

from policies.layers import Layer
from policies.strategies.base import (
    ExploreTarget,
    ExploreView,
    Heedless,
    Look,
    frontier_target,
    place_target,
)

NEAR_M = 3.0
"""How far a random walk looks for its next place."""
COUNT_CELL_M = 0.5
W_COUNT_DISTANCE = 0.1
"""Per metre; a place never visited is worth 1."""


class RandomPlace(Heedless):
    """A random walk: any reachable place near by, without regard to what is known."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def choose(self, view: ExploreView) -> ExploreTarget | None:
        """Return a place near by."""
        cells = view.places()
        distance = view.from_body.values_m[cells[:, 0], cells[:, 1]]
        near = cells[distance <= NEAR_M] if (distance <= NEAR_M).any() else cells
        return _drawn(view, near, self._rng, "drawn from those near by")


class UniformPlace(Heedless):
    """A place drawn uniformly over all that can be reached.

    References:
        MOPA, arXiv:2304.03696: uniform points beat learned exploration.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def choose(self, view: ExploreView) -> ExploreTarget | None:
        """Return a place anywhere."""
        return _drawn(view, view.places(), self._rng, "drawn from all that can be reached")


class NearestFrontier(Heedless):
    """The frontier with the shortest way: the floor that every other strategy must beat.

    References:
        Yamauchi 1997, A frontier-based approach for autonomous exploration.
    """

    def choose(self, view: ExploreView) -> ExploreTarget | None:
        """Return the nearest frontier, None when none is left."""
        if not view.frontiers:
            return None
        best = min(view.frontiers, key=lambda f: f.distance_m)
        return frontier_target(best, f"the nearest of {len(view.frontiers)}")


class LeastVisited(Heedless):
    """The place with the highest count bonus 1/sqrt(1 + n) less the price of the way.

    References:
        Strehl and Littman 2008 (MBIE-EB): bonus beta / sqrt(n).
    """

    def __init__(self, size_m: float) -> None:
        self._counts = Layer(COUNT_CELL_M, size_m)

    def note(self, look: Look) -> None:
        """Count a visit."""
        if np.isfinite(look.pose).all():
            self._counts.add(look.pose[:2], 1.0)

    def clear(self, origin_m: tuple[float, float], *, known: bool = False) -> None:
        """Forget all visits."""
        self._counts.clear(origin_m)

    def choose(self, view: ExploreView) -> ExploreTarget | None:
        """Return the place that was visited least for its way, or the frontier."""
        cells = view.places()
        stands = [f.stand_cell for f in view.frontiers]
        cells = np.concatenate([cells, np.array(stands, dtype=np.int64).reshape(-1, 2)])
        if len(cells) == 0:
            return None
        visits = self._counts.at(view.terrain.centers_m(cells)).astype(np.float64)
        bonus = 1.0 / np.sqrt(1.0 + visits)
        distance = view.from_body.values_m[cells[:, 0], cells[:, 1]]
        best = int(np.argmax(bonus - W_COUNT_DISTANCE * distance))
        first_frontier = len(cells) - len(stands)
        if best >= first_frontier:
            return frontier_target(view.frontiers[best - first_frontier], "never visited")
        return place_target(view, cells[best], f"visited for {visits[best]:.0f} steps")


def _drawn(
    view: ExploreView, cells: np.ndarray, rng: np.random.Generator, why: str
) -> ExploreTarget | None:
    if len(cells) == 0:
        return None
    return place_target(view, cells[int(rng.integers(len(cells)))], why)


def turn_s(pose: np.ndarray, xy_m: tuple[float, float], w_radps: float) -> float:
    """Return the time to turn towards a point."""
    angle = math.atan2(xy_m[1] - pose[1], xy_m[0] - pose[0]) - float(pose[2])
    return abs((angle + math.pi) % (2 * math.pi) - math.pi) / w_radps
