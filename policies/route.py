"""Where the body is heading, and the terrain snapshots that routes are planned on.

Axis letters: t points along the path, n cells.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

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
WAY_M = 0.6
"""What is so near a path can bar it."""
REACH_M = 1.0
"""A place counts as reached from so near."""


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


Area = Callable[[Float64[np.ndarray, "n 2"]], Bool[np.ndarray, "n"]]
"""Tells which points of the floor may be driven on."""


class Router:
    """Keeps terrain and the body's field until the map changed enough.

    Args:
        spec: The body.
        config: Settings.
        occupancy: The map.
        area: Where it may drive; None for everywhere.

    Attributes:
        passages: Ways that turned out to be blocked.
    """

    def __init__(
        self,
        spec: BodySpec,
        config: PoliciesConfig,
        occupancy: OccupancyMap,
        area: Area | None = None,
    ) -> None:
        self._spec = spec
        self._config = config
        self._occupancy = occupancy
        self._area = area
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
            self._keep_to_area(terrain, now.pose[:2])
            if narrow:
                self.passages.block(terrain, now.pose[:2])
                return terrain
            self._terrain, self._changed, self._barred = terrain, changed, barred
        assert self._terrain is not None
        self._terrain.open_around(now.pose[:2], self._spec.radius_m)
        self.passages.block(self._terrain, now.pose[:2])
        return self._terrain

    def _keep_to_area(self, terrain: Terrain, body_m: Float64[np.ndarray, "2"]) -> None:
        """Close what may not be driven on, but for the cell in which the body is."""
        if self._area is None:
            return
        cells = np.argwhere(terrain.passable)
        own = terrain.cells(body_m[None])
        closed = ~self._area(terrain.centers_m(cells)) & (cells != own).any(axis=1)
        terrain.passable[cells[closed, 0], cells[closed, 1]] = False

    def reopen_felt(self, before_step: int) -> bool:
        """Forget what was only felt in the way before a step; return whether anything was."""
        felt = self.passages.forget_barriers(before_step)
        felt |= self._occupancy.forget_bumps(before_step)
        if felt:
            self._terrain = None
        return felt

    def doubt_low(
        self, now: Moment, before_step: int, towards_m: Float64[np.ndarray, "n 2"]
    ) -> bool:
        """Make low things unknown that bar the way to the nearest of some places; say if any did.

        Furniture moves: what was not seen since a step may have. Right at the body the camera looks
        over what is low, so there all of it is doubted. The way is the one that there would be
        without them; what stands elsewhere stays. Shut doors are tried again after a while, see
        `Passages`.
        """
        occupancy, body_m = self._occupancy, now.pose[:2]
        cells = occupancy.low_cells(before_step, body_m, BLIND_M)
        odds = occupancy.log_odds[cells[:, 0], cells[:, 1]]
        occupancy.forget(cells)
        terrain = Terrain(occupancy, self._spec, self._config.map, body_xy_m=body_m)
        self.passages.block(terrain, body_m)
        from_body = terrain.field(terrain.cells(body_m[None]), through_unknown=True)
        path = np.empty((0, 2)) if from_body is None else _way(terrain, from_body, towards_m)
        xy = (cells + 0.5) * occupancy.cell_m + np.array(occupancy.origin_m)
        gaps = np.linalg.norm(xy[:, None] - path[None], axis=-1).min(axis=1, initial=np.inf)
        elsewhere = gaps > WAY_M
        occupancy.put(cells[elsewhere], odds[elsewhere])
        self._terrain = None
        return not bool(elsewhere.all())

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


def _way(
    terrain: Terrain, from_body: Field, towards_m: Float64[np.ndarray, "n 2"]
) -> Float64[np.ndarray, "t 2"]:
    """Return the path to near the nearest of some places, of no points if there is none."""
    reach = math.ceil(REACH_M / terrain.cell_m)
    steps = np.arange(-reach, reach + 1)
    around = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    cells = (terrain.cells(towards_m)[:, None] + around[None]).reshape(-1, 2)
    cells = cells[terrain.contains(cells)]
    distance = from_body.at_cells(cells)
    if not np.isfinite(distance).any():
        return np.empty((0, 2))
    return from_body.path_to(cells[int(np.argmin(distance))])
