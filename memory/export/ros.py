"""Rows of a life as ROS messages.

Frames (REP 105): `map` is the world frame, `odom` lies on it (a life keeps one localised pose),
`base_link` is the body, `camera_color_optical_frame` the camera. Colour and depth come from one
camera, so that both use its frame.
"""

import io
from typing import Any, Literal, Protocol

import numpy as np
from jaxtyping import Float64, UInt8, UInt16
from PIL import Image

from memory.frames import inverse
from memory.records import BodySpec, Transition
from memory.replay.rows import to_millimetres
from memory.rotations import quaternions_of

MAP, ODOM, BASE = "map", "odom", "base_link"
CAMERA = "camera_color_optical_frame"

COLOR = "/camera/color/image_raw/compressed"
COLOR_INFO = "/camera/color/camera_info"
DEPTH = "/camera/depth/image_raw/compressed"
RAW_DEPTH = "/camera/depth/image_raw"
DEPTH_INFO = "/camera/depth/camera_info"
TF, TF_STATIC = "/tf", "/tf_static"
ODOMETRY = "/odom"
COMMAND = "/cmd_vel"
MARKERS = "/agentd/belief_markers"
LOG = "/rosout"

DepthForm = Literal["png", "raw"]
"""How depth is written: as PNG of 16 bits, which all viewers show and image_transport decodes, or
as plain images, twice as large, of which viewers make clouds of points."""

CHANNELS = {
    COLOR: "sensor_msgs/msg/CompressedImage",
    COLOR_INFO: "sensor_msgs/msg/CameraInfo",
    DEPTH: "sensor_msgs/msg/CompressedImage",
    RAW_DEPTH: "sensor_msgs/msg/Image",
    DEPTH_INFO: "sensor_msgs/msg/CameraInfo",
    TF: "tf2_msgs/msg/TFMessage",
    TF_STATIC: "tf2_msgs/msg/TFMessage",
    ODOMETRY: "nav_msgs/msg/Odometry",
    COMMAND: "geometry_msgs/msg/TwistStamped",
    MARKERS: "visualization_msgs/msg/MarkerArray",
    LOG: "rcl_interfaces/msg/Log",
}
"""Type of every ROS topic."""

JPEG_QUALITY = 90
_LEVEL_INFO, _LEVEL_WARN = 20, 30


class Types(Protocol):
    """Where classes of messages come from."""

    def type(self, msgtype: str) -> Any: ...


class RosMessages:
    """Makes messages of rows; remembers the row before, for the speed.

    Args:
        types: Classes of messages.
        spec: The body.
        depth: How depth is written.
    """

    def __init__(self, types: Types, spec: BodySpec, depth: DepthForm = "png") -> None:
        self._spec, self._depth = spec, depth
        self._before: tuple[int, int] | None = None
        self.time = types.type("builtin_interfaces/msg/Time")
        self.header_type = types.type("std_msgs/msg/Header")
        self.vector = types.type("geometry_msgs/msg/Vector3")
        self.point = types.type("geometry_msgs/msg/Point")
        self.quaternion = types.type("geometry_msgs/msg/Quaternion")
        self.pose_type = types.type("geometry_msgs/msg/Pose")
        self._types = types
        self._T_camera_body = inverse(spec.T_body_camera)

    def static(self, stamp_ns: int) -> dict[str, Any]:
        """Return what holds for the whole span."""
        transforms = [
            self._transform(stamp_ns, MAP, ODOM, np.eye(4)),
            self._transform(stamp_ns, BASE, CAMERA, self._spec.T_body_camera),
        ]
        return {TF_STATIC: self._types.type(CHANNELS[TF_STATIC])(transforms=transforms)}

    def of_row(self, row: Transition) -> dict[str, Any]:
        """Return the messages of a row by topic, stamped with its own time."""
        seen = row.observation
        stamp_ns = seen.stamp_ns
        T_world_body = seen.T_world_camera @ self._T_camera_body
        tf = self._transform(stamp_ns, ODOM, BASE, T_world_body)
        info = self._camera_info(stamp_ns)
        act = row.action
        command = self._types.type(CHANNELS[COMMAND])(
            header=self.header(stamp_ns, BASE), twist=self._twist(act.v_mps, 0.0, act.w_radps)
        )
        messages = {
            TF: self._types.type(CHANNELS[TF])(transforms=[tf]),
            ODOMETRY: self._odometry(row, T_world_body),
            COLOR: self._image(stamp_ns, "rgb8; jpeg compressed bgr8", jpeg_of(seen.rgb)),
            COLOR_INFO: info,
            DEPTH_INFO: info,
            COMMAND: command,
        }
        depth_mm = to_millimetres(seen.depth_m)
        if self._depth == "raw":
            messages[RAW_DEPTH] = self._raw_depth(stamp_ns, depth_mm)
        else:
            messages[DEPTH] = self._image(stamp_ns, "16UC1; png compressed ", png_of(depth_mm))
        self._before = (row.step, stamp_ns)
        return messages

    def log(self, stamp_ns: int, name: str, text: str, *, is_warning: bool = False) -> Any:
        """Return a line of the log, as viewers list them."""
        return self._types.type(CHANNELS[LOG])(
            stamp=self.header(stamp_ns, "").stamp,
            level=_LEVEL_WARN if is_warning else _LEVEL_INFO,
            name=name,
            msg=text,
            file="",
            function="",
            line=0,
        )

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        """Return a header."""
        sec, nanosec = divmod(stamp_ns, 10**9)
        return self.header_type(stamp=self.time(sec=sec, nanosec=nanosec), frame_id=frame_id)

    def pose(self, T: Float64[np.ndarray, "4 4"]) -> Any:
        """Return a pose."""
        x, y, z = T[:3, 3].tolist()
        qx, qy, qz, qw = quaternions_of(T[:3, :3]).tolist()
        return self.pose_type(
            position=self.point(x=x, y=y, z=z),
            orientation=self.quaternion(x=qx, y=qy, z=qz, w=qw),
        )

    def _transform(
        self, stamp_ns: int, parent: str, child: str, T_parent_child: Float64[np.ndarray, "4 4"]
    ) -> Any:
        pose = self.pose(T_parent_child)
        at = pose.position
        transform = self._types.type("geometry_msgs/msg/Transform")(
            translation=self.vector(x=at.x, y=at.y, z=at.z), rotation=pose.orientation
        )
        return self._types.type("geometry_msgs/msg/TransformStamped")(
            header=self.header(stamp_ns, parent), child_frame_id=child, transform=transform
        )

    def _odometry(self, row: Transition, T_world_body: Float64[np.ndarray, "4 4"]) -> Any:
        """Return pose and measured speed; what is not known of their errors is 0."""
        unknown = np.zeros(36)
        with_pose = self._types.type("geometry_msgs/msg/PoseWithCovariance")
        with_twist = self._types.type("geometry_msgs/msg/TwistWithCovariance")
        speed = measured_speed(row, self._before, self._spec.tick_s).tolist()
        return self._types.type(CHANNELS[ODOMETRY])(
            header=self.header(row.observation.stamp_ns, ODOM),
            child_frame_id=BASE,
            pose=with_pose(pose=self.pose(T_world_body), covariance=unknown),
            twist=with_twist(twist=self._twist(*speed), covariance=unknown),
        )

    def _twist(self, x_mps: float, y_mps: float, w_radps: float) -> Any:
        return self._types.type("geometry_msgs/msg/Twist")(
            linear=self.vector(x=x_mps, y=y_mps, z=0.0),
            angular=self.vector(x=0.0, y=0.0, z=w_radps),
        )

    def _image(self, stamp_ns: int, format_: str, data: bytes) -> Any:
        return self._types.type(CHANNELS[COLOR])(
            header=self.header(stamp_ns, CAMERA),
            format=format_,
            data=np.frombuffer(data, dtype=np.uint8),
        )

    def _raw_depth(self, stamp_ns: int, depth_mm: UInt16[np.ndarray, "h w"]) -> Any:
        height, width = depth_mm.shape
        return self._types.type(CHANNELS[RAW_DEPTH])(
            header=self.header(stamp_ns, CAMERA),
            height=height,
            width=width,
            encoding="16UC1",
            is_bigendian=0,
            step=2 * width,
            data=depth_mm.astype("<u2").reshape(-1).view(np.uint8),
        )

    def _camera_info(self, stamp_ns: int) -> Any:
        """Return the intrinsics; ROS puts pixel centres at whole numbers, a life at halves."""
        spec = self._spec
        cx, cy = spec.cx_px - 0.5, spec.cy_px - 0.5
        k = np.array([spec.fx_px, 0, cx, 0, spec.fy_px, cy, 0, 0, 1], dtype=np.float64)
        roi = self._types.type("sensor_msgs/msg/RegionOfInterest")
        return self._types.type(CHANNELS[COLOR_INFO])(
            header=self.header(stamp_ns, CAMERA),
            height=spec.height_px,
            width=spec.width_px,
            distortion_model="plumb_bob",
            d=np.zeros(5),
            k=k,
            r=np.eye(3).ravel(),
            p=np.insert(k, [3, 6, 9], 0.0),
            binning_x=0,
            binning_y=0,
            roi=roi(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False),
        )


def measured_speed(
    row: Transition, before: tuple[int, int] | None, tick_s: float
) -> Float64[np.ndarray, "3"]:
    """Return forward and left speed and turn rate (m/s, m/s, rad/s) of the motion that led here.

    An episode that is only cut goes on with the motion of the one before; one that begins with
    nothing before it begins at rest.

    Args:
        row: The row.
        before: Step and stamp of the row written before it, None for none.
        tick_s: Duration of a step, where the row before is not at hand.
    """
    seconds = 0.0 if row.is_first else tick_s
    if before is not None and before[0] == row.step - 1:
        seconds = (row.observation.stamp_ns - before[1]) / 1e9
    if seconds <= 0:
        return np.zeros(3)
    speed: Float64[np.ndarray, "3"] = row.observation.egomotion.astype(np.float64) / seconds
    return speed


def jpeg_of(rgb: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """Return an image as JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def png_of(depth_mm: UInt16[np.ndarray, "h w"]) -> bytes:
    """Return depth in millimetres, 0 for no return, as a PNG of 16 bits."""
    buffer = io.BytesIO()
    Image.fromarray(depth_mm).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
