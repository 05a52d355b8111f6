"""From the instance mask of one frame to things in the world.

Axis letters: h w image, n points, m runs of pixels of one instance, k object
rows, f features.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt

from memory.frames import inverse, pixel_rays
from memory.records import NUM_OBJECTS, OBJECT_FEATURES, BodySpec, Detection, Observation
from policies.config import PerceptionConfig

LOW_SHARE, HIGH_SHARE = 0.02, 0.98
"""Quantiles that bound an extent: a few stray pixels do not stretch an object."""


class InstanceDetector:
    """Turns the body's own instance mask into detections."""

    def __init__(self, spec: BodySpec, config: PerceptionConfig) -> None:
        self._spec = spec
        self._config = config
        self._rays = pixel_rays(spec).reshape(-1, 3)
        self._v, self._u = np.divmod(np.arange(len(self._rays)), spec.width_px)

    def detect(self, observation: Observation) -> list[Detection]:
        """Return what is seen, the largest first; nothing without an instance mask."""
        if observation.instances is None:
            return []
        mask, depth = observation.instances.ravel(), observation.depth_m.ravel()
        num_labels = len(observation.labels)
        pixels = np.flatnonzero((mask > 0) & (mask < num_labels) & (depth > 0) & (depth < np.inf))
        # The narrowest type that holds them all sorts several times faster.
        narrow = mask[pixels].astype(np.min_scalar_type(num_labels))
        order = np.argsort(narrow, kind="stable")
        pixels, numbers = pixels[order], narrow[order]
        starts = np.flatnonzero(np.diff(numbers, prepend=numbers.dtype.type(0)))
        counts = np.diff(starts, append=len(pixels))
        large = counts >= self._config.min_px
        if not large.any():
            return []
        return self._lift(observation, pixels, numbers[starts], starts, counts, large)

    def _lift(
        self,
        observation: Observation,
        pixels: Int64[np.ndarray, "n"],
        numbers: UInt[np.ndarray, "m"],
        starts: Int64[np.ndarray, "m"],
        counts: Int64[np.ndarray, "m"],
        large: Bool[np.ndarray, "m"],
    ) -> list[Detection]:
        """Return detections of the large ones among runs of pixels that belong together."""
        width, height = self._spec.width_px, self._spec.height_px
        u, v = self._u[pixels], self._v[pixels]
        x0, x1 = np.minimum.reduceat(u, starts), np.maximum.reduceat(u, starts) + 1
        y0, y1 = np.minimum.reduceat(v, starts), np.maximum.reduceat(v, starts) + 1
        border = (x0 == 0) | (y0 == 0) | (x1 == width) | (y1 == height)
        boxes = np.stack([x0 / width, y0 / height, x1 / width, y1 / height], axis=1).tolist()
        depth = observation.depth_m.ravel()[pixels]
        T = observation.T_world_camera
        world = (self._rays[pixels] * depth[:, None].astype(np.float64)) @ T[:3, :3].T + T[:3, 3]
        low, high, range_m = _bounds(world, depth, starts[large], counts[large])
        # The middle of the box, not the mean of its pixels: near parts have more pixels, and the
        # box must lie where the object is.
        middle, extent = (low + high) / 2, high - low
        T_body_world = self._spec.T_body_camera @ inverse(T)
        in_body = middle @ T_body_world[:3, :3].T + T_body_world[:3, 3]
        chosen = np.flatnonzero(large)
        rows = sorted(range(len(chosen)), key=lambda row: -counts[chosen[row]])
        return [
            Detection(
                instance=int(numbers[i]),
                label=observation.labels[numbers[i]],
                score=1.0,
                box=tuple(boxes[i]),
                xyz_m=middle[row],
                extent_m=extent[row],
                xyz_body_m=in_body[row],
                num_px=int(counts[i]),
                range_m=float(range_m[row]),
                touches_border=bool(border[i]),
            )
            for row, i in ((row, int(chosen[row])) for row in rows)
        ]


def _bounds(
    world_m: Float64[np.ndarray, "n 3"],
    depth_m: Float32[np.ndarray, "n"],
    starts: Int64[np.ndarray, "m"],
    counts: Int64[np.ndarray, "m"],
) -> tuple[Float64[np.ndarray, "m 3"], Float64[np.ndarray, "m 3"], Float32[np.ndarray, "m"]]:
    """Return the lower and upper quantiles of each run of points, and its median depth."""
    coordinates = np.ascontiguousarray(world_m.T)
    low, high = np.empty((2, len(starts), 3))
    median = np.empty(len(starts), dtype=np.float32)
    for i, (start, count) in enumerate(zip(starts.tolist(), counts.tolist(), strict=True)):
        ordered = np.sort(coordinates[:, start : start + count], axis=1)
        low[i] = ordered[:, int(LOW_SHARE * (count - 1))]
        high[i] = ordered[:, -1 - int((1 - HIGH_SHARE) * (count - 1))]
        median[i] = np.sort(depth_m[start : start + count])[count // 2]
    return low, high, median


def object_rows(detections: Sequence[Detection], spec: BodySpec) -> Float32[np.ndarray, "k f"]:
    """Return one row of `OBJECT_FEATURES` per detection, in their order; zero rows at the end.

    Args:
        detections: The largest first; those after the first `NUM_OBJECTS` are left out.
        spec: Body, for the number of pixels of an image.
    """
    rows = np.zeros((NUM_OBJECTS, len(OBJECT_FEATURES)), dtype=np.float32)
    num_px = spec.width_px * spec.height_px
    for row, d in zip(rows, detections, strict=False):
        row[:] = (1.0, *d.box, *d.xyz_body_m, *d.extent_m, d.num_px / num_px)
    return rows
