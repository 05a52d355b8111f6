"""The files of a LeRobot dataset: Parquet and video, a new one when the last is large enough."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import UInt8

from memory.export.extras import require

CHUNKS_SIZE = 1000
"""Files per folder."""
DATA_MB, VIDEO_MB = 100, 200
"""Size after which a file is ended, in MiB as LeRobot counts them."""

CODECS = ("libx264", "libsvtav1", "libvpx-vp9")
"""Encoders, the first that PyAV brings: H.264 is decoded everywhere."""
_OPTIONS = {
    # No frame waits for a later one, so that times in the file are those of the frames; every
    # second one stands alone, so that training may jump anywhere.
    "libx264": {"crf": "20", "preset": "veryfast", "bf": "0", "g": "2", "forced-idr": "1"},
    "libsvtav1": {"crf": "30", "preset": "8", "g": "2"},
    "libvpx-vp9": {"crf": "30", "b": "0", "g": "2", "deadline": "realtime", "lag-in-frames": "0"},
}
_MIB = 2**20


def next_file(chunk: int, file: int) -> tuple[int, int]:
    """Return the numbers of the file that follows."""
    return (chunk, file + 1) if file + 1 < CHUNKS_SIZE else (chunk + 1, 0)


class ParquetFiles:
    """Tables appended to files of one pattern.

    Args:
        root: Folder of the dataset.
        pattern: Path in it, with `chunk_index` and `file_index`.
        limit_mb: Size after which a file is ended.
    """

    def __init__(self, root: Path, pattern: str, limit_mb: float = DATA_MB) -> None:
        self._root, self._pattern, self._limit = root, pattern, limit_mb * _MIB
        self._writer: pq.ParquetWriter | None = None
        self._sink: pa.NativeFile | None = None
        self.chunk, self.file = 0, 0

    def write(self, table: pa.Table) -> None:
        """Append a table to the file `chunk`, `file`."""
        if self._writer is None or self._sink is None:
            path = self._root / self._pattern.format(chunk_index=self.chunk, file_index=self.file)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._sink = pa.OSFile(str(path), "wb")
            self._writer = pq.ParquetWriter(self._sink, table.schema, compression="snappy")
        self._writer.write_table(table)

    def turn(self) -> None:
        """Go on to the next file if this one is large enough."""
        if self._sink is not None and self._sink.tell() >= self._limit:
            self.close()
            self.chunk, self.file = next_file(self.chunk, self.file)

    def close(self) -> None:
        """End the file."""
        if self._writer is not None and self._sink is not None:
            self._writer.close()
            self._sink.close()
        self._writer = self._sink = None

    def drop(self) -> None:
        """Let go of a file that will be removed."""
        writer, sink, self._writer, self._sink = self._writer, self._sink, None, None
        if writer is not None and sink is not None:
            with contextlib.suppress(OSError, pa.ArrowException):
                writer.close()
            writer.is_open = False  # else it tries once more when it is collected
            with contextlib.suppress(OSError, pa.ArrowException):
                sink.close()


class VideoFiles:
    """Frames appended to videos of one camera.

    Args:
        root: Folder of the dataset.
        pattern: Path in it, with `chunk_index` and `file_index`.
        fps: Frames per second.
        limit_mb: Size after which a file is ended.

    Raises:
        MissingExtraError: If PyAV is not installed, or has no encoder.
    """

    def __init__(self, root: Path, pattern: str, fps: int, limit_mb: float = VIDEO_MB) -> None:
        self._av = require("av", "writing videos")
        self._root, self._pattern, self._fps = root, pattern, fps
        self._limit = limit_mb * _MIB
        self.encoder = next((name for name in CODECS if name in self._av.codecs_available), "")
        self._container: Any = None
        self._stream: Any = None
        self._path = root
        self.chunk, self.file = 0, 0
        self.num_frames = 0
        """Frames in the file so far."""
        self.info: dict[str, Any] = {}
        """How the videos are encoded, for `info.json`."""

    def write(self, rgb: UInt8[np.ndarray, "h w 3"], *, is_first: bool = False) -> None:
        """Append a frame; the first of an episode stands alone, so that episodes can be cut out."""
        if self._container is None:
            self._open(*rgb.shape[:2])
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        frame.pts = self.num_frames
        if is_first:
            frame.pict_type = self._av.video.frame.PictureType.I
        self._container.mux(self._stream.encode(frame))
        self.num_frames += 1

    def turn(self) -> None:
        """Go on to the next file if this one is large enough."""
        if self._container is not None and self._path.stat().st_size >= self._limit:
            self.close()
            self.chunk, self.file = next_file(self.chunk, self.file)

    def close(self) -> None:
        """End the file."""
        if self._container is not None:
            self._container.mux(self._stream.encode(None))
            self._container.close()
        self._container = None
        self.num_frames = 0

    def drop(self) -> None:
        """Let go of a file that will be removed."""
        container, self._container = self._container, None
        if container is not None:
            with contextlib.suppress(OSError, self._av.error.FFmpegError):
                container.close()

    def _open(self, height_px: int, width_px: int) -> None:
        path = self._root / self._pattern.format(chunk_index=self.chunk, file_index=self.file)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Colour at half the size needs even sides.
        is_even = height_px % 2 == 0 and width_px % 2 == 0
        self._path = path
        self._container = self._av.open(str(path), "w", format="mp4")
        self._stream = self._container.add_stream(
            self.encoder, rate=self._fps, options=_OPTIONS[self.encoder]
        )
        self._stream.width, self._stream.height = width_px, height_px
        self._stream.pix_fmt = "yuv420p" if is_even else "yuv444p"
        self._stream.codec_context.thread_count = 1
        self.info = {
            "video.height": height_px,
            "video.width": width_px,
            "video.codec": self._stream.codec.canonical_name,
            "video.pix_fmt": self._stream.pix_fmt,
            "video.is_depth_map": False,
            "video.fps": self._fps,
            "video.channels": 3,
            "has_audio": False,
        }
