"""Hands messages over in a thread of its own, the newest where it falls behind."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from agentd.worlds.ros2.link import Raw

log = logging.getLogger(__name__)

# Messages of these types are parts of a whole: the newest does not replace the one before.
PARTS = frozenset({"tf2_msgs/msg/TFMessage"})
PARTS_KEPT = 100


def kept(msgtype: str) -> int:
    """Return how many messages of a type wait for a taker that is behind."""
    return PARTS_KEPT if msgtype in PARTS else 1


@dataclass(frozen=True, slots=True)
class _Box:
    waiting: deque[Raw]
    take: Callable[[Raw], None]


class HandOver:
    """A thread between a transport and those who take its messages.

    The transport is never held up, and a taker that is slow finds the newest message, not a queue.
    """

    def __init__(self, name: str) -> None:
        self._boxes: list[_Box] = []
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def box(self, msgtype: str, take: Callable[[Raw], None]) -> Callable[[Raw], None]:
        """Return where the transport puts the messages that `take` is to get."""
        box = _Box(deque(maxlen=kept(msgtype)), take)
        self._boxes.append(box)

        def put(raw: Raw) -> None:
            box.waiting.append(raw)
            self._wake.set()

        return put

    def close(self) -> None:
        """Hand over nothing more."""
        self._closed = True
        self._wake.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        while not self._closed:
            self._wake.wait()
            self._wake.clear()
            for box in list(self._boxes):
                while box.waiting and not self._closed:
                    raw = box.waiting.popleft()
                    try:
                        box.take(raw)
                    except Exception:  # what a taker does wrong is no reason to hear no more
                        log.exception("%s: a message was not taken", raw.topic)
