"""A ROS 1 bag without its index, as a killed recorder leaves it: read record by record.

Format: http://wiki.ros.org/Bags/Format/2.0. A record is a header of name=value fields and data;
chunks hold records of connections and messages, compressed or not.
"""

import bz2
import struct
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from memory.logs.bag import Message, Topic, at_time, words_of
from memory.logs.errors import LogError

_MAGIC = b"#ROSBAG V2.0\n"
_UINT = struct.Struct("<I")
_MESSAGE, _CHUNK, _CONNECTION = 2, 5, 7
_MOST_BYTES = 1 << 31
"""No record is larger: a length beyond it is damage."""

_DAMAGE = (ValueError, LookupError, OSError, EOFError, struct.error, RuntimeError)
"""What bytes that are no records make of the functions that read them."""

_Record = tuple[dict[str, bytes], bytes]


class Bag1Records:
    """Reads a bag as far as it goes. Satisfies `Bag`.

    Args:
        path: The file.

    Raises:
        LogError: If not even one message can be read.
    """

    format = "rosbag1"
    is_ros1 = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self.broken = ""
        self.start_ns = self.end_ns = 0
        counts: dict[str, int] = {}
        self._topics: dict[str, Topic] = {}
        for message in self._messages():
            if not counts:
                self.start_ns = message.logged_ns
            counts[message.topic] = counts.get(message.topic, 0) + 1
            self.end_ns = max(self.end_ns, message.logged_ns)
        if not counts:
            raise LogError(f"{path} holds no sound message: {self.broken or 'it is empty'}")
        self.topics = [
            Topic(name=name, type=t.type, count=counts[name], definition=t.definition)
            for name, t in self._topics.items()
            if name in counts
        ]

    def messages(self, topics: Collection[str]) -> Iterator[Message]:
        """Yield messages of some topics in the order in which they were written."""
        return (message for message in self._messages() if message.topic in topics)

    def close(self) -> None:
        """Nothing is held."""

    def _messages(self) -> Iterator[Message]:
        self.broken = ""
        topics: dict[int, Topic] = {}
        last_ns = 0
        try:
            with self._path.open("rb") as file:
                if file.read(len(_MAGIC)) != _MAGIC:
                    raise ValueError("it does not begin as a bag of version 2.0")
                for header, data in _unchunked(_records(file)):
                    op = header["op"][0]
                    if op == _CONNECTION:
                        number = _UINT.unpack(header["conn"])[0]
                        topics[number] = _topic_of(header, data)
                        self._topics[topics[number].name] = topics[number]
                    elif op == _MESSAGE:
                        topic = topics[_UINT.unpack(header["conn"])[0]]
                        sec, nanosec = struct.unpack("<II", header["time"])
                        logged_ns = sec * 10**9 + nanosec
                        last_ns = max(last_ns, logged_ns)
                        yield Message(topic.name, topic.type, logged_ns, data)
        except _DAMAGE as error:
            after = f"{self._path} is cut off or damaged after {at_time(last_ns)}"
            self.broken = f"{after}: {words_of(error)}"
            return
        self.broken = f"{self._path} has no index: its recorder was killed at {at_time(last_ns)}"


def _records(file: BinaryIO) -> Iterator[_Record]:
    while (length := file.read(4)) != b"":
        header = _fields(_exactly(file, _UINT.unpack(length)[0]))
        yield header, _exactly(file, _UINT.unpack(_exactly(file, 4))[0])


def _unchunked(records: Iterator[_Record]) -> Iterator[_Record]:
    for header, data in records:
        if header["op"][0] != _CHUNK:
            if header["op"][0] == _CONNECTION:
                yield header, data
            continue
        match header["compression"]:
            case b"none":
                pass
            case b"bz2":
                data = bz2.decompress(data)
            case b"lz4":
                from lz4.frame import decompress

                data = decompress(data)
            case other:
                raise ValueError(f"unknown compression {other.decode(errors='replace')!r}")
        at = 0
        while at < len(data):
            size = _UINT.unpack_from(data, at)[0]
            inner = _fields(data[at + 4 : at + 4 + size])
            at += 4 + size
            size = _UINT.unpack_from(data, at)[0]
            yield inner, data[at + 4 : at + 4 + size]
            at += 4 + size


def _exactly(file: BinaryIO, size: int) -> bytes:
    if size > _MOST_BYTES:
        raise ValueError(f"a record of {size} bytes")
    data = file.read(size)
    if len(data) != size:
        raise EOFError("the file ends within a record")
    return data


def _fields(data: bytes) -> dict[str, bytes]:
    found, at = {}, 0
    while at < len(data):
        size = _UINT.unpack_from(data, at)[0]
        name, equals, value = data[at + 4 : at + 4 + size].partition(b"=")
        if not equals:
            raise ValueError("a header that is none")
        found[name.decode()] = value
        at += 4 + size
    return found


def _topic_of(header: dict[str, bytes], data: bytes) -> Topic:
    fields = _fields(data)
    package, _, name = fields["type"].decode().partition("/")
    return Topic(
        name=header["topic"].decode(),
        type=f"{package}/msg/{name}",
        count=0,
        definition=fields.get("message_definition", b"").decode(errors="replace"),
    )
