"""How rmw_zenoh names topics and tells who is there, and what it sends beside a message."""

from dataclasses import dataclass

from agentd.worlds.ros2.names import dds_type, ros_type

# Humble cannot hash its types; everything since can.
NO_HASH = "TypeHashNotSupported"
_TRANSIENT_LOCAL = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a liveliness token tells of a publisher or a subscriber.

    Attributes:
        session: Zenoh's id of the session that declared it.
        kind: `MP` publishes, `MS` subscribes.
        topic: Name with a leading slash.
        msgtype: ROS type, as in `sensor_msgs/msg/Image`.
        type_hash: Hash of the type as the robot computes it.
        latched: Whether it keeps what it sent for those who come late.
    """

    session: str
    kind: str
    topic: str
    msgtype: str
    type_hash: str
    latched: bool

    @classmethod
    def parse(cls, key: str) -> "Token | None":
        """Return what a token tells, None where it is of a node, a service or unknown."""
        parts = key.split("/")
        if len(parts) != 13 or parts[0] != "@ros2_lv" or parts[5] not in ("MP", "MS"):
            return None
        qos = parts[12].split(":")
        return cls(
            session=parts[2],
            kind=parts[5],
            topic=parts[9].replace("%", "/"),
            msgtype=ros_type(parts[10]),
            type_hash=parts[11],
            latched=len(qos) > 1 and qos[1] == _TRANSIENT_LOCAL,
        )

    def key(self, domain: int, number: int, node: str) -> str:
        """Return the token of an endpoint of ours: we publish reliably and hear what comes."""
        qos = "::,5:,:,:,," if self.kind == "MP" else "2::,1:,:,:,,"
        topic = self.topic.replace("/", "%")
        return (
            f"@ros2_lv/{domain}/{self.session}/0/{number}/{self.kind}/%/%/{node}/"
            f"{topic}/{dds_type(self.msgtype)}/{self.type_hash}/{qos}"
        )


def node_key(domain: int, session: str, name: str) -> str:
    """Return the token of our node."""
    return f"@ros2_lv/{domain}/{session}/0/0/NN/%/%/{name}"


def data_key(domain: int, topic: str, msgtype: str, digest: str) -> str:
    """Return where messages of a topic go; `*` as the hash stands for any."""
    return f"{domain}/{topic.strip('/')}/{dds_type(msgtype)}/{digest}"


def attachment(number: int, sent_ns: int, gid: bytes) -> bytes:
    """Return what goes beside a message: its number, its time, and who sends it (16 bytes)."""
    return (
        number.to_bytes(8, "little", signed=True)
        + sent_ns.to_bytes(8, "little", signed=True)
        + bytes([len(gid)])
        + gid
    )
