"""A recorded log, played back; and the body of a life that logs are imported into."""

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from configs.bodies.base import BodyConfig
from memory.logs.config import ResampleConfig, StreamsConfig


class RecordedConfig(BodyConfig):
    """A recorded log. What is unset is taken from the log."""

    BORN_WITH: ClassVar[tuple[str, ...]] = (
        "name",
        "width_px",
        "height_px",
        "fx_px",
        "fy_px",
        "cx_px",
        "cy_px",
        "mount",
        "radius_m",
        "height_m",
        "v_max_mps",
        "w_max_radps",
        "tick_s",
        "depth_max_m",
    )

    SIMULATED: ClassVar[bool] = True
    GUARDED: ClassVar[bool] = False

    log: str = ""
    """Folder or file of the log that is played: rosbag2, .mcap, .db3, .bag or a LeRobot dataset."""
    at_end: Literal["close", "again"] = "close"
    """At its end the log closes, and the life waits; or it begins again."""
    name: str = Field("recorded", min_length=1)
    """Name of the robot."""
    width_px: int = Field(64, ge=16, le=640)
    """Width of the body's images: recorded ones are cut to their shape and resized."""
    height_px: int = Field(64, ge=16, le=640)
    """Height of the body's images."""
    fx_px: float | None = Field(None, gt=0)
    """Focal length of the body's images along x. Unset: by the log, or `hfov_deg`."""
    fy_px: float | None = Field(None, gt=0)
    """The same along y."""
    cx_px: float | None = None
    """Principal point of the body's images, x."""
    cy_px: float | None = None
    """The same, y."""
    mount: tuple[float, ...] | None = None
    """The 12 numbers of the upper rows of T_body_camera. Unset: by the log, or `camera_*`."""
    hfov_deg: float | None = Field(None, gt=10, lt=170)
    """Width of view of the recorded images, for a log that does not tell."""
    camera_forward_m: float = 0.0
    """Distance of the camera in front of the body's middle, for a log that does not tell."""
    camera_height_m: float | None = Field(None, gt=0)
    """Its height above the floor: must be set where the log does not tell."""
    camera_pitch_rad: float = Field(0.0, gt=-1.6, lt=1.6)
    """Its tilt, positive looks down."""
    radius_m: float = Field(0.2, gt=0, le=2)
    """Radius of the footprint."""
    height_m: float = Field(0.5, gt=0, le=3)
    """Height of the body."""
    v_max_mps: float | None = Field(None, gt=0, le=10)
    """Largest forward speed. Unset: the largest of the log."""
    w_max_radps: float | None = Field(None, gt=0, le=20)
    """Largest turn rate. Unset: the largest of the log."""
    tick_s: float = Field(0.2, gt=0, le=2)
    """Time between two steps."""
    depth_max_m: float = Field(10.0, gt=0)
    """Farther returns are taken for none."""
    streams: StreamsConfig = StreamsConfig()
    resample: ResampleConfig = ResampleConfig()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.mount is not None and len(self.mount) != 12:
            raise ValueError(f"mount has {len(self.mount)} numbers, expected 12")
        inner = (self.fx_px, self.fy_px, self.cx_px, self.cy_px)
        if any(v is not None for v in inner) and any(v is None for v in inner):
            raise ValueError("of fx_px, fy_px, cx_px and cy_px set all or none")
        return self

    @property
    def place(self) -> str:
        """Which log."""
        return f"log {Path(self.log).name}" if self.log else f"imported logs of {self.name}"
