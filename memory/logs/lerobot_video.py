"""Frames of a dataset's videos, one after the other."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory.logs.errors import ImageError, LogError

if TYPE_CHECKING:
    from PIL.Image import Image

_SEEK_S = 3.0
"""Farther ahead than this a key frame is looked for; nearer frames are decoded on the way."""


class VideoFrames:
    """Decodes frames in the order in which they are asked for; going back costs a seek.

    Args:
        root: Folder of the dataset.
        pattern: Path of a video in it.

    Raises:
        LogError: If PyAV is not installed.
    """

    def __init__(self, root: Path, pattern: str) -> None:
        try:
            import av
        except ImportError as error:
            raise LogError(
                "the videos of a LeRobot dataset need an extra: pip install 'agentd[logs]'"
            ) from error
        self._av = av
        self._root, self._pattern = root, pattern
        self._path: Path | None = None
        self._container: Any = None
        self._frames: Any = None
        self._newest: Any = None

    def at(self, place: dict[str, Any], at_s: float) -> "Image":
        """Return the frame that is shown at a time.

        Args:
            place: Fills the pattern.
            at_s: Seconds from the beginning of the file.

        Raises:
            ImageError: If the video has no such frame, or cannot be decoded.
        """
        path = self._root / self._pattern.format(**place)
        try:
            if path != self._path:
                self._open(path)
            stream = next(iter(self._container.streams.video), None)
            if stream is None or not stream.average_rate:
                raise ValueError("it has no pictures at a steady rate")
            half_s = 0.5 / float(stream.average_rate)
            newest = self._newest
            if newest is None or not 0 <= at_s - newest.time + half_s < _SEEK_S:
                self._container.seek(int(max(0.0, at_s - half_s) / stream.time_base), stream=stream)
                self._frames, newest = self._container.decode(stream), None
            while newest is None or newest.time < at_s - half_s:
                newest = next(self._frames)
                if newest.time is None:
                    raise ValueError("a frame has no time")
                self._newest = newest
            image: Image = newest.to_image()
            return image
        except StopIteration:
            self._newest = None
            raise ImageError(f"{path} ends before {at_s:.2f} s") from None
        except (OSError, ValueError, self._av.FFmpegError) as error:
            self._newest = None
            raise ImageError(f"{path} cannot be decoded: {error}") from error

    def close(self) -> None:
        """Close the video."""
        if self._container is not None:
            self._container.close()
        self._container = self._frames = self._newest = self._path = None

    def _open(self, path: Path) -> None:
        self.close()
        self._container = self._av.open(str(path))
        self._path = path
