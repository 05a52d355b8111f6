"""A robot that speaks ROS, as the guardian sees it: few topics, read on their own.

It shares no code path with the agent's own senses beyond the transport: what one of them gets wrong
the other need not.
"""

import math
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from agentd.guardian.points import DepthPoints, scan_ranges
from agentd.guardian.records import Battery, Flags, Image, Imu, MapPose, Odometry, Ranges
from agentd.worlds.ros2.codec import Codec
from agentd.worlds.ros2.link import Link, LinkError, Raw
from agentd.worlds.ros2.messages import BOOL, BUMPER_TYPES, read_touch
from configs.guardian import GuardianConfig, MountConfig
from memory.frames import camera_mount

_TWIST, _STAMPED = "geometry_msgs/msg/Twist", "geometry_msgs/msg/TwistStamped"
_REACH_M = 4.0
_FINEST_PX = 160
"""Depth images are thinned to about so many columns."""
_FLAGS = {"bumper": "bump", "cliff": "cliff", "wheel_drop": "wheel_drop", "pick_up": "pick_up"}
_LOOK_S = 1.0
_FLAG_KEPT_S = 0.3
"""A switch that is told again and again is held for so long after the last time."""


class RosBody:
    """Subscribes what the guardian needs and publishes its command.

    Args:
        link: To the robot; closed with this body.
        codec: Its messages.
        config: Topics and mounts.
        height_m: Depth points above this height pass over the body.
        command_type: Which message the robot takes; None: as is seen on the topic, else a Twist.
    """

    def __init__(
        self,
        link: Link,
        codec: Codec,
        config: GuardianConfig,
        height_m: float,
        *,
        command_type: str | None = None,
    ) -> None:
        self._link, self._codec, self._config = link, codec, config
        self._height_m = height_m
        self._newest: dict[str, Any] = {}
        self._flags_s: dict[str, float] = {}
        self._is_estop = False
        self._depth: DepthPoints | None = None
        self._stride = 1
        # Without a localisation the fence is in the frame of odometry, as the map is.
        fence = config.fence
        self._is_map_odometry = not config.topics.pose and bool(fence.keep_in or fence.keep_out)
        self.problems: dict[str, str] = {}
        """Why a topic could not be read, by topic."""
        topics = config.topics
        takes: list[tuple[str, str, Callable[[Any, Raw], None]]] = [
            (topics.odom, "nav_msgs/msg/Odometry", self._take_odom),
            (topics.scan, "sensor_msgs/msg/LaserScan", self._take_scan),
            (topics.depth_info, "sensor_msgs/msg/CameraInfo", self._take_lens),
            (topics.depth, "sensor_msgs/msg/Image", self._take_depth),
            (topics.rgb, "sensor_msgs/msg/Image", self._take_rgb),
            (topics.imu, "sensor_msgs/msg/Imu", self._take_imu),
            (topics.pose, "geometry_msgs/msg/PoseWithCovarianceStamped", self._take_pose),
            (topics.battery, "sensor_msgs/msg/BatteryState", self._take_battery),
            (topics.estop, "std_msgs/msg/Bool", self._take_estop),
            (topics.heartbeat, "std_msgs/msg/Empty", self._take_heartbeat),
        ]
        for topic, msgtype, take in takes:
            if topic:
                link.subscribe(topic, msgtype, self._guarded(take))
        self._switches = {getattr(topics, n): flag for n, flag in _FLAGS.items()}
        self._switches.pop("", None)
        self._looked_s = -math.inf
        self._subscribe_switches()
        if command_type is None:
            is_stamped = link.topics().get(topics.command) == _STAMPED
            command_type = _STAMPED if is_stamped else _TWIST
        self._is_stamped = command_type == _STAMPED
        self._publisher = link.advertise(topics.command, command_type)

    def _subscribe_switches(self) -> None:
        """Subscribe switches whose type is seen by now: robots tell of them in several ways."""
        now_s = time.monotonic()
        if not self._switches or now_s - self._looked_s < _LOOK_S:
            return
        self._looked_s = now_s
        seen = self._link.topics()
        for topic, flag in dict(self._switches).items():
            msgtype = seen.get(topic)
            if msgtype is None and self._link.publishers(topic) is None:
                msgtype = BOOL  # the link cannot tell what there is
            if msgtype is None:
                self.problems[topic] = f"{topic} ({flag}) is not published by anybody"
                continue
            self.problems.pop(topic, None)
            del self._switches[topic]
            if msgtype in BUMPER_TYPES:
                self._link.subscribe(topic, msgtype, self._guarded(self._flag_taker(flag)))
            else:
                self.problems[topic] = (
                    f"{topic} is a {msgtype}; accepted: {', '.join(BUMPER_TYPES)}"
                )

    def newest(self) -> Mapping[str, Any]:
        """Return the newest of each input, by its name in `Inputs`."""
        now_s = time.monotonic()
        self._subscribe_switches()
        felt = {flag: now_s - t < _FLAG_KEPT_S for flag, t in dict(self._flags_s).items()}
        newest = dict(self._newest)
        odom = newest.get("odom")
        if self._is_map_odometry and isinstance(odom, Odometry):
            newest["pose"] = MapPose(
                stamp_s=odom.stamp_s,
                arrival_s=odom.arrival_s,
                x_m=odom.x_m,
                y_m=odom.y_m,
                yaw_rad=odom.yaw_rad,
            )
        return {**newest, "flags": Flags(**felt), "is_estop": self._is_estop}

    def send(self, v_mps: float, w_radps: float) -> None:
        """Publish one command; a link that is broken is told, and tried again next time."""
        vector = self._codec.type("geometry_msgs/msg/Vector3")
        twist = self._codec.type(_TWIST)(
            linear=vector(x=v_mps, y=0.0, z=0.0), angular=vector(x=0.0, y=0.0, z=w_radps)
        )
        message = self._stamp(twist) if self._is_stamped else twist
        try:
            self._publisher.send(self._codec.encode(message))
        except LinkError as error:
            self.problems[self._config.topics.command] = str(error)
        else:
            self.problems.pop(self._config.topics.command, None)

    def num_other_publishers(self) -> int | None:
        """Return how many others publish the command topic, None if nobody can tell."""
        return self._link.publishers(self._config.topics.command)

    def close(self) -> None:
        """Release the link; quiet when called twice."""
        self._link.close()

    def _stamp(self, twist: Any) -> Any:
        now_ns = time.time_ns()
        time_type = self._codec.type("builtin_interfaces/msg/Time")
        header = self._codec.type("std_msgs/msg/Header")(
            stamp=time_type(sec=now_ns // 10**9, nanosec=now_ns % 10**9), frame_id="base_link"
        )
        return self._codec.type(_STAMPED)(header=header, twist=twist)

    def _guarded(self, take: Callable[[Any, Raw], None]) -> Callable[[Raw], None]:
        """Return a taker that survives whatever arrives: what cannot be read did not come."""

        def run(raw: Raw) -> None:
            try:
                take(self._codec.decode(raw), raw)
            except (LinkError, ValueError, TypeError, AttributeError, IndexError) as error:
                self.problems[raw.topic] = str(error)
            else:
                self.problems.pop(raw.topic, None)

        return run

    def _take_odom(self, message: Any, raw: Raw) -> None:
        pose, twist = message.pose.pose, message.twist.twist
        self._newest["odom"] = Odometry(
            **_times(message, raw),
            x_m=float(pose.position.x),
            y_m=float(pose.position.y),
            yaw_rad=_yaw(pose.orientation),
            v_mps=float(twist.linear.x),
            w_radps=float(twist.angular.z),
        )

    def _take_scan(self, message: Any, raw: Raw) -> None:
        mount: MountConfig = self._config.mount
        ranges = np.array(message.ranges, dtype=np.float32)
        # Below the smallest range there is something too near to measure, or nothing: no word.
        ranges[ranges < message.range_min] = np.nan
        ranges[ranges > message.range_max] = np.inf
        angles = message.angle_min + message.angle_increment * np.arange(len(ranges))
        self._newest["scan"] = scan_ranges(
            angles,
            ranges,
            forward_m=mount.scan_forward_m,
            yaw_rad=mount.scan_yaw_rad,
            reach_m=_REACH_M,
            **_times(message, raw),
        )

    def _take_lens(self, message: Any, raw: Raw) -> None:
        del raw
        k = np.asarray(getattr(message, "k", getattr(message, "K", ())), dtype=np.float64)
        width, height = int(message.width), int(message.height)
        if len(k) != 9 or min(k[0], k[4]) <= 0 or min(width, height) <= 0:
            raise ValueError("the depth camera is not calibrated")
        mount = self._config.mount
        self._stride = max(1, width // _FINEST_PX)
        u = (np.arange(0, width, self._stride) - k[2]) / k[0]
        v = (np.arange(0, height, self._stride) - k[5]) / k[4]
        X, Y = np.meshgrid(u, v)
        T = camera_mount(mount.depth_forward_m, mount.depth_height_m, mount.depth_pitch_rad)
        rays = np.stack([X, Y, np.ones_like(X)], axis=-1) @ T[:3, :3].T
        self._depth = DepthPoints(
            rays,
            T[:3, 3],
            low_m=self._config.footprint.low_m,
            high_m=self._height_m,
            reach_m=_REACH_M,
        )

    def _take_depth(self, message: Any, raw: Raw) -> None:
        if self._depth is None:
            raise ValueError(f"no lens yet from {self._config.topics.depth_info or 'depth_info'}")
        kinds = {"16UC1": ("u2", 1e-3), "mono16": ("u2", 1e-3), "32FC1": ("f4", 1.0)}
        if message.encoding not in kinds:
            raise ValueError(f"encoding {message.encoding!r}; accepted: {', '.join(kinds)}")
        kind, scale = kinds[message.encoding]
        data = np.frombuffer(
            np.ascontiguousarray(message.data), (">" if message.is_bigendian else "<") + kind
        )
        pixels = data.reshape(message.height, -1)[:, : message.width]
        depth = pixels[:: self._stride, :: self._stride].astype(np.float32) * np.float32(scale)
        depth[~(np.isfinite(depth) & (depth > 0))] = np.nan
        ranges: Ranges = self._depth.ranges(depth, **_times(message, raw))
        self._newest["depth"] = ranges

    def _take_rgb(self, message: Any, raw: Raw) -> None:
        print_now = zlib.crc32(np.ascontiguousarray(message.data).data)
        self._newest["rgb"] = Image(**_times(message, raw), fingerprint=print_now)

    def _take_imu(self, message: Any, raw: Raw) -> None:
        self._newest["imu"] = Imu(**_times(message, raw), w_radps=float(message.angular_velocity.z))

    def _take_pose(self, message: Any, raw: Raw) -> None:
        pose = message.pose.pose
        variance = float(max(message.pose.covariance[0], message.pose.covariance[7]))
        self._newest["pose"] = MapPose(
            **_times(message, raw),
            x_m=float(pose.position.x),
            y_m=float(pose.position.y),
            yaw_rad=_yaw(pose.orientation),
            std_m=math.sqrt(variance) if variance > 0 else math.nan,
        )

    def _take_battery(self, message: Any, raw: Raw) -> None:
        share = float(message.percentage)
        share = share / 100 if 1.5 < share <= 100 else share  # some drivers say per cent
        heat = float(getattr(message, "temperature", math.nan))
        self._newest["battery"] = Battery(
            **_times(message, raw),
            charge=share if 0 <= share <= 1.5 else math.nan,
            temperature_c=heat if math.isfinite(heat) else math.nan,
        )

    def _take_estop(self, message: Any, raw: Raw) -> None:
        del raw
        self._is_estop = bool(message.data)

    def _take_heartbeat(self, message: Any, raw: Raw) -> None:
        del message
        self._newest["heartbeat_s"] = raw.received_ns * 1e-9

    def _flag_taker(self, flag: str) -> Callable[[Any, Raw], None]:
        def take(message: Any, raw: Raw) -> None:
            touch = read_touch(message)
            felt = {flag: touch.is_bumped, "cliff": touch.is_cliff, "wheel_drop": touch.is_lifted}
            if hasattr(message, "data"):  # a plain switch speaks for itself alone
                felt = {flag: touch.is_bumped}
            for name, is_felt in felt.items():
                if is_felt:
                    self._flags_s[name] = raw.received_ns * 1e-9
                else:
                    self._flags_s.pop(name, None)

        return take


def _times(message: Any, raw: Raw) -> dict[str, Any]:
    stamp = message.header.stamp
    nanosec = getattr(stamp, "nanosec", None)
    nanosec = stamp.nsec if nanosec is None else nanosec  # ROS 1
    return {"stamp_s": stamp.sec + nanosec * 1e-9, "arrival_s": raw.received_ns * 1e-9}


def _yaw(q: Any) -> float:
    return math.atan2(2 * (q.w * q.z + q.x * q.y), 1 - 2 * (q.y * q.y + q.z * q.z))
