"""What one robot is: its topics, frames, camera, size and limits, and what may be stale.

The defaults are those of a plain differential base; `configs/robots/*.toml` are other robots.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from configs.bodies.ros2_link import LinkConfig


class TopicsConfig(BaseModel):
    """Names of the robot's topics; "" where it has none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rgb: str = "/camera/color/image_raw"
    """sensor_msgs Image or CompressedImage."""
    depth: str = "/camera/aligned_depth_to_color/image_raw"
    """Depth as the colour camera sees it: Image (16UC1, 32FC1) or compressedDepth."""
    camera_info: str = "/camera/color/camera_info"
    """Of the colour image. "": `lens` is used."""
    odom: str = "/odom"
    """nav_msgs Odometry."""
    tf: str = "/tf"
    tf_static: str = "/tf_static"
    bumper: str = ""
    """std_msgs Bool, irobot_create_msgs HazardDetectionVector or kobuki_ros_interfaces
    BumperEvent."""
    battery: str = "/battery_state"
    command: str = "/cmd_vel"


class FramesConfig(BaseModel):
    """Names of the robot's coordinate frames."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: str = "base_link"
    """On the floor under the robot's centre, x forward; what `radius_m` is measured from."""
    world: str = "odom"
    """Frame that the memory is in. With `pose = "odometry"` the frame of the odometry itself."""
    camera: str = ""
    """Optical frame of the colour camera; "": as the images say."""


class LensConfig(BaseModel):
    """Pinhole camera and mount, for a robot that publishes neither camera_info nor transforms."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width_px: int = Field(0, ge=0)
    """0: there is no fallback, the topics have to be there."""
    height_px: int = Field(0, ge=0)
    hfov_deg: float = Field(69.0, gt=10, lt=150)
    has_mount: bool = False
    """Use the mount below instead of the transform from base to camera."""
    forward_m: float = 0.0
    left_m: float = 0.0
    height_m: float = 0.0
    pitch_rad: float = 0.0
    """Positive looks down."""


class LimitsConfig(BaseModel):
    """How old what the robot says may be, in seconds, by its header and by its arrival."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    odom_s: float = Field(0.3, gt=0)
    """With an older pose the body is not driven."""
    camera_s: float = Field(1.0, gt=0)
    """How long after a tick a new image, with its depth and pose, may take to come."""
    battery_s: float = Field(30.0, gt=0)
    frozen_s: float = Field(1.0, gt=0)
    """Byte-identical images for this long while the body moves: the camera is frozen."""
    clock_s: float = Field(0.5, gt=0)
    """Stamps that leap ahead by this much: the robot's clock was set. One that is set back looks
    like late messages and counts as silence until the next episode."""


class Ros2Robot(BaseModel):
    """Everything that differs between robots, whatever link reaches them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    link: LinkConfig = LinkConfig()
    topics: TopicsConfig = TopicsConfig()
    frames: FramesConfig = FramesConfig()
    lens: LensConfig = LensConfig()
    limits: LimitsConfig = LimitsConfig()
    pose: Literal["odometry", "tf"] = "odometry"
    """Where the pose comes from: the odometry topic, or the transforms (a localised `map`)."""
    sync_s: float = Field(0.05, gt=0)
    """Largest difference between the stamps of colour and depth."""
    pose_gap_s: float = Field(0.15, gt=0)
    """Poses further apart than this are not interpolated between."""
    radius_m: float = Field(0.2, gt=0)
    """Radius of the footprint."""
    height_m: float = Field(0.4, gt=0)
    """What is higher than this is no obstacle."""
    depth_min_m: float = Field(0.1, ge=0)
    depth_max_m: float = Field(8.0, gt=0)
    """Beyond it there is no return."""
    v_max_mps: float = Field(0.3, gt=0, le=2)
    w_max_radps: float = Field(0.8, gt=0, le=5)
    command_type: Literal["auto", "twist", "twist_stamped"] = "auto"
    """auto: the type that others command it with, where somebody does, else by the distribution
    (stamped from jazzy on)."""
