"""The embedded house served as a ROS 2 robot, in real time.

For whoever has no robot at hand, and for tests: what it says goes through the same messages and
the same link as a real robot's.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from agentd.worlds.house.world import HouseWorld
from agentd.worlds.ros2.codec import Codec
from agentd.worlds.ros2.faults import Faults
from agentd.worlds.ros2.images import IMAGE, is_little_endian
from agentd.worlds.ros2.link import Link, LinkError, Publisher, Raw
from agentd.worlds.ros2.messages import (
    BATTERY,
    BOOL,
    CAMERA_INFO,
    ODOMETRY,
    TF,
    TWIST,
    TWIST_STAMPED,
    header,
    twist,
)
from configs.bodies.ros2 import Ros2Config
from configs.worlds import HouseConfig
from memory.frames import body_pose, inverse
from memory.records import Action, Observation

CONTROL_S = 0.05
COMMAND_TIMEOUT_S = 0.5
"""Without a command for this long the wheels stop, whoever drives."""
_IMAGE_EVERY = 2
_SLOW_EVERY = 20
_ACCEL_MPS2, _ACCEL_RADPS2 = 1.5, 6.0
_FULL_S = 4 * 3600
_NS = 1_000_000_000
_CAMERA, _ODOM = "camera_color_optical_frame", "odom"
_LATEST_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What a simulated robot sends and takes: topic to type."""

    topics: dict[str, str]
    command: str
    command_type: str


def types_of(config: Ros2Config) -> Served:
    """Return the topics of a simulated robot."""
    names = config.topics
    is_stamped = config.command_type == "twist_stamped" or (
        config.command_type == "auto" and config.link.distro in ("jazzy", "kilted", "lyrical")
    )
    topics = {
        names.rgb: IMAGE,
        names.depth: IMAGE,
        names.camera_info: CAMERA_INFO,
        names.odom: ODOMETRY,
        names.tf: TF,
        names.tf_static: TF,
        names.battery: BATTERY,
        names.bumper: BOOL,
    }
    return Served(
        topics={topic: msgtype for topic, msgtype in topics.items() if topic},
        command=names.command,
        command_type=TWIST_STAMPED if is_stamped else TWIST,
    )


class SimulatedRobot:
    """A house whose robot is driven by what arrives on a topic, and who tells what it senses.

    The pose starts at zero, as odometry does when a base is switched on. Colour and depth are sent
    at 10 Hz, odometry, transform and bumper at 20 Hz, all else at 1 Hz.

    Args:
        link: Where it is served; owned by the caller.
        codec: Writes the messages.
        config: Names of topics and frames.
        house: Which house.
    """

    def __init__(self, link: Link, codec: Codec, config: Ros2Config, house: HouseConfig) -> None:
        self._codec, self._config = codec, config
        self._world = HouseWorld(house)
        self.served = types_of(config)
        self.faults = Faults(tuple(self.served.topics))
        self._command = (0.0, 0.0, -math.inf)
        self._speed = [0.0, 0.0]
        self._seen = self._world.reset()
        self._T_odom_world = inverse(self._T_world_base())
        self._publishers: dict[str, Publisher] = {
            topic: link.advertise(topic, msgtype) for topic, msgtype in self.served.topics.items()
        }
        self._began_s = time.monotonic()
        link.subscribe(self.served.command, self.served.command_type, self._take)

    def run(self, ends: Callable[[float], bool]) -> None:
        """Live in real time until told to end.

        Args:
            ends: Waits for so many seconds; tells whether to end.
        """
        due_s = time.monotonic()
        num_ticks = 0
        while True:
            due_s += CONTROL_S
            left_s = due_s - time.monotonic()
            if left_s < -_LATEST_S:
                due_s -= left_s  # a machine that was asleep does not catch up
            if ends(max(0.0, left_s)):
                return
            self.tick(num_ticks)
            num_ticks += 1

    def tick(self, number: int) -> None:
        """Drive for `CONTROL_S` and tell what is due in that tick.

        Raises:
            LinkError: If the link is broken.
        """
        v, w = self._wanted()
        for k, (goal, most) in enumerate(((v, _ACCEL_MPS2), (w, _ACCEL_RADPS2))):
            change = most * CONTROL_S
            self._speed[k] += min(max(goal - self._speed[k], -change), change)
        action = Action(v_mps=self._speed[0], w_radps=self._speed[1], duration_s=CONTROL_S)
        result = self._world.step(action)
        self._seen = result.observation
        if self._seen.bumped:
            self._speed[0] = 0.0
        stamp_ns = time.time_ns() + self.faults.clock_ns
        names = self._config.topics
        if number % _SLOW_EVERY == 0:
            self._send(names.tf_static, self._mount(stamp_ns))
            self._send(names.battery, self._battery(stamp_ns))
        self._send(names.odom, self._odometry(stamp_ns))
        self._send(names.tf, self._transform(stamp_ns))
        self._send(names.bumper, self._codec.type(BOOL)(data=self._seen.bumped))
        if number % _IMAGE_EVERY == 0:
            self._send(names.camera_info, self._camera_info(stamp_ns))
            self._send(names.rgb, self._image(stamp_ns, "rgb8", self._seen.rgb))
            depth = np.nan_to_num(self._seen.depth_m, nan=0.0).astype("<f4")
            self._send(names.depth, self._image(stamp_ns, "32FC1", depth))

    def close(self) -> None:
        """Release the house."""
        self._world.close()

    # ------------------------------------------------------------------ commands
    def _take(self, raw: Raw) -> None:
        message = self._codec.decode(raw)
        said = message.twist if raw.msgtype == TWIST_STAMPED else message
        v, w = float(said.linear.x), float(said.angular.z)
        if math.isfinite(v) and math.isfinite(w):
            self._command = (v, w, time.monotonic())

    def _wanted(self) -> tuple[float, float]:
        v, w, at_s = self._command
        is_old = time.monotonic() - at_s > COMMAND_TIMEOUT_S
        if is_old or self.faults.ignores_commands:
            return 0.0, 0.0
        v_max, w_max = self._config.v_max_mps, self._config.w_max_radps
        return min(max(v, -v_max), v_max), min(max(w, -w_max), w_max)

    # ------------------------------------------------------------------ what it tells
    def _send(self, topic: str, message: Any) -> None:
        if not topic:
            return
        for altered in self.faults.alter(topic, message, _restamp):
            self._publishers[topic].send(self._codec.encode(altered))

    def _T_world_base(self) -> np.ndarray:
        pose = body_pose(self._seen.T_world_camera, self._world.spec).astype(np.float64)
        c, s = math.cos(pose[2]), math.sin(pose[2])
        T = np.eye(4)
        T[:2, :2], T[:2, 3] = ((c, -s), (s, c)), pose[:2]
        return T

    def _pose(self) -> tuple[Any, Any, Any]:
        """Return position as Point and as Vector3, and the rotation."""
        T = self._T_odom_world @ self._T_world_base()
        yaw = math.atan2(T[1, 0], T[0, 0])
        at = {"x": float(T[0, 3]), "y": float(T[1, 3]), "z": 0.0}
        make = self._codec.type
        return (
            make("geometry_msgs/msg/Point")(**at),
            make("geometry_msgs/msg/Vector3")(**at),
            make("geometry_msgs/msg/Quaternion")(
                x=0.0, y=0.0, z=math.sin(yaw / 2), w=math.cos(yaw / 2)
            ),
        )

    def _odometry(self, stamp_ns: int) -> Any:
        make, unknown = self._codec.type, np.zeros(36)
        point, _, rotation = self._pose()
        moved = self._seen.egomotion
        said = twist(self._codec, float(moved[0]) / CONTROL_S, float(moved[2]) / CONTROL_S)
        pose = make("geometry_msgs/msg/Pose")(position=point, orientation=rotation)
        return make(ODOMETRY)(
            header=header(self._codec, stamp_ns, _ODOM),
            child_frame_id=self._config.frames.base,
            pose=make("geometry_msgs/msg/PoseWithCovariance")(pose=pose, covariance=unknown),
            twist=make("geometry_msgs/msg/TwistWithCovariance")(twist=said, covariance=unknown),
        )

    def _transform(self, stamp_ns: int) -> Any:
        _, vector, rotation = self._pose()
        return self._tf(stamp_ns, _ODOM, self._config.frames.base, vector, rotation)

    def _mount(self, stamp_ns: int) -> Any:
        from scipy.spatial.transform import Rotation

        T, make = self._world.spec.T_body_camera, self._codec.type
        x, y, z, w = (float(value) for value in Rotation.from_matrix(T[:3, :3]).as_quat())
        vector = make("geometry_msgs/msg/Vector3")(
            x=float(T[0, 3]), y=float(T[1, 3]), z=float(T[2, 3])
        )
        rotation = make("geometry_msgs/msg/Quaternion")(x=x, y=y, z=z, w=w)
        return self._tf(stamp_ns, self._config.frames.base, _CAMERA, vector, rotation)

    def _tf(self, stamp_ns: int, parent: str, child: str, vector: Any, rotation: Any) -> Any:
        make = self._codec.type
        transform = make("geometry_msgs/msg/Transform")(translation=vector, rotation=rotation)
        stamped = make("geometry_msgs/msg/TransformStamped")(
            header=header(self._codec, stamp_ns, parent),
            child_frame_id=child,
            transform=transform,
        )
        return make(TF)(transforms=[stamped])

    def _battery(self, stamp_ns: int) -> Any:
        share = max(0.05, 1 - (time.monotonic() - self._began_s) / _FULL_S)
        cls = self._codec.type(BATTERY)
        unknown = np.zeros(0, np.float32)
        known = {
            "header": header(self._codec, stamp_ns, ""),
            "percentage": share,
            "present": True,
            "cell_voltage": unknown,
            "cell_temperature": unknown,
            "location": "",
            "serial_number": "",
            "power_supply_status": 2,  # discharging
            "power_supply_health": 1,
            "power_supply_technology": 0,
        }
        numbers = [name for name in cls.__dataclass_fields__ if name not in known]
        nan = {name: math.nan for name in numbers if not name.isupper() and name != "__msgtype__"}
        return cls(**known, **nan)

    def _camera_info(self, stamp_ns: int) -> Any:
        spec, make = self._world.spec, self._codec.type
        # Pixel centres lie at integers in ROS.
        fx, fy, cx, cy = spec.fx_px, spec.fy_px, spec.cx_px - 0.5, spec.cy_px - 0.5
        return make(CAMERA_INFO)(
            header=header(self._codec, stamp_ns, _CAMERA),
            height=spec.height_px,
            width=spec.width_px,
            distortion_model="plumb_bob",
            d=np.zeros(5),
            k=np.array([fx, 0, cx, 0, fy, cy, 0, 0, 1.0]),
            r=np.eye(3).ravel(),
            p=np.array([fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, 1.0, 0]),
            binning_x=0,
            binning_y=0,
            roi=make("sensor_msgs/msg/RegionOfInterest")(
                x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
            ),
        )

    def _image(self, stamp_ns: int, encoding: str, pixels: np.ndarray) -> Any:
        height, width = pixels.shape[:2]
        data = np.ascontiguousarray(pixels).view(np.uint8).ravel()
        return self._codec.type(IMAGE)(
            header=header(self._codec, stamp_ns, _CAMERA),
            height=height,
            width=width,
            encoding=encoding,
            is_bigendian=0 if is_little_endian() else 1,
            step=data.size // height,
            data=data,
        )


def _restamp(old: Any, new: Any) -> Any:
    """Return an older message with the stamp of a newer one; one without a header as it was."""
    if hasattr(new, "header"):
        return replace(old, header=new.header)
    return old


def check_served(config: Ros2Config) -> None:
    """Refuse settings that a simulated robot cannot serve.

    Raises:
        LinkError: If a topic is missing, or images are to be compressed.
    """
    names = config.topics
    for key in ("rgb", "depth", "camera_info", "odom", "tf", "tf_static"):
        topic = getattr(names, key)
        if not topic:
            raise LinkError(f"topics.{key} is empty: a simulated robot serves it")
        if "compressed" in topic.rpartition("/")[2]:
            raise LinkError(f"topics.{key} is {topic!r}: a simulated robot serves raw images")


def describe(seen: Observation) -> str:
    """Return the size of what it sees, for people."""
    return f"{seen.rgb.shape[1]} x {seen.rgb.shape[0]} px"
