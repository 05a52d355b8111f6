"""From runs of pixels that belong together to things in the world: what all detectors share.

Axis letters: h w image, n points, m runs of pixels of one thing.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Int64

from memory.frames import inverse, pixel_rays
from memory.records import BodySpec, Detection, Observation

LOW_SHARE, HIGH_SHARE = 0.02, 0.98
"""Quantiles that bound an extent: a few stray pixels do not stretch an object."""

MIN_INNER = 1 / 3
"""Share of a mask that must be left without its rim, for the rim to be left out."""

LabelOf = Callable[[int], tuple[str, float]]
"""Label and score of a number in a mask."""


class Lifter:
    """Lifts masks into the world.

    Args:
        spec: Body that carries the camera.
        min_px: Masks with fewer pixels are left out.
        trim: Whether the rim of a mask is left out, where enough is left without it: a detector's
            mask is off by a pixel or two, and what is beside a thing is mostly far behind it.
    """

    def __init__(self, spec: BodySpec, min_px: int, *, trim: bool = False) -> None:
        self._spec = spec
        self._min_px = min_px
        self._trim = trim
        self._rays = pixel_rays(spec).reshape(-1, 3)
        self._v, self._u = np.divmod(np.arange(len(self._rays)), spec.width_px)

    def world_m(self, observation: Observation) -> Float64[np.ndarray, "n 3"]:
        """Return the world point of each pixel, NaN where there is no depth."""
        T = observation.T_world_camera
        depth = observation.depth_m.reshape(-1, 1).astype(np.float64)
        depth[~((depth > 0) & (depth < np.inf))] = np.nan
        points: Float64[np.ndarray, "n 3"] = (self._rays * depth) @ T[:3, :3].T + T[:3, 3]
        return points

    def lift(
        self,
        observation: Observation,
        mask: Int[np.ndarray, "h w"],
        num_labels: int,
        label_of: LabelOf,
    ) -> list[Detection]:
        """Return the things of a mask, the largest first.

        Args:
            observation: Its depth and pose are used, not its own mask.
            mask: Number of the thing at each pixel, 0 for none.
            num_labels: Numbers from here on have no label and are left out.
            label_of: Label and score of a number.
        """
        if self._trim:
            mask = self._trimmed(mask)
        flat, depth = mask.ravel(), observation.depth_m.ravel()
        pixels = np.flatnonzero((flat > 0) & (flat < num_labels) & (depth > 0) & (depth < np.inf))
        # The narrowest type that holds them all sorts several times faster.
        narrow = flat[pixels].astype(np.min_scalar_type(num_labels))
        order = np.argsort(narrow, kind="stable")
        pixels, numbers = pixels[order], narrow[order]
        starts = np.flatnonzero(np.diff(numbers, prepend=numbers.dtype.type(0)))
        counts = np.diff(starts, append=len(pixels))
        large = counts >= self._min_px
        if not large.any():
            return []
        return self._lift(
            observation, pixels, numbers[starts].tolist(), starts, counts, large, label_of
        )

    def _trimmed(self, mask: Int[np.ndarray, "h w"]) -> Int[np.ndarray, "h w"]:
        """Return a mask without the rims of things that keep a third of their pixels without."""
        inner = np.ones(mask.shape, dtype=np.bool_)
        for side, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:-1], np.s_[1:])):
            inner[side] &= mask[side] == mask[other]
            inner[:, side] &= mask[:, side] == mask[:, other]
        all_px = np.bincount(mask.ravel())
        left_px = np.bincount(mask[inner], minlength=len(all_px))
        thin = left_px < np.maximum(self._min_px, all_px * MIN_INNER)
        trimmed: Int[np.ndarray, "h w"] = np.where(inner | thin[mask], mask, 0)
        return trimmed

    def _lift(
        self,
        observation: Observation,
        pixels: Int64[np.ndarray, "n"],
        numbers: list[int],
        starts: Int64[np.ndarray, "m"],
        counts: Int64[np.ndarray, "m"],
        large: Bool[np.ndarray, "m"],
        label_of: LabelOf,
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
        named = [label_of(number) for number in numbers]
        return [
            Detection(
                instance=numbers[i],
                label=named[i][0],
                score=named[i][1],
                box=tuple(boxes[i]),
                xyz_m=middle[row],
                extent_m=extent[row],
                xyz_body_m=in_body[row],
                num_px=int(counts[i]),
                range_m=float(range_m[row]),
                touches_border=bool(border[i]),
                pixels=pixels[starts[i] : starts[i] + counts[i]],
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
