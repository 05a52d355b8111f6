"""The seam between this program and a robot: bytes, a topic, a type and a time.

A transport moves serialised messages and knows nothing of what they mean; what they mean is
decoded in one place for all transports.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """A message as it came.

    Attributes:
        topic: Name with a leading slash.
        msgtype: ROS type, as in `sensor_msgs/msg/Image`.
        data: CDR bytes with their four bytes of header.
        received_ns: When it arrived, `time.monotonic_ns()` of this machine.
    """

    topic: str
    msgtype: str
    data: bytes | memoryview
    received_ns: int


class Publisher(Protocol):
    """Where messages of one topic go."""

    def send(self, data: bytes | memoryview) -> None:
        """Send a serialised message; never waits.

        Raises:
            LinkError: If the link is closed or broken.
        """
        ...


class Link(Protocol):
    """Moves messages to and from one robot. Calls come from any thread."""

    def subscribe(self, topic: str, msgtype: str, take: Callable[[Raw], None]) -> None:
        """Have every message of a topic handed over, in a thread of the link.

        Only messages that arrived count: the end of a peer's lease is none.

        Raises:
            LinkError: If the type is unknown, or the topic exists with another type.
        """
        ...

    def advertise(self, topic: str, msgtype: str) -> Publisher:
        """Return where messages of a topic can be sent."""
        ...

    def topics(self) -> dict[str, str]:
        """Return the topics that others publish, each with its type, as far as the link can see."""
        ...

    def publishers(self, topic: str) -> int | None:
        """Return how many others publish a topic, None if the link cannot tell."""
        ...

    def close(self) -> None:
        """Release everything; quiet when called twice."""
        ...


class LinkError(RuntimeError):
    """A link cannot be opened, or does not reach its robot."""
