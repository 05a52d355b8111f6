"""Our strategy: what a look would show, per second that it takes to get there.

Two things are there to be seen: floor that nobody has seen, and things that were seen from afar
only, so that nobody knows what they are. Where to go is geometry; prediction errors play no part.

Axis letters: n cells or places.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int64

from memory.frames import pixel_rays
from memory.records import BodySpec
from policies.geodesic import Terrain
from policies.layers import Layer
from policies.strategies.base import (
    ExploreTarget,
    ExploreView,
    Heedless,
    Look,
    frontier_target,
    place_target,
)
from policies.strategies.geometric import turn_s

LOOK_M = 3.0
"""Farther away, things are too small to be told apart."""
LOOK_CELL_M = 0.25
GLANCE_M = 2.0
"""A thing is looked at from about this far away."""
GROUP_M = 1.0
"""Side of the squares whose things are looked at together."""
MIN_GLANCE_M2 = 0.04
"""Outlines that are smaller are gaps between pixels."""
GLANCE_WORTH = 2.0
"""Worth of the outline of a thing that is not known yet, against unseen floor."""
MAX_VIEWS = 6
"""Standing places that are tried per square."""
LINE_SHARES = np.linspace(0.0, 1.0, 24)[:, None]
MAX_GAIN_M2 = 6.0
"""Gains saturate: a huge unknown is not worth any detour."""
START_S = 1.5
"""Time that every target costs besides its way."""
KEEP_FACTOR = 1.4
"""The last target counts this much more: going back and forth is worse than the second best."""
KEEP_M = 1.0
TRAIL_M = 0.5
MAX_TRAIL = 64
FOOTPRINT_M = 1.5
FOOTPRINT_SHARE = 0.3
"""How much of a frontier's worth is lost where the body has just been."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    target: ExploreTarget
    gain_m2: float


class InformationRate(Heedless):
    """Goes where most comes into view per second of way and turn.

    References:
        Gonzalez-Banos and Latombe 2002, Navigation strategies for exploring indoor environments
        (gain discounted by the way). OVAL, arXiv:2604.12872 (footprint).
    """

    def __init__(self, spec: BodySpec, size_m: float) -> None:
        self._spec = spec
        self._looked = Layer(LOOK_CELL_M, size_m)
        # So many pixels lie in one cell at the longest look: more would mark the same cells again.
        self._stride = max(1, int(LOOK_CELL_M * spec.fx_px / LOOK_M))
        self._rays = pixel_rays(spec)[:: self._stride, :: self._stride]
        self._last: tuple[float, float] | None = None
        self._trail: list[tuple[float, float]] = []

    def clear(self, origin_m: tuple[float, float], *, known: bool = False) -> None:
        """Forget where the body was and, in a new place, what was looked at."""
        self._looked.clear(origin_m)
        self._looked.values[:] = float(known)
        self._last, self._trail = None, []

    def note(self, look: Look) -> None:
        """Remember what is in view from close by."""
        if not np.isfinite(look.pose).all():
            return
        point = (float(look.pose[0]), float(look.pose[1]))
        if not self._trail or math.dist(point, self._trail[-1]) > TRAIL_M:
            self._trail = [*self._trail[1 - MAX_TRAIL :], point]
        depth = look.observation.depth_m[:: self._stride, :: self._stride]
        near = (depth > 0) & (depth < LOOK_M)
        T = look.observation.T_world_camera
        points = (self._rays[near] * depth[near][:, None]) @ T[:3, :3].T + T[:3, 3]
        self._looked.mark(points[:, :2].astype(np.float64), 1.0)

    def choose(self, view: ExploreView) -> ExploreTarget | None:
        """Return the best target per second, None when nothing is left to see."""
        found = [*self._frontiers(view), *self._glances(view)]
        if not found:
            self._last = None
            return None
        rates = [self._rate(view, c) for c in found]
        best = found[int(np.argmax(rates))].target
        self._last = best.xy_m
        return best

    def _rate(self, view: ExploreView, candidate: _Candidate) -> float:
        """Return what a candidate shows, in m2 per second."""
        target = candidate.target
        way_s = target.distance_m / self._spec.v_max_mps
        spent_s = START_S + way_s + turn_s(view.pose, target.xy_m, self._spec.w_max_radps)
        gain_m2 = MAX_GAIN_M2 * (1.0 - math.exp(-candidate.gain_m2 / MAX_GAIN_M2))
        gain_m2 *= 1.0 - FOOTPRINT_SHARE * self._footprint(target.xy_m)
        if self._last is not None and math.dist(target.xy_m, self._last) < KEEP_M:
            gain_m2 *= KEEP_FACTOR
        return gain_m2 / spent_s

    def _footprint(self, xy_m: tuple[float, float]) -> float:
        """Return how much the body has been about a place, 0 to 1; the last metres do not count."""
        old = np.array(self._trail[:-4]).reshape(-1, 2)
        near = np.exp(-np.square(old - np.array(xy_m)).sum(axis=1) / (2 * FOOTPRINT_M**2))
        return min(float(near.sum()), 4.0) / 4.0

    def _frontiers(self, view: ExploreView) -> list[_Candidate]:
        nearest_m = min((f.distance_m for f in view.frontiers), default=0.0)
        found = []
        for frontier in view.frontiers:
            is_nearest = frontier.distance_m <= nearest_m
            why = "the nearest" if is_nearest else "the most per second of way"
            target = frontier_target(frontier, f"{why} of {len(view.frontiers)}")
            found.append(_Candidate(target, frontier.gain_m2))
        return found

    def _glances(self, view: ExploreView) -> list[_Candidate]:
        """Return groups of things that were seen from afar only, each with a place to look from."""
        terrain = view.terrain
        cells = np.argwhere(terrain.occupied)
        xy_m = terrain.centers_m(cells)
        new = self._looked.at(xy_m) == 0
        cells, xy_m = cells[new], xy_m[new]
        places = view.places(0.0)
        if len(cells) == 0 or len(places) == 0:
            return []
        squares = np.floor(xy_m / GROUP_M).astype(np.int64)
        blocks = np.unique(squares, axis=0, return_inverse=True)[1]
        stands_m = terrain.centers_m(places)
        ways_m = view.from_body.values_m[places[:, 0], places[:, 1]]
        found = []
        for group in range(int(blocks.max()) + 1):
            members = cells[blocks.ravel() == group]
            area_m2 = len(members) * terrain.cell_m**2
            if area_m2 < MIN_GLANCE_M2:
                continue
            centre = members[np.argmin(np.square(members - members.mean(axis=0)).sum(axis=1))]
            centre_m = terrain.centers_m(centre[None])
            if view.unreachable.covers(centre_m)[0]:
                continue
            stand = _nearest_view(terrain, places, stands_m, ways_m, centre, centre_m[0])
            if stand is not None:
                found.append(_glance(view, places[stand], centre_m[0], area_m2))
        return found


def _glance(
    view: ExploreView,
    stand: Int64[np.ndarray, "2"],
    xy_m: Float64[np.ndarray, "2"],
    area_m2: float,
) -> _Candidate:
    look_m = float(xy_m[0]), float(xy_m[1])
    target = place_target(view, stand, "things there were seen from afar only", look_m)
    return _Candidate(replace(target, kind="glance"), GLANCE_WORTH * area_m2)


def _nearest_view(
    terrain: Terrain,
    places: Int64[np.ndarray, "n 2"],
    places_m: Float64[np.ndarray, "n 2"],
    ways_m: Float64[np.ndarray, "n"],
    cell: Int64[np.ndarray, "2"],
    xy_m: Float64[np.ndarray, "2"],
) -> int | None:
    """Return the place that is reached first among those near a cell with nothing in between."""
    near = np.flatnonzero(np.hypot(*(places_m - xy_m).T) < GLANCE_M)
    near = near[np.argsort(ways_m[near], kind="stable")][:MAX_VIEWS]
    if len(near) == 0:
        return None
    steps = np.rint(places[near][:, None] + LINE_SHARES * (cell - places[near])[:, None])
    i, j = steps.astype(np.int64).transpose(2, 0, 1)
    # What stands right beside the cell is part of the thing.
    off = np.maximum(np.abs(i - cell[0]), np.abs(j - cell[1])) > 2
    clear = ~(terrain.occupied[i, j] & off).any(axis=1)
    return int(near[int(np.argmax(clear))]) if clear.any() else None
