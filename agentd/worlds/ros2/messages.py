"""What the messages of a robot say, as plain values; and the commands that it is sent.

Frames as in `memory.records`: `T_a_b` maps points of b into a.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from agentd.worlds.ros2.codec import Codec
from agentd.worlds.ros2.link import LinkError

CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
ODOMETRY = "nav_msgs/msg/Odometry"
BATTERY = "sensor_msgs/msg/BatteryState"
TF = "tf2_msgs/msg/TFMessage"
TWIST = "geometry_msgs/msg/Twist"
TWIST_STAMPED = "geometry_msgs/msg/TwistStamped"
BOOL = "std_msgs/msg/Bool"
HAZARDS = "irobot_create_msgs/msg/HazardDetectionVector"
KOBUKI_BUMPER = "kobuki_ros_interfaces/msg/BumperEvent"
BUMPER_TYPES = (BOOL, HAZARDS, KOBUKI_BUMPER)

_BUMP, _CLIFF, _STALL, _WHEEL_DROP = 1, 2, 3, 4
_NS = 1_000_000_000


class BadMessageError(LinkError):
    """A message was read and says what cannot be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lens:
    """A camera by its CameraInfo.

    Attributes:
        width_px: Width of the full image.
        height_px: Height of the full image.
        fx_px: Focal lengths and principal point; pixel centres lie at integers, as ROS has it.
        fy_px: Focal length along y.
        cx_px: Principal point, x.
        cy_px: Principal point, y.
        distortion: Coefficients of `model`; empty for none.
        model: plumb_bob, rational_polynomial, equidistant, or "" for none.
    """

    width_px: int
    height_px: int
    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    distortion: tuple[float, ...] = ()
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Odometry:
    """Where the wheels (or whatever counts) say that the body is.

    Attributes:
        stamp_ns: By the robot's clock.
        frame: Frame of the pose.
        child: Frame whose pose it is; the speeds are in it.
        T_frame_child: Pose.
        v_mps: Forward speed.
        w_radps: Turn rate, to the left.
    """

    stamp_ns: int
    frame: str
    child: str
    T_frame_child: Float64[np.ndarray, "4 4"]
    v_mps: float
    w_radps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """What bumper, cliff and drop sensors feel."""

    is_bumped: bool = False
    is_cliff: bool = False
    is_lifted: bool = False

    @property
    def text(self) -> str:
        """In words, "" for nothing."""
        felt = {"bump": self.is_bumped, "cliff": self.is_cliff, "wheel drop": self.is_lifted}
        return ", ".join(name for name, is_felt in felt.items() if is_felt)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link3D:
    """One transform as it was said: `T_parent_child` at a time."""

    stamp_ns: int
    parent: str
    child: str
    T_parent_child: Float64[np.ndarray, "4 4"]


def stamp_of(message: Any) -> int | None:
    """Return the time in a message's header, ns of the robot's clock; None without a header."""
    header = getattr(message, "header", None)
    if header is None:
        return None
    return int(header.stamp.sec) * _NS + int(header.stamp.nanosec)


def frame_of(message: Any) -> str:
    """Return the frame in a message's header, without the slash that ROS 1 puts before it."""
    return str(message.header.frame_id).removeprefix("/")


def se3(translation: Any, rotation: Any, what: str) -> Float64[np.ndarray, "4 4"]:
    """Return the transform of a translation and a quaternion.

    Raises:
        BadMessageError: If a number is not finite or the quaternion is none.
    """
    x, y, z, w = (float(getattr(rotation, k)) for k in "xyzw")
    t = [float(getattr(translation, k)) for k in "xyz"]
    norm = math.sqrt(x * x + y * y + z * z + w * w)
    if not all(map(math.isfinite, (norm, *t))) or norm < 0.5:
        raise BadMessageError(f"{what}: translation {t}, quaternion {[x, y, z, w]}")
    x, y, z, w = x / norm, y / norm, z / norm, w / norm
    T = np.eye(4)
    T[:3, :3] = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    T[:3, 3] = t
    return T


def read_odometry(message: Any, topic: str) -> Odometry:
    """Return what a nav_msgs Odometry says.

    Raises:
        BadMessageError: If a number in it is not finite.
    """
    pose, twist = message.pose.pose, message.twist.twist
    v, w = float(twist.linear.x), float(twist.angular.z)
    if not (math.isfinite(v) and math.isfinite(w)):
        raise BadMessageError(f"{topic}: speeds of {v} m/s and {w} rad/s")
    return Odometry(
        stamp_ns=stamp_of(message) or 0,
        frame=frame_of(message),
        child=str(message.child_frame_id).removeprefix("/"),
        T_frame_child=se3(pose.position, pose.orientation, topic),
        v_mps=v,
        w_radps=w,
    )


def read_lens(message: Any, topic: str) -> Lens:
    """Return the camera of a CameraInfo.

    Raises:
        BadMessageError: If the camera is not calibrated, or its distortion unknown.
    """
    matrix = np.asarray(getattr(message, "k", getattr(message, "K", ())), dtype=np.float64)
    lens = Lens(
        width_px=int(message.width),
        height_px=int(message.height),
        fx_px=float(matrix[0]),
        fy_px=float(matrix[4]),
        cx_px=float(matrix[2]),
        cy_px=float(matrix[5]),
        distortion=tuple(float(v) for v in getattr(message, "d", getattr(message, "D", ()))),
        model=str(message.distortion_model),
    )
    if min(lens.fx_px, lens.fy_px) <= 0 or min(lens.width_px, lens.height_px) <= 0:
        raise BadMessageError(
            f"{topic}: the camera is not calibrated (focal length {lens.fx_px:g} x "
            f"{lens.fy_px:g} px, image {lens.width_px} x {lens.height_px} px)"
        )
    if any(lens.distortion) and lens.model not in DISTORTIONS:
        raise BadMessageError(
            f"{topic}: distortion model {lens.model!r}; accepted: {', '.join(DISTORTIONS)}, "
            f"or a rectified image"
        )
    return lens


DISTORTIONS = ("plumb_bob", "rational_polynomial", "equidistant")


def read_battery(message: Any) -> float:
    """Return the charge, 0 to 1, NaN where the robot does not know it.

    Some drivers say per cent where the definition wants a share.
    """
    share = float(message.percentage)
    if 1.5 < share <= 100:
        share /= 100
    return share if 0 <= share <= 1.5 else math.nan


def read_touch(message: Any) -> Touch:
    """Return what a message of one of `BUMPER_TYPES` tells of the body's skin."""
    if hasattr(message, "detections"):
        kinds = {int(hazard.type) for hazard in message.detections}
        return Touch(
            is_bumped=bool(kinds & {_BUMP, _STALL}),
            is_cliff=_CLIFF in kinds,
            is_lifted=_WHEEL_DROP in kinds,
        )
    return Touch(is_bumped=bool(message.data if hasattr(message, "data") else message.state))


def read_transforms(message: Any, topic: str) -> list[Link3D]:
    """Return the transforms in a TFMessage.

    Raises:
        BadMessageError: If a number is not finite.
    """
    found = []
    for t in message.transforms:
        parent, child = frame_of(t), str(t.child_frame_id).removeprefix("/")
        T = se3(t.transform.translation, t.transform.rotation, f"{topic}: {parent} -> {child}")
        stamp_ns = stamp_of(t) or 0
        found.append(Link3D(stamp_ns=stamp_ns, parent=parent, child=child, T_parent_child=T))
    return found


def header(codec: Codec, stamp_ns: int, frame: str) -> Any:
    """Return a std_msgs Header."""
    time = codec.type("builtin_interfaces/msg/Time")(sec=stamp_ns // _NS, nanosec=stamp_ns % _NS)
    cls = codec.type("std_msgs/msg/Header")
    sequence = {"seq": 0} if "seq" in cls.__dataclass_fields__ else {}  # ROS 1
    return cls(**sequence, stamp=time, frame_id=frame)


def twist(codec: Codec, v_mps: float, w_radps: float) -> Any:
    """Return a Twist that drives forward and turns left."""
    vector = codec.type("geometry_msgs/msg/Vector3")
    return codec.type(TWIST)(
        linear=vector(x=v_mps, y=0.0, z=0.0), angular=vector(x=0.0, y=0.0, z=w_radps)
    )


def twist_stamped(
    codec: Codec, v_mps: float, w_radps: float, stamp_ns: int, frame: str = "base_link"
) -> Any:
    """Return a TwistStamped that drives forward and turns left."""
    return codec.type(TWIST_STAMPED)(
        header=header(codec, stamp_ns, frame), twist=twist(codec, v_mps, w_radps)
    )
