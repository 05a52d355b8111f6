"""The last word before the body: raw depth, the footprint, and nothing learned.

Axis letters: h w image, n points.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from memory.frames import body_pose, inverse, pixel_rays, project, se3_from_pose
from memory.records import Action, BodySpec, Observation
from policies.compiled import load_kernels
from policies.config import SafetyConfig
from policies.scan import is_blind

LOW_M = 0.06
"""Returns below this height are floor, thresholds and rugs."""
NEAREST_M = 0.02
"""Smaller depths are noise of the sensor."""
NEAR_M = 1.2
"""Points this near are kept until the camera sees through them or the body has left: at arm's
length it looks over low things and past those at the side."""
SEEN_THROUGH_M = 0.15
CELL_M = 0.04
"""Near points are thinned to one per cell of this size."""
CORRIDOR_M = 0.01
"""Added to the radius: things that the footprint merely grazes do not count as ahead."""
GUARDED_CORRIDOR_M = 0.03
"""The same where a guardian stands behind, which keeps more to the sides."""
SLOWEST_MPS = 0.06
"""Speed left just before the stop distance, so that approach does not take for ever."""


class SafetyFilter:
    """Slows and stops forward motion in front of obstacles; never stops a turn on the spot.

    Args:
        spec: The body.
        config: Distances.
        law: Largest speed, m/s, for a way to contact, m, that something behind this filter lets go;
            None where nothing does.

    Attributes:
        interventions: Commands that were changed so far.
        kernels: Compiled inner loops, None without numba.
    """

    def __init__(
        self,
        spec: BodySpec,
        config: SafetyConfig,
        law: Callable[[float], float] | None = None,
    ) -> None:
        self._spec = spec
        self._law = law
        self._radius_m = spec.radius_m + (CORRIDOR_M if law is None else GUARDED_CORRIDOR_M)
        self._config = config
        self.kernels = load_kernels()
        directions = (pixel_rays(spec) @ spec.T_body_camera[:3, :3].T).reshape(-1, 3)
        self._directions = directions.astype(np.float32)
        self._up = np.ascontiguousarray(self._directions[:, 2])
        self._mount = spec.T_body_camera[:3, 3].astype(np.float32)
        self._T_camera_body = inverse(spec.T_body_camera).astype(np.float64)
        self._lens = np.array([spec.fx_px, spec.fy_px, spec.cx_px, spec.cy_px], dtype=np.float64)
        self._limits = np.array([NEAREST_M, NEAR_M, LOW_M, spec.height_m], dtype=np.float32)
        self._known_m: Float64[np.ndarray, "n 3"] = np.empty((0, 3))
        self.interventions = 0

    def clip(self, action: Action, observation: Observation) -> Action:
        """Return the action, slowed where something is ahead of the footprint.

        The turn rate is kept, so that the body can always turn away. A command that is not finite
        becomes a stop.
        """
        v, w = action.v_mps, action.w_radps
        if not (math.isfinite(v) and math.isfinite(w)):
            return self._changed(action, 0.0, 0.0)
        points = self._look(observation)
        spec = self._spec
        v_wanted = min(max(v, -spec.v_max_mps), spec.v_max_mps)
        if is_blind(observation.depth_m):
            v_wanted = 0.0  # nothing is known of what is ahead
        w_safe = min(max(w, -spec.w_max_radps), spec.w_max_radps)
        v_safe = v_wanted
        if v_wanted > 0:
            # Slowing bends the arc: the gap must hold for the arc that is driven in the end.
            for _ in range(3):
                limit = self._allowed(self._gap_m(points, v_safe, w_safe))
                if limit >= v_safe:
                    break
                v_safe = limit
        if v_safe == v and w_safe == w:
            return action
        return self._changed(action, v_safe, w_safe)

    def _changed(self, action: Action, v_mps: float, w_radps: float) -> Action:
        self.interventions += 1
        return replace(action, v_mps=v_mps, w_radps=w_radps, source="safety")

    def _look(self, observation: Observation) -> Float64[np.ndarray, "n 2"]:
        """Take in one image; return the obstacle points around the body, in its frame."""
        if self.kernels is not None and np.isfinite(observation.T_world_camera).all():
            x, y, yaw = (float(v) for v in body_pose(observation.T_world_camera, self._spec))
            self._known_m, near_m = self.kernels.drive.look(
                np.require(observation.depth_m, np.float32, ("C", "W")),
                self._directions,
                self._mount,
                self._limits,
                self._known_m,
                np.array([x, y, math.cos(yaw), math.sin(yaw)]),
                self._T_camera_body,
                self._lens,
                NEAR_M,
                SEEN_THROUGH_M,
                CELL_M,
            )
            return near_m
        depth = observation.depth_m.ravel()
        height = depth * self._up + self._mount[2]
        # False where nothing returned
        near = (
            (depth > NEAREST_M)
            & (depth < NEAR_M)
            & (height > LOW_M)
            & (height < self._spec.height_m)
        )
        seen = np.flatnonzero(near)
        fresh = depth[seen, None] * self._directions[seen] + self._mount
        if not np.isfinite(observation.T_world_camera).all():
            self._known_m = np.empty((0, 3))  # a body that is lost knows only what it sees now
            return fresh[:, :2]
        T = se3_from_pose(body_pose(observation.T_world_camera, self._spec))
        R, t = T[:3, :3], T[:3, 3]
        kept = (self._known_m - t) @ R
        kept = kept[~self._is_seen_through(kept, observation.depth_m)]
        points = np.concatenate([fresh, kept])
        points = points[np.square(points[:, :2]).sum(axis=1) < NEAR_M**2]
        world = points @ R.T + t
        first = _thinned(world[:, :2], t[:2])
        self._known_m = world[first]
        return points[first, :2]

    def _is_seen_through(
        self, body_m: Float64[np.ndarray, "n 3"], depth_m: Float32[np.ndarray, "h w"]
    ) -> Bool[np.ndarray, "n"]:
        """Return which points lie in front of what the camera measures there."""
        T = self._T_camera_body
        uv, z = project(body_m @ T[:3, :3].T + T[:3, 3], self._spec)
        height, width = depth_m.shape
        u, v = uv[:, 0], uv[:, 1]
        inside = (z > NEAREST_M) & (u >= 0) & (v >= 0) & (u < width) & (v < height)
        at = np.flatnonzero(inside)
        measured = depth_m[v[at].astype(np.intp), u[at].astype(np.intp)]
        inside[at] = measured > z[at] + SEEN_THROUGH_M
        return inside

    def _gap_m(self, points: Float64[np.ndarray, "n 2"], v_mps: float, w_radps: float) -> float:
        """Return how far the body can drive along its arc before the footprint touches."""
        radius = self._radius_m
        curvature = w_radps / max(v_mps, 1e-3)
        if self.kernels is not None:
            points = np.ascontiguousarray(points, dtype=np.float64)
            gap_m: float = self.kernels.drive.gap(points, curvature, radius, NEAR_M)
            return gap_m
        if abs(curvature) < 1e-3:
            x, y = points[:, 0], points[:, 1]
            hit = (np.abs(y) < radius) & (x > 0)
            if not hit.any():
                return math.inf
            return float((x[hit] - np.sqrt(radius**2 - y[hit] ** 2)).min())
        turn_m = 1.0 / abs(curvature)
        y = points[:, 1] * math.copysign(1.0, curvature)
        x = points[:, 0]
        # The centre of the turn is at (0, turn_m); angles count along the drive.
        distance = np.hypot(x, turn_m - y)
        angle = np.arctan2(x, turn_m - y)
        inner = np.abs(distance - turn_m) < radius
        swept = inner & (angle > -0.5 * math.pi) & (np.hypot(x, y) < NEAR_M)
        # Points behind the body's middle that it drives away from are no obstacle.
        swept &= (x > 0) | (angle > 0.3)
        if not swept.any():
            return math.inf
        d, a = distance[swept], angle[swept]
        cosine = (turn_m**2 + d**2 - radius**2) / (2 * turn_m * np.maximum(d, 1e-6))
        return float(((a - np.arccos(np.clip(cosine, -1.0, 1.0))) * turn_m).min())

    def _speed_limit(self, gap_m: float) -> float:
        stop, slow = self._config.stop_m, self._config.slow_m
        if gap_m <= stop:
            return 0.0
        if gap_m >= slow:
            return self._spec.v_max_mps
        share = (gap_m - stop) / max(slow - stop, 1e-6)
        limit = max(share * self._spec.v_max_mps, SLOWEST_MPS)
        return min(limit, (gap_m - stop) / self._spec.tick_s)

    def _allowed(self, gap_m: float) -> float:
        limit = self._speed_limit(gap_m)
        return limit if self._law is None else min(limit, self._law(gap_m))


def _thinned(
    xy_m: Float64[np.ndarray, "n 2"], middle_m: Float64[np.ndarray, "2"]
) -> Int64[np.ndarray, "m"]:
    """Return the first point of each `CELL_M` cell, of points within `NEAR_M` of the middle."""
    low = np.floor((middle_m - NEAR_M) / CELL_M)
    cells = (np.floor(xy_m / CELL_M) - low).astype(np.int64)
    side = math.ceil(2 * NEAR_M / CELL_M) + 2
    owner = np.full(side * side, -1, dtype=np.int64)
    # The last assignment stays: backwards, that is the first point.
    owner[(cells[:, 0] * side + cells[:, 1])[::-1]] = np.arange(len(cells))[::-1]
    return owner[owner >= 0]
