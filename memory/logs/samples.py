"""What readers of logs give: streams of samples, and what is known about the whole.

Axis letters: h w image.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from jaxtyping import Float64

if TYPE_CHECKING:
    from PIL.Image import Image


class Kind(StrEnum):
    """What a sample tells."""

    COLOUR = "colour"
    DEPTH = "depth"
    POSE = "pose"
    COMMAND = "command"
    BUMP = "bump"


@dataclass(frozen=True, slots=True)
class Picture:
    """An image that was not decoded yet.

    Attributes:
        colour: Returns the image; it may be smaller than recorded, but not than the given size.
            None for depth.
        depth: Returns the depth as recorded and metres per unit. None for colour.
        anywhere: Whether it may be decoded by any thread and in any order; a frame of a video
            follows from the one before.
        packed: Whether decoding takes so long that a thread of its own is worth it.
    """

    colour: "Callable[[tuple[int, int]], Image] | None" = None
    depth: Callable[[], tuple[np.ndarray, float]] | None = None
    anywhere: bool = False
    packed: bool = False


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the body was: position and unit quaternion (x, y, z, w) in the log's world frame."""

    xyz_m: tuple[float, float, float]
    quaternion: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Command:
    """A commanded velocity."""

    v_mps: float
    w_radps: float


@dataclass(frozen=True, slots=True)
class Bump:
    """Whether something is touched from now on."""

    pressed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One message of one stream.

    Attributes:
        kind: What it tells.
        topic: Where it comes from.
        stamp_ns: When it was sensed, by its header; None without one.
        logged_ns: When it was written.
        value: What it says.
    """

    kind: Kind
    topic: str
    stamp_ns: int | None
    logged_ns: int
    value: Picture | Pose | Command | Bump


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """Intrinsics of recorded images; pixel centres lie at integer + 0.5, as in `BodySpec`.

    Attributes:
        width_px: Width.
        height_px: Height.
        fx_px: Focal length along x.
        fy_px: Focal length along y.
        cx_px: Principal point, x.
        cy_px: Principal point, y.
        frame: Name of its optical frame.
    """

    width_px: int
    height_px: int
    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    frame: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One topic or feature of a log.

    Attributes:
        name: Name.
        type: Type of its messages.
        count: Messages.
        role: What it is read for, "" for nothing.
        format: Encoding of images.
    """

    name: str
    type: str
    count: int
    role: str = ""
    format: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSummary:
    """What is known about a log before it is read.

    Attributes:
        format: rosbag2 (mcap), rosbag2 (sqlite3), rosbag1 or lerobot.
        start_ns: Time of the first message, by the recorder's clock.
        end_ns: Time of the last message.
        streams: All of them.
        camera: Of the colour images, None if the log does not tell.
        depth_camera: Of the depth images, None if the log does not tell or they are aligned.
        T_body_camera: Camera points into the body frame, None if the log does not tell.
        T_colour_depth: Depth camera points into the colour camera, None where that is the same.
        size_px: Width and height of the colour images.
        period_s: Mean time between two images of the master stream.
        notes: What was guessed, and what a person should know.
        missing: What the log lacks, each with what would help, by "camera" or "mount".
    """

    format: str
    start_ns: int
    end_ns: int
    streams: tuple[Stream, ...]
    camera: Camera | None
    depth_camera: Camera | None
    T_body_camera: Float64[np.ndarray, "4 4"] | None
    T_colour_depth: Float64[np.ndarray, "4 4"] | None
    size_px: tuple[int, int]
    period_s: float
    notes: tuple[str, ...] = ()
    missing: dict[str, str] = field(default_factory=dict)

    def role(self, kind: Kind) -> tuple[str, ...]:
        """Return the names of the streams that are read for something."""
        return tuple(s.name for s in self.streams if s.role == kind.value)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "format": self.format,
            "start_s": self.start_ns / 1e9,
            "end_s": self.end_ns / 1e9,
            "seconds": (self.end_ns - self.start_ns) / 1e9,
            "streams": [
                {
                    "name": s.name,
                    "type": s.type,
                    "count": s.count,
                    "role": s.role or None,
                    "format": s.format or None,
                }
                for s in self.streams
            ],
            "image_px": list(self.size_px),
            "notes": list(self.notes),
            "missing": dict(self.missing),
        }


class LogReader(Protocol):
    """One log, whatever its format."""

    @property
    def summary(self) -> LogSummary:
        """What is known about it."""
        ...

    @property
    def broken(self) -> str:
        """Why the last reading ended before the end of the log, "" if it did not."""
        ...

    @property
    def undecodable(self) -> dict[str, int]:
        """How many messages of the last reading could not be decoded, by topic and reason."""
        ...

    def samples(self, kinds: Collection[Kind]) -> Iterator[Sample]:
        """Yield samples in the order in which they were written, from the beginning.

        What cannot be decoded is counted and left out; where the log is damaged the stream ends
        and `broken` says why.
        """
        ...

    def close(self) -> None:
        """Let go of the files; quiet when called twice."""
        ...
