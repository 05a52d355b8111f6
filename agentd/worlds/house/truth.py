"""Ground truth of the house, for scoring only."""

import math
from collections.abc import Hashable

import numpy as np
from jaxtyping import Bool, Float64
from scipy import ndimage
from skimage.graph import MCP_Geometric

from agentd.worlds.house.maps import CELL_M, cell_centres, cell_of
from agentd.worlds.house.plan import Placed, half_footprint
from agentd.worlds.house.world import HouseWorld
from agentd.worlds.oracle import TrueMap, TrueObject
from memory.records import ExploreGoal, Goal, ImageGoal, ObjectGoal, PatrolGoal

SUCCESS_M = 1.0
POINT_SUCCESS_M = 0.25
_TOLERANCE_M = 0.1
_SNAP_M = 0.5
"""A body this far from the reachable cells (touching furniture) counts from the nearest one."""


class HouseOracle:
    """Knows what is really there; satisfies Oracle. Maps are computed when asked for."""

    def __init__(self, world: HouseWorld) -> None:
        self._world = world
        self._stage = world.stage
        self._key = (-1, b"")
        self._navigable: Bool[np.ndarray, "x y"] = np.zeros((1, 1), dtype=bool)
        self._fields: dict[tuple[Hashable, ...], Float64[np.ndarray, "x y"]] = {}

    def objects(self) -> list[TrueObject]:
        """Return the objects that are present and large enough to be goals."""
        rooms = self._stage.scene.house.rooms
        found = []
        for index, placed in self._stage.standing():
            hx, hy = half_footprint(placed.piece, placed.yaw_rad)
            height = placed.piece.height_m
            found.append(
                TrueObject(
                    object_id=index,
                    label=placed.piece.category,
                    xyz_m=np.array([placed.x, placed.y, height / 2]),
                    extent_m=np.array([2 * hx, 2 * hy, height]),
                    room=rooms[placed.room].name if placed.room >= 0 else "",
                )
            )
        return found

    def true_map(self) -> TrueMap:
        """Return the cells that can be reached from where the body is."""
        navigable = self._current()
        cell, _ = self._snap(self.pose())
        labels, _ = ndimage.label(navigable, structure=np.ones((3, 3)))
        reach = (labels == labels[cell]) & navigable if cell else np.zeros_like(navigable)
        return TrueMap(navigable=reach, origin_m=(0.0, 0.0), cell_m=CELL_M)

    def pose(self) -> Float64[np.ndarray, "3"]:
        """Return the true x_m, y_m, yaw_rad of the body."""
        return self._stage.base.pose()

    def place(self, pose: Float64[np.ndarray, "3"]) -> None:
        """Put the body at a pose, standing still and localised there."""
        self._world.place(pose)

    def geodesic_m(self, goal: Goal, start: Float64[np.ndarray, "3"] | None = None) -> float:
        """Return the shortest path over reachable cells to the goal's success region.

        Raises:
            ValueError: For an ImageGoal, which names no place.
        """
        field = self._field(goal)
        cell, off = self._snap(self.pose() if start is None else start)
        return math.inf if cell is None else float(field[cell]) + off

    def success(self, goal: Goal) -> bool:
        """Return whether the body stands in the goal's success region.

        Raises:
            ValueError: For an ImageGoal, which names no place.
        """
        x, y, _ = self.pose()
        region = cell_centres(np.argwhere(self._field(goal) == 0))
        if not len(region):
            return False
        apart = np.hypot(region[:, 0] - x, region[:, 1] - y).min()
        return bool(apart <= _TOLERANCE_M + CELL_M / 2)

    def _current(self) -> Bool[np.ndarray, "x y"]:
        """Return the navigable cells now; fields of an earlier house are dropped."""
        key = (self._stage.revision, self._stage.maps.door_signature())
        if key != self._key:
            self._key, self._fields = key, {}
            self._navigable = self._stage.maps.navigable()
        return self._navigable

    def _snap(self, pose: Float64[np.ndarray, "3"]) -> tuple[tuple[int, int] | None, float]:
        """Return the navigable cell at or near a pose and how far its centre is from the pose."""
        navigable = self._current()
        cell = cell_of(float(pose[0]), float(pose[1]), navigable.shape)
        if navigable[cell]:
            return cell, 0.0
        spots = np.argwhere(navigable)
        apart = np.hypot(*(cell_centres(spots) - np.asarray(pose[:2], dtype=np.float64)).T)
        nearest = int(apart.argmin()) if len(spots) else -1
        if nearest < 0 or apart[nearest] > _SNAP_M:
            return None, math.inf
        return (int(spots[nearest, 0]), int(spots[nearest, 1])), float(apart[nearest])

    def _field(self, goal: Goal) -> Float64[np.ndarray, "x y"]:
        """Return the geodesic distance of every cell to the goal's region, infinite elsewhere."""
        navigable = self._current()
        if isinstance(goal, ImageGoal | ExploreGoal | PatrolGoal):
            raise ValueError(
                f'the house cannot score the goal "{goal.goal_id}": it names no place; '
                "accepted are object and point goals"
            )
        key: tuple[Hashable, ...]
        if isinstance(goal, ObjectGoal):
            there = [o for _, o in self._stage.standing() if o.piece.category == goal.label]
            key = (goal.label, *((round(o.x, 2), round(o.y, 2)) for o in there))
        else:
            there = []
            key = (goal.xy_m,)
        if key not in self._fields:
            if isinstance(goal, ObjectGoal):
                region = np.zeros_like(navigable)
                for placed in there:
                    region |= self._around(placed, navigable.shape)
            else:
                region = self._disc(*goal.xy_m, navigable.shape)
            self._fields[key] = _geodesic(navigable, region & navigable)
        return self._fields[key]

    def _around(self, placed: Placed, shape: tuple[int, int]) -> Bool[np.ndarray, "x y"]:
        """Return the cells within the success distance of a footprint, inside its room."""
        x, y = _grid(shape)
        hx, hy = half_footprint(placed.piece, placed.yaw_rad)
        dx, dy = np.maximum(abs(x - placed.x) - hx, 0), np.maximum(abs(y - placed.y) - hy, 0)
        if placed.room < 0:
            return np.zeros(shape, dtype=bool)
        x0, y0, x1, y1 = self._stage.scene.house.rooms[placed.room].rect
        inside = (x > x0) & (x < x1) & (y > y0) & (y < y1)
        return inside & (np.hypot(dx, dy) <= SUCCESS_M)

    def _disc(self, x_m: float, y_m: float, shape: tuple[int, int]) -> Bool[np.ndarray, "x y"]:
        x, y = _grid(shape)
        return np.hypot(x - x_m, y - y_m) <= POINT_SUCCESS_M


def _grid(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    return (np.arange(shape[0])[:, None] + 0.5) * CELL_M, (
        np.arange(shape[1])[None, :] + 0.5
    ) * CELL_M


def _geodesic(
    navigable: Bool[np.ndarray, "x y"], region: Bool[np.ndarray, "x y"]
) -> Float64[np.ndarray, "x y"]:
    """Return the length of the shortest 8-connected path of every cell to a region."""
    if not region.any():
        return np.full(navigable.shape, np.inf)
    search = MCP_Geometric(np.where(navigable, 1.0, np.inf), fully_connected=True)
    costs, _ = search.find_costs(np.argwhere(region))
    return costs * CELL_M
