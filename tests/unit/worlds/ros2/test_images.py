"""Every encoding of images that robots send, through real bytes."""

import io
import struct

import numpy as np
import pytest
from PIL import Image
from robot_tools import CODEC, compressed, raw_of

from agentd.worlds.ros2 import compose
from agentd.worlds.ros2.images import BadImageError, colour_image, depth_image

RNG = np.random.default_rng(3)
COLOUR = RNG.integers(0, 256, (6, 5, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (6, 5), dtype=np.uint8)
MM = RNG.integers(1, 9000, (6, 5), dtype=np.uint16)
MM[0, 0] = 0
METRES = MM.astype(np.float32) * np.float32(0.001)
METRES[0, 0] = np.nan
ALPHA = np.full((6, 5, 1), 7, np.uint8)


def through(message):
    """Return the message as it arrives."""
    return CODEC.decode(raw_of("/image", message))


def sent(encoding: str, pixels: np.ndarray):
    return through(compose.image(CODEC, 1, "camera", encoding, pixels))


def as_file(pixels: np.ndarray, kind: str, **options) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("encoding", "pixels", "expected"),
    [
        ("rgb8", COLOUR, COLOUR),
        ("bgr8", COLOUR[:, :, ::-1], COLOUR),
        ("rgba8", np.concatenate([COLOUR, ALPHA], 2), COLOUR),
        ("bgra8", np.concatenate([COLOUR[:, :, ::-1], ALPHA], 2), COLOUR),
        ("mono8", GREY, np.repeat(GREY[:, :, None], 3, 2)),
    ],
)
def test_colours(encoding: str, pixels: np.ndarray, expected: np.ndarray) -> None:
    assert np.array_equal(colour_image(sent(encoding, pixels), "/rgb"), expected)


@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [("16UC1", MM), ("mono16", MM), ("32FC1", METRES), ("32FC1", np.nan_to_num(METRES))],
)
def test_depths(encoding: str, pixels: np.ndarray) -> None:
    found = depth_image(sent(encoding, pixels), "/depth")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, METRES, rtol=1e-6)


def test_a_big_endian_robot_is_read_rightly() -> None:
    message = sent("16UC1", MM.astype(">u2"))
    message.is_bigendian = 1
    np.testing.assert_allclose(depth_image(message, "/depth"), METRES, rtol=1e-6)


def test_padding_at_the_ends_of_rows_is_left_out() -> None:
    message = sent("rgb8", np.concatenate([COLOUR, COLOUR[:, :2]], axis=1))
    message.width = 5
    assert np.array_equal(colour_image(message, "/rgb"), COLOUR)


def test_compressed_colours() -> None:
    png = through(compressed(1, "rgb8; png compressed bgr8", as_file(COLOUR, "PNG")))
    assert np.array_equal(colour_image(png, "/rgb"), COLOUR)
    flat = np.full((16, 16, 3), (200, 40, 90), np.uint8)
    jpeg = through(compressed(1, "rgb8; jpeg compressed bgr8", as_file(flat, "JPEG", quality=95)))
    assert np.abs(colour_image(jpeg, "/rgb").astype(int) - flat).max() < 8


def test_compressed_depths() -> None:
    png = as_file(MM, "PNG")
    for data in (png, struct.pack("<iff", 0, 0, 0) + png):
        message = through(compressed(1, "16UC1; compressedDepth png", data))
        np.testing.assert_allclose(depth_image(message, "/depth"), METRES, rtol=1e-6)
    # 32FC1 is sent as inverse depths: a / z + b.
    a, b = 4000.0, 12.0
    inverse = np.zeros(MM.shape, np.uint16)
    inverse[1:] = np.rint(a / METRES[1:] + b)
    message = through(
        compressed(
            1, "32FC1; compressedDepth png", struct.pack("<iff", 0, a, b) + as_file(inverse, "PNG")
        )
    )
    found = depth_image(message, "/depth")
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1:], a / (inverse[1:] - b), rtol=1e-5)


@pytest.mark.parametrize(
    ("read", "message", "told"),
    [
        (colour_image, lambda: sent("yuv422", COLOUR), "'yuv422'; accepted: rgb8"),
        (depth_image, lambda: sent("rgb8", COLOUR), "'rgb8'; accepted: 16UC1"),
        (colour_image, lambda: compressed(1, "jpeg", b"no image"), "no jpeg image"),
        (colour_image, lambda: compressed(1, "16UC1; compressedDepth", b"x"), "a depth image"),
        (depth_image, lambda: compressed(1, "16UC1; compressedDepth rvl", b"x" * 40), "accepted"),
        (depth_image, lambda: compressed(1, "16UC1; compressedDepth", b"x"), "1 bytes"),
        (depth_image, lambda: compressed(1, "png", as_file(COLOUR, "PNG")), "not of 16 bit"),
    ],
)
def test_what_cannot_be_read_is_named(read, message, told: str) -> None:
    with pytest.raises(BadImageError, match=told):
        read(message(), "/image")


def test_too_few_bytes_are_refused() -> None:
    message = sent("rgb8", COLOUR)
    message.height = 7
    with pytest.raises(BadImageError, match="90 bytes for 7 rows of 15"):
        colour_image(message, "/rgb")
