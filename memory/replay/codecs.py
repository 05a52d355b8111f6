"""How the frames of a replay table are stored: which filter, which compression, and by whom.

A table keeps the codec it was made with; its name is in the schema. Lance's own zstd took half of
a draw of 64 windows of 8 frames, so `delta-lz4` is the default: 22 ms, 8.0 kB a row. `delta`: 39 ms
and 6.0 kB, 11.7 instead of 17 with camera noise. `raw`: 14 ms and 21 kB
(tests/bench/bench_replay.py).

Axis letters: n frames, f bytes of a frame.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8

from memory.errors import DamagedTableError

_LZ4 = pa.Codec("lz4_raw", compression_level=2)
"""Level 2 packs 512 frames a fifth smaller than level 1 at twice its 30 us a frame; level 4 a tenth
smaller again, at 200 us."""


@dataclass(frozen=True, slots=True)
class FrameCodec:
    """A way to store frames.

    Attributes:
        name: As the schema of a table tells it.
        is_filtered: Whether frames are stored as differences (memory/replay/pixels.py).
        is_packed: Whether each frame is compressed here, with LZ4.
        by_table: Compression that Lance applies to the column, "none" or "zstd".
    """

    name: str
    is_filtered: bool
    is_packed: bool
    by_table: str


PLAIN = FrameCodec("plain", is_filtered=False, is_packed=False, by_table="zstd")
"""Frames as the arrays lie in memory: the tables of format 1."""

DELTA = FrameCodec("delta", is_filtered=True, is_packed=False, by_table="zstd")
"""Filtered frames: the tables of formats 2 and 3."""

DELTA_LZ4 = FrameCodec("delta-lz4", is_filtered=True, is_packed=True, by_table="none")
RAW = FrameCodec("raw", is_filtered=False, is_packed=False, by_table="none")

CODECS = {codec.name: codec for codec in (PLAIN, DELTA, DELTA_LZ4, RAW)}


def codec_named(name: str) -> FrameCodec:
    """Return a codec by the name in a schema.

    Raises:
        DamagedTableError: If there is none; lists those that there are.
    """
    if name not in CODECS:
        raise DamagedTableError(
            f"the replay table stores its frames as {name!r}, known are {', '.join(CODECS)}"
        )
    return CODECS[name]


def to_column(packed: UInt8[np.ndarray, "n f"], codec: FrameCodec) -> pa.BinaryArray:
    """Return the column that stores frames, of the bytes that memory/replay/pixels.py made."""
    if codec.is_packed:
        return pa.array([_LZ4.compress(frame, asbytes=True) for frame in packed], pa.binary())
    offsets = np.arange(len(packed) + 1, dtype=np.int32) * np.int32(packed.shape[1])
    return pa.Array.from_buffers(
        pa.binary(), len(packed), [None, pa.py_buffer(offsets), pa.py_buffer(packed)]
    )


def of_column(
    column: pa.BinaryArray, codec: FrameCodec, num_bytes: int
) -> UInt8[np.ndarray, "n {num_bytes}"]:
    """Return the bytes of frames that a column stores, read-only if they still belong to it.

    Args:
        column: Frames without nulls.
        codec: Of their table.
        num_bytes: Bytes of one frame as an array.

    Raises:
        DamagedTableError: If a frame cannot be read or has another size.
    """
    _, offsets, content = column.buffers()
    ends = np.frombuffer(offsets, dtype=np.int32)[column.offset :][: len(column) + 1]
    if not codec.is_packed:
        if np.any(np.diff(ends) != num_bytes):
            raise DamagedTableError(f"a stored frame has not the {num_bytes} bytes of its table")
        stored = np.frombuffer(content, dtype=np.uint8)[ends[0] : ends[-1]]
        return stored.reshape(len(column), num_bytes)
    frames = np.empty((len(column), num_bytes), dtype=np.uint8)
    at = ends.tolist()
    try:
        for i, (begin, end) in enumerate(itertools.pairwise(at)):
            frame = _LZ4.decompress(content.slice(begin, end - begin), num_bytes)
            frames[i] = np.frombuffer(frame, dtype=np.uint8)
    except (pa.ArrowException, OSError) as error:
        raise DamagedTableError(f"a stored frame cannot be unpacked: {error}") from error
    return frames
