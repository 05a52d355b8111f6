"""Ground truth of a Habitat scene, for scoring only.

Axis letters: n points.
"""

import math

import numpy as np
from jaxtyping import Bool, Float64
from scipy import ndimage

from agentd.worlds.habitat import frames
from agentd.worlds.habitat.backend import SceneObject
from agentd.worlds.habitat.world import HabitatWorld
from agentd.worlds.oracle import TrueMap, TrueObject
from memory.records import Goal, ObjectGoal, PointGoal
from memory.rotations import rotation_of

SUCCESS_M = 1.0
POINT_SUCCESS_M = 0.25
CELL_M = 0.1
_TOLERANCE_M = 0.1
_SPOT_M = 0.15
"""Spacing of the places around a thing that count as its success region."""
_STOREY_M = 0.5
"""Floor within this height is the same storey."""
_SNAP_M = 0.5


class HabitatOracle:
    """Knows what is really there; satisfies Oracle.

    Distances are shortest paths on the navmesh. The scene does not change, so what was computed
    for a goal is kept.
    """

    def __init__(self, world: HabitatWorld) -> None:
        self._world = world
        self._regions: dict[str, Float64[np.ndarray, "n 3"]] = {}

    def objects(self) -> list[TrueObject]:
        """Return the annotated things; nothing in a scene without annotation."""
        config = self._world.config
        named = [(o, config.rename.get(o.label, o.label)) for o in self._world.facts.objects]
        return [
            TrueObject(
                object_id=o.semantic_id,
                label=label,
                xyz_m=frames.points_from_habitat(o.centre_m),
                extent_m=_extent_m(o),
                room=o.room,
            )
            for o, label in named
            if label and label not in config.structure
        ]

    def true_map(self) -> TrueMap:
        """Return the cells of the storey that can be reached from where the body is."""
        low, high = frames.points_from_habitat(self._world.facts.bounds_m)
        low, high = np.minimum(low, high), np.maximum(low, high)
        shape = np.maximum(np.ceil((high - low)[:2] / CELL_M).astype(int), 1)
        x = low[0] + (np.arange(shape[0]) + 0.5) * CELL_M
        y = low[1] + (np.arange(shape[1]) + 0.5) * CELL_M
        X, Y = np.meshgrid(x, y, indexing="ij")
        cells = np.stack([X.ravel(), Y.ravel(), np.full(X.size, self._world.height_m)], axis=-1)
        points = frames.points_to_habitat(cells)
        free = self._world.ask(lambda sim: sim.navigable(points, _STOREY_M)).reshape(X.shape)
        return TrueMap(navigable=self._reached(free, low), origin_m=(low[0], low[1]), cell_m=CELL_M)

    def pose(self) -> Float64[np.ndarray, "3"]:
        """Return the true x_m, y_m, yaw_rad of the body."""
        return self._world.pose

    def place(self, pose: Float64[np.ndarray, "3"]) -> None:
        """Put the body at a pose of the storey that it is on, standing still."""
        self._world.place(pose)

    def geodesic_m(self, goal: Goal, start: Float64[np.ndarray, "3"] | None = None) -> float:
        """Return the shortest path on the navmesh to the goal's success region.

        A start is on the storey that the body is on.

        Raises:
            ValueError: For a goal that names no place.
        """
        region = self._region(goal)
        feet_m = self._world.feet_m
        if start is not None:
            feet_m = frames.points_to_habitat(
                np.array([start[0], start[1], self._world.height_m], dtype=np.float64)
            )
        lengths, _ = self._world.ask(lambda sim: sim.geodesics(feet_m[None], region))
        if isinstance(goal, PointGoal):
            return max(float(lengths[0]) - POINT_SUCCESS_M, 0.0)
        # The places of a region stand for the floor around them.
        return float(lengths[0]) if lengths[0] > _SPOT_M / 2 else 0.0

    def success(self, goal: Goal) -> bool:
        """Return whether the body stands in the goal's success region.

        Raises:
            ValueError: For a goal that names no place.
        """
        return self.geodesic_m(goal) <= _TOLERANCE_M

    def _reached(
        self, free: Bool[np.ndarray, "x y"], low: Float64[np.ndarray, "3"]
    ) -> Bool[np.ndarray, "x y"]:
        labels, _ = ndimage.label(free, structure=np.ones((3, 3)))
        spots = np.argwhere(free)
        if not len(spots):
            return free
        centres = low[:2] + (spots + 0.5) * CELL_M
        apart = np.hypot(*(centres - self._world.pose[:2]).T)
        nearest = spots[int(apart.argmin())]
        if apart.min() > _SNAP_M:
            return np.zeros_like(free)
        reach: Bool[np.ndarray, "x y"] = labels == labels[tuple(nearest)]
        return reach

    def _region(self, goal: Goal) -> Float64[np.ndarray, "n 3"]:
        """Return the places of the success region, in Habitat's frame."""
        if isinstance(goal, ObjectGoal):
            if goal.label not in self._regions:
                around = [
                    self._around(thing)
                    for thing in self._world.facts.objects
                    if self._world.config.rename.get(thing.label, thing.label) == goal.label
                ]
                self._regions[goal.label] = np.concatenate([np.zeros((0, 3)), *around])
            return self._regions[goal.label]
        if isinstance(goal, PointGoal):
            point = np.array([*goal.xy_m, self._world.height_m])
            return self._world.ask(lambda sim: sim.snap(frames.points_to_habitat(point)[None]))
        raise ValueError(
            f'habitat cannot score the goal "{goal.goal_id}": it names no place; accepted are '
            "object and point goals"
        )

    def _around(self, thing: SceneObject) -> Float64[np.ndarray, "n 3"]:
        """Return navigable places within the success distance of a box, on its side of walls.

        A place is on its side if the way to it from the place nearest to the box is not much
        longer than one around the box.
        """
        centre = frames.points_from_habitat(thing.centre_m)
        half = _extent_m(thing) / 2
        reach = half[:2] + SUCCESS_M
        x, y = (np.arange(-r, r + _SPOT_M / 2, _SPOT_M) for r in reach)
        X, Y = np.meshgrid(x, y, indexing="ij")
        gaps = np.hypot(np.maximum(abs(X) - half[0], 0), np.maximum(abs(Y) - half[1], 0)).ravel()
        near = np.flatnonzero(gaps <= SUCCESS_M)
        near = near[np.argsort(gaps[near], kind="stable")]
        # Things stand on the floor or hang above it: the floor is at or below their foot.
        feet_z = self._floor_z(centre, half)
        places = np.stack(
            [centre[0] + X.ravel()[near], centre[1] + Y.ravel()[near], np.full(len(near), feet_z)],
            axis=-1,
        )
        points = frames.points_to_habitat(places)
        free = self._world.ask(lambda sim: sim.navigable(points, _STOREY_M))
        points, gaps = points[free], gaps[near][free]
        if not len(points):
            return points
        lengths, _ = self._world.ask(lambda sim: sim.geodesics(points, points[:1]))
        longest_m = float(np.hypot(*(2 * half[:2]))) + 2 * SUCCESS_M
        return points[lengths <= longest_m]

    def _floor_z(self, centre: Float64[np.ndarray, "3"], half: Float64[np.ndarray, "3"]) -> float:
        """Return the height of the floor that a thing is used from."""
        foot = frames.points_to_habitat(centre - [0, 0, half[2]])
        floor = self._world.ask(lambda sim: sim.snap(foot[None]))[0]
        return float(floor[1]) if math.isfinite(floor[1]) else self._world.height_m


def _extent_m(thing: SceneObject) -> Float64[np.ndarray, "3"]:
    """Return the extent of a turned box along our axes."""
    turned = frames.R_WORLD_HABITAT @ rotation_of(thing.rotation)
    extent: Float64[np.ndarray, "3"] = abs(turned) @ thing.size_m
    return extent
