"""Settings of reading a log."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class StreamsConfig(BaseModel):
    """Where in a log what is. Empty: found by type and name; what was taken is told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    colour: str = ""
    """Topic of the colour images; of a dataset: the feature."""
    depth: str = ""
    """Topic of the depth images; `none`: read without depth."""
    colour_info: str = ""
    """Topic of the colour camera's intrinsics."""
    depth_info: str = ""
    """Topic of the depth camera's intrinsics."""
    odometry: str = ""
    """Topic of the pose; `tf`: the chain of transforms from `world_frame` to `body_frame`."""
    command: str = ""
    """Topic of the commanded velocity; `none`: actions are derived from the motion."""
    bumps: tuple[str, ...] = ()
    """Topics that tell collisions."""
    world_frame: str = ""
    """Frame of the pose, with `odometry = "tf"`: map, else odom."""
    body_frame: str = ""
    """Frame on the floor below the middle of the robot: base_footprint, else what odometry names,
    else base_link."""
    camera_frame: str = ""
    """Optical frame of the colour camera: what its images name."""
    ros_distro: str = "humble"
    """Whose message definitions are taken where a ROS 2 bag brings none."""


class ResampleConfig(BaseModel):
    """How streams of their own rates become steps."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    master: Literal["colour", "depth"] = "colour"
    """Whose times are the times of the steps."""
    clock: Literal["header", "log"] = "header"
    """`header`: when it was sensed; `log`: when it was written, where headers are wrong."""
    depth_s: float = Field(0.1, gt=0)
    """The nearest depth image (with master depth: colour image) may be this far away."""
    pose_s: float = Field(0.25, gt=0)
    """Poses are interpolated between neighbours that are at most twice this apart; a single one is
    taken within this."""
    command_s: float = Field(0.5, gt=0)
    """An older command counts as none, as on a robot with a watchdog."""
    wait_s: float = Field(0.5, gt=0)
    """How much later than an image what belongs to it may have been written."""
    gap_s: float = Field(1.0, gt=0)
    """A longer time without a step cuts the episode."""
    jump_mps: float = Field(4.0, gt=0)
    """A pose that moves faster was set by somebody: that cuts the episode, too."""
    planar: bool = True
    """The body drives on a floor at height 0: of its pose only x, y and yaw are taken."""
    depth_unit_m: float | None = Field(None, gt=0)
    """Metres per unit of depth. Unset: a millimetre for whole numbers, a metre for fractions."""
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """x_m, y_m, yaw_rad of the log's world frame in the life's: for a second log of one place."""
