"""A link to a robot over Zenoh, in the dialect of rmw_zenoh.

The robot runs rmw_zenoh and its router; we connect to the router and to nothing else.
"""

import json
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import zenoh
import zenoh.ext
from rosbags.typesys.store import Typestore

from agentd.worlds.ros2.hand_over import HandOver
from agentd.worlds.ros2.link import LinkError, Publisher, Raw
from agentd.worlds.ros2.zenoh_keys import (
    NO_HASH,
    Token,
    attachment,
    data_key,
    node_key,
)

log = logging.getLogger(__name__)

_NODE = "agentd"
_LATCHED_KEPT = 100
_PATIENCE_US = 5000
"""A message waits so long for room in the queue, then it is dropped; a command's tick is 50 ms."""
_PRIORITIES = {
    "geometry_msgs/msg/Twist": zenoh.Priority.REAL_TIME,
    "geometry_msgs/msg/TwistStamped": zenoh.Priority.REAL_TIME,
    "sensor_msgs/msg/Image": zenoh.Priority.DATA,
    "sensor_msgs/msg/CompressedImage": zenoh.Priority.DATA,
    "sensor_msgs/msg/PointCloud2": zenoh.Priority.DATA,
}


@dataclass(slots=True, kw_only=True)
class _Subscription:
    """A topic that is listened to; `latched` once it was asked for what was sent before."""

    topic: str
    msgtype: str
    put: Callable[[Raw], None]
    subscriber: Any
    latched: bool = False


class ZenohLink:
    """Moves messages of one ROS domain through a router. Finds a lost router again by itself.

    Args:
        store: Message types of the robot's distribution.
        hashed: Whether the distribution hashes its types (all since Iron do).
        domain: `ROS_DOMAIN_ID` on the robot.
        endpoint: Where the router listens.
        listen: Be the router at this address instead, and connect to none.

    Raises:
        LinkError: If there is no router, or the address cannot be listened at.
    """

    def __init__(
        self,
        store: Typestore,
        *,
        hashed: bool,
        domain: int = 0,
        endpoint: str = "tcp/localhost:7447",
        listen: str | None = None,
    ) -> None:
        self._store = store
        self._hashed = hashed
        self._domain = domain
        self._lock = threading.RLock()
        self._closed = False
        self._tokens: dict[str, Token] = {}
        self._subscriptions: list[_Subscription] = []
        self._publishers: list[_ZenohPublisher] = []
        self._declared: list[Any] = []
        self._warned: set[str] = set()
        try:
            self._session = zenoh.open(settings(endpoint, listen))
        except zenoh.ZError as error:
            there = f"no Zenoh router answers at {endpoint}"
            wrong = there if listen is None else f"no Zenoh router can listen at {listen}"
            raise LinkError(f"{wrong}: {error}") from error
        self._id = str(self._session.zid())
        self._mail = HandOver("zenoh-link")
        self._news: queue.SimpleQueue[zenoh.Sample | None] = queue.SimpleQueue()
        self._graph = threading.Thread(target=self._follow, name="zenoh-graph", daemon=True)
        self._graph.start()
        liveliness = self._session.liveliness()
        self._declared.append(liveliness.declare_token(node_key(domain, self._id, _NODE)))
        self._declared.append(
            liveliness.declare_subscriber(
                f"@ros2_lv/{domain}/**",
                zenoh.handlers.Callback(self._news.put, indirect=False),
                history=True,
            )
        )

    def subscribe(self, topic: str, msgtype: str, take: Callable[[Raw], None]) -> None:
        """Have the newest message of a topic handed over, and what a latched topic holds.

        A message that is not taken before the next arrives is replaced by it.

        Raises:
            LinkError: If the type is unknown, or the topic exists with another type.
        """
        with self._lock:
            self._check(topic, msgtype)
            put = self._mail.box(msgtype, take)
            seen = _Subscription(topic=topic, msgtype=msgtype, put=put, subscriber=None)
            seen.subscriber = self._session.declare_subscriber(
                data_key(self._domain, topic, msgtype, "*"), self._arrival(seen)
            )
            self._subscriptions.append(seen)
            self._declare("MS", topic, msgtype)
            self._hear_latched()

    def advertise(self, topic: str, msgtype: str) -> Publisher:
        """Return where messages of a topic can be sent.

        Raises:
            LinkError: If the type is unknown, or the topic exists with another type.
        """
        with self._lock:
            self._check(topic, msgtype)
            publisher = _ZenohPublisher(self, self._session, topic, msgtype)
            self._publishers.append(publisher)
            publisher.address(self._keys(topic, msgtype))
            self._declare("MP", topic, msgtype)
            return publisher

    def topics(self) -> dict[str, str]:
        """Return the topics that others publish, each with its type."""
        with self._lock:
            return {token.topic: token.msgtype for token in self._others()}

    def publishers(self, topic: str) -> int:
        """Return how many others publish a topic."""
        with self._lock:
            return sum(token.topic == topic for token in self._others())

    def close(self) -> None:
        """Leave; no message is handed over afterwards."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._mail.close()
        self._news.put(None)
        if threading.current_thread() is not self._graph:
            self._graph.join()
        self._session.close()

    def check_open(self) -> None:
        """Raise LinkError if the link is closed."""
        if self._closed:
            raise LinkError("the link is closed")

    def _check(self, topic: str, msgtype: str) -> None:
        self.check_open()
        if not topic.startswith("/"):
            raise LinkError(f"topic {topic!r}: a name starts with a slash, as in '/{topic}'")
        if msgtype not in self._store.fielddefs:
            raise LinkError(f"unknown message type {msgtype!r}")
        for token in self._others():
            if token.topic == topic and token.msgtype != msgtype:
                raise LinkError(f"{topic} is a {token.msgtype} on the robot, not a {msgtype}")

    def _others(self) -> list[Token]:
        """Return the publishers of others."""
        return [t for t in self._tokens.values() if t.kind == "MP" and t.session != self._id]

    def _digest(self, msgtype: str) -> str:
        return self._store.hash_rihs01(msgtype) if self._hashed else NO_HASH

    def _keys(self, topic: str, msgtype: str) -> set[str]:
        """Return where to send: under each hash that a subscriber names, else under our own."""
        named = {
            token.type_hash
            for token in self._tokens.values()
            if token.kind == "MS" and (token.topic, token.msgtype) == (topic, msgtype)
        }
        digests = named or {self._digest(msgtype)}
        return {data_key(self._domain, topic, msgtype, digest) for digest in digests}

    def _declare(self, kind: str, topic: str, msgtype: str) -> None:
        """Tell others of a publisher or a subscriber of ours: some send only to who is there."""
        token = Token(
            session=self._id,
            kind=kind,
            topic=topic,
            msgtype=msgtype,
            type_hash=self._digest(msgtype),
            latched=False,
        )
        key = token.key(self._domain, len(self._declared), _NODE)
        self._declared.append(self._session.liveliness().declare_token(key))

    def _arrival(self, seen: _Subscription) -> "zenoh.handlers.Callback[zenoh.Sample]":
        def arrived(sample: zenoh.Sample) -> None:
            received_ns = time.monotonic_ns()
            if sample.kind == zenoh.SampleKind.PUT:
                seen.put(
                    Raw(
                        topic=seen.topic,
                        msgtype=seen.msgtype,
                        data=sample.payload.to_bytes(),
                        received_ns=received_ns,
                    )
                )

        # In Zenoh's own thread: through its queue the time of arrival would be lost.
        return zenoh.handlers.Callback(arrived, indirect=False)

    def _follow(self) -> None:
        """Keep who is there; nothing may be declared in a thread of Zenoh's."""
        while (sample := self._news.get()) is not None:
            key = str(sample.key_expr)
            token = Token.parse(key)
            if token is None:
                continue
            with self._lock:
                if self._closed:
                    return
                if sample.kind == zenoh.SampleKind.DELETE:
                    self._tokens.pop(key, None)
                    continue
                self._tokens[key] = token
                if token.session == self._id:
                    continue
                for publisher in self._publishers:
                    publisher.address(self._keys(publisher.topic, publisher.msgtype))
                self._hear_latched()
                self._warn(token)

    def _hear_latched(self) -> None:
        """Ask for what was sent before, wherever a publisher keeps it for those who come late."""
        latched = {(t.topic, t.msgtype) for t in self._others() if t.latched}
        for seen in self._subscriptions:
            if not seen.latched and (seen.topic, seen.msgtype) in latched:
                before, seen.latched = seen.subscriber, True
                seen.subscriber = zenoh.ext.declare_advanced_subscriber(
                    self._session,
                    data_key(self._domain, seen.topic, seen.msgtype, "*"),
                    self._arrival(seen),
                    history=zenoh.ext.HistoryConfig(
                        detect_late_publishers=True, max_samples=_LATCHED_KEPT
                    ),
                )
                before.undeclare()

    def _warn(self, token: Token) -> None:
        """Say once for each topic that it is published with a type that was not asked for."""
        for seen in self._subscriptions:
            other = token.kind == "MP" and seen.topic == token.topic
            if other and seen.msgtype != token.msgtype and seen.topic not in self._warned:
                self._warned.add(seen.topic)
                log.warning(
                    "%s is a %s on the robot, not a %s", seen.topic, token.msgtype, seen.msgtype
                )


class _ZenohPublisher:
    """Where messages of one topic go."""

    def __init__(self, link: ZenohLink, session: zenoh.Session, topic: str, msgtype: str) -> None:
        self.topic = topic
        self.msgtype = msgtype
        self._link = link
        self._session = session
        self._gid = os.urandom(16)
        self._number = 0
        self._made: dict[str, zenoh.Publisher] = {}
        self._routes: tuple[zenoh.Publisher, ...] = ()

    def address(self, keys: set[str]) -> None:
        """Send to these keys from now on."""
        for key in keys - self._made.keys():
            # Dropped where the network is behind, never held up for long; and never held back for
            # company. Commands have a queue of their own, in which no image stands before them.
            self._made[key] = self._session.declare_publisher(
                key,
                congestion_control=zenoh.CongestionControl.DROP,
                priority=_PRIORITIES.get(self.msgtype, zenoh.Priority.INTERACTIVE_HIGH),
                express=True,
            )
        # One that is not used any more stays declared: somebody may be sending with it right now.
        self._routes = tuple(self._made[key] for key in keys)

    def send(self, data: bytes | memoryview) -> None:
        """Send a serialised message; never waits.

        Raises:
            LinkError: If the link is closed, the bytes are no message, or Zenoh refuses them.
        """
        self._link.check_open()
        if len(data) < 4:
            raise LinkError(f"{self.topic}: {len(data)} bytes are no message")
        self._number += 1
        beside = attachment(self._number, time.time_ns(), self._gid)
        try:
            for route in self._routes:
                route.put(bytes(data), attachment=beside)
        except zenoh.ZError as error:
            raise LinkError(f"{self.topic}: not sent ({error})") from error


def settings(endpoint: str, listen: str | None, *, stamped: bool = False) -> zenoh.Config:
    """Return a configuration that connects to one endpoint, or is the router at another.

    Who keeps messages for those who come late has to be `stamped`.
    """
    config = zenoh.Config()
    values: dict[str, Any] = {
        "mode": "client" if listen is None else "router",
        "connect/endpoints": [endpoint] if listen is None else [],
        "listen/endpoints": [] if listen is None else [listen],
        "scouting/multicast/enabled": False,
        "scouting/gossip/enabled": False,
        "connect/timeout_ms": 3000,
        "transport/link/tx/queue/congestion_control/drop/wait_before_drop": _PATIENCE_US,
        "timestamping/enabled": stamped,
        "adminspace/enabled": False,
        "transport/shared_memory/enabled": False,  # a process that is killed leaves its files
    }
    for key, value in values.items():
        config.insert_json5(key, json.dumps(value))
    return config
