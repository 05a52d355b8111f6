"""Decoding of recorded images, by their encoding.

Axis letters: y x recorded image.
"""

import io
import struct
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32

from memory.logs.errors import ImageError

if TYPE_CHECKING:
    from PIL.Image import Image

COLOUR_RAW = {
    "rgb8": ("RGB", "RGB", 3),
    "bgr8": ("RGB", "BGR", 3),
    "rgba8": ("RGB", "RGBX", 4),
    "bgra8": ("RGB", "BGRX", 4),
    "mono8": ("L", "L", 1),
    "8UC3": ("RGB", "BGR", 3),
    "8UC1": ("L", "L", 1),
}
"""Mode of the picture, layout of the bytes and bytes per pixel, by encoding."""

DEPTH_RAW = {"16UC1": "u2", "mono16": "u2", "32FC1": "f4"}
"""Kind of number, by encoding."""

KNOWN = ", ".join(
    [*COLOUR_RAW, *DEPTH_RAW, "compressed jpeg or png", "compressedDepth png of 16UC1 or 32FC1"]
)

_DEPTH_HEADER = struct.Struct("<iff")
"""Of compressedDepth: how it is packed, and two parameters of the quantisation."""


def is_depth(encoding: str) -> bool | None:
    """Tell whether an encoding is one of depth; None for an unknown one.

    Args:
        encoding: Of an Image the `encoding`, of a CompressedImage the `format`.
    """
    name, _, packing = encoding.partition(";")
    name, packing = name.strip(), packing.strip().lower()
    if "compresseddepth" in packing or name in DEPTH_RAW:
        return True
    if name in COLOUR_RAW or name.lower() in ("jpeg", "jpg", "png"):
        return False
    return None


def colour_raw(message: Any, enough_px: tuple[int, int]) -> "Image":
    """Return an uncompressed colour image.

    Raises:
        ImageError: If its encoding is unknown or it has too few bytes.
    """
    from PIL import Image

    _check_known(message.encoding, COLOUR_RAW)
    mode, layout, per_px = COLOUR_RAW[message.encoding]
    width, height, step = int(message.width), int(message.height), int(message.step)
    step = step or width * per_px
    _check_size(message, width * per_px, step)
    return Image.frombuffer(mode, (width, height), message.data, "raw", layout, step, 1)


def depth_raw(message: Any) -> tuple[np.ndarray, float]:
    """Return an uncompressed depth image as a view, and metres per unit.

    Raises:
        ImageError: If its encoding is unknown or it has too few bytes.
    """
    _check_known(message.encoding, DEPTH_RAW)
    kind = DEPTH_RAW[message.encoding]
    dtype = np.dtype((">" if message.is_bigendian else "<") + kind)
    width, height, step = int(message.width), int(message.height), int(message.step)
    step = step or width * dtype.itemsize
    _check_size(message, width * dtype.itemsize, step)
    data = np.ascontiguousarray(message.data)
    view: np.ndarray = np.ndarray((height, width), dtype, data, strides=(step, dtype.itemsize))
    return view, 0.001 if kind == "u2" else 1.0


def colour_packed(data: Any, enough_px: tuple[int, int]) -> "Image":
    """Return a JPEG or PNG; a JPEG in the smallest of its own scales that is large enough.

    Raises:
        ImageError: If it cannot be decoded.
    """
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG"))
        if image.format == "JPEG":
            image.draft("RGB", enough_px)
        image.load()
    except (OSError, ValueError, SyntaxError) as error:
        raise ImageError(f"no JPEG or PNG ({error})") from error
    return image if image.mode in ("RGB", "L") else image.convert("RGB")


def depth_packed(data: Any, format_: str) -> tuple[np.ndarray, float]:
    """Return compressed depth, and metres per unit.

    Args:
        data: A PNG of 16 bits; with "compressedDepth" in the format, behind a header of 12 bytes.
        format_: Format as the message names it.

    Raises:
        ImageError: If it cannot be decoded.
    """
    encoding = format_.partition(";")[0].strip()
    if "compresseddepth" not in format_.lower():
        return _png16(data), 0.001
    data = memoryview(data)
    if len(data) <= _DEPTH_HEADER.size:
        raise ImageError(f"compressedDepth of {len(data)} bytes has no image")
    packing, a, b = _DEPTH_HEADER.unpack(data[: _DEPTH_HEADER.size])
    if "rvl" in format_.lower() or packing == 1:
        raise ImageError(f"compressedDepth is packed as RVL; known: {KNOWN}")
    units = _png16(data[_DEPTH_HEADER.size :])
    if encoding != "32FC1":
        return units, 0.001
    # The plugin stores q = a / depth + b.
    depth_m: Float32[np.ndarray, "y x"] = np.full(units.shape, np.nan, dtype=np.float32)
    known = units > 0
    with np.errstate(divide="ignore"):
        depth_m[known] = np.float32(a) / (units[known].astype(np.float32) - np.float32(b))
    return depth_m, 1.0


def size_of(message: Any) -> tuple[int, int]:
    """Return width and height of an image message without decoding all of it.

    Raises:
        ImageError: If it cannot be decoded.
    """
    if hasattr(message, "encoding"):
        return int(message.width), int(message.height)
    from PIL import Image

    data = memoryview(message.data)
    if "compresseddepth" in message.format.lower():
        data = data[_DEPTH_HEADER.size :]
    try:
        return Image.open(io.BytesIO(data), formats=("JPEG", "PNG")).size
    except (OSError, ValueError, SyntaxError) as error:
        raise ImageError(f"no JPEG or PNG ({error})") from error


def _png16(data: Any) -> np.ndarray:
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(data), formats=("PNG",))
        array = np.asarray(image)
    except (OSError, ValueError, SyntaxError) as error:
        raise ImageError(f"no PNG ({error})") from error
    if array.ndim != 2 or array.dtype.kind not in "ui" or array.dtype.itemsize < 2:
        raise ImageError(f"a depth PNG needs one channel of 16 bits, this one is {image.mode}")
    return array


def _check_known(encoding: str, table: Collection[str]) -> None:
    if encoding not in table:
        raise ImageError(f"unknown encoding {encoding!r}; known: {KNOWN}")


def _check_size(message: Any, row_bytes: int, step: int) -> None:
    height = int(message.height)
    if step < row_bytes or len(message.data) < step * height:
        raise ImageError(
            f"{message.width} x {height} pixels of {message.encoding} in rows of {step} bytes do "
            f"not fit into {len(message.data)} bytes"
        )
