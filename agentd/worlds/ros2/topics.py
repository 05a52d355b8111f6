"""Which topics a robot has to have, and the types that each may be of."""

import logging
import threading
from collections.abc import Callable
from typing import NamedTuple

from agentd.worlds.ros2.images import COMPRESSED, IMAGE, IMAGE_TYPES
from agentd.worlds.ros2.link import Link, LinkError, Raw
from agentd.worlds.ros2.messages import BATTERY, BUMPER_TYPES, CAMERA_INFO, ODOMETRY, TF
from configs.bodies.ros2_robot import Ros2Robot

log = logging.getLogger(__name__)

GUESS_AFTER_S = 3.0
"""A topic that nobody is seen to publish is listened to as what its name suggests after this: not
every link sees what there is."""


class Wanted(NamedTuple):
    """A topic of the robot: its key in `TopicsConfig`, its name, the types that it may have."""

    name: str
    topic: str
    types: tuple[str, ...]
    is_needed: bool


def wanted(robot: Ros2Robot) -> list[Wanted]:
    """Return the topics that the settings of a robot ask for."""
    topics, lens = robot.topics, robot.lens
    all_ = [
        Wanted("rgb", topics.rgb, IMAGE_TYPES, True),
        Wanted("depth", topics.depth, IMAGE_TYPES, True),
        Wanted("camera_info", topics.camera_info, (CAMERA_INFO,), True),
        Wanted("odom", topics.odom, (ODOMETRY,), True),
        Wanted("tf", topics.tf, (TF,), robot.pose == "tf"),
        Wanted("tf_static", topics.tf_static, (TF,), not lens.has_mount),
        Wanted("bumper", topics.bumper, BUMPER_TYPES, False),
        Wanted("battery", topics.battery, (BATTERY,), False),
    ]
    return [item for item in all_ if item.topic]


class Subscribing:
    """Subscribes each topic as soon as its type is known.

    Args:
        link: To the robot.
        robot: What it is.
        take: Called with the key of the topic and the message, in a thread of the link.
    """

    def __init__(self, link: Link, robot: Ros2Robot, take: Callable[[str, Raw], None]) -> None:
        self._link, self._take = link, take
        self._wanted = wanted(robot)
        self._done: set[str] = set()
        self.refused: dict[str, str] = {}

    def go_on(self, waited_s: float) -> None:
        """Subscribe what can be seen; after a while also what cannot."""
        seen = self._link.topics()
        for item in self._wanted:
            if item.name in self._done:
                continue
            msgtype = seen.get(item.topic)
            if msgtype is None:
                if waited_s < GUESS_AFTER_S:
                    continue
                msgtype = _guess(item)
            elif msgtype not in item.types:
                self.refused[item.name] = (
                    f"{item.topic} is a {msgtype}; accepted: {', '.join(item.types)}"
                )
                continue
            try:
                self._link.subscribe(item.topic, msgtype, self._hand_on(item.name))
            except LinkError as error:
                self.refused[item.name] = f"{item.topic}: {error}"
                continue
            self.refused.pop(item.name, None)
            self._done.add(item.name)

    def lacking(self, heard: set[str]) -> list[str]:
        """Return in words which needed topics are of the wrong type or silent."""
        seen = self._link.topics()
        told = [text for name, text in self.refused.items() if self._is_needed(name)]
        for item in self._wanted:
            if item.is_needed and item.name not in heard and item.name not in self.refused:
                is_seen = item.topic in seen
                what = "published, but nothing arrived" if is_seen else "not published by anybody"
                told.append(f"{item.topic} ({item.name}) is {what}")
        return told

    def _is_needed(self, name: str) -> bool:
        return any(item.name == name and item.is_needed for item in self._wanted)

    def _hand_on(self, name: str) -> Callable[[Raw], None]:
        return lambda raw: self._take(name, raw)


def _guess(item: Wanted) -> str:
    if item.types == IMAGE_TYPES:
        is_compressed = item.topic.rpartition("/")[2].startswith("compressed")
        return COMPRESSED if is_compressed else IMAGE
    return item.types[0]


def pause(seconds: float) -> None:
    """Wait: what the link sees of the robot tells nobody when it changes."""
    threading.Event().wait(seconds)
