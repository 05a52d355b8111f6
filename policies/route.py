"""Where the body is heading, and the terrain snapshots that routes are planned on.

Axis letters: t points along the path, n cells.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from memory.records import BodySpec, Detection, Observation
from policies.config import PoliciesConfig
from policies.follower import LocalClearance, blocked_ahead
from policies.geodesic import Field, Terrain, path_length_m
from policies.goals import Candidate
from policies.occupancy import OccupancyMap
from policies.passages import Barrier, Passages
from policies.protocols import Mode
from policies.why import Why

CHANGED_CELLS = 30
"""Map cells that must change before a field is worth computing again."""
STALL_STEPS = 40
"""Steps on one spot after which a target is given up."""
STALL_M = 0.4
BLIND_M = 1.0
"""The camera looks over low things that are nearer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One tick as the policy sees it."""

    step: int
    pose: Float64[np.ndarray, "3"]
    observation: Observation
    detections: Sequence[Detection]
    near: LocalClearance


@dataclass(slots=True, kw_only=True)
class Route:
    """A way to a place and what it is for.

    Attributes:
        mode: What the agent does on it.
        reason: Why this target.
        look_m: What to look at on arrival.
        stand_cells: Planning cells that end it.
        path_m: Way, the last point is the end.
        terrain: What it was planned on.
        through_unknown: Whether it may cross unseen floor.
        planned_step: When.
        candidate: The object, if it leads to one.
        yaw_rad: Heading wanted at the end, if any.
        why: Why this target, as data.
        field: Distance to the end, computed when somebody asks for it.
        is_narrow: Whether it leads through gaps without the usual margin.
        kind: Of the target that it explores, "" for others; a place is driven to its end, whatever
            is seen on the way.
    """

    mode: Mode
    reason: str
    look_m: tuple[float, float]
    stand_cells: Int64[np.ndarray, "n 2"]
    path_m: Float64[np.ndarray, "t 2"]
    terrain: Terrain
    through_unknown: bool
    planned_step: int
    candidate: Candidate | None = None
    yaw_rad: float | None = None
    why: Why | None = None
    field: Field | None = None
    is_narrow: bool = False
    kind: str = ""

    def distance_field(self) -> Field | None:
        """Return the distance to the end, None if it cannot be stood on."""
        if self.field is None:
            self.field = self.terrain.field(self.stand_cells, through_unknown=self.through_unknown)
        return self.field

    def rest_m(self, xy_m: Float64[np.ndarray, "2"]) -> float:
        """Return the length of the way that is left."""
        nearest = int(np.argmin(np.hypot(*(self.path_m - xy_m).T)))
        gap = float(np.hypot(*(self.path_m[nearest] - xy_m)))
        return gap + path_length_m(self.path_m[nearest:])


class Router:
    """Keeps terrain and the body's field until the map changed enough.

    Attributes:
        passages: Ways that turned out to be blocked.
    """

    def __init__(self, spec: BodySpec, config: PoliciesConfig, occupancy: OccupancyMap) -> None:
        self._spec = spec
        self._config = config
        self._occupancy = occupancy
        self.passages = Passages(spec.radius_m, occupancy.num_cells)
        self.reset()

    def reset(self) -> None:
        """Forget the snapshot and the progress on the route in hand."""
        self._terrain: Terrain | None = None
        self._barred: list[Barrier] = []
        self._changed = 0
        self._anchor_m = np.full(2, np.inf)
        self._anchor_step = 0

    def terrain(self, now: Moment, *, fresh: bool = False, narrow: bool = False) -> Terrain:
        """Return a snapshot of the map, the last one while little has changed.

        Args:
            now: Where the body is; it can always leave that spot.
            fresh: Take a new snapshot even if little has changed.
            narrow: Let the body through gaps without the usual margin; such a snapshot is new and
                is not kept.
        """
        self.passages.review(self._occupancy, now.step)
        changed, barred = self._occupancy.num_changed, self.passages.active(now.pose[:2])
        stale = self._terrain is None or changed - self._changed >= CHANGED_CELLS
        stale = stale or barred != self._barred
        if stale or fresh or narrow:
            terrain = Terrain(
                self._occupancy,
                self._spec,
                self._config.map,
                body_xy_m=now.pose[:2],
                narrow=narrow,
            )
            if narrow:
                self.passages.block(terrain, now.pose[:2])
                return terrain
            self._terrain, self._changed, self._barred = terrain, changed, barred
        assert self._terrain is not None
        self._terrain.open_around(now.pose[:2], self._spec.radius_m)
        self.passages.block(self._terrain, now.pose[:2])
        return self._terrain

    def reopen(self, before_step: int, body_m: Float64[np.ndarray, "2"], *, seen: bool) -> bool:
        """Forget what may be in the way no more; return whether there was anything.

        That is what was only felt before a step. With `seen` also what is low and was not seen
        since then: furniture moves. Right at the body the camera looks over what is low, so there
        all of it is doubted. Shut doors are looked at again after a while; see `Passages`.
        """
        felt = self.passages.forget_barriers(before_step)
        felt |= self._occupancy.forget_bumps(before_step)
        if not seen:
            return felt
        return self._occupancy.forget_low(before_step, body_m, BLIND_M) or felt

    def map_changed(self) -> bool:
        """Return whether a new snapshot would differ from the last."""
        return self._occupancy.num_changed - self._changed >= CHANGED_CELLS

    def has_stalled(self, now: Moment) -> bool:
        """Return whether the body has stayed in one spot for too long; starts over if so."""
        gap = float(np.hypot(*(now.pose[:2] - self._anchor_m)))
        if not gap <= STALL_M:
            self.watch(now)
        stalled = now.step - self._anchor_step > STALL_STEPS
        if stalled:
            self.watch(now)
        return stalled

    def watch(self, now: Moment) -> None:
        """Start to watch for a stall here and now."""
        self._anchor_m, self._anchor_step = now.pose[:2].copy(), now.step

    def is_blocked(self, route: Route, now: Moment) -> bool:
        """Return whether something new stands on the next metre of the path."""
        blocked = blocked_ahead(route.path_m, now.pose[:2], now.near, self._spec.radius_m)
        if blocked:
            self.passages.note_closed(
                route.terrain, route.path_m, now.pose[:2], self._occupancy, now.step
            )
        return blocked
