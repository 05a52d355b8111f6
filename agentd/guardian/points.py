"""Obstacle points from a depth image or a scan: what is neither floor nor above the body.

Axis letters: h w image, n points.
"""

import math
import zlib

import numpy as np
from jaxtyping import Float, Float32, Float64

from agentd.guardian.records import Ranges

NEAREST_M = 0.02
"""Smaller depths are noise of the sensor."""
_BLIND_SHARE = 0.02
"""An image with fewer returns than this says nothing."""


class DepthPoints:
    """Constant geometry of a depth camera.

    Args:
        rays: Directions of all pixels in the body frame, scaled to unit depth.
        mount_m: Where the camera sits on the body.
        low_m: Points below are floor.
        high_m: Points above pass over the body.
        reach_m: Points farther away are left out.
    """

    def __init__(
        self,
        rays: Float[np.ndarray, "h w 3"],
        mount_m: Float[np.ndarray, "3"],
        *,
        low_m: float,
        high_m: float,
        reach_m: float,
    ) -> None:
        flat = np.asarray(rays, dtype=np.float32).reshape(-1, 3)
        self._forward, self._left, self._up = np.ascontiguousarray(flat.T)
        self._mount_m = np.asarray(mount_m, dtype=np.float32)
        horizontal = np.maximum(np.hypot(self._forward, self._left), 1e-6)
        self._farthest = (reach_m / horizontal).astype(np.float32)
        steep = np.where(self._up == 0, np.float32(1e-9), self._up)
        at_low = (low_m - self._mount_m[2]) / steep
        at_high = (high_m - self._mount_m[2]) / steep
        # Along a pixel's ray only this span of depths is between floor and top.
        self._first = np.maximum(np.minimum(at_low, at_high), NEAREST_M).astype(np.float32)
        self._last = np.minimum(np.maximum(at_low, at_high), self._farthest).astype(np.float32)
        bearing = np.arctan2(self._left, self._forward)
        self._fov_rad = (float(bearing.min()), float(bearing.max()))

    def ranges(
        self, depth_m: Float32[np.ndarray, "h w"], stamp_s: float, arrival_s: float
    ) -> Ranges:
        """Return the points of one image; NaN is no return."""
        depth = np.ascontiguousarray(depth_m, dtype=np.float32).ravel()
        at = np.flatnonzero((depth > self._first) & (depth < self._last))
        near = depth[at]
        xy = np.empty((len(at), 2))
        xy[:, 0] = near * self._forward[at] + self._mount_m[0]
        xy[:, 1] = near * self._left[at] + self._mount_m[1]
        is_blind = bool(np.count_nonzero(depth > NEAREST_M) < _BLIND_SHARE * depth.size)
        return Ranges(
            stamp_s=stamp_s,
            arrival_s=arrival_s,
            fingerprint=None if is_blind else zlib.crc32(depth.data),
            xy_m=xy,
            fov_rad=self._fov_rad,
            is_blind=is_blind,
        )


def scan_ranges(
    angle_rad: Float64[np.ndarray, "n"],
    range_m: Float32[np.ndarray, "n"],
    *,
    forward_m: float,
    yaw_rad: float,
    reach_m: float,
    stamp_s: float,
    arrival_s: float,
) -> Ranges:
    """Return the points of one scan.

    Args:
        angle_rad: Direction of each beam, from the sensor's x to the left.
        range_m: Range of each beam; infinite is free, NaN is no measurement.
        forward_m: Where the sensor sits on the body.
        yaw_rad: Where its x points.
        reach_m: Points farther away are left out.
        stamp_s: Time in the header.
        arrival_s: When it came.
    """
    angles = np.asarray(angle_rad, dtype=np.float64) + yaw_rad
    ranges = np.asarray(range_m, dtype=np.float64)
    hit = (ranges > NEAREST_M) & (ranges < reach_m)
    xy = np.stack(
        [ranges[hit] * np.cos(angles[hit]) + forward_m, ranges[hit] * np.sin(angles[hit])], axis=-1
    )
    num_said = np.count_nonzero(~np.isnan(ranges))
    is_blind = bool(num_said < _BLIND_SHARE * max(1, len(ranges)))
    low, high = (float(angles.min()), float(angles.max())) if len(angles) else (0.0, 0.0)
    return Ranges(
        stamp_s=stamp_s,
        arrival_s=arrival_s,
        fingerprint=None if np.isinf(ranges).all() else zlib.crc32(ranges.data),
        xy_m=xy,
        fov_rad=(max(low, -math.pi), min(high, math.pi)),
        is_blind=is_blind,
    )
