"""Follows a path with velocities that are held for one tick.

Axis letters: t points along the path or time, n points, a candidate arcs, x y the grid.
"""

import math

import numpy as np
from jaxtyping import Bool, Float64, Int64

from memory.frames import wrap_rad
from memory.records import BodySpec
from policies.geodesic import clearance_m
from policies.occupancy import OccupancyMap

LOOKAHEAD_M = 0.9
"""Farthest point of the path that is aimed at, if the straight line to it is clear."""
NEAR_AIM_M = 0.25
"""Aim when nothing farther is clear."""
TURN_FIRST_RAD = 0.7
"""With a larger heading error the body turns on the spot."""
LINE_SHARES = np.linspace(0.0, 1.0, 16)[1:]
FACING_RAD = 0.15
ARC_SAMPLES = 6
LOCAL_M = 1.1
SPEED_SHARES = (1.0, 0.6, 0.3)
TURN_SHIFTS = (0.0, 0.4, -0.4, 0.8, -0.8)
"""Changes of the turn rate that are tried when the wanted arc touches something, rad/s."""


class LocalClearance:
    """Distances to obstacles right around the body, fresh in every tick.

    Attributes:
        kernels: Compiled inner loops, None without numba.
        values_m: Clearance of the window's cells.
        grid: Origin x, y of the window in the world and side of a cell, in metres.
    """

    def __init__(self, occupancy: OccupancyMap, xy_m: Float64[np.ndarray, "2"]) -> None:
        window = occupancy.around(xy_m, LOCAL_M)
        self._cell_m = occupancy.cell_m
        self._low = np.array([window[0].start, window[1].start])
        self._origin_m = np.array(occupancy.origin_m) + self._low * self._cell_m
        self.kernels = occupancy.kernels
        self._log_odds = occupancy.log_odds[window]
        self.values_m = clearance_m(occupancy.occupied(window), self._cell_m, self.kernels)
        self.grid = np.array([*self._origin_m, self._cell_m])

    def at(self, xy_m: Float64[np.ndarray, "*n 2"]) -> Float64[np.ndarray, "*n"]:
        """Return the clearance at world points; points beyond the window take its border's."""
        if self.values_m.size == 0:
            return np.full(xy_m.shape[:-1], np.inf)  # the body has left the grid
        i, j = self._cells(xy_m)
        return self.values_m[i, j]

    def uncertainty(self, xy_m: Float64[np.ndarray, "*n 2"]) -> Float64[np.ndarray, "*n"]:
        """Return the entropy in bits of the map's belief at world points; 1 where all is open."""
        if self.values_m.size == 0:
            return np.ones(xy_m.shape[:-1])
        i, j = self._cells(xy_m)
        odds = np.abs(self._log_odds[i, j].astype(np.float64))
        # H(p) of p = 1 / (1 + exp(-odds)), in nats: ln(1 + exp(-odds)) + odds * (1 - p)
        nats: Float64[np.ndarray, "*n"] = np.log1p(np.exp(-odds)) + odds / (1 + np.exp(odds))
        return nats / math.log(2)

    def _cells(
        self, xy_m: Float64[np.ndarray, "*n 2"]
    ) -> tuple[Int64[np.ndarray, "*n"], Int64[np.ndarray, "*n"]]:
        cells = np.floor((xy_m - self._origin_m) / self._cell_m).astype(np.int64)
        top = np.array(self.values_m.shape) - 1
        i, j = np.moveaxis(np.clip(cells, 0, top), -1, 0)
        return i, j

    def at_point(self, xy_m: Float64[np.ndarray, "2"]) -> float:
        """Return the clearance at one world point."""
        return float(self.at(xy_m[None])[0])

    def tightest(
        self,
        pose: Float64[np.ndarray, "3"],
        v_mps: float,
        w_radps: float,
        times_s: Float64[np.ndarray, "t"],
        enough_m: float = -math.inf,
    ) -> float:
        """Return the least clearance on the way of a unicycle that holds (v, w).

        Args:
            pose: Start in the world frame.
            v_mps: Forward speed.
            w_radps: Turn rate.
            times_s: When to look.
            enough_m: Below it any clearance will do as an answer.
        """
        if self.kernels is not None:
            least: float = self.kernels.drive.tightest(
                self.values_m, self.grid, pose, v_mps, w_radps, times_s, enough_m
            )
            return least
        return float(self.at(arc_poses(pose, v_mps, w_radps, times_s)[:, :2]).min())

    def are_clear(
        self, a_m: Float64[np.ndarray, "2"], ends_m: Float64[np.ndarray, "n 2"], needed_m: float
    ) -> Bool[np.ndarray, "n"]:
        """Return to which points the body fits along a straight line."""
        lines = a_m + LINE_SHARES[:, None, None] * (ends_m - a_m)
        clear: Bool[np.ndarray, "n"] = np.all(self.at(lines) >= needed_m, axis=0)
        return clear


def arc_poses(
    pose: Float64[np.ndarray, "3"], v_mps: float, w_radps: float, times_s: Float64[np.ndarray, "t"]
) -> Float64[np.ndarray, "t 3"]:
    """Return the poses of a unicycle that holds (v, w) from a pose."""
    turn = w_radps * times_s
    # sin(x)/x form: exact for straight lines too.
    chord = v_mps * times_s * np.sinc(turn / (2 * np.pi))
    heading = pose[2] + turn / 2
    x, y = pose[0] + chord * np.cos(heading), pose[1] + chord * np.sin(heading)
    return np.stack([x, y, pose[2] + turn], axis=-1)


class Follower:
    """Pure pursuit that anticipates the length of the tick and keeps clear of obstacles."""

    def __init__(self, spec: BodySpec, clearance_m: float) -> None:
        self._spec = spec
        self._comfort_m = spec.radius_m + clearance_m
        self._tight_m = spec.radius_m + 0.02
        self._times_s = np.linspace(0.0, 2.0 * spec.tick_s, ARC_SAMPLES + 1)[1:]

    def aim(
        self,
        pose: Float64[np.ndarray, "3"],
        path_m: Float64[np.ndarray, "t 2"],
        near: LocalClearance,
    ) -> Float64[np.ndarray, "2"]:
        """Return the farthest point of the path that can be driven to in a straight line."""
        if near.kernels is not None:
            return path_m[
                near.kernels.drive.aim(
                    near.values_m,
                    near.grid,
                    np.require(path_m, np.float64, ("C", "W")),
                    pose,
                    LINE_SHARES,
                    self._comfort_m,
                    self._tight_m,
                    LOOKAHEAD_M,
                    NEAR_AIM_M,
                )
            ]
        gaps = np.hypot(*(path_m - pose[:2]).T)
        start = int(np.argmin(gaps))
        along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path_m[start:], axis=0).T))])
        reach = path_m[start:][along <= LOOKAHEAD_M]
        needed = min(self._comfort_m, max(self._tight_m, near.at_point(pose[:2])))
        clear = np.flatnonzero(near.are_clear(pose[:2], reach, needed)[1:])
        if clear.size:
            return reach[clear[-1] + 1]
        ahead = np.flatnonzero(along >= NEAR_AIM_M)
        return path_m[start + int(ahead[0])] if ahead.size else path_m[-1]

    def command(
        self,
        pose: Float64[np.ndarray, "3"],
        path_m: Float64[np.ndarray, "t 2"],
        near: LocalClearance,
    ) -> tuple[float, float] | None:
        """Return (v_mps, w_radps) for the next tick, None when every arc touches something.

        It is (0, 0) when the path has been driven.

        Args:
            pose: Body in the world frame.
            path_m: At least one point; the last is the target.
            near: Obstacles around the body.
        """
        target = self.aim(pose, path_m, near)
        delta = target - pose[:2]
        gap_m = float(np.hypot(*delta))
        rest_m = gap_m + float(np.hypot(*(path_m[-1] - target)))
        if rest_m < 0.02:
            return 0.0, 0.0
        error = wrap_rad(math.atan2(delta[1], delta[0]) - float(pose[2]))
        tick_s, w_max = self._spec.tick_s, self._spec.w_max_radps
        if abs(error) > TURN_FIRST_RAD:
            return 0.0, min(max(error / tick_s, -w_max), w_max)
        v = min(self._spec.v_max_mps * math.cos(error) ** 2, rest_m / tick_s)
        # The heading that the chord needs, reached within one tick where the turn rate allows.
        w = min(max(error / max(tick_s, 0.5 * gap_m / max(v, 1e-3)), -w_max), w_max)
        return self._clear_of_obstacles(pose, v, w, error, near)

    def _clear_of_obstacles(
        self,
        pose: Float64[np.ndarray, "3"],
        v_mps: float,
        w_radps: float,
        error_rad: float,
        near: LocalClearance,
    ) -> tuple[float, float] | None:
        needed_m = min(self._tight_m, near.at_point(pose[:2]))
        w_max = self._spec.w_max_radps
        for share in SPEED_SHARES:
            for shift in TURN_SHIFTS:
                v, w = share * v_mps, min(max(w_radps + shift, -w_max), w_max)
                # Where it is already tight, leaving is allowed, going deeper is not.
                if near.tightest(pose, v, w, self._times_s, needed_m) >= needed_m:
                    return v, w
        if abs(error_rad) < FACING_RAD:
            return None
        return 0.0, min(max(error_rad / self._spec.tick_s, -w_max), w_max)


def blocked_ahead(
    path_m: Float64[np.ndarray, "t 2"],
    xy_m: Float64[np.ndarray, "2"],
    near: LocalClearance,
    needed_m: float,
) -> bool:
    """Return whether something now stands on the next metre of the path."""
    if near.kernels is not None:
        path = np.require(path_m, np.float64, ("C", "W"))
        xy = np.ascontiguousarray(xy_m)
        return bool(
            near.kernels.drive.is_blocked(
                near.values_m, near.grid, path, xy, needed_m, LOCAL_M - 0.2
            )
        )
    gaps = np.hypot(*(path_m - xy_m).T)
    start = int(np.argmin(gaps))
    ahead = path_m[start:]
    ahead = ahead[np.hypot(*(ahead - xy_m).T) < LOCAL_M - 0.2]
    tight: Bool[np.ndarray, "t"] = near.at(ahead) < needed_m
    return bool(tight[1:].any())
