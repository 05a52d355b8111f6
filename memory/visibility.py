"""From pixels to points of objects, and which remembered objects a frame should show.

Axis letters: n slots, m detections, p points of a slot or detection, h w image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from memory.frames import pixel_rays
from memory.records import BodySpec, Detection, Observation

NEAR_M = 0.5
FAR_M = 4.0
"""Range in which a miss counts."""

MIN_SIDE_PX = 8.0
"""Smallest predicted side at which a miss counts."""

MIN_AREA_PX = 24.0
"""Smallest predicted mask at which a miss counts: twice what a detector reports."""

MIN_SHARE = 0.5
"""Share of a slot's points that must be in the image and unoccluded, and of those, open."""

SLACK_M = 0.10
"""Measured depth may be this much shorter than expected before a point counts as occluded."""

SLACK_REL = 0.02
"""Added to the slack, relative to the depth."""

STRAY_GAP_M = 0.25
"""Points of a mask that lie in front of or behind the others by such a gap are another thing's."""

STRAY_SHARE = 1 / 3
"""Unless there are this many: objects do have holes."""

NUM_SAMPLES = 96
"""Points taken from one detection: a multiple of 8, the corners of a box."""

_AROUND = np.stack(np.meshgrid(np.arange(3), np.arange(3), indexing="ij")).reshape(2, -1)
_SAMPLES = np.arange(NUM_SAMPLES)[None]


@dataclass(frozen=True, slots=True)
class Sight:
    """What a frame says about slots.

    Attributes:
        missing: Whether a slot would be detected, were it there, and the camera looks through it.
        expected: Whether a slot would be detected, were it there.
        open_points: Points at which the slot's object does not stand any more.
    """

    missing: Bool[np.ndarray, "n"]
    expected: Bool[np.ndarray, "n"]
    open_points: Bool[np.ndarray, "n p"]


class PinholeSight:
    """Geometry of one camera.

    Args:
        spec: Body that carries it.
    """

    def __init__(self, spec: BodySpec) -> None:
        self._spec = spec
        self._rays = pixel_rays(spec).reshape(-1, 3)

    def object_points(
        self, observation: Observation, detections: Sequence[Detection]
    ) -> Float64[np.ndarray, "m p 3"]:
        """Return `NUM_SAMPLES` world points on each detected object, repeated if it has fewer.

        Without an instance mask, or where it has no depth, the corners of the detection's box
        stand in.
        """
        if observation.instances is None or not detections:
            corners = [_box_corners(detection) for detection in detections]
            return np.array(corners, dtype=np.float64).reshape(-1, NUM_SAMPLES, 3)
        depth = observation.depth_m.ravel()
        mask = np.where(np.isfinite(depth), observation.instances.ravel(), 0)
        order = np.argsort(mask.astype(np.int16), kind="stable")
        numbers = np.array([d.instance for d in detections], dtype=mask.dtype)
        ordered = mask[order]
        first = np.searchsorted(ordered, numbers, side="left")
        count = np.searchsorted(ordered, numbers, side="right") - first
        at = first[:, None] + (_SAMPLES * count[:, None]) // NUM_SAMPLES
        chosen = order[np.minimum(at, len(order) - 1)]
        T = observation.T_world_camera
        chosen = _without_strays(chosen, depth[chosen])
        points = (self._rays[chosen] * depth[chosen][..., None]) @ T[:3, :3].T + T[:3, 3]
        for i in np.flatnonzero(count == 0).tolist():
            points[i] = _box_corners(detections[i])
        return points

    def in_view(
        self,
        observation: Observation,
        low_m: Float64[np.ndarray, "n 3"],
        high_m: Float64[np.ndarray, "n 3"],
    ) -> Bool[np.ndarray, "n"]:
        """Return which boxes may reach into the part of the frame where a miss counts."""
        T, spec = observation.T_world_camera, self._spec
        centre = ((low_m + high_m) / 2 - T[:3, 3]) @ T[:3, :3]
        radius = np.sqrt(((high_m - low_m) ** 2).sum(axis=1)) / 2
        z = centre[:, 2] + radius
        wide = np.abs(centre[:, 0]) - radius * (1 + spec.width_px / spec.fx_px)
        half = max(spec.cx_px, spec.width_px - spec.cx_px) / spec.fx_px
        inside: Bool[np.ndarray, "n"] = (z > 0) & (z < FAR_M + 2 * radius) & (wide < z * half)
        return inside

    def look(
        self,
        observation: Observation,
        points_m: Float32[np.ndarray, "n p 3"],
        area_px_m2: Float64[np.ndarray, "n"],
        instance: Int64[np.ndarray, "n"],
    ) -> Sight:
        """Return which slots should be seen but are not there, and which points are gone.

        A point is occluded if its pixel is nearer. It is gone only if its pixel and all eight
        neighbours are further away, as the edge of an object falls between pixels. A pixel
        without depth says neither.

        Args:
            observation: The frame.
            points_m: Kept surface points in the world frame, NaN where there is none.
            area_px_m2: Mask area that a slot showed, times its squared range.
            instance: Number of the detection that each slot was matched with, 0 for none. With a
                mask, the points of a matched slot are also gone where they fall on something else.
        """
        spec = self._spec
        T = observation.T_world_camera.astype(np.float32)
        seen = (points_m.reshape(-1, 3) - T[:3, 3]) @ T[:3, :3]
        z = seen[:, 2].reshape(points_m.shape[:2])
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            scale = 1.0 / np.where(z > 0.05, z, np.nan)
            u = seen[:, 0].reshape(z.shape) * scale * spec.fx_px + spec.cx_px
            v = seen[:, 1].reshape(z.shape) * scale * spec.fy_px + spec.cy_px
            inside = (u >= 0) & (u < spec.width_px) & (v >= 0) & (v < spec.height_px)
        column = np.where(inside, u, 0).astype(np.int64)
        row = np.where(inside, v, 0).astype(np.int64)
        measured = observation.depth_m[row, column]
        nearest = _nearest_around(observation.depth_m)[row, column]
        slack = SLACK_M + SLACK_REL * z
        with np.errstate(invalid="ignore"):
            visible = inside & (measured >= z - slack)
            open_points = visible & (nearest > z + slack)
        expected = self._expected(points_m, u, v, inside, visible, z, area_px_m2)
        gone = open_points.sum(axis=1) >= MIN_SHARE * visible.sum(axis=1)
        if observation.instances is not None:
            around = np.pad(observation.instances, 1)
            at = (row[..., None] + _AROUND[0], column[..., None] + _AROUND[1])
            elsewhere = (around[at] != instance[:, None, None]).all(axis=2)
            open_points = np.where(instance[:, None] > 0, visible & elsewhere, open_points)
        return Sight(expected & gone, expected, open_points)

    def _expected(
        self,
        points_m: Float32[np.ndarray, "n p 3"],
        u: Float32[np.ndarray, "n p"],
        v: Float32[np.ndarray, "n p"],
        inside: Bool[np.ndarray, "n p"],
        visible: Bool[np.ndarray, "n p"],
        z: Float32[np.ndarray, "n p"],
        area_px_m2: Float64[np.ndarray, "n"],
    ) -> Bool[np.ndarray, "n"]:
        num_points = np.maximum(np.isfinite(points_m[:, :, 0]).sum(axis=1), 1)
        num_inside = np.maximum(inside.sum(axis=1), 1)
        range_m = np.where(inside, z, 0).sum(axis=1) / num_inside
        share = visible.sum(axis=1) / num_points
        area_px = area_px_m2 / np.maximum(range_m, NEAR_M) ** 2 * share
        wide = _spread(u, inside) >= MIN_SIDE_PX
        tall = _spread(v, inside) >= MIN_SIDE_PX
        near = (range_m >= NEAR_M) & (range_m <= FAR_M)
        return near & wide & tall & (share >= MIN_SHARE) & (area_px >= MIN_AREA_PX)


def _without_strays(
    pixels: Int64[np.ndarray, "m p"], depth_m: Float32[np.ndarray, "m p"]
) -> Int64[np.ndarray, "m p"]:
    """Return the pixels of each mask, with stray ones replaced by others.

    A mask that is off by a pixel shows what is beside the object, mostly far behind it.
    """
    order = np.argsort(depth_m, axis=1)
    jumps = np.diff(np.take_along_axis(depth_m, order, axis=1), axis=1) > STRAY_GAP_M
    pixels = pixels.copy()
    for i in np.flatnonzero(jumps.any(axis=1)).tolist():
        parts = np.split(order[i], np.flatnonzero(jumps[i]) + 1)
        largest = max(len(part) for part in parts)
        kept = [p for p in parts if len(p) == largest or len(p) >= STRAY_SHARE * order.shape[1]]
        left = pixels[i, np.sort(np.concatenate(kept))]
        pixels[i] = left[np.arange(pixels.shape[1]) * len(left) // pixels.shape[1]]
    return pixels


def _spread(
    values: Float32[np.ndarray, "n p"], chosen: Bool[np.ndarray, "n p"]
) -> Float32[np.ndarray, "n"]:
    high = np.where(chosen, values, -np.inf).max(axis=1, initial=-np.inf)
    low = np.where(chosen, values, np.inf).min(axis=1, initial=np.inf)
    # Points sit at the middle of pixels: what they span is a pixel more.
    return high - low + 1


def _nearest_around(depth_m: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Return the smallest depth of each pixel and its eight neighbours; NaN without any."""
    rows = depth_m.copy()
    np.fmin(rows[1:], depth_m[:-1], out=rows[1:])
    np.fmin(rows[:-1], depth_m[1:], out=rows[:-1])
    found = rows.copy()
    np.fmin(found[:, 1:], rows[:, :-1], out=found[:, 1:])
    np.fmin(found[:, :-1], rows[:, 1:], out=found[:, :-1])
    return found


def _box_corners(detection: Detection) -> Float64[np.ndarray, "p 3"]:
    signs = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    corners = detection.xyz_m + signs * detection.extent_m / 2
    return np.tile(corners, (NUM_SAMPLES // len(corners), 1))
