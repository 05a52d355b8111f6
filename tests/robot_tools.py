"""A robot without a network: a link that carries real bytes within the process."""

import math
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from agentd.worlds.ros2 import compose
from agentd.worlds.ros2.codec import Codec
from agentd.worlds.ros2.images import COMPRESSED, IMAGE
from agentd.worlds.ros2.link import LinkError, Publisher, Raw
from agentd.worlds.ros2.messages import (
    BATTERY,
    BOOL,
    CAMERA_INFO,
    ODOMETRY,
    TF,
    TWIST,
    Lens,
    header,
)
from agentd.worlds.ros2.world import Ros2World
from configs.bodies.ros2 import Ros2Config
from memory.frames import camera_mount, se3_from_pose
from memory.frames import compose as moved_by

CODEC = Codec("humble")
LENS = Lens(width_px=40, height_px=30, fx_px=30.0, fy_px=30.0, cx_px=19.5, cy_px=14.5)
MOUNT = camera_mount(0.1, 0.4, 0.1)
TYPES = {
    "/rgb": IMAGE,
    "/depth": IMAGE,
    "/info": CAMERA_INFO,
    "/odom": ODOMETRY,
    "/tf": TF,
    "/tf_static": TF,
    "/battery": BATTERY,
    "/bumper": BOOL,
}
NS = 1_000_000_000


class MemoryLink:
    """A Link within the process; what is published goes through the codec's bytes."""

    def __init__(self, types: dict[str, str] | None = None) -> None:
        self.types = dict(TYPES if types is None else types)
        self.taking: dict[str, tuple[str, Callable[[Raw], None]]] = {}
        self.sent: dict[str, list[Any]] = {}
        self.sent_types: dict[str, str] = {}
        self.is_broken = False
        self.num_closed = 0

    def subscribe(self, topic: str, msgtype: str, take: Callable[[Raw], None]) -> None:
        self.taking[topic] = (msgtype, take)

    def advertise(self, topic: str, msgtype: str) -> Publisher:
        self.sent_types[topic] = msgtype
        return _MemoryPublisher(self, topic, msgtype)

    def topics(self) -> dict[str, str]:
        return dict(self.types)

    def publishers(self, topic: str) -> int | None:
        return int(topic in self.types)

    def close(self) -> None:
        self.num_closed += 1

    def hand_over(self, topic: str, message: Any, received_ns: int | None = None) -> None:
        """Have a message of the robot arrive."""
        if topic in self.taking:
            msgtype, take = self.taking[topic]
            take(raw_of(topic, message, received_ns, msgtype))


class _MemoryPublisher:
    def __init__(self, link: MemoryLink, topic: str, msgtype: str) -> None:
        self._link, self._topic, self._msgtype = link, topic, msgtype

    def send(self, data: bytes | memoryview) -> None:
        if self._link.is_broken:
            raise LinkError("the link is broken")
        raw = Raw(topic=self._topic, msgtype=self._msgtype, data=bytes(data), received_ns=0)
        self._link.sent.setdefault(self._topic, []).append(CODEC.decode(raw))


def raw_of(
    topic: str, message: Any, received_ns: int | None = None, msgtype: str | None = None
) -> Raw:
    """Return a message as it arrives."""
    return Raw(
        topic=topic,
        msgtype=msgtype or message.__msgtype__,
        data=bytes(CODEC.encode(message)),
        received_ns=time.monotonic_ns() if received_ns is None else received_ns,
    )


def compressed(stamp_ns: int, what: str, data: bytes) -> Any:
    """Return a CompressedImage."""
    return CODEC.type(COMPRESSED)(
        header=header(CODEC, stamp_ns, "camera"),
        format=what,
        data=np.frombuffer(data, np.uint8),
    )


def settings(**values: Any) -> Ros2Config:
    """Return settings of the robot of these tests, impatient."""
    return Ros2Config.model_validate(
        {
            "image_px": 16,
            "tick_s": 0.06,
            "command_hz": 100.0,
            "command_grace_s": 0.05,
            "connect_s": 5.0,
            "limits": {"camera_s": 0.4, "odom_s": 0.2, "frozen_s": 0.2},
            "stall_s": 0.2,
            "v_max_mps": 1.0,
            "topics": {
                "rgb": "/rgb",
                "depth": "/depth",
                "camera_info": "/info",
                "bumper": "/bumper",
                "battery": "/battery",
            },
            **values,
        }
    )


class FakeRobot:
    """Drives as it is told and tells what it senses, 50 times a second.

    Attributes:
        lacks: Topics that it does not publish.
        still: Topics whose last message is sent again, stamp and all.
        old: Topics whose data are those of before, with new stamps.
        is_stuck: Whether the wheels do not move it.
        is_pressed: Whether the bumper is.
        ahead_ns: What its clock is ahead of ours.
        encoding: What it says that its colour images are in.
    """

    def __init__(self, link: MemoryLink) -> None:
        self.link = link
        self.lacks: set[str] = set()
        self.still: set[str] = set()
        self.old: set[str] = set()
        self.is_stuck = self.is_pressed = False
        self.ahead_ns = 0
        self.encoding = "rgb8"
        self.pose = np.zeros(3)
        self._last: dict[str, Any] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "FakeRobot":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        before_s = time.monotonic()
        while not self._end.wait(0.02):
            now_s = time.monotonic()
            self._drive(now_s - before_s)
            before_s = now_s
            self.tell(time.time_ns() + self.ahead_ns)

    def _drive(self, seconds: float) -> None:
        commands = self.link.sent.get("/cmd_vel")
        self.speeds = (0.0, 0.0)
        if not commands or self.is_stuck:
            return
        said = getattr(commands[-1], "twist", commands[-1])
        v, w = float(said.linear.x), float(said.angular.z)
        self.speeds = (v, w)
        self.pose = moved_by(self.pose, np.array([v * seconds, 0.0, w * seconds]))

    def tell(self, stamp_ns: int) -> None:
        T = se3_from_pose(self.pose)
        shade = int(100 * (self.pose[0] + self.pose[2])) % 200
        colour = np.full((30, 40, 3), 30, np.uint8)
        colour[:, :20, :2] = shade, 200
        depth = np.full((30, 40), 2.0 + 0.001 * shade, np.float32)
        frames = ("odom", "base_link")
        messages = {
            "/tf_static": compose.transform(CODEC, stamp_ns, "base_link", "camera", MOUNT),
            "/info": compose.camera_info(CODEC, stamp_ns, "camera", LENS),
            "/battery": compose.battery(CODEC, stamp_ns, 0.5),
            "/bumper": CODEC.type(BOOL)(data=self.is_pressed),
            "/depth": compose.image(CODEC, stamp_ns, "camera", "32FC1", depth),
            "/rgb": compose.image(CODEC, stamp_ns, "camera", self.encoding, colour),
            "/odom": compose.odometry(CODEC, stamp_ns, frames, T, self.speeds),
        }
        for topic, message in messages.items():
            if topic in self.lacks:
                continue
            if topic in self.still | self.old:
                last = self._last[topic]
                if topic in self.old:
                    last.header = message.header
                message = last
            self._last[topic] = message
            self.link.hand_over(topic, message)


def opened(link: MemoryLink, **values: Any) -> Ros2World:
    """Return the body of a robot on such a link."""
    return Ros2World(link, settings(**values), codec=CODEC)


def is_zero(command: Any) -> bool:
    said = getattr(command, "twist", command)
    return math.hypot(said.linear.x, said.angular.z) == 0


__all__ = ["TWIST", "FakeRobot", "MemoryLink", "opened"]
