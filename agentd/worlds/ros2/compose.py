"""Messages that a robot sends, from plain values; see `messages` for reading them.

Axis letters: h w image.
"""

import math
import sys
from typing import Any

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from agentd.worlds.ros2.codec import Codec
from agentd.worlds.ros2.images import IMAGE
from agentd.worlds.ros2.messages import BATTERY, CAMERA_INFO, ODOMETRY, TF, Lens, header, twist

_DISCHARGING, _GOOD = 2, 1


def odometry(
    codec: Codec,
    stamp_ns: int,
    frames: tuple[str, str],
    T_frame_child: Float64[np.ndarray, "4 4"],
    speeds: tuple[float, float],
) -> Any:
    """Return an Odometry.

    Args:
        codec: Knows the types.
        stamp_ns: By the robot's clock.
        frames: Frame of the pose, and the one whose pose it is.
        T_frame_child: Pose.
        speeds: Forward speed in m/s, turn rate in rad/s.
    """
    make, unknown = codec.type, np.zeros(36)
    point = make("geometry_msgs/msg/Point")(**_xyz(T_frame_child))
    pose = make("geometry_msgs/msg/Pose")(
        position=point, orientation=_rotation(codec, T_frame_child)
    )
    return make(ODOMETRY)(
        header=header(codec, stamp_ns, frames[0]),
        child_frame_id=frames[1],
        pose=make("geometry_msgs/msg/PoseWithCovariance")(pose=pose, covariance=unknown),
        twist=make("geometry_msgs/msg/TwistWithCovariance")(
            twist=twist(codec, *speeds), covariance=unknown
        ),
    )


def transform(
    codec: Codec,
    stamp_ns: int,
    parent: str,
    child: str,
    T_parent_child: Float64[np.ndarray, "4 4"],
) -> Any:
    """Return a TFMessage of one transform."""
    make = codec.type
    moved = make("geometry_msgs/msg/Transform")(
        translation=make("geometry_msgs/msg/Vector3")(**_xyz(T_parent_child)),
        rotation=_rotation(codec, T_parent_child),
    )
    stamped = make("geometry_msgs/msg/TransformStamped")(
        header=header(codec, stamp_ns, parent), child_frame_id=child, transform=moved
    )
    return make(TF)(transforms=[stamped])


def battery(codec: Codec, stamp_ns: int, share: float) -> Any:
    """Return a BatteryState that knows its charge, 0 to 1, and nothing else."""
    unknown, nan = np.zeros(0, np.float32), math.nan
    return codec.type(BATTERY)(
        header=header(codec, stamp_ns, ""),
        voltage=nan,
        temperature=nan,
        current=nan,
        charge=nan,
        capacity=nan,
        design_capacity=nan,
        percentage=share,
        power_supply_status=_DISCHARGING,
        power_supply_health=_GOOD,
        power_supply_technology=0,
        present=True,
        cell_voltage=unknown,
        cell_temperature=unknown,
        location="",
        serial_number="",
    )


def camera_info(codec: Codec, stamp_ns: int, frame: str, lens: Lens) -> Any:
    """Return a CameraInfo of an image that is not rectified."""
    make = codec.type
    fx, fy, cx, cy = lens.fx_px, lens.fy_px, lens.cx_px, lens.cy_px
    return make(CAMERA_INFO)(
        header=header(codec, stamp_ns, frame),
        height=lens.height_px,
        width=lens.width_px,
        distortion_model=lens.model or "plumb_bob",
        d=np.array(lens.distortion or (0.0,) * 5, dtype=np.float64),
        k=np.array([fx, 0, cx, 0, fy, cy, 0, 0, 1], dtype=np.float64),
        r=np.eye(3).ravel(),
        p=np.array([fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, 1, 0], dtype=np.float64),
        binning_x=0,
        binning_y=0,
        roi=make("sensor_msgs/msg/RegionOfInterest")(
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        ),
    )


def image(codec: Codec, stamp_ns: int, frame: str, encoding: str, pixels: np.ndarray) -> Any:
    """Return an Image of pixels (h w, or h w and channels), in this machine's byte order."""
    height, width = pixels.shape[:2]
    data = np.ascontiguousarray(pixels).view(np.uint8).ravel()
    return codec.type(IMAGE)(
        header=header(codec, stamp_ns, frame),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(sys.byteorder == "big"),
        step=data.size // height,
        data=data,
    )


def _xyz(T: Float64[np.ndarray, "4 4"]) -> dict[str, float]:
    return {name: float(T[k, 3]) for k, name in enumerate("xyz")}


def _rotation(codec: Codec, T: Float64[np.ndarray, "4 4"]) -> Any:
    x, y, z, w = (float(value) for value in Rotation.from_matrix(T[:3, :3]).as_quat())
    return codec.type("geometry_msgs/msg/Quaternion")(x=x, y=y, z=z, w=w)
