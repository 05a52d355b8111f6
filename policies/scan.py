"""What one depth image says about the floor plan: free rays, hits and lintels.

Axis letters: h w image, n m k points, r rays.
"""

import math

import numpy as np
from jaxtyping import Bool, Float32, Float64

from memory.frames import pixel_rays
from memory.records import BodySpec
from policies.config import MapConfig

NEAREST_M = 0.05
"""Smaller depths are noise of the sensor."""
BLIND_SHARE = 0.02
"""A depth image with fewer returns than this says nothing."""
HIT_RANGE_M = 8.0
"""Depth beyond this range is too coarse to place an obstacle in a cell."""
FREE_RANGE_M = 6.0
"""Beyond this range neighbouring rays lie further apart than a cell."""
SUB_RAYS = 2
"""Free rays per image column: at the free range they are one planning cell apart."""
EDGE_JUMP = 0.1
"""Relative depth step to either side that marks a pixel as hanging between two surfaces."""
LINTEL_BAND_M = (0.55, 1.1)
"""Heights above the body in which something over free floor is a lintel: a doorway."""


class Scan:
    """What one depth image says about the floor plan, in world coordinates."""

    __slots__ = ("free_is_near", "free_xy_m", "hit_xy_m", "lintel_xy_m")

    def __init__(
        self,
        free_xy_m: Float64[np.ndarray, "n 2"],
        free_is_near: Bool[np.ndarray, "n"],
        hit_xy_m: Float64[np.ndarray, "m 2"],
        lintel_xy_m: Float64[np.ndarray, "k 2"],
    ) -> None:
        self.free_xy_m = free_xy_m
        self.free_is_near = free_is_near
        self.hit_xy_m = hit_xy_m
        self.lintel_xy_m = lintel_xy_m


class RayTable:
    """Constant geometry of the camera: directions, bearing bins and sampled ranges."""

    def __init__(self, spec: BodySpec, config: MapConfig) -> None:
        directions = pixel_rays(spec) @ spec.T_body_camera[:3, :3].T
        forward, left, up = np.moveaxis(directions, -1, 0)
        horizontal = np.hypot(forward, left)
        self.dx, self.dy = forward.ravel(), left.ravel()
        self.dz = np.ascontiguousarray(up, dtype=np.float32)
        self.horizontal = np.ascontiguousarray(horizontal, dtype=np.float32)
        # Bins are uniform in tan(bearing): exact image columns for a level camera.
        tangent = left / np.maximum(forward, 1e-6)
        low, high = float(tangent.min()), float(tangent.max())
        self._num_bins = spec.width_px
        scale = (self._num_bins - 1) / max(high - low, 1e-9)
        self.bins = np.rint((tangent - low) * scale).astype(np.intp)
        num_sub = (self._num_bins - 1) * SUB_RAYS + 1
        bearing = np.arctan(np.linspace(low, high, num_sub))
        self.sub_cos, self.sub_sin = np.cos(bearing), np.sin(bearing)
        self.steps_m = np.arange(0.0, FREE_RANGE_M, 0.9 * config.cell_m)
        self._depth_max_m = 0.99 * spec.depth_max_m
        self._low_m, self._high_m = config.band_low_m, spec.height_m + 0.05
        self._lintel_m = (spec.height_m + LINTEL_BAND_M[0], spec.height_m + LINTEL_BAND_M[1])
        self._steepest = float(np.minimum(up / horizontal, -1e-6).min())
        reach = spec.radius_m
        offsets = np.arange(-reach, reach + 1e-9, config.cell_m / 2)
        X, Y = np.meshgrid(offsets, offsets)
        self.footprint_m = np.stack([X, Y], axis=-1)[np.hypot(X, Y) <= reach]
        self.margin_m = np.float32(0.75 * config.cell_m)
        # What `kernels` compares with, in their order.
        depths_m = (NEAREST_M, self._depth_max_m)
        heights_m = (self._low_m, self._high_m)
        self.limits = np.array(
            [*depths_m, *heights_m, HIT_RANGE_M, *self._lintel_m, EDGE_JUMP], dtype=np.float32
        )

    def scan(
        self,
        depth_m: Float32[np.ndarray, "h w"],
        camera_m: Float64[np.ndarray, "3"],
        yaw_rad: float,
    ) -> Scan:
        """Return free cells, hits and lintels as world points."""
        valid = (depth_m > NEAREST_M) & (
            depth_m < self._depth_max_m
        )  # False where nothing returned
        depth = np.where(valid, depth_m, np.float32(0.0))
        range_m = depth * self.horizontal
        z = np.float32(camera_m[2]) + depth * self.dz
        below = valid & (z < self._high_m)
        obstacle = below & (z > self._low_m)
        near = range_m < HIT_RANGE_M
        hit = obstacle & near & ~_hanging(depth)
        lintel = near & (z > self._lintel_m[0]) & (z < self._lintel_m[1])
        c, s = math.cos(yaw_rad), math.sin(yaw_rad)
        hits_m = self._points(hit, depth, c, s) + camera_m[:2]
        lintels_m = self._points(lintel, depth, c, s) + camera_m[:2]
        reach = self._reach(range_m, below, obstacle)
        ray, k = np.nonzero(self.steps_m < reach[:, None])
        steps = self.steps_m[k]
        x = (c * self.sub_cos - s * self.sub_sin)[ray] * steps + camera_m[0]
        y = (s * self.sub_cos + c * self.sub_sin)[ray] * steps + camera_m[1]
        near_m = self.blind_m(float(camera_m[2]))
        return Scan(np.stack([x, y], axis=-1), steps < near_m, hits_m, lintels_m)

    def blind_m(self, camera_height_m: float) -> float:
        """Return the distance nearer than which the image does not reach down to the floor."""
        return max(camera_height_m - 2 * self._low_m, 0.0) / -self._steepest

    def _points(
        self, mask: Bool[np.ndarray, "h w"], depth: Float32[np.ndarray, "h w"], c: float, s: float
    ) -> Float64[np.ndarray, "n 2"]:
        """Return the chosen pixels from the camera, turned by the angle of cosine c and sine s."""
        flat = np.flatnonzero(mask)
        d = depth.ravel()[flat].astype(np.float64)
        forward, left = d * self.dx[flat], d * self.dy[flat]
        return np.stack([c * forward - s * left, s * forward + c * left], axis=-1)

    def _reach(
        self,
        range_m: Float32[np.ndarray, "h w"],
        below: Bool[np.ndarray, "h w"],
        obstacle: Bool[np.ndarray, "h w"],
    ) -> Float32[np.ndarray, "r"]:
        """Return how far each sub-ray is free: to the nearest obstacle or the farthest floor."""
        # One dtype throughout: ufunc.at is ten times slower when it has to cast.
        nearest = np.full(self._num_bins, np.inf, dtype=np.float32)
        farthest = np.zeros(self._num_bins, dtype=np.float32)
        np.minimum.at(nearest, self.bins[obstacle], range_m[obstacle])
        np.maximum.at(farthest, self.bins[below], range_m[below])
        reach = np.minimum(nearest - self.margin_m, farthest)
        both = np.minimum(reach[:-1], reach[1:])
        sub = np.repeat(both, SUB_RAYS)
        sub[::SUB_RAYS] = reach[:-1]
        return np.append(sub, reach[-1])


def _hanging(depth: Float32[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Return pixels that lie between a nearer and a farther neighbour of their row.

    A thin pole is nearer than both neighbours and stays.
    """
    hanging = np.zeros(depth.shape, dtype=np.bool_)
    left, middle, right = depth[:, :-2], depth[:, 1:-1], depth[:, 2:]
    jump = EDGE_JUMP * middle
    rises = (middle - left > jump) & (right - middle > jump)
    falls = (left - middle > jump) & (middle - right > jump)
    hanging[:, 1:-1] = rises | falls
    return hanging


def is_blind(depth_m: Float32[np.ndarray, "h w"]) -> bool:
    """Return whether a depth image has hardly any return; NaN is none."""
    return bool(np.count_nonzero(depth_m > NEAREST_M) < BLIND_SHARE * depth_m.size)
