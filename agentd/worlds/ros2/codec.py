"""What messages mean: CDR bytes to fields and back, the same for every transport."""

from typing import Any

from rosbags.typesys import Stores, get_typestore

from agentd.worlds.ros2.definitions import extra_types
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
        self.store.register(extra_types(self.store.types))

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
