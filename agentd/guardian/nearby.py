"""What is around: the newest points, those of the scan before, and near ones out of sight.

Axis letters: n m k points.
"""

import math

import numpy as np
from jaxtyping import Bool, Float64, Int64

from agentd.guardian.records import Odometry, Ranges
from configs.guardian import ZoneConfig

NEAR_M = 1.5
"""Points farther than this, along x or y, are not remembered."""
_BIN_RAD = math.radians(3)
_BEYOND_M = 0.3
"""What is this much farther than a sensor's blind zone is seen anew: no need to remember it."""
_THROUGH_M = 0.15
"""A return this much farther in the same direction looks through a remembered point."""
_SAME_M = 0.1
"""Points of two readings this near are one thing: noise is told once, things twice."""
_CELL_M = 0.04

Points = Float64[np.ndarray, "n 2"]


Pose = tuple[float, float, float]
"""x_m, y_m, yaw_rad in the frame of odometry."""


def pose_of(odom: Odometry) -> Pose:
    """Return the pose of a reading."""
    return odom.x_m, odom.y_m, odom.yaw_rad


def to_world(xy_m: Points, pose: Pose) -> Points:
    """Return points of the body frame in the frame of odometry."""
    x, y, yaw = pose
    c, s = math.cos(yaw), math.sin(yaw)
    world: Points = xy_m @ np.array([[c, s], [-s, c]]) + (x, y)
    return world


def to_body(xy_m: Points, pose: Pose) -> Points:
    """Return points of the frame of odometry in the body frame."""
    x, y, yaw = pose
    c, s = math.cos(yaw), math.sin(yaw)
    body: Points = (xy_m - (x, y)) @ np.array([[c, -s], [s, c]])
    return body


class Sight:
    """Points that were seen from a pose."""

    __slots__ = ("_pose", "_xy_m")

    def __init__(self, xy_m: Points, pose: Pose) -> None:
        self._xy_m, self._pose = xy_m, pose

    def __len__(self) -> int:
        return len(self._xy_m)

    def world(self) -> Points:
        """Return the points in the frame of odometry."""
        return to_world(self._xy_m, self._pose)

    def body(self, pose: Pose) -> Points:
        """Return the points in the frame of a body at a pose."""
        return self._xy_m if pose == self._pose else to_body(self.world(), pose)


_NOTHING = Sight(np.empty((0, 2)), (0.0, 0.0, 0.0))


class Source:
    """The points of one range sensor over time."""

    def __init__(self, config: ZoneConfig, *, remembers: bool, blind_m: float) -> None:
        """Begin with nothing.

        Args:
            config: Distances.
            remembers: Whether near points are kept that are out of sight.
            blind_m: Nearer than this the sensor may look over a thing, or not see it at all.
        """
        self._config, self._blind_m = config, blind_m
        self._near_m = min(blind_m + _BEYOND_M, NEAR_M)
        self._remembers = remembers and config.remember_s > 0
        self.stamp_s = -math.inf
        self.now = self.before = _NOTHING
        self.kept_m: Float64[np.ndarray, "n 3"] = np.empty((0, 3))
        """x, y in the frame of odometry, and the time of the last sight."""

    def take(self, ranges: Ranges, pose: Pose, now_s: float) -> None:
        """Take in a reading that was measured at a pose."""
        self.stamp_s = ranges.stamp_s
        points = np.asarray(ranges.xy_m, dtype=np.float64).reshape(-1, 2)
        if self._remembers:
            points = points[np.isfinite(points).all(axis=1)]
            self._remember(ranges, points, pose, now_s)
        self.before, self.now = self.now, Sight(points, pose)

    def _remember(self, ranges: Ranges, points: Points, pose: Pose, now_s: float) -> None:
        """Keep what was seen near by and may be out of sight now; forget what is seen through."""
        fresh = self._confirmed(pose)
        stamped = np.concatenate([fresh, np.full((len(fresh), 1), now_s)], axis=1)
        kept = np.concatenate([stamped, self.kept_m])
        if not len(kept):
            return
        kept = kept[_thinned(kept[:, :2], pose, self._near_m)]
        body = to_body(kept[:, :2], pose)
        reach = np.hypot(body[:, 0], body[:, 1])
        stays = now_s - kept[:, 2] < self._config.remember_s
        stays &= ~self._is_seen_through(ranges, points, body, reach)
        self.kept_m = kept[stays]

    def _confirmed(self, pose: Pose) -> Points:
        """Return the near points of the last reading that the one before it had as well."""
        points = self.now.world()
        points = points[_thinned(points, pose, self._near_m)]
        if self._config.num_points == 1 or not len(points):
            return points
        before = self.before.world()
        before = before[_thinned(before, pose, self._near_m)]
        if not len(before):
            return before
        apart = np.abs(points[:, None] - before[None]).max(axis=2).min(axis=1)
        return points[apart < _SAME_M]

    def _is_seen_through(
        self, ranges: Ranges, points: Points, body_m: Points, reach_m: Float64[np.ndarray, "m"]
    ) -> Bool[np.ndarray, "m"]:
        """Return which remembered points would be seen now if they were still there."""
        low, high = ranges.fov_rad
        if ranges.is_blind or high <= low:
            return np.zeros(len(body_m), dtype=np.bool_)
        num = math.ceil((high - low) / _BIN_RAD) + 1
        nearest = np.full(num + 2, np.inf)
        bearing = np.arctan2(points[:, 1], points[:, 0])
        at = np.clip(((bearing - low) / _BIN_RAD).astype(np.int64), 0, num - 1) + 1
        np.minimum.at(nearest, at, np.hypot(points[:, 0], points[:, 1]))
        nearest = np.minimum(np.minimum(nearest[:-2], nearest[1:-1]), nearest[2:])
        bearing = np.arctan2(body_m[:, 1], body_m[:, 0])
        inside = (bearing >= low) & (bearing <= high) & (reach_m > self._blind_m)
        there = np.clip(((bearing - low) / _BIN_RAD).astype(np.int64), 0, num - 1)
        return np.asarray(inside & (nearest[there] > reach_m + _THROUGH_M))

    def pack(self) -> dict[str, object]:
        """Return the state as plain data; points in the frame of odometry."""
        stamp_s = None if math.isinf(self.stamp_s) else self.stamp_s
        rows = {"now": self.now.world().tolist(), "before": self.before.world().tolist()}
        return {"stamp_s": stamp_s, **rows, "kept": self.kept_m.tolist()}

    def unpack(self, state: dict[str, object]) -> None:
        """Take up what `pack` returned."""
        stamp_s = state["stamp_s"]
        self.stamp_s = -math.inf if stamp_s is None else float(stamp_s)  # type: ignore[arg-type]
        nowhere = (0.0, 0.0, 0.0)
        self.now = Sight(_rows(state["now"], 2), nowhere)
        self.before = Sight(_rows(state["before"], 2), nowhere)
        self.kept_m = _rows(state["kept"], 3)


def _thinned(xy_m: Points, pose: Pose, near_m: float) -> Int64[np.ndarray, "m"]:
    """Return one point of each cell near a pose: the first."""
    middle = np.array(pose[:2])
    away = np.abs(xy_m - middle)
    near = np.flatnonzero((away[:, 0] < near_m) & (away[:, 1] < near_m))
    cells = np.floor(xy_m[near] / _CELL_M) - np.floor((middle - near_m) / _CELL_M)
    side = math.ceil(2 * near_m / _CELL_M) + 2
    owner = np.full(side * side, -1, dtype=np.int64)
    # The last assignment stays: backwards, that is the first point.
    owner[(cells[:, 0] * side + cells[:, 1]).astype(np.int64)[::-1]] = near[::-1]
    return owner[owner >= 0]


def _rows(rows: object, width: int) -> Float64[np.ndarray, "n k"]:
    return np.array(rows, dtype=np.float64).reshape(-1, width)
