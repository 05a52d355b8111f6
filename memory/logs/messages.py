"""What ROS messages mean, by their types: poses, commands, collisions, intrinsics."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float64

from memory.logs.errors import LogError
from memory.logs.samples import Bump, Camera, Command, Pose
from memory.logs.transforms import matrix_of

IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
TRANSFORMS = ("tf2_msgs/msg/TFMessage", "tf/msg/tfMessage")
ODOMETRY = "nav_msgs/msg/Odometry"

_TOUCHED = 1
"""Type BUMP of irobot_create_msgs/HazardDetection."""


def stamp_of(message: Any) -> int | None:
    """Return the time of the header, None where there is none or it was left empty."""
    header = getattr(message, "header", None)
    if header is None:
        return None
    stamp_ns = int(header.stamp.sec) * 10**9 + int(header.stamp.nanosec)
    return stamp_ns or None


def frame_of(message: Any) -> str:
    """Return the frame that the header names."""
    return str(message.header.frame_id).removeprefix("/")


def _pose(pose: Any) -> Pose:
    at, turned = pose.position, pose.orientation
    return checked(
        Pose(
            (float(at.x), float(at.y), float(at.z)),
            (float(turned.x), float(turned.y), float(turned.z), float(turned.w)),
        )
    )


def checked(pose: Pose) -> Pose:
    """Return a pose that is one.

    Raises:
        ValueError: If it holds something that is no number, or a quaternion that is none.
    """
    if not all(map(math.isfinite, (*pose.xyz_m, *pose.quaternion))):
        raise ValueError("a pose that is not finite")
    length = math.sqrt(sum(part * part for part in pose.quaternion))
    if not 0.9 < length < 1.1:
        raise ValueError(f"a quaternion of length {length:.2g}")
    return pose


def _command(twist: Any) -> Command:
    v, w = float(twist.linear.x), float(twist.angular.z)
    if not (math.isfinite(v) and math.isfinite(w)):
        raise ValueError("a command that is not finite")
    return Command(v, w)


POSES: Mapping[str, Callable[[Any], Pose]] = {
    ODOMETRY: lambda m: _pose(m.pose.pose),
    "geometry_msgs/msg/PoseStamped": lambda m: _pose(m.pose),
    "geometry_msgs/msg/PoseWithCovarianceStamped": lambda m: _pose(m.pose.pose),
}
COMMANDS: Mapping[str, Callable[[Any], Command]] = {
    "geometry_msgs/msg/Twist": _command,
    "geometry_msgs/msg/TwistStamped": lambda m: _command(m.twist),
}
BUMPS: Mapping[str, Callable[[Any], Bump]] = {
    "std_msgs/msg/Bool": lambda m: Bump(bool(m.data)),
    "kobuki_msgs/msg/BumperEvent": lambda m: Bump(int(m.state) != 0),
    "kobuki_ros_interfaces/msg/BumperEvent": lambda m: Bump(int(m.state) != 0),
    "irobot_create_msgs/msg/HazardDetectionVector": lambda m: Bump(
        any(int(d.type) == _TOUCHED for d in m.detections)
    ),
    "create_msgs/msg/Bumper": lambda m: Bump(bool(m.is_left_pressed or m.is_right_pressed)),
    "ca_msgs/msg/Bumper": lambda m: Bump(bool(m.is_left_pressed or m.is_right_pressed)),
    "gazebo_msgs/msg/ContactsState": lambda m: Bump(len(m.states) > 0),
    "ros_gz_interfaces/msg/Contacts": lambda m: Bump(len(m.contacts) > 0),
}


def transforms_of(message: Any) -> list[tuple[str, str, int | None, Float64[np.ndarray, "4 4"]]]:
    """Return parent, child, time and `T_parent_child` of each transform of a message."""
    found = []
    for item in message.transforms:
        at, turned = item.transform.translation, item.transform.rotation
        pose = checked(
            Pose(
                (float(at.x), float(at.y), float(at.z)),
                (float(turned.x), float(turned.y), float(turned.z), float(turned.w)),
            )
        )
        child = str(item.child_frame_id).removeprefix("/")
        found.append((frame_of(item), child, stamp_of(item), matrix_of(pose)))
    return found


def camera_of(message: Any, *, rectified: bool) -> tuple[Camera, str]:
    """Return the intrinsics of a CameraInfo, and what to know about them.

    Args:
        message: The message, of ROS 1 or 2.
        rectified: Whether the images were undistorted: then the projection matrix holds.

    Raises:
        LogError: If it is not calibrated.
    """
    k = np.asarray(getattr(message, "k", getattr(message, "K", None)), dtype=np.float64)
    p = np.asarray(getattr(message, "p", getattr(message, "P", None)), dtype=np.float64)
    d = np.asarray(getattr(message, "d", getattr(message, "D", ())), dtype=np.float64)
    numbers = (p[0], p[5], p[2], p[6]) if rectified and p[0] > 0 else (k[0], k[4], k[2], k[5])
    fx, fy, cx, cy = (float(v) for v in numbers)
    if not (fx > 0 and fy > 0 and math.isfinite(fx + fy + cx + cy)):
        raise LogError(f"a camera info that is not calibrated (focal length {fx:g} x {fy:g})")
    note = ""
    if not rectified and d.size and float(np.abs(d).max()) > 0.01:
        note = (
            f"the lens distorts (largest coefficient {float(np.abs(d).max()):.2f}), which is not "
            "corrected: rectified images are better"
        )
    camera = Camera(
        width_px=int(message.width),
        height_px=int(message.height),
        fx_px=fx,
        fy_px=fy,
        cx_px=cx + 0.5,  # ROS puts the middle of a pixel at a whole number
        cy_px=cy + 0.5,
        frame=frame_of(message),
    )
    return camera, note
