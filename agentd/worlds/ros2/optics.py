"""From the robot's camera to the square pinhole image that the agent sees.

Axis letters: h w source image, s side of the square image, n rays.
"""

import math

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8

from agentd.worlds.ros2.messages import Lens

_MOST_SAMPLES = 8
"""Per pixel and axis; more do not show."""
_BISECTIONS = 40
_WIDEST_TAN = math.tan(math.radians(75))


class Optics:
    """Resamples images of one lens: rectified, cropped and resized in one go.

    Colours are means over each pixel, depths the nearest sample: a mean of depths lies on nothing.

    Args:
        lens: The robot's camera.
        image_px: Side of the square image.
        hfov_deg: Its field of view; None for the largest that the camera fills. What the camera
            does not see is black, without depth.
    """

    def __init__(self, lens: Lens, image_px: int, hfov_deg: float | None) -> None:
        self.lens = lens
        self.image_px = image_px
        half = _largest_tan(lens) if hfov_deg is None else math.tan(math.radians(hfov_deg) / 2)
        self.focal_px = image_px / 2 / half
        self._maps: dict[tuple[int, int, int], tuple[Int64[np.ndarray, "n"], np.ndarray]] = {}

    def colour(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "s s 3"]:
        """Return a colour image as the agent sees it."""
        h, w = image.shape[:2]
        across = self.lens.fx_px * w / self.lens.width_px / self.focal_px
        num = min(max(1, round(across)), _MOST_SAMPLES)
        index, outside = self._map(w, h, num)
        found = np.ascontiguousarray(image).reshape(-1, 3)[index]
        found[outside] = 0
        side = self.image_px
        blocks = found.reshape(side, num, side, num, 3)
        return np.rint(blocks.mean(axis=(1, 3), dtype=np.float32)).astype(np.uint8)

    def depth(
        self, image: Float32[np.ndarray, "h w"], min_m: float, max_m: float
    ) -> Float32[np.ndarray, "s s"]:
        """Return a depth image as the agent sees it, NaN out of range."""
        h, w = image.shape
        index, outside = self._map(w, h, 1)
        found = image.ravel()[index]
        found[outside] = np.nan
        found[~((found >= min_m) & (found > 0) & (found <= max_m))] = np.nan
        return found.reshape(self.image_px, self.image_px)

    def _map(self, w: int, h: int, num: int) -> tuple[Int64[np.ndarray, "n"], np.ndarray]:
        """Return where in an image of that size every sample lies, and which lie outside."""
        key = (w, h, num)
        if key not in self._maps:
            steps = (np.arange(self.image_px * num) + 0.5) / num - self.image_px / 2
            x, y = np.meshgrid(steps / self.focal_px, steps / self.focal_px)
            u, v = project(self.lens, x.ravel(), y.ravel())
            # Pixel centres lie at integers in ROS: the image begins half a pixel before them.
            column = np.floor((u + 0.5) * (w / self.lens.width_px)).astype(np.int64)
            row = np.floor((v + 0.5) * (h / self.lens.height_px)).astype(np.int64)
            outside = (column < 0) | (column >= w) | (row < 0) | (row >= h)
            index = np.where(outside, 0, row * w + column)
            self._maps[key] = index, outside
        return self._maps[key]


def project(
    lens: Lens, x: Float64[np.ndarray, "n"], y: Float64[np.ndarray, "n"]
) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"]]:
    """Return the pixels of rays (x, y, 1), pixel centres at integers, by the lens's distortion."""
    d = np.zeros(8)
    given = lens.distortion[:8]
    d[: len(given)] = given
    if lens.model == "equidistant" and d.any():
        r = np.hypot(x, y)
        angle = np.arctan(r)
        a2 = angle * angle
        bent = angle * (1 + a2 * (d[0] + a2 * (d[1] + a2 * (d[2] + a2 * d[3]))))
        scale = np.where(r > 1e-9, bent / np.maximum(r, 1e-9), 1.0)
        x, y = x * scale, y * scale
    elif d.any():
        k1, k2, p1, p2, k3, k4, k5, k6 = d
        r2 = x * x + y * y
        radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
        x, y = (
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        )
    return lens.fx_px * x + lens.cx_px, lens.fy_px * y + lens.cy_px


def _largest_tan(lens: Lens) -> float:
    """Return the tangent of half the field of the largest square that the camera fills."""
    edge = np.linspace(-1, 1, 33)
    one = np.ones_like(edge)
    border_x = np.concatenate([edge, edge, -one, one])
    border_y = np.concatenate([-one, one, edge, edge])
    low, high = 0.0, _WIDEST_TAN
    for _ in range(_BISECTIONS):
        tried = (low + high) / 2
        u, v = project(lens, tried * border_x, tried * border_y)
        fits = (u >= -0.5) & (u <= lens.width_px - 0.5) & (v >= -0.5) & (v <= lens.height_px - 0.5)
        low, high = (tried, high) if fits.all() else (low, tried)
    return max(low, 1e-3)
