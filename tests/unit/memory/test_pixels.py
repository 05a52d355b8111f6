"""Filtered frames come back as they were, and are smaller than plain ones."""

import numpy as np
import pyarrow as pa
import pytest

from memory.errors import DamagedTableError
from memory.replay.codecs import (
    CODECS,
    DELTA,
    DELTA_LZ4,
    PLAIN,
    FrameCodec,
    codec_named,
    of_column,
    to_column,
)
from memory.replay.pixels import (
    pack_depth,
    pack_instances,
    pack_rgb,
    unpack_depth,
    unpack_instances,
    unpack_rgb,
)


def smooth(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two frames of a slope in colour and depth, with a step in the middle."""
    y, x = np.mgrid[:size, :size]
    grey = (60 + y + x // 2 + 80 * (x > size // 2)).astype(np.uint8)
    rgb = np.stack([grey + 5, grey, grey - 9], axis=-1)
    depth_mm = (1000 + 37 * y + 11 * x + 2500 * (x > size // 2)).astype(np.uint16)
    return np.stack([rgb, rgb[::-1]]), np.stack([depth_mm, depth_mm.T])


@pytest.mark.parametrize("codec", CODECS.values())
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 8, 8), (2, 5, 7)])
def test_every_value_comes_back(codec: FrameCodec, shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    depth_mm = rng.integers(0, 65536, shape, dtype=np.uint16)
    extremes = rng.choice(np.array([0, 1, 32767, 32768, 65535], dtype=np.uint16), shape)
    _, height, width = shape
    before = rgb.copy()
    np.testing.assert_array_equal(unpack_rgb(pack_rgb(rgb, codec), codec, height, width), rgb)
    np.testing.assert_array_equal(rgb, before)
    for frames in (depth_mm, extremes):
        packed = pack_depth(frames, codec)
        assert packed.shape == (shape[0], 2 * height * width)
        np.testing.assert_array_equal(unpack_depth(packed, codec, height, width), frames)


def test_filtered_frames_compress_better() -> None:
    rgb, depth_mm = smooth(64)
    zstd = pa.Codec("zstd", 1)

    def size(packed: np.ndarray) -> int:
        return sum(len(zstd.compress(frame.tobytes(), asbytes=True)) for frame in packed)

    assert size(pack_rgb(rgb, DELTA)) < 0.5 * size(pack_rgb(rgb, PLAIN))
    assert size(pack_depth(depth_mm, DELTA)) < 0.5 * size(pack_depth(depth_mm, PLAIN))


@pytest.mark.parametrize(
    ("codec", "largest", "num_bytes"),
    [(DELTA, 255, 16), (DELTA, 256, 32), (PLAIN, 3, 32), (PLAIN, 65535, 32)],
)
def test_instance_numbers_take_a_byte_where_they_fit(
    codec: FrameCodec, largest: int, num_bytes: int
) -> None:
    numbers = np.zeros((4, 4), dtype=np.int32)
    numbers[1, 2] = largest
    packed = pack_instances(numbers, codec)
    assert len(packed) == num_bytes
    found = unpack_instances(packed, 4, 4)
    np.testing.assert_array_equal(found, numbers)
    assert found.dtype == np.int32


def test_a_frame_of_another_size_is_no_instance_frame() -> None:
    with pytest.raises(DamagedTableError, match="has 17 bytes"):
        unpack_instances(bytes(17), 4, 4)


@pytest.mark.parametrize("codec", CODECS.values())
def test_a_column_gives_back_the_frames_of_any_part_of_it(codec: FrameCodec) -> None:
    frames = np.random.default_rng(1).integers(0, 4, (5, 96), dtype=np.uint8)
    column = to_column(frames, codec)
    np.testing.assert_array_equal(of_column(column, codec, 96), frames)
    np.testing.assert_array_equal(of_column(column[2:4], codec, 96), frames[2:4])
    assert of_column(column[2:2], codec, 96).shape == (0, 96)


@pytest.mark.parametrize("codec", CODECS.values())
def test_a_frame_of_another_size_or_cut_short_is_damage(codec: FrameCodec) -> None:
    frames = np.random.default_rng(1).integers(0, 256, (2, 96), dtype=np.uint8)
    column = to_column(frames, codec)
    cut = pa.array([column[0].as_py(), column[1].as_py()[:-5]], pa.binary())
    with pytest.raises(DamagedTableError, match="a stored frame"):
        of_column(cut, codec, 96)
    with pytest.raises(DamagedTableError, match="a stored frame"):
        of_column(column, codec, 90)


def test_packing_takes_less_than_a_frame() -> None:
    rgb, _ = smooth(64)
    column = to_column(pack_rgb(rgb, DELTA_LZ4), DELTA_LZ4)
    assert sum(len(frame.as_py()) for frame in column) < 0.5 * rgb.nbytes


def test_an_unknown_codec_is_named_with_those_there_are() -> None:
    with pytest.raises(DamagedTableError, match="'jpeg', known are plain, delta, delta-lz4, raw"):
        codec_named("jpeg")
