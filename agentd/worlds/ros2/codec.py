"""What messages mean: CDR bytes to fields and back, the same for every transport."""

from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from agentd.worlds.ros2.link import LinkError, Raw


class Codec:
    """Reads and writes the messages of one ROS distribution.

    Args:
        distro: Name of the distribution, as in `humble`; `noetic` for a ROS 1 robot.

    Raises:
        LinkError: If the distribution is unknown.
    """

    def __init__(self, distro: str) -> None:
        names = {store.value.removeprefix("ros2_").removeprefix("ros1_"): store for store in Stores}
        if distro not in names:
            raise LinkError(f"unknown ROS distribution {distro!r}; known: {', '.join(names)}")
        self.store = get_typestore(names[distro])
        if "tf2_msgs/msg/TFMessage" not in self.store.types:
            # The definitions of ROS 1 leave it out, and every robot publishes it.
            text = "geometry_msgs/TransformStamped[] transforms"
            self.store.register(get_types_from_msg(text, "tf2_msgs/msg/TFMessage"))

    def decode(self, raw: Raw) -> Any:
        """Return the message, its arrays views of the bytes.

        Raises:
            LinkError: If the bytes do not fit the type.
        """
        try:
            return self.store.deserialize_cdr(raw.data, raw.msgtype)
        except Exception as error:  # whatever a decoder raises on bytes that are not its own
            raise LinkError(f"{raw.topic}: no {raw.msgtype} ({error})") from error

    def encode(self, message: Any) -> memoryview:
        """Return the CDR bytes of a message."""
        return self.store.serialize_cdr(message, message.__msgtype__)

    def type(self, msgtype: str) -> Any:
        """Return the class of a message.

        Raises:
            LinkError: If the distribution does not know it.
        """
        if msgtype not in self.store.types:
            raise LinkError(f"unknown message type {msgtype!r}")
        return self.store.types[msgtype]
