"""From pixels to points of objects, and which remembered objects a frame should show.

Axis letters: n slots, m detections, p points of a slot or detection, h w image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64

from memory.frames import pixel_rays
from memory.records import BodySpec, Detection, Observation

NEAR_M = 0.5
FAR_M = 4.0
"""Range in which a miss counts."""

MIN_SIDE_PX = 8.0
"""Smallest predicted side at which a miss counts."""

MIN_AREA_PX = 24.0
"""Smallest predicted mask at which a miss counts: twice what a detector reports."""

MIN_YOUNG_AREA_PX = 12.0
"""The same for a young slot, which costs little to lose: what a detector reports."""

MIN_SHARE = 0.5
"""Share of a slot's points that must be in the image and unoccluded, and of those, open."""

GLIMPSE_SHARE = 0.25
"""Share of a slot's points that must be seen for it to have vanished."""

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
        missing: Whether a slot would be detected, were it there, and the camera looks through it
            or it is a young one.
        undetected: The same of an old slot whose place the camera does not look through: whatever
            stands there is not called so. Says nothing of a slot that was matched.
        vanished: Whether the camera looks through most of what it sees of where the slot was, be it
            too little to be sure of a detection. Never a matched slot, if there is a mask.
        open_points: Points at which the slot's object does not stand any more.
    """

    missing: Bool[np.ndarray, "n"]
    undetected: Bool[np.ndarray, "n"]
    vanished: Bool[np.ndarray, "n"]
    open_points: Bool[np.ndarray, "n p"]


class PinholeSight:
    """Geometry of one camera.

    Args:
        spec: Body that carries it.
    """

    def __init__(self, spec: BodySpec) -> None:
        self._spec = spec
        self._rays = pixel_rays(spec).reshape(-1, 3)
        wide = max(spec.cx_px, spec.width_px - spec.cx_px) / spec.fx_px * FAR_M
        tall = max(spec.cy_px, spec.height_px - spec.cy_px) / spec.fy_px * FAR_M
        far = [(x, y, FAR_M) for x in (-wide, wide) for y in (-tall, tall)]
        self._ends_of_view = np.array([(0.0, 0.0, 0.0), *far])

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
        depth, mask = observation.depth_m.ravel(), observation.instances.ravel()
        pixels = np.flatnonzero((mask > 0) & np.isfinite(depth))
        numbers = np.array([d.instance for d in detections], dtype=mask.dtype)
        own = mask[pixels]
        # The narrowest type that holds them all sorts several times faster.
        order = np.argsort(own.astype(np.min_scalar_type(int(own.max(initial=0)))), kind="stable")
        pixels, own = np.append(pixels[order], 0), own[order]
        first = np.searchsorted(own, numbers, side="left")
        count = np.searchsorted(own, numbers, side="right") - first
        at = first[:, None] + (_SAMPLES * count[:, None]) // NUM_SAMPLES
        chosen = pixels[np.minimum(at, len(pixels) - 1)]
        T = observation.T_world_camera
        chosen = _without_strays(chosen, depth[chosen])
        points = (self._rays[chosen] * depth[chosen][..., None]) @ T[:3, :3].T + T[:3, 3]
        for i in np.flatnonzero(count == 0).tolist():
            points[i] = _box_corners(detections[i])
        return points

    def floor_of_view(
        self, observation: Observation
    ) -> tuple[Float64[np.ndarray, "2"], Float64[np.ndarray, "2"]]:
        """Return a rectangle of the floor that holds all in which a miss counts."""
        T = observation.T_world_camera
        corners = self._ends_of_view @ T[:2, :3].T + T[:2, 3]
        return corners.min(axis=0), corners.max(axis=0)

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

    def shows(
        self, observation: Observation, points_m: Float32[np.ndarray, "n p 3"]
    ) -> Bool[np.ndarray, "n"]:
        """Return which slots have a kept point in the image that nothing hides.

        Args:
            observation: The frame.
            points_m: Kept surface points in the world frame, NaN where there is none.
        """
        return np.asarray(self._project(observation, points_m).visible.any(axis=1))

    def look(
        self,
        observation: Observation,
        points_m: Float32[np.ndarray, "n p 3"],
        area_px_m2: Float64[np.ndarray, "n"],
        instance: Int64[np.ndarray, "n"],
        young: Bool[np.ndarray, "n"],
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
            young: Which slots it is enough for not to be detected: nobody looks through a phantom
                on a wall.
        """
        seen = self._project(observation, points_m)
        missing, undetected, vanished = np.zeros((3, len(points_m)), dtype=np.bool_)
        num_visible = seen.visible.sum(axis=1)
        looked_through = seen.through.sum(axis=1) >= np.maximum(MIN_SHARE * num_visible, 1)
        num_points = np.isfinite(points_m[:, :, 0]).sum(axis=1)
        in_view = num_visible >= MIN_SHARE * np.maximum(num_points, 1)
        if observation.instances is None:
            open_points = self._gone(observation, seen)
            judged = np.flatnonzero(looked_through | young | in_view)
        else:
            open_points = _elsewhere(observation.instances, seen, instance)
            judged = np.flatnonzero((looked_through | young | in_view) & (instance == 0))
        if len(judged):
            some = seen.of(judged)
            enough = np.zeros(len(judged), dtype=np.bool_)
            through = looked_through[judged] | young[judged]
            if through.any():
                gone = self._gone(observation, seen.of(judged[through])).sum(axis=1)
                enough[through] = gone >= MIN_SHARE * num_visible[judged[through]]
            expected = self._expected(points_m[judged], some, area_px_m2[judged], young[judged])
            missing[judged] = expected & (enough | young[judged])
            undetected[judged] = expected & ~enough & ~young[judged]
            vanished[judged] = enough & (num_visible[judged] >= GLIMPSE_SHARE * num_points[judged])
        return Sight(missing, undetected, vanished, open_points)

    def _gone(self, observation: Observation, seen: "_Seen") -> Bool[np.ndarray, "n p"]:
        nearest = _nearest_around(observation.depth_m)[seen.row, seen.column]
        with np.errstate(invalid="ignore"):
            gone: Bool[np.ndarray, "n p"] = seen.through & (nearest > seen.behind)
        return gone

    def _project(self, observation: Observation, points_m: Float32[np.ndarray, "n p 3"]) -> "_Seen":
        spec = self._spec
        T = observation.T_world_camera.astype(np.float32)
        seen = (points_m.reshape(-1, 3) - T[:3, 3]) @ T[:3, :3]
        z = np.ascontiguousarray(seen[:, 2]).reshape(points_m.shape[:2])
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            scale = 1.0 / np.where(z > 0.05, z, np.nan)
            u = seen[:, 0].reshape(z.shape) * scale * spec.fx_px + spec.cx_px
            v = seen[:, 1].reshape(z.shape) * scale * spec.fy_px + spec.cy_px
            inside = (u >= 0) & (u < spec.width_px) & (v >= 0) & (v < spec.height_px)
            column = np.where(inside, u, 0).astype(np.int64)
            row = np.where(inside, v, 0).astype(np.int64)
            slack = SLACK_M + SLACK_REL * z
            measured, behind = observation.depth_m[row, column], z + slack
            visible = inside & (measured >= z - slack)
            through = visible & (measured > behind)
        return _Seen(u, v, z, behind, row, column, inside, visible, through)

    def _expected(
        self,
        points_m: Float32[np.ndarray, "n p 3"],
        seen: "_Seen",
        area_px_m2: Float64[np.ndarray, "n"],
        young: Bool[np.ndarray, "n"],
    ) -> Bool[np.ndarray, "n"]:
        num_points = np.maximum(np.isfinite(points_m[:, :, 0]).sum(axis=1), 1)
        num_inside = np.maximum(seen.inside.sum(axis=1), 1)
        range_m = np.where(seen.inside, seen.z, 0).sum(axis=1) / num_inside
        share = seen.visible.sum(axis=1) / num_points
        area_px = area_px_m2 / np.maximum(range_m, NEAR_M) ** 2 * share
        wide = _spread(seen.u, seen.inside) >= MIN_SIDE_PX
        tall = _spread(seen.v, seen.inside) >= MIN_SIDE_PX
        near = (range_m >= NEAR_M) & (range_m <= FAR_M)
        large = area_px >= np.where(young, MIN_YOUNG_AREA_PX, MIN_AREA_PX)
        return near & ((wide & tall) | young) & (share >= MIN_SHARE) & large


@dataclass(frozen=True, slots=True)
class _Seen:
    """Where kept points fall in the image.

    Attributes:
        behind: Depth from which on something is behind a point.
        visible: Whether nothing hides a point.
        through: Whether its pixel, too, shows what is behind it.
    """

    u: Float32[np.ndarray, "n p"]
    v: Float32[np.ndarray, "n p"]
    z: Float32[np.ndarray, "n p"]
    behind: Float32[np.ndarray, "n p"]
    row: Int64[np.ndarray, "n p"]
    column: Int64[np.ndarray, "n p"]
    inside: Bool[np.ndarray, "n p"]
    visible: Bool[np.ndarray, "n p"]
    through: Bool[np.ndarray, "n p"]

    def of(self, chosen: Int64[np.ndarray, "k"]) -> "_Seen":
        """Return some of the slots."""
        return _Seen(*(getattr(self, name)[chosen] for name in self.__slots__))


def _elsewhere(
    instances: Int32[np.ndarray, "h w"], seen: _Seen, instance: Int64[np.ndarray, "n"]
) -> Bool[np.ndarray, "n p"]:
    """Return which points of matched slots fall on something else, edges aside."""
    found = seen.visible & (instances[seen.row, seen.column] != instance[:, None])
    found &= (instance > 0)[:, None]
    slot, point = np.nonzero(found)
    if len(slot):
        around = np.zeros((instances.shape[0] + 2, instances.shape[1] + 2), dtype=instances.dtype)
        around[1:-1, 1:-1] = instances
        at = (
            seen.row[slot, point][:, None] + _AROUND[0],
            seen.column[slot, point][:, None] + _AROUND[1],
        )
        found[slot, point] = (around[at] != instance[slot][:, None]).all(axis=1)
    return found


def _without_strays(
    pixels: Int64[np.ndarray, "m p"], depth_m: Float32[np.ndarray, "m p"]
) -> Int64[np.ndarray, "m p"]:
    """Return the pixels of each mask, with stray ones replaced by others.

    A mask that is off by a pixel shows what is beside the object, mostly far behind it.
    """
    num_points = depth_m.shape[1]
    gaps = np.diff(np.sort(depth_m, axis=1), axis=1) > STRAY_GAP_M
    pixels = pixels.copy()
    for i in np.flatnonzero(gaps.any(axis=1)).tolist():
        bounds = (0, *(np.flatnonzero(gaps[i]) + 1).tolist(), num_points)
        enough = min(STRAY_SHARE * num_points, max(b - a for a, b in pairwise(bounds)))
        parts = [(a, b) for a, b in pairwise(bounds) if b - a >= enough]
        if len(parts) == len(bounds) - 1:
            continue
        order = np.argsort(depth_m[i])
        left = pixels[i, np.sort(np.concatenate([order[a:b] for a, b in parts]))]
        pixels[i] = left[np.arange(num_points) * len(left) // num_points]
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
