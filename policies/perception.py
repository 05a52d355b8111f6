"""From the instance mask of one frame to things in the world.

Axis letters: h w image, n points, k object rows, f features, s crop side.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8
from PIL import Image

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
        self._T_body_camera = spec.T_body_camera
        self._pad = math.ceil(config.crop_context * max(spec.width_px, spec.height_px) / 2)

    def detect(self, observation: Observation) -> list[Detection]:
        """Return what is seen, the largest first; nothing without an instance mask."""
        if observation.instances is None:
            return []
        mask = observation.instances.ravel()
        depth = observation.depth_m.ravel()
        pixels = np.flatnonzero((mask > 0) & np.isfinite(depth) & (depth > 0))
        order = pixels[np.argsort(mask[pixels], kind="stable")]
        if order.size == 0:
            return []
        numbers, starts = np.unique(mask[order], return_index=True)
        points = self._rays[order] * depth[order, None].astype(np.float64)
        T = observation.T_world_camera
        world = points @ T[:3, :3].T + T[:3, 3]
        T_body_world = self._T_body_camera @ inverse(T)
        ends = np.append(starts[1:], order.size)
        frame = self._padded(observation.rgb)
        detections = []
        for number, start, end in zip(numbers.tolist(), starts, ends, strict=True):
            if end - start < self._config.min_px or number >= len(observation.labels):
                continue
            span = slice(int(start), int(end))
            found = self._detection(
                observation, number, order[span], world[span], T_body_world, frame
            )
            detections.append(found)
        detections.sort(key=lambda d: -d.num_px)
        return detections

    def _detection(
        self,
        observation: Observation,
        number: int,
        pixels: Int64[np.ndarray, "n"],
        world_m: Float64[np.ndarray, "n 3"],
        T_body_world: Float64[np.ndarray, "4 4"],
        frame: Image.Image,
    ) -> Detection:
        width, height = self._spec.width_px, self._spec.height_px
        v, u = np.divmod(pixels, width)
        x0, y0, x1, y1 = int(u.min()), int(v.min()), int(u.max()) + 1, int(v.max()) + 1
        ordered = np.sort(world_m, axis=0)
        last = len(ordered) - 1
        low, high = ordered[int(LOW_SHARE * last)], ordered[-1 - int((1 - HIGH_SHARE) * last)]
        # The middle of the box, not the mean of its pixels: near parts have more pixels, and the
        # box must lie where the object is.
        middle = (low + high) / 2
        depth = np.sort(observation.depth_m.ravel()[pixels])
        return Detection(
            instance=number,
            label=observation.labels[number],
            score=1.0,
            box=(x0 / width, y0 / height, x1 / width, y1 / height),
            xyz_m=middle,
            extent_m=high - low,
            xyz_body_m=T_body_world[:3, :3] @ middle + T_body_world[:3, 3],
            num_px=len(pixels),
            range_m=float(depth[len(depth) // 2]),
            touches_border=x0 == 0 or y0 == 0 or x1 == width or y1 == height,
            crop=self._crop(frame, x0, y0, x1, y1),
        )

    def _padded(self, rgb: UInt8[np.ndarray, "h w 3"]) -> Image.Image:
        """Return the frame with its edge repeated, so that context may reach beyond it."""
        pad, (height, width) = self._pad, rgb.shape[:2]
        out = np.empty((height + 2 * pad, width + 2 * pad, 3), dtype=np.uint8)
        middle = out[:, pad : pad + width]
        middle[pad : pad + height] = rgb
        middle[:pad], middle[pad + height :] = rgb[0], rgb[-1]
        out[:, :pad], out[:, pad + width :] = middle[:, :1], middle[:, -1:]
        return Image.fromarray(out)

    def _crop(
        self, frame: Image.Image, x0: int, y0: int, x1: int, y1: int
    ) -> UInt8[np.ndarray, "s s 3"]:
        """Cut a square with context around a box of the unpadded image."""
        half = max(1.0, self._config.crop_context * max(x1 - x0, y1 - y0) / 2)
        x, y = self._pad + (x0 + x1) / 2, self._pad + (y0 + y1) / 2
        box = (
            max(0.0, x - half),
            max(0.0, y - half),
            min(float(frame.width), x + half),
            min(float(frame.height), y + half),
        )
        size = (self._config.crop_px, self._config.crop_px)
        return np.asarray(frame.resize(size, Image.Resampling.BILINEAR, box=box), dtype=np.uint8)


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
