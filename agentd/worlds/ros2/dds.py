"""A link to a robot over DDS: nothing to install or to change on the robot.

Speaks to what ROS 2 speaks by default (Fast DDS, Cyclone DDS), through Cyclone's library.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cyclonedds.builtin import BuiltinDataReader, BuiltinTopicDcpsPublication
from cyclonedds.core import (
    DDSException,
    GuardCondition,
    InstanceState,
    ReadCondition,
    SampleState,
    ViewState,
    WaitSet,
)
from cyclonedds.domain import DomainParticipant
from cyclonedds.idl import IdlStruct
from cyclonedds.pub import DataWriter
from cyclonedds.qos import Policy, Qos
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from cyclonedds.util import duration
from rosbags.typesys.store import Typestore

from agentd.worlds.ros2.dds_domain import Domains, settings_xml
from agentd.worlds.ros2.dds_types import DdsTypes, passed
from agentd.worlds.ros2.hand_over import kept
from agentd.worlds.ros2.link import LinkError, Publisher, Raw
from agentd.worlds.ros2.names import dds_topic, ros_topic, ros_type

log = logging.getLogger(__name__)

_EVERY = ViewState.Any | InstanceState.Any | SampleState.Any
_TAKEN_AT_ONCE = 256
_LATCHED_KEPT = 100
# Commands that a robot missed and that are still sent again: at 20 Hz a quarter of a second.
_SENT_KEPT = 5
# Up to 0.10 Cyclone's Python reads types with no lock of its own, of topics and of peers alike.
_TYPES_LOCK = threading.RLock()
_XCDR1 = Policy.DataRepresentation(use_cdrv0_representation=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Publication:
    """A writer of somebody else, as discovery told it."""

    topic: str
    msgtype: str
    latched: bool
    handle: int


@dataclass(slots=True, kw_only=True)
class _Subscription:
    """A topic that is listened to; `latched` reads what was sent before we came."""

    topic: str
    msgtype: str
    take: Callable[[Raw], None]
    reader: DataReader[Any]
    latched: DataReader[Any] | None = None


class DdsLink:
    """Moves messages of one DDS domain. A thread of its own hands over what arrives.

    Args:
        store: Message types of the robot's distribution.
        domain: Number of the DDS domain, `ROS_DOMAIN_ID` on the robot.
        interface: Network interface by name or address; None leaves the choice to DDS.
        peers: Addresses that are asked for participants where multicast does not reach.
        multicast: Whether discovery may use multicast.
        lease_s: How long others count on us once we are silent; DDS itself says 10.

    With nothing of this but the domain, the settings of `CYCLONEDDS_URI` hold.

    Raises:
        LinkError: If the domain cannot be joined.
    """

    def __init__(
        self,
        store: Typestore,
        *,
        domain: int = 0,
        interface: str | None = None,
        peers: tuple[str, ...] = (),
        multicast: bool = True,
        lease_s: float | None = None,
    ) -> None:
        self._types = DdsTypes(store)
        self._lock = threading.RLock()
        self._closed = False
        self._broken = ""
        self._subscriptions: list[_Subscription] = []
        self._publications: dict[uuid.UUID, _Publication] = {}
        self._topics: dict[tuple[str, str], Topic[Any]] = {}
        self._publishers: list[_DdsPublisher] = []
        self._warned: set[str] = set()
        plain = interface is None and not peers and multicast and lease_s is None
        settings = None if plain else settings_xml(interface, peers, multicast, lease_s)
        self._domain = Domains.join(domain, settings)
        try:
            self._participant = DomainParticipant(domain)
            self._own = self._participant.guid.bytes[:12]
            self._discovery = BuiltinDataReader(self._participant, BuiltinTopicDcpsPublication)
            self._wake = GuardCondition(self._participant)
            self._waitset = WaitSet(self._participant)
            self._waitset.attach(self._wake)
            self._waitset.attach(ReadCondition(self._discovery, _EVERY))
        except DDSException as error:
            Domains.leave(self._domain)
            raise LinkError(f"DDS domain {domain} cannot be joined: {error}") from error
        self._thread = threading.Thread(target=self._listen, name="dds-link", daemon=True)
        self._thread.start()

    def subscribe(self, topic: str, msgtype: str, take: Callable[[Raw], None]) -> None:
        """Have the newest message of a topic handed over, and what a latched topic holds.

        A message that is not taken before the next arrives is replaced by it.

        Raises:
            LinkError: If the type is unknown, or the topic exists with another type.
        """
        with self._lock:
            self._check(topic, msgtype)
            qos = Qos(
                Policy.Reliability.BestEffort,
                Policy.Durability.Volatile,
                Policy.History.KeepLast(kept(msgtype)),
                _XCDR1,
            )
            subscription = _Subscription(
                topic=topic, msgtype=msgtype, take=take, reader=self._read(topic, msgtype, qos)
            )
            self._subscriptions.append(subscription)
            self._hear_latched()
        self._wake.set(True)

    def advertise(self, topic: str, msgtype: str) -> Publisher:
        """Return where messages of a topic can be sent.

        Raises:
            LinkError: If the type is unknown, or the topic exists with another type.
        """
        qos = Qos(
            Policy.Reliability.Reliable(max_blocking_time=0),
            Policy.Durability.Volatile,
            Policy.History.KeepLast(_SENT_KEPT),
            _XCDR1,
        )
        with self._lock:
            self._check(topic, msgtype)
            try:
                writer = DataWriter(self._participant, self._topic(topic, msgtype), qos)
            except DDSException as error:
                raise LinkError(f"{topic} cannot be published: {error}") from error
            kind = self._types.topic_type(msgtype)
            publisher = _DdsPublisher(self, topic, writer, kind)
            self._publishers.append(publisher)  # DDS forgets what nobody refers to
            return publisher

    def topics(self) -> dict[str, str]:
        """Return the topics that others publish, each with its type."""
        with self._lock:
            return {seen.topic: seen.msgtype for seen in self._publications.values()}

    def publishers(self, topic: str) -> int:
        """Return how many others publish a topic. One that was killed counts 10 to 20 s longer."""
        with self._lock:
            return sum(seen.topic == topic for seen in self._publications.values())

    def close(self) -> None:
        """Leave the domain; no message is handed over afterwards."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._wake.set(True)
        if threading.current_thread() is not self._thread:
            self._thread.join()
        with self._lock:
            # What refers to a DDS entity keeps it alive; the participant goes last.
            self._subscriptions.clear()
            self._publications.clear()
            for publisher in self._publishers:
                publisher.close()
            self._publishers.clear()
            self._topics.clear()
        del self._waitset, self._discovery, self._wake, self._participant
        Domains.leave(self._domain)

    def check_open(self) -> None:
        """Raise LinkError if the link is closed or broken."""
        if self._closed or self._broken:
            raise LinkError(self._broken or "the link is closed")

    def _check(self, topic: str, msgtype: str) -> None:
        self.check_open()
        if not topic.startswith("/"):
            raise LinkError(f"topic {topic!r}: a name starts with a slash, as in '/{topic}'")
        for seen in self._publications.values():
            if seen.topic == topic and seen.msgtype != msgtype:
                raise LinkError(f"{topic} is a {seen.msgtype} on the robot, not a {msgtype}")

    def _topic(self, topic: str, msgtype: str) -> "Topic[Any]":
        key = (topic, msgtype)
        if key not in self._topics:
            with _TYPES_LOCK:
                kind = self._types.topic_type(msgtype)
                self._topics[key] = Topic(self._participant, dds_topic(topic), kind, Qos(_XCDR1))
        return self._topics[key]

    def _read(self, topic: str, msgtype: str, qos: Qos) -> "DataReader[Any]":
        try:
            reader = DataReader(self._participant, self._topic(topic, msgtype), qos)
            self._waitset.attach(ReadCondition(reader, _EVERY))
        except DDSException as error:
            raise LinkError(f"{topic} cannot be subscribed: {error}") from error
        return reader

    def _listen(self) -> None:
        waitset = self._waitset
        while not self._closed:
            try:
                waitset.wait(duration(seconds=1))
                self._wake.take()
                self._discover()
                # All stamps first: what is done with one message does not age the others.
                arrived = [raw for seen in list(self._subscriptions) for raw in self._arrived(seen)]
            except Exception as error:  # a link that hears nothing has to say so
                log.exception("the DDS link reads no more")
                self._broken = f"the DDS link reads no more: {error}"
                return
            for take, raw in arrived:
                if self._closed:
                    return
                try:
                    take(raw)
                except Exception:  # what the taker does wrong is no reason to hear no more
                    log.exception("%s: a message was not taken", raw.topic)

    def _arrived(self, seen: _Subscription) -> list[tuple[Callable[[Raw], None], Raw]]:
        """Return what arrived on one topic, the end of a peer's lease left out."""
        found = []
        handles = {p.handle for p in self._publications.values() if p.latched}
        for reader in (seen.latched, seen.reader):
            if reader is None:
                continue
            samples = reader.take(_TAKEN_AT_ONCE)
            now_ns = time.monotonic_ns()
            for sample in samples:
                info = sample.sample_info
                twice = reader is seen.reader and seen.latched is not None
                if not info.valid_data or (twice and info.publication_handle in handles):
                    continue
                raw = Raw(
                    topic=seen.topic, msgtype=seen.msgtype, data=sample.cdr, received_ns=now_ns
                )
                found.append((seen.take, raw))
        return found

    def _discover(self) -> None:
        """Take what discovery tells, and hear what a new publisher said before we came."""
        with _TYPES_LOCK:
            endpoints = self._discovery.take(_TAKEN_AT_ONCE)
        if not endpoints:
            return
        with self._lock:
            for endpoint in endpoints:
                info = endpoint.sample_info
                if not info.valid_data or info.instance_state != InstanceState.Alive:
                    self._publications.pop(endpoint.key, None)
                    continue
                topic = ros_topic(endpoint.topic_name)
                if topic is None or endpoint.key.bytes[:12] == self._own:
                    continue
                self._publications[endpoint.key] = _Publication(
                    topic=topic,
                    msgtype=ros_type(endpoint.type_name),
                    latched=endpoint.qos[Policy.Durability] == Policy.Durability.TransientLocal,
                    handle=info.instance_handle,
                )
            self._hear_latched()
            self._warn()

    def _hear_latched(self) -> None:
        """Read what was sent before, wherever a publisher keeps it for those who come late."""
        latched = {(p.topic, p.msgtype) for p in self._publications.values() if p.latched}
        qos = Qos(
            Policy.Reliability.Reliable(max_blocking_time=0),
            Policy.Durability.TransientLocal,
            Policy.History.KeepLast(_LATCHED_KEPT),
            _XCDR1,
        )
        for seen in self._subscriptions:
            if seen.latched is None and (seen.topic, seen.msgtype) in latched:
                seen.latched = self._read(seen.topic, seen.msgtype, qos)

    def _warn(self) -> None:
        """Say once for each topic that it is published with a type that was not asked for."""
        wanted = {seen.topic: seen.msgtype for seen in self._subscriptions}
        for seen in self._publications.values():
            asked = wanted.get(seen.topic, seen.msgtype)
            if asked != seen.msgtype and seen.topic not in self._warned:
                self._warned.add(seen.topic)
                log.warning("%s is a %s on the robot, not a %s", seen.topic, seen.msgtype, asked)


class _DdsPublisher:
    """Where messages of one topic go."""

    def __init__(
        self, link: DdsLink, topic: str, writer: "DataWriter[Any]", kind: type[IdlStruct]
    ) -> None:
        self._link = link
        self._topic = topic
        self._writer: DataWriter[Any] | None = writer
        self._kind = kind

    def close(self) -> None:
        """Let go of the writer, which keeps the whole domain alive."""
        self._writer = None

    def send(self, data: bytes | memoryview) -> None:
        """Send a serialised message; never waits.

        Raises:
            LinkError: If the link is closed, the bytes are no message, or nobody takes them.
        """
        self._link.check_open()
        writer = self._writer
        if writer is None:
            raise LinkError("the link is closed")
        if len(data) < 4:
            raise LinkError(f"{self._topic}: {len(data)} bytes are no message")
        try:
            writer.write(passed(self._kind, bytes(data)))
        except DDSException as error:
            raise LinkError(f"{self._topic}: not sent ({error})") from error
