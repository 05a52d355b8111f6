"""Recorded images: every encoding, and what is wrong with a bad one by name."""

import struct
from types import SimpleNamespace

import numpy as np
import pytest
from bags import Drive, jpeg, png

from memory.logs.camera import Lens, cropped, scaled
from memory.logs.errors import ImageError, LogError
from memory.logs.images import colour_packed, colour_raw, depth_packed, depth_raw, is_depth
from memory.logs.samples import Camera, Picture
from memory.records import BodySpec

DRIVE = Drive()
ENOUGH = (1000, 1000)


def raw(array: np.ndarray, encoding: str, *, pad: int = 0, big: bool = False) -> SimpleNamespace:
    rows = np.ascontiguousarray(array).reshape(array.shape[0], -1).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, pad)))
    return SimpleNamespace(
        height=array.shape[0],
        width=array.shape[1],
        encoding=encoding,
        is_bigendian=int(big),
        step=rows.shape[1],
        data=rows.reshape(-1),
    )


@pytest.mark.parametrize("pad", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "to"),
    [
        ("rgb8", lambda a: a),
        ("bgr8", lambda a: a[..., ::-1]),
        ("rgba8", lambda a: np.dstack([a, np.full(a.shape[:2], 9, np.uint8)])),
        ("bgra8", lambda a: np.dstack([a[..., ::-1], np.full(a.shape[:2], 9, np.uint8)])),
    ],
)
def test_colour_comes_back_as_it_was(encoding, to, pad):
    rgb = DRIVE.rgb(7)
    image = colour_raw(raw(to(rgb), encoding, pad=pad), ENOUGH)
    np.testing.assert_array_equal(np.asarray(image)[..., :3], rgb)


def test_grey_becomes_three_equal_channels():
    grey = DRIVE.rgb(7)[..., 1]
    spec, camera = body(*grey.shape[::-1], 60.0), Camera(**sides(grey), **inner(grey, 60.0))
    picture = Picture(colour=lambda enough: colour_raw(raw(grey, "mono8"), enough))
    rgb = Lens(spec, camera).colour(picture)
    for channel in range(3):
        np.testing.assert_array_equal(rgb[..., channel], grey)


@pytest.mark.parametrize("big", [False, True])
def test_depth_is_read_as_it_lies(big):
    mm = np.rint(DRIVE.depth_m(0) * 1000).astype(np.uint16)
    stored = mm.byteswap() if big else mm
    units, unit_m = depth_raw(raw(stored, "16UC1", big=big))
    np.testing.assert_array_equal(units, mm)
    assert unit_m == 0.001
    metres = DRIVE.depth_m(0)
    units, unit_m = depth_raw(raw(metres, "32FC1", pad=4))
    np.testing.assert_array_equal(units, metres)
    assert unit_m == 1.0


def test_packed_images():
    rgb = DRIVE.rgb(7)
    np.testing.assert_array_equal(np.asarray(colour_packed(png(rgb), ENOUGH)), rgb)
    found = np.asarray(colour_packed(jpeg(rgb), ENOUGH)).astype(int)
    assert np.abs(found - rgb).max() < 12
    mm = np.rint(DRIVE.depth_m(0) * 1000).astype(np.uint16)
    for data, format_ in (
        (png(mm), "16UC1; png compressed "),
        (struct.pack("<iff", 0, 0, 0) + png(mm), "16UC1; compressedDepth"),
        (struct.pack("<iff", 0, 0, 0) + png(mm), "16UC1; compressedDepth png"),
    ):
        units, unit_m = depth_packed(data, format_)
        np.testing.assert_array_equal(units, mm)
        assert unit_m == 0.001


def test_a_large_jpeg_is_decoded_small_where_that_is_enough():
    image = colour_packed(jpeg(np.zeros((480, 640, 3), np.uint8)), (86, 64))
    assert image.size == (160, 120) or image.size == (80, 60)
    assert min(image.size) >= 60


def test_quantised_depth_of_fractions():
    """As compressed_depth_image_transport makes it: q = a / depth + b."""
    depth_m = DRIVE.depth_m(0)
    depth_max, quantisation = 10.0, 100.0
    a = quantisation * (quantisation + 1)
    b = 1 - a / depth_max
    with np.errstate(divide="ignore"):
        q = np.where(depth_m > 0, a / depth_m + b, 0).astype(np.uint16)
    data = struct.pack("<iff", 0, a, b) + png(q)
    found, unit_m = depth_packed(data, "32FC1; compressedDepth")
    assert unit_m == 1.0
    seen = depth_m > 0
    np.testing.assert_allclose(found[seen], depth_m[seen], rtol=1e-3)
    assert np.isnan(found[~seen]).all()


def test_what_is_wrong_is_named():
    rgb = DRIVE.rgb(0)
    with pytest.raises(ImageError, match=r"unknown encoding 'yuv422'; known: rgb8"):
        colour_raw(raw(rgb, "yuv422"), ENOUGH)
    with pytest.raises(ImageError, match="unknown encoding 'rgb8'"):
        depth_raw(raw(rgb, "rgb8"))
    short = raw(rgb, "rgb8")
    short.data = short.data[:-1]
    with pytest.raises(ImageError, match="do not fit into 18431 bytes"):
        colour_raw(short, ENOUGH)
    with pytest.raises(ImageError, match="no JPEG or PNG"):
        colour_packed(jpeg(rgb)[:600], ENOUGH)
    with pytest.raises(ImageError, match="RVL"):
        depth_packed(struct.pack("<iff", 1, 0, 0) + b"x" * 20, "16UC1; compressedDepth rvl")
    with pytest.raises(ImageError, match="16 bits"):
        depth_packed(png(rgb), "16UC1; png compressed ")


@pytest.mark.parametrize(
    ("encoding", "depth"),
    [
        ("rgb8", False),
        ("jpeg", False),
        ("rgb8; jpeg compressed bgr8", False),
        ("16UC1", True),
        ("32FC1", True),
        ("16UC1; compressedDepth png", True),
        ("16UC1; png compressed ", True),
        ("yuv422", None),
    ],
)
def test_depth_is_told_from_colour(encoding, depth):
    assert is_depth(encoding) is depth


# ---------------------------------------------------------------- lens
def sides(image: np.ndarray) -> dict:
    return {"width_px": image.shape[1], "height_px": image.shape[0]}


def inner(image: np.ndarray, focal_px: float) -> dict:
    height, width = image.shape[:2]
    return {"fx_px": focal_px, "fy_px": focal_px, "cx_px": width / 2, "cy_px": height / 2}


def body(width_px: int, height_px: int, focal_px: float, **other) -> BodySpec:
    values = {
        "name": "robot",
        "width_px": width_px,
        "height_px": height_px,
        "fx_px": focal_px,
        "fy_px": focal_px,
        "cx_px": width_px / 2,
        "cy_px": height_px / 2,
        "T_body_camera": np.eye(4),
        "radius_m": 0.2,
        "height_m": 0.5,
        "v_max_mps": 1.0,
        "w_max_radps": 1.0,
        "tick_s": 0.2,
        "depth_max_m": 10.0,
    }
    return BodySpec(**(values | other))


def spec_of(camera: Camera) -> BodySpec:
    return body(
        camera.width_px,
        camera.height_px,
        1.0,
        fx_px=camera.fx_px,
        fy_px=camera.fy_px,
        cx_px=camera.cx_px,
        cy_px=camera.cy_px,
    )


def test_a_cut_and_resized_image_keeps_its_rays():
    """A point of the world falls on the same colour, whatever the body's images look like."""
    camera = Camera(width_px=96, height_px=64, fx_px=60.0, fy_px=62.0, cx_px=45.0, cy_px=33.0)
    rgb = DRIVE.rgb(3)
    depth = np.arange(96 * 64, dtype=np.float32).reshape(64, 96) / 1000 + 0.001
    for size in ((32, 32), (48, 16), (24, 40)):
        small = cropped(camera, *size)
        lens = Lens(spec_of(small), camera)
        seen = lens.colour(Picture(colour=lambda enough: colour_raw(raw(rgb, "rgb8"), enough)))
        depth_m = lens.depth(Picture(depth=lambda: (depth, 1.0)))
        assert seen.shape == (size[1], size[0], 3)
        for ray in ((0.0, 0.0), (0.1, -0.05), (-0.12, 0.08)):
            u = int(ray[0] * small.fx_px + small.cx_px)
            v = int(ray[1] * small.fy_px + small.cy_px)
            U = int((u + 0.5 - small.cx_px) / small.fx_px * camera.fx_px + camera.cx_px)
            V = int((v + 0.5 - small.cy_px) / small.fy_px * camera.fy_px + camera.cy_px)
            assert np.abs(seen[v, u].astype(int) - rgb[V, U]).max() <= 8
            assert depth_m[v, u] == depth[V, U]


def test_depth_without_return_and_beyond_the_sensor_is_nan():
    camera = Camera(width_px=4, height_px=1, fx_px=4.0, fy_px=4.0, cx_px=2.0, cy_px=0.5)
    depth = np.array([[0.0, np.inf, 12.0, 3.0]], dtype=np.float32)
    found = Lens(spec_of(camera), camera).depth(Picture(depth=lambda: (depth, 1.0)))
    np.testing.assert_array_equal(np.isnan(found), [[True, True, True, False]])


def test_depth_of_another_size_falls_on_the_colour():
    camera = Camera(width_px=96, height_px=64, fx_px=60.0, fy_px=60.0, cx_px=48.0, cy_px=32.0)
    half = scaled(camera, (48, 32))
    depth = np.repeat(np.arange(1, 49, dtype=np.float32)[None] / 10, 32, axis=0)
    found = Lens(spec_of(camera), camera, half).depth(Picture(depth=lambda: (depth, 1.0)))
    np.testing.assert_array_equal(found[10], np.repeat(depth[0], 2))


def test_depth_of_a_camera_beside_is_moved_onto_the_colour():
    camera = Camera(width_px=64, height_px=64, fx_px=50.0, fy_px=50.0, cx_px=32.0, cy_px=32.0)
    large = Camera(width_px=256, height_px=256, fx_px=200.0, fy_px=200.0, cx_px=128.0, cy_px=128.0)
    depth = np.full((256, 256), 2.0, dtype=np.float32)
    depth[118:138, 118:138] = 1.0  # a thing in the middle of the depth camera, 10 cm wide
    T = np.eye(4)
    T[0, 3] = 0.1  # the depth camera sits 10 cm to the right of the colour camera
    found = Lens(spec_of(camera), camera, large, T).depth(Picture(depth=lambda: (depth, 1.0)))
    near = np.argwhere(found < 1.5)
    assert near[:, 1].mean() == pytest.approx(32 + 0.1 * 50 / 1.0, abs=1)
    assert near[:, 0].mean() == pytest.approx(32, abs=1)
    assert np.isnan(found[:, :62]).mean() < 0.1


def test_images_that_see_less_than_the_body_are_refused():
    camera = Camera(width_px=96, height_px=64, fx_px=120.0, fy_px=120.0, cx_px=48.0, cy_px=32.0)
    with pytest.raises(LogError, match="see less than"):
        Lens(body(64, 64, 40.0), camera)
    with pytest.raises(LogError, match="camera info is for 96 x 64"):
        scaled(camera, (96, 96))
