"""What every exploration strategy is asked, sees and answers.

Axis letters: n places.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64, Int64

from memory.records import Observation
from policies.frontiers import Frontier, UnreachableSet
from policies.geodesic import Field, Terrain
from policies.protocols import LatentModel

PLACE_CELLS = 5
"""Planning cells between two places that may be chosen."""
MIN_DISTANCE_M = 1.0
"""Places nearer than this are where the body already is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExploreTarget:
    """A place worth going to.

    Attributes:
        kind: What it is. A frontier, or a glance at things seen from afar, is chosen anew while
            the body drives; a place or a re-visit is driven to.
        xy_m: What to look at.
        stand_cell: Where to stand.
        distance_m: Way to it.
        reason: Why this one.
    """

    kind: Literal["frontier", "glance", "place", "revisit"]
    xy_m: tuple[float, float]
    stand_cell: Int64[np.ndarray, "2"]
    distance_m: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExploreView:
    """What there is to choose from.

    Attributes:
        terrain: Known part of the map.
        from_body: Distances from the body.
        frontiers: Those that can be reached.
        unreachable: Places that are not offered again.
        pose: x_m, y_m, yaw_rad of the body.
        step: Now.
    """

    terrain: Terrain
    from_body: Field
    frontiers: Sequence[Frontier]
    unreachable: UnreachableSet
    pose: Float64[np.ndarray, "3"]
    step: int

    def places(self, min_distance_m: float = MIN_DISTANCE_M) -> Int64[np.ndarray, "n 2"]:
        """Return reachable cells on a coarse grid that are not too near."""
        return spaced_places(self.terrain, self.from_body, self.unreachable, min_distance_m)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One tick as a strategy sees it.

    Attributes:
        observation: What is seen.
        objects: Rows of the things in view, for a model that encodes them.
        pose: x_m, y_m, yaw_rad of the body.
        step: Now.
        surprise: Of what is seen, in deviations; NaN where nothing was expected.
    """

    observation: Observation
    objects: Float32[np.ndarray, "k f"]
    pose: Float64[np.ndarray, "3"]
    step: int
    surprise: float = math.nan


@runtime_checkable
class ExplorationStrategy(Protocol):
    """Chooses where to go next. What drives there is the same for all strategies."""

    def note(self, look: Look) -> None:
        """Take in a tick, whatever steers the body in it."""
        ...

    def choose(self, view: ExploreView) -> ExploreTarget | None:
        """Return where to go, None if there is nothing left to discover."""
        ...

    def use_model(self, model: LatentModel | None) -> None:
        """Swap the model between two steps."""
        ...

    def clear(self, origin_m: tuple[float, float], *, known: bool = False) -> None:
        """Forget the place; the map now starts at `origin_m`.

        Args:
            origin_m: World position of the corner of the map's cell (0, 0).
            known: The map was lived in before: what it holds counts as seen.
        """
        ...


class Heedless:
    """The parts of a strategy that learns nothing from what it sees."""

    def note(self, look: Look) -> None:
        """Take in nothing."""

    def use_model(self, model: LatentModel | None) -> None:
        """Need none."""

    def clear(self, origin_m: tuple[float, float], *, known: bool = False) -> None:
        """Remember nothing."""


def spaced_places(
    terrain: Terrain, from_body: Field, unreachable: UnreachableSet, min_distance_m: float
) -> Int64[np.ndarray, "n 2"]:
    """Return the reachable free cells of every fifth row and column that are not too near."""
    distance = from_body.values_m[::PLACE_CELLS, ::PLACE_CELLS]
    free = terrain.free[::PLACE_CELLS, ::PLACE_CELLS]
    cells = PLACE_CELLS * np.argwhere(np.isfinite(distance) & free & (distance >= min_distance_m))
    return cells[~unreachable.covers(terrain.centers_m(cells))]


def frontier_target(frontier: Frontier, why: str) -> ExploreTarget:
    """Return the target that leads to a frontier."""
    text = f"frontier {frontier.distance_m:.1f} m away opens {frontier.gain_m2:.1f} m2, {why}"
    return ExploreTarget(
        kind="frontier",
        xy_m=frontier.xy_m,
        stand_cell=frontier.stand_cell,
        distance_m=frontier.distance_m,
        reason=text,
    )


def place_target(
    view: ExploreView,
    cell: Int64[np.ndarray, "2"],
    why: str,
    look_m: tuple[float, float] | None = None,
) -> ExploreTarget:
    """Return the target that leads to a planning cell; there the body turns to `look_m`."""
    x_m, y_m = view.terrain.centers_m(cell[None])[0]
    distance_m = float(view.from_body.values_m[cell[0], cell[1]])
    return ExploreTarget(
        kind="place",
        xy_m=(float(x_m), float(y_m)) if look_m is None else look_m,
        stand_cell=cell,
        distance_m=distance_m,
        reason=f"place {distance_m:.1f} m away, {why}",
    )
