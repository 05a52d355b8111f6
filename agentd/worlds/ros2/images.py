"""Images as robots send them: raw or compressed, to colour and metres.

Axis letters: h w image.
"""

import io
import struct
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image, UnidentifiedImageError

from agentd.worlds.ros2.link import LinkError

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
IMAGE_TYPES = (IMAGE, COMPRESSED)

_CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1, "8UC1": 1, "8UC3": 3}
_DEPTHS = {"16UC1": "u2", "mono16": "u2", "32FC1": "f4"}
_DEPTH_HEADER_BYTES = 12
_PNG = b"\x89PNG\r\n\x1a\n"


class BadImageError(LinkError):
    """An image cannot be read: its encoding is unknown or its bytes do not fit."""


def colour_image(message: Any, topic: str) -> UInt8[np.ndarray, "h w 3"]:
    """Return the colours of an image message, a view of its bytes where possible.

    Args:
        message: sensor_msgs Image (rgb8, bgr8, rgba8, bgra8, mono8) or CompressedImage.
        topic: Where it came from, for errors.

    Raises:
        BadImageError: If it is in another encoding, or damaged.
    """
    if hasattr(message, "format"):
        return _decompressed(bytes(message.data), message.format, topic)
    channels = _CHANNELS.get(message.encoding)
    if channels is None:
        raise BadImageError(
            f"{topic}: colour in the encoding {message.encoding!r}; accepted: "
            f"{', '.join(_CHANNELS)}"
        )
    rows = _rows(message, topic, np.dtype("u1"), channels)
    pixels = rows.reshape(message.height, message.width, channels)
    if channels == 1:
        return np.repeat(pixels, 3, axis=2)
    if message.encoding in ("bgr8", "bgra8", "8UC3"):
        return pixels[:, :, 2::-1]
    return pixels[:, :, :3]


def depth_image(message: Any, topic: str) -> Float32[np.ndarray, "h w"]:
    """Return the depths of an image message in metres, NaN for no return.

    Args:
        message: sensor_msgs Image (16UC1 in millimetres, 32FC1 in metres), or CompressedImage of
            the transport compressedDepth (or a plain 16 bit PNG).
        topic: Where it came from, for errors.

    Raises:
        BadImageError: If it is in another encoding, or damaged.
    """
    if hasattr(message, "format"):
        return _decompressed_depth(bytes(message.data), message.format, topic)
    kind = _DEPTHS.get(message.encoding)
    if kind is None:
        raise BadImageError(
            f"{topic}: depth in the encoding {message.encoding!r}; accepted: {', '.join(_DEPTHS)}"
        )
    order = ">" if message.is_bigendian else "<"
    return _metres(_rows(message, topic, np.dtype(order + kind), 1))


def size_of(message: Any) -> tuple[int, int] | None:
    """Return width and height of a raw image, None of a compressed one."""
    return None if hasattr(message, "format") else (message.width, message.height)


def _rows(message: Any, topic: str, dtype: np.dtype[Any], channels: int) -> np.ndarray:
    """Return the pixels as rows, without the padding at their ends."""
    row_bytes = message.width * channels * dtype.itemsize
    step = message.step or row_bytes
    data = np.ascontiguousarray(message.data).view(np.uint8).ravel()
    if min(message.width, message.height) <= 0 or step < row_bytes:
        raise BadImageError(
            f"{topic}: {message.width} x {message.height} pixels in rows of {message.step} bytes"
        )
    if data.size < step * message.height:
        raise BadImageError(
            f"{topic}: {data.size} bytes for {message.height} rows of {step} bytes each"
        )
    lines = data[: step * message.height].reshape(message.height, step)[:, :row_bytes]
    return np.ascontiguousarray(lines).view(dtype)


def _metres(pixels: np.ndarray) -> Float32[np.ndarray, "h w"]:
    is_mm = pixels.dtype.kind == "u"
    depth = pixels.astype(np.float32)
    if is_mm:
        depth *= np.float32(0.001)
    depth[~(np.isfinite(depth) & (depth > 0))] = np.nan
    return depth


def _open(data: bytes, what: str, topic: str) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG"))
        image.load()
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise BadImageError(f"{topic}: no {what} image ({error})") from error
    return image


def _decompressed(data: bytes, what: str, topic: str) -> UInt8[np.ndarray, "h w 3"]:
    if "compressedDepth" in what:
        raise BadImageError(f"{topic}: a depth image ({what!r}) where colour is expected")
    image = _open(data, what, topic)
    return np.asarray(image.convert("RGB"))


def _decompressed_depth(data: bytes, what: str, topic: str) -> Float32[np.ndarray, "h w"]:
    """Undo the transport compressedDepth: a header, then a 16 bit PNG.

    For 32FC1 the PNG holds inverse depths, quantised by two numbers of the header.
    """
    quantum_a = quantum_b = 0.0
    if not data.startswith(_PNG):
        if len(data) <= _DEPTH_HEADER_BYTES:
            raise BadImageError(f"{topic}: {len(data)} bytes are no depth image ({what!r})")
        quantum_a, quantum_b = struct.unpack("<ff", data[4:_DEPTH_HEADER_BYTES])
        data = data[_DEPTH_HEADER_BYTES:]
    if not data.startswith(_PNG):
        raise BadImageError(
            f"{topic}: depth compressed as {what!r}; accepted: 16UC1 or 32FC1 as PNG"
        )
    pixels = np.asarray(_open(data, what, topic))
    if pixels.ndim != 2 or pixels.dtype not in (np.uint16, np.int32):
        raise BadImageError(f"{topic}: depth ({what!r}) is a PNG of {pixels.dtype}, not of 16 bit")
    pixels = pixels.astype(np.uint16)
    if not what.startswith("32FC1"):
        return _metres(pixels)
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.float32(quantum_a) / (pixels.astype(np.float32) - np.float32(quantum_b))
    depth[pixels == 0] = np.nan
    return _metres(depth)
