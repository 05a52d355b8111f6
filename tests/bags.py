"""Robot logs made by hand, of every format, in which each kind of fault can be put."""

import atexit
import io
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from memory.frames import camera_mount, se3_from_pose
from memory.logs.transforms import pose_of

MOUNT = camera_mount(0.1, 0.4, 0.2)
EPOCH_NS = 1_700_000_000 * 10**9
CAMERA = "camera_optical_frame"


def typestore(*, ros1: bool = False) -> Any:
    if not ros1:
        return get_typestore(Stores.ROS2_HUMBLE)
    store = get_typestore(Stores.ROS1_NOETIC)
    text = "geometry_msgs/TransformStamped[] transforms\n"
    store.register(get_types_from_msg(text, "tf2_msgs/msg/TFMessage"))
    return store


@dataclass
class Messages:
    """Makes messages of one ROS generation."""

    ros1: bool = False
    store: Any = field(init=False)

    def __post_init__(self) -> None:
        self.store = typestore(ros1=self.ros1)

    def make(self, name: str, **fields: Any) -> Any:
        return self.store.types[name](**fields)

    def header(self, stamp_ns: int, frame: str) -> Any:
        sec, nanosec = divmod(stamp_ns, 10**9)
        stamp = self.make("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)
        more = {"seq": 0} if self.ros1 else {}
        return self.make("std_msgs/msg/Header", stamp=stamp, frame_id=frame, **more)

    def image(self, stamp_ns: int, array: np.ndarray, encoding: str, frame: str = CAMERA) -> Any:
        data = np.ascontiguousarray(array)
        return self.make(
            "sensor_msgs/msg/Image",
            header=self.header(stamp_ns, frame),
            height=array.shape[0],
            width=array.shape[1],
            encoding=encoding,
            is_bigendian=0,
            step=data.strides[0],
            data=data.reshape(-1).view(np.uint8),
        )

    def compressed(self, stamp_ns: int, data: bytes, format_: str, frame: str = CAMERA) -> Any:
        return self.make(
            "sensor_msgs/msg/CompressedImage",
            header=self.header(stamp_ns, frame),
            format=format_,
            data=np.frombuffer(data, dtype=np.uint8),
        )

    def info(
        self, stamp_ns: int, size: tuple[int, int], focal_px: float, frame: str = CAMERA
    ) -> Any:
        width, height = size
        k = np.array(
            [focal_px, 0, width / 2 - 0.5, 0, focal_px, height / 2 - 0.5, 0, 0, 1], dtype=float
        )
        names = ("D", "K", "R", "P") if self.ros1 else ("d", "k", "r", "p")
        values = (np.zeros(5), k, np.eye(3).ravel(), np.insert(k, [3, 6, 9], 0.0))
        return self.make(
            "sensor_msgs/msg/CameraInfo",
            header=self.header(stamp_ns, frame),
            height=height,
            width=width,
            distortion_model="plumb_bob",
            binning_x=0,
            binning_y=0,
            roi=self.make(
                "sensor_msgs/msg/RegionOfInterest",
                x_offset=0,
                y_offset=0,
                height=0,
                width=0,
                do_rectify=False,
            ),
            **dict(zip(names, values, strict=True)),
        )

    def transform(self, stamp_ns: int, parent: str, child: str, T: np.ndarray) -> Any:
        pose = pose_of(T)
        x, y, z = pose.xyz_m
        qx, qy, qz, qw = pose.quaternion
        return self.make(
            "geometry_msgs/msg/TransformStamped",
            header=self.header(stamp_ns, parent),
            child_frame_id=child,
            transform=self.make(
                "geometry_msgs/msg/Transform",
                translation=self.make("geometry_msgs/msg/Vector3", x=x, y=y, z=z),
                rotation=self.make("geometry_msgs/msg/Quaternion", x=qx, y=qy, z=qz, w=qw),
            ),
        )

    def tf(self, *transforms: Any) -> Any:
        return self.make("tf2_msgs/msg/TFMessage", transforms=list(transforms))

    def odometry(self, stamp_ns: int, T: np.ndarray, child: str = "base_link") -> Any:
        pose = pose_of(T)
        x, y, z = pose.xyz_m
        qx, qy, qz, qw = pose.quaternion
        placed = self.make(
            "geometry_msgs/msg/Pose",
            position=self.make("geometry_msgs/msg/Point", x=x, y=y, z=z),
            orientation=self.make("geometry_msgs/msg/Quaternion", x=qx, y=qy, z=qz, w=qw),
        )
        unknown = np.zeros(36)
        return self.make(
            "nav_msgs/msg/Odometry",
            header=self.header(stamp_ns, "odom"),
            child_frame_id=child,
            pose=self.make("geometry_msgs/msg/PoseWithCovariance", pose=placed, covariance=unknown),
            twist=self.make(
                "geometry_msgs/msg/TwistWithCovariance", twist=self.twist(0, 0), covariance=unknown
            ),
        )

    def twist(self, v: float, w: float) -> Any:
        vector = "geometry_msgs/msg/Vector3"
        return self.make(
            "geometry_msgs/msg/Twist",
            linear=self.make(vector, x=float(v), y=0.0, z=0.0),
            angular=self.make(vector, x=0.0, y=0.0, z=float(w)),
        )

    def flag(self, value: bool) -> Any:
        return self.make("std_msgs/msg/Bool", data=value)


Entry = tuple[str, int, Any]
"""Topic, time of the recorder, message."""


def jpeg(rgb: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@dataclass(frozen=True)
class Drive:
    """A drive along an arc, as all formats record it."""

    seconds: float = 4.0
    rate_hz: float = 10.0
    v_mps: float = 0.3
    w_radps: float = 0.2
    size: tuple[int, int] = (96, 64)
    focal_px: float = 60.0

    @property
    def count(self) -> int:
        return round(self.seconds * self.rate_hz)

    def stamps(self, rate_hz: float | None = None) -> list[int]:
        rate_hz = rate_hz or self.rate_hz
        return [EPOCH_NS + round(k / rate_hz * 1e9) for k in range(round(self.seconds * rate_hz))]

    def pose(self, stamp_ns: int) -> np.ndarray:
        t = (stamp_ns - EPOCH_NS) / 1e9
        r = self.v_mps / self.w_radps
        yaw = self.w_radps * t
        return np.array([r * np.sin(yaw), r * (1 - np.cos(yaw)), yaw])

    def rgb(self, k: int) -> np.ndarray:
        """Red is the frame's number, green grows to the right, blue grows downwards."""
        width, height = self.size
        rgb = np.empty((height, width, 3), dtype=np.uint8)
        rgb[..., 0] = k % 256
        rgb[..., 1] = np.linspace(0, 255, width)[None, :]
        rgb[..., 2] = np.linspace(0, 255, height)[:, None]
        return rgb

    def depth_m(self, k: int) -> np.ndarray:
        width, height = self.size
        depth = np.full((height, width), 2.0, dtype=np.float32)
        depth[:, : width // 2] = 1.0
        depth[:4] = 0.0
        return depth


def entries(drive: Drive, messages: Messages, **leave_out: bool) -> list[Entry]:
    """Return the messages of a drive: colour and depth, 50 Hz of odometry, 20 Hz of commands."""
    found: list[Entry] = []
    first = EPOCH_NS
    if not leave_out.get("mount"):
        mounted = messages.transform(first, "base_link", CAMERA, MOUNT)
        found.append(("/tf_static", first, messages.tf(mounted)))
    for k, stamp in enumerate(drive.stamps()):
        if not leave_out.get("info"):
            found.append(
                ("/camera/camera_info", stamp, messages.info(stamp, drive.size, drive.focal_px))
            )
        late = stamp + 30_000_000
        found.append(("/camera/image_raw", late, messages.image(stamp, drive.rgb(k), "rgb8")))
        if not leave_out.get("depth"):
            units = np.rint(drive.depth_m(k) * 1000).astype(np.uint16)
            found.append(
                ("/camera/depth/image_raw", late + 1, messages.image(stamp, units, "16UC1"))
            )
    if not leave_out.get("odometry"):
        for stamp in drive.stamps(50):
            T = se3_from_pose(drive.pose(stamp))
            found.append(("/odom", stamp + 1, messages.odometry(stamp, T)))
    if not leave_out.get("command"):
        for stamp in drive.stamps(20):
            found.append(("/cmd_vel", stamp, messages.twist(drive.v_mps, drive.w_radps)))
    return sorted(found, key=lambda entry: entry[1])


def write_bag2(
    path: Path, entries: list[Entry], messages: Messages, *, sqlite: bool = False
) -> Path:
    plugin = StoragePlugin.SQLITE3 if sqlite else StoragePlugin.MCAP
    with Writer2(path, version=9, storage_plugin=plugin) as writer:
        connections: dict[str, Any] = {}
        for topic, logged_ns, message in entries:
            name = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, name, typestore=messages.store)
            data = messages.store.serialize_cdr(message, name)
            writer.write(connections[topic], logged_ns, data)
    return path


def write_bag1(
    path: Path, entries: list[Entry], messages: Messages, compression: str | None = None
) -> Path:
    assert messages.ros1
    writer = Writer1(path)
    if compression is not None:
        writer.set_compression(Writer1.CompressionFormat[compression])
    with writer:
        connections: dict[str, Any] = {}
        for topic, logged_ns, message in entries:
            name = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, name, typestore=messages.store)
            data = messages.store.serialize_ros1(message, name)
            writer.write(connections[topic], logged_ns, data)
    return path


def write_drive(
    path: Path,
    drive: Drive | None = None,
    change: Callable[[list[Entry], Messages], list[Entry]] = lambda found, _: found,
    *,
    format_: str = "mcap",
    **leave_out: bool,
) -> Path:
    """Write a drive, its messages changed by `change`."""
    messages = Messages(ros1=format_ == "rosbag1")
    found = change(entries(drive or Drive(), messages, **leave_out), messages)
    if format_ == "rosbag1":
        return write_bag1(path, found, messages)
    return write_bag2(path, found, messages, sqlite=format_ == "sqlite3")


_PLAYED: dict[str, Path] = {}


def recorded_world(**settings: Any) -> Any:
    """Return a world that plays a drive; the bag is written once per process."""
    from agentd.worlds.recorded.world import RecordedWorld
    from configs.bodies.recorded import RecordedConfig

    if "drive" not in _PLAYED:
        folder = Path(tempfile.mkdtemp(prefix="agentd_bags_"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        _PLAYED["drive"] = write_drive(folder / "drive", Drive(seconds=8.0))
    log = {"log": str(_PLAYED["drive"]), "width_px": 48, "height_px": 32}
    return RecordedWorld(RecordedConfig.model_validate(log | settings))
