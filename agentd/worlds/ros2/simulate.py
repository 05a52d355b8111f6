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
from jaxtyping import Float64

from agentd.worlds.house.world import HouseWorld
from agentd.worlds.ros2 import compose
from agentd.worlds.ros2.codec import Codec
from agentd.worlds.ros2.faults import Faults
from agentd.worlds.ros2.images import IMAGE
from agentd.worlds.ros2.link import Link, LinkError, Publisher, Raw
from agentd.worlds.ros2.messages import (
    BATTERY,
    BOOL,
    CAMERA_INFO,
    ODOMETRY,
    TF,
    TWIST,
    TWIST_STAMPED,
    Lens,
)
from configs.bodies.ros2 import Ros2Config
from configs.worlds import HouseConfig
from memory.frames import inverse
from memory.records import Action

CONTROL_S = 0.05
COMMAND_TIMEOUT_S = 0.25
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
        self._tell(number, time.time_ns() + self.faults.clock_ns)

    def _tell(self, number: int, stamp_ns: int) -> None:
        names, codec, base = self._config.topics, self._codec, self._config.frames.base
        T = self._T_odom_world @ self._T_world_base()
        if number % _SLOW_EVERY == 0:
            mount = self._world.spec.T_body_camera
            self._send(names.tf_static, compose.transform(codec, stamp_ns, base, _CAMERA, mount))
            share = max(0.05, 1 - (time.monotonic() - self._began_s) / _FULL_S)
            self._send(names.battery, compose.battery(codec, stamp_ns, share))
        said = compose.odometry(codec, stamp_ns, (_ODOM, base), T, self._speeds())
        self._send(names.odom, said)
        self._send(names.tf, compose.transform(codec, stamp_ns, _ODOM, base, T))
        self._send(names.bumper, codec.type(BOOL)(data=self._seen.bumped))
        if number % _IMAGE_EVERY == 0:
            info = compose.camera_info(codec, stamp_ns, _CAMERA, self._lens())
            self._send(names.camera_info, info)
            colour = compose.image(codec, stamp_ns, _CAMERA, "rgb8", self._seen.rgb)
            self._send(names.rgb, colour)
            metres = np.nan_to_num(self._seen.depth_m, nan=0.0)
            self._send(names.depth, compose.image(codec, stamp_ns, _CAMERA, "32FC1", metres))

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

    def _T_world_base(self) -> Float64[np.ndarray, "4 4"]:
        return self._seen.T_world_camera @ inverse(self._world.spec.T_body_camera)

    def _speeds(self) -> tuple[float, float]:
        moved = self._seen.egomotion
        return float(moved[0]) / CONTROL_S, float(moved[2]) / CONTROL_S

    def _lens(self) -> Lens:
        spec = self._world.spec
        return Lens(
            width_px=spec.width_px,
            height_px=spec.height_px,
            fx_px=spec.fx_px,
            fy_px=spec.fy_px,
            cx_px=spec.cx_px - 0.5,  # pixel centres lie at integers in ROS
            cy_px=spec.cy_px - 0.5,
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
