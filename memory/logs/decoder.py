"""Decodes messages of a bag by the definitions that it brings, else by those of a distribution."""

from collections.abc import Sequence
from typing import Any

from memory.logs.bag import Topic
from memory.logs.errors import LogError
from memory.logs.messages import BUMPS, CAMERA_INFO, COMMANDS, IMAGES, POSES, TRANSFORMS

_READ = {*IMAGES, *POSES, *COMMANDS, *BUMPS, *TRANSFORMS, CAMERA_INFO}

_TF_ROS1 = "geometry_msgs/TransformStamped[] transforms\n"
"""Of tf2_msgs/TFMessage and tf/tfMessage, which the definitions of noetic lack."""


class Decoder:
    """Decodes the messages that are read.

    Only their definitions are looked at: a bag may hold others that nobody can parse.

    Args:
        topics: Topics of the bag, with definitions where it has them.
        ros_distro: Distribution of a ROS 2 bag without.
        is_ros1: Whether it is a bag of ROS 1.

    Raises:
        LogError: If the distribution is unknown.
    """

    def __init__(self, topics: Sequence[Topic], ros_distro: str, *, is_ros1: bool) -> None:
        from rosbags.typesys import (
            Stores,
            get_types_from_idl,
            get_types_from_msg,
            get_typestore,
        )

        stores = {s.value.removeprefix("ros2_"): s for s in Stores if s.value.startswith("ros2_")}
        if ros_distro not in stores:
            raise LogError(
                f"world.recorded.streams.ros_distro = {ros_distro!r}; accepted: {', '.join(stores)}"
            )
        base = get_typestore(Stores.ROS1_NOETIC if is_ros1 else stores[ros_distro])
        types: dict[str, Any] = dict(base.fielddefs)
        if is_ros1:
            for name in TRANSFORMS:
                types.update(get_types_from_msg(_TF_ROS1, name))
        for topic in topics:
            if topic.type not in _READ or not topic.definition:
                continue
            try:
                if topic.is_idl:
                    types.update(_from_idl(topic.definition, get_types_from_idl))
                else:
                    types.update(get_types_from_msg(topic.definition, topic.type))
            except Exception:  # noqa: S112 - a parser's own errors; the distribution's is taken
                continue
        self._store = get_typestore(Stores.EMPTY)
        self._store.register(types)
        decode = self._store.deserialize_ros1 if is_ros1 else self._store.deserialize_cdr
        self._decode: Any = decode

    def decode(self, data: bytes, msgtype: str) -> Any:
        """Return a message, its arrays views of the bytes.

        Raises:
            LogError: If the type is unknown or the bytes do not fit it.
        """
        if msgtype not in self._store.types:
            raise LogError(f"no definition of {msgtype} in the log")
        try:
            return self._decode(data, msgtype)
        except Exception as error:  # whatever a decoder raises on bytes that are not its own
            raise LogError(f"no {msgtype} ({type(error).__name__})") from error


def _from_idl(text: str, parse: Any) -> dict[str, Any]:
    ruler = "=" * 80 + "\n"
    if not text.startswith(f"{ruler}IDL: "):
        found: dict[str, Any] = parse(text)
        return found
    types: dict[str, Any] = {}
    for part in text.split(ruler)[1:]:
        types.update(parse(part.split("\n", 1)[1]))
    return types
