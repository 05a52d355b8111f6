"""A link to a robot behind rosbridge: ROS 1, or a ROS 2 that lets nothing else through.

Messages come as bytes (mode `cbor-raw`), and go as JSON since the server takes nothing better.
"""

import contextlib
import itertools
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rosbags.typesys.store import Typestore
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection, connect

from agentd.worlds.ros2.hand_over import HandOver
from agentd.worlds.ros2.link import LinkError, Publisher, Raw
from agentd.worlds.ros2.rosbridge_messages import bridge_type, cdr, fields, read, ros_type

log = logging.getLogger(__name__)

_OPEN_S = 3.0
_ANSWER_S = 2.0
_PING_S = 2.0
_SILENT_S = 5.0
_RETRY_S = (0.25, 5.0)
_LARGEST_BYTES = 64 * 2**20
# Messages of a topic that wait while the network is behind; older ones are dropped.
_SENT_KEPT = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subscription:
    """A topic that is listened to, and how the server calls the wish."""

    name: str
    topic: str
    msgtype: str
    put: Callable[[Raw], None]


class RosbridgeLink:
    """Moves messages through a rosbridge server. Connects again by itself.

    Args:
        store: Message types of the robot's distribution.
        url: Address of the server, as in `ws://robot.local:9090`.
        ros1: Whether it is the bridge of a ROS 1.

    Raises:
        LinkError: If no server answers.
    """

    def __init__(self, store: Typestore, *, url: str, ros1: bool = False) -> None:
        if not url.startswith("ws://"):
            raise LinkError(f"{url!r} is no address of a rosbridge, as ws://HOST:9090 is")
        self._store = store
        self._url = url
        self._ros1 = ros1
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._closing = threading.Event()
        self._subscriptions: dict[str, _Subscription] = {}
        self._advertised: dict[str, dict[str, Any]] = {}
        self._refused: dict[str, str] = {}
        self._asked: dict[str, dict[str, Any] | None] = {}
        self._answered = threading.Condition()
        self._outgoing: deque[tuple[str | None, str]] = deque()  # topic and text
        self._to_send = threading.Condition()
        self._connection: ClientConnection | None = None
        self._tried = threading.Event()
        self._failure = "it does not answer"
        self._mail = HandOver("rosbridge-link")
        self._threads = [
            threading.Thread(target=self._receive, name="rosbridge-in", daemon=True),
            threading.Thread(target=self._transmit, name="rosbridge-out", daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        self._tried.wait(2 * _OPEN_S)
        if self._connection is None:
            self.close()
            raise LinkError(f"no rosbridge answers at {url}: {self._failure}")

    def subscribe(self, topic: str, msgtype: str, take: Callable[[Raw], None]) -> None:
        """Have the newest message of a topic handed over.

        A message that is not taken before the next arrives is replaced by it.

        Raises:
            LinkError: If the type is unknown, or the server refuses; the text is the server's.
        """
        self._check(topic, msgtype)
        name = f"subscribe:{topic}:{next(self._numbers)}"
        wish = _Subscription(
            name=name, topic=topic, msgtype=msgtype, put=self._mail.box(msgtype, take)
        )
        with self._lock:
            self._subscriptions[name] = wish
        try:
            self._post(self._wish(wish))
            self._accepted(name, topic, msgtype)
        except LinkError:
            with self._lock:
                del self._subscriptions[name]
            with contextlib.suppress(LinkError):
                self._post({"op": "unsubscribe", "id": name, "topic": topic})
            raise

    def advertise(self, topic: str, msgtype: str) -> Publisher:
        """Return where messages of a topic can be sent.

        Raises:
            LinkError: If the type is unknown, or the server refuses; the text is the server's.
        """
        self._check(topic, msgtype)
        name = f"advertise:{topic}:{next(self._numbers)}"
        wish = {
            "op": "advertise",
            "id": name,
            "topic": topic,
            "type": bridge_type(msgtype, ros1=self._ros1),
        }
        with self._lock:
            self._advertised[name] = wish
        try:
            self._post(wish)
            self._accepted(name, topic, msgtype)
        except LinkError:
            with self._lock:
                del self._advertised[name]
            raise
        return _RosbridgePublisher(self, topic, msgtype)

    def topics(self) -> dict[str, str]:
        """Return the topics of the robot, each with its type; empty where rosapi does not answer.

        Asks the server. Topics that are only subscribed count too.
        """
        found = self._ask("/rosapi/topics", {})
        names, kinds = found.get("topics", []), found.get("types", [])
        return {name: ros_type(kind) for name, kind in zip(names, kinds, strict=False)}

    def publishers(self, topic: str) -> int | None:
        """Return how many nodes publish a topic, None where rosapi does not answer.

        Asks the server. The server itself counts where we publish through it.
        """
        found = self._ask("/rosapi/publishers", {"topic": topic})
        return len(found["publishers"]) if "publishers" in found else None

    def close(self) -> None:
        """Hang up; no message is handed over afterwards."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._mail.close()
        connection = self._connection
        if connection is not None:
            connection.close()
        with self._to_send, self._answered:
            self._to_send.notify_all()
            self._answered.notify_all()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    def send(self, topic: str, msgtype: str, data: bytes | memoryview) -> None:
        """Send a serialised message; never waits.

        Raises:
            LinkError: If there is no connection, or the bytes are no message of this type.
        """
        try:
            message = fields(self._store, msgtype, data, ros1=self._ros1)
            self._post({"op": "publish", "topic": topic, "msg": message})
        except (LinkError, ValueError) as error:
            raise LinkError(f"{topic}: not sent ({error})") from error

    def _check(self, topic: str, msgtype: str) -> None:
        if not topic.startswith("/"):
            raise LinkError(f"topic {topic!r}: a name starts with a slash, as in '/{topic}'")
        if msgtype not in self._store.fielddefs:
            raise LinkError(f"unknown message type {msgtype!r}")

    def _wish(self, wish: _Subscription) -> dict[str, Any]:
        return {
            "op": "subscribe",
            "id": wish.name,
            "topic": wish.topic,
            "type": bridge_type(wish.msgtype, ros1=self._ros1),
            "compression": "cbor-raw",
            "throttle_rate": 0,
            "queue_length": 1,
        }

    def _accepted(self, name: str, topic: str, msgtype: str) -> None:
        """Find out what the server thinks of a wish.

        It says nothing where it agrees. It answers in order, so that what it says against the wish
        comes before the answer to a question that follows.
        """
        known = self._ask("/rosapi/topic_type", {"topic": topic}).get("type", "")
        if name in self._refused:
            raise LinkError(f"{topic}: the robot refuses: {self._refused.pop(name)}")
        if known and ros_type(known) != msgtype:
            raise LinkError(f"{topic} is a {ros_type(known)} on the robot, not a {msgtype}")

    def _ask(self, service: str, args: dict[str, Any]) -> dict[str, Any]:
        """Return a service's answer, empty where there is none in time."""
        name = f"call:{next(self._numbers)}"
        self._asked[name] = None
        try:
            self._post({"op": "call_service", "id": name, "service": service, "args": args})
            with self._answered:
                self._answered.wait_for(lambda: self._asked[name] is not None, timeout=_ANSWER_S)
        finally:
            answer = self._asked.pop(name)
        if answer is None or not answer.get("result", True):
            reason = "no answer" if answer is None else answer.get("values")
            log.warning("%s of the robot's rosbridge: %s", service, reason)
            return {}
        values = answer.get("values")
        return values if isinstance(values, dict) else {}

    def _post(self, message: dict[str, Any]) -> None:
        text = json.dumps(message, allow_nan=False)
        if self._closing.is_set():
            raise LinkError("the link is closed")
        if self._connection is None:
            raise LinkError(f"no connection to {self._url}")
        with self._to_send:
            topic = message["topic"] if message["op"] == "publish" else None
            waiting = [item for item in self._outgoing if topic is not None and item[0] == topic]
            if len(waiting) >= _SENT_KEPT:
                self._outgoing.remove(waiting[0])
            self._outgoing.append((topic, text))
            self._to_send.notify()

    def _transmit(self) -> None:
        while not self._closing.is_set():
            with self._to_send:
                self._to_send.wait_for(lambda: self._outgoing or self._closing.is_set())
                _, text = self._outgoing.popleft() if self._outgoing else (None, None)
            connection = self._connection
            if text is not None and connection is not None:
                try:
                    connection.send(text)
                except (ConnectionClosed, OSError):
                    continue  # the receiving thread sees it too, and connects again

    def _receive(self) -> None:
        """Connect, and again whenever the connection is lost, until the link is closed."""
        pause_s, longest_s = _RETRY_S
        while not self._closing.is_set():
            try:
                with connect(
                    self._url,
                    proxy=None,
                    compression=None,
                    open_timeout=_OPEN_S,
                    ping_interval=_PING_S,
                    ping_timeout=_SILENT_S,
                    close_timeout=1,
                    max_size=_LARGEST_BYTES,
                ) as connection:
                    pause_s = _RETRY_S[0]
                    self._converse(connection)
            except (OSError, WebSocketException) as error:
                was, self._connection = self._connection, None
                self._failure = str(error)
                self._tried.set()
                if self._closing.wait(pause_s):
                    return
                if was is not None:
                    log.warning("%s: connection lost (%s)", self._url, error)
                pause_s = min(2 * pause_s, longest_s)

    def _converse(self, connection: ClientConnection) -> None:
        """Wish again what was wished, then take what comes; ends with the connection."""
        with self._to_send:
            self._outgoing.clear()  # what was meant for then is not for now
        self._connection = connection
        if self._closing.is_set():
            return
        again = self._tried.is_set()
        self._tried.set()
        with self._lock:
            wishes = [self._wish(wish) for wish in self._subscriptions.values()]
            wishes += self._advertised.values()
        for wish in wishes:
            self._post(wish)
        if again:
            log.warning("%s: connected again", self._url)
        while True:
            frame = connection.recv()
            received_ns = time.monotonic_ns()
            try:
                self._dispatch(read(frame), received_ns)
            except LinkError as error:
                log.warning("%s: %s", self._url, error)

    def _dispatch(self, message: dict[str, Any], received_ns: int) -> None:
        if message["op"] == "publish":
            self._arrived(message, received_ns)
        elif message["op"] == "service_response":
            with self._answered:
                name = str(message.get("id"))
                if name in self._asked:
                    self._asked[name] = message
                    self._answered.notify_all()
        elif message["op"] == "status":
            name, text = str(message.get("id")), str(message.get("msg"))
            known = name in self._subscriptions or name in self._advertised
            if known and message.get("level") == "error":
                self._refused[name] = text
            log.warning("%s: %s: %s", self._url, message.get("level"), text)

    def _arrived(self, message: dict[str, Any], received_ns: int) -> None:
        with self._lock:
            wishes = [w for w in self._subscriptions.values() if w.topic == message.get("topic")]
        for wish in wishes:
            try:
                data = cdr(self._store, wish.msgtype, message.get("msg"), ros1=self._ros1)
            except LinkError as error:
                raise LinkError(f"{wish.topic}: {error}") from error
            wish.put(
                Raw(topic=wish.topic, msgtype=wish.msgtype, data=data, received_ns=received_ns)
            )


class _RosbridgePublisher:
    """Where messages of one topic go."""

    def __init__(self, link: RosbridgeLink, topic: str, msgtype: str) -> None:
        self._link = link
        self._topic = topic
        self._msgtype = msgtype

    def send(self, data: bytes | memoryview) -> None:
        """Send a serialised message; never waits.

        Raises:
            LinkError: If there is no connection, or the bytes are no message of this type.
        """
        self._link.send(self._topic, self._msgtype, data)
