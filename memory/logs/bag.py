"""What every kind of ROS bag gives: topics and raw messages."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic of a bag.

    Attributes:
        name: Name.
        type: ROS type, as in `sensor_msgs/msg/Image`.
        count: Messages.
        definition: Text of its definition, "" for none.
        is_idl: Whether the definition is IDL.
    """

    name: str
    type: str
    count: int
    definition: str = ""
    is_idl: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it lies in the bag."""

    topic: str
    type: str
    logged_ns: int
    data: bytes


class Bag(Protocol):
    """A file or folder of messages."""

    format: str
    is_ros1: bool
    topics: list[Topic]
    start_ns: int
    end_ns: int
    broken: str
    """Why the last reading ended early."""

    def messages(self, topics: Collection[str]) -> Iterator[Message]:
        """Yield messages of some topics in the order in which they were written."""
        ...

    def close(self) -> None: ...


def at_time(stamp_ns: int) -> str:
    """Return a time for people."""
    return f"{stamp_ns / 1e9:.3f} s of the recorder's clock" if stamp_ns else "its beginning"


def words_of(error: BaseException) -> str:
    """Return an error for people."""
    return f"{type(error).__name__}: {error}".removesuffix(": ")
