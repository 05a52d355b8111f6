"""Cutting the square around a detection out of its frame.

Axis letters: h w image, s crop side.
"""

import math

import numpy as np
from jaxtyping import UInt8
from PIL import Image


def cut_crop(
    rgb: UInt8[np.ndarray, "h w 3"],
    box: tuple[float, float, float, float],
    crop_px: int,
    context: float,
) -> UInt8[np.ndarray, "s s 3"]:
    """Return the square around a box, resized; beyond the frame its edge is repeated.

    Args:
        rgb: The frame.
        box: x0, y0, x1, y1 as fractions of width and height.
        crop_px: Side of the result.
        context: Side of the square over the longer side of the box.
    """
    height, width = rgb.shape[:2]
    x0, y0, x1, y1 = box[0] * width, box[1] * height, box[2] * width, box[3] * height
    half = max(1.0, context * max(x1 - x0, y1 - y0) / 2)
    left, top = (x0 + x1) / 2 - half, (y0 + y1) / 2 - half
    # The filter looks one output pixel beyond the square.
    margin = math.ceil(2 * half / crop_px) + 1
    first_x, first_y = math.floor(left) - margin, math.floor(top) - margin
    side = math.ceil(2 * half) + 2 * margin + 1
    reach = np.arange(side)
    columns = np.clip(first_x + reach, 0, width - 1)
    rows = np.clip(first_y + reach, 0, height - 1)
    patch = Image.fromarray(rgb.take(rows, axis=0).take(columns, axis=1))
    x, y = left - first_x, top - first_y
    square = (x, y, x + 2 * half, y + 2 * half)
    cut = patch.resize((crop_px, crop_px), Image.Resampling.BILINEAR, box=square)
    return np.asarray(cut, dtype=np.uint8)
