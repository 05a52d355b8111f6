"""The DDS link with a robot of our own in another process, and what only DDS does."""

import contextlib
import threading
from collections.abc import Iterator

import pytest
from links_tools import (
    LEASE_S,
    Heard,
    encoded,
    eventually,
    exchange,
    free_domain,
    loopback,
    open_for_test,
    own_peer,
)
from links_values import COMMAND, IMAGE, ODOMETRY, STREAMS, command, number_of

pytest.importorskip("cyclonedds", reason="cyclonedds is not installed")

from cyclonedds.domain import DomainParticipant
from cyclonedds.pub import DataWriter
from cyclonedds.qos import Policy, Qos
from cyclonedds.topic import Topic

from agentd.worlds.ros2.codec import Codec
from agentd.worlds.ros2.dds import DdsLink
from agentd.worlds.ros2.dds_types import DdsTypes, passed
from agentd.worlds.ros2.link import Link, LinkError
from configs.bodies.ros2_link import LinkConfig

CODEC = Codec("humble")
TRANSFORMS = "tf2_msgs/msg/TFMessage"


@pytest.fixture
def config() -> LinkConfig:
    return loopback(free_domain())


@pytest.fixture
def link(config: LinkConfig) -> Iterator[Link]:
    link = open_for_test(config, CODEC)
    yield link
    link.close()


@pytest.mark.parametrize("size", [(64, 48), (640, 480)], ids=["small", "full"])
def test_another_process(link: Link, config: LinkConfig, size: tuple[int, int]) -> None:
    width, height = size
    with own_peer(config, f"--width={width}", f"--height={height}"):
        exchange(link, CODEC, width=width, height=height)


def test_a_robot_that_is_killed_is_missed_and_nothing_of_it_counts(
    link: Link, config: LinkConfig
) -> None:
    heard = {topic: Heard() for topic in STREAMS}
    for topic, msgtype in STREAMS.items():
        link.subscribe(topic, msgtype, heard[topic].take)
    with own_peer(config) as peer:
        for topic in STREAMS:
            heard[topic].wait(3)
        peer.kill()
        peer.wait()
        killed = {topic: len(heard[topic].raws) for topic in STREAMS}
        eventually(lambda: not any(link.publishers(topic) for topic in STREAMS), 5 * LEASE_S)
        # At most what was on its way: the end of the lease itself comes as a sample without data.
        assert all(len(heard[topic].raws) - killed[topic] <= 1 for topic in STREAMS)
        for topic in STREAMS:
            assert number_of(CODEC.decode(heard[topic].raws[-1])) >= 0
        assert not STREAMS.keys() & link.topics().keys()


def test_bytes_that_do_not_fit_the_type_stop_nothing(link: Link, config: LinkConfig) -> None:
    """Cyclone 11 refuses them where they are sent; 0.10 leaves that to who decodes them."""
    robot = open_for_test(config, CODEC)
    heard = Heard()
    link.subscribe("/thing", COMMAND, heard.take)
    publisher = robot.advertise("/thing", COMMAND)
    garbage = b"\x00\x01\x00\x00" + bytes([255]) * 40

    def arrived() -> bool:
        with contextlib.suppress(LinkError):
            publisher.send(garbage)
        publisher.send(encoded(CODEC, COMMAND, command(7)))
        return any(bytes(raw.data[:44]) != garbage for raw in heard.raws)

    eventually(arrived)
    for raw in heard.raws:
        if bytes(raw.data[:44]) == garbage:
            with pytest.raises(LinkError, match=f"/thing: no {COMMAND}"):
                CODEC.decode(raw)
        else:
            assert number_of(CODEC.decode(raw)) == 7
    robot.close()


def test_a_type_that_turns_out_different_is_told_once(
    link: Link, config: LinkConfig, caplog: pytest.LogCaptureFixture
) -> None:
    link.subscribe("/thing", ODOMETRY, Heard().take)
    robot = open_for_test(config, CODEC)
    # The robot may not know yet that somebody listens with another type.
    robot.advertise("/thing", COMMAND)
    eventually(lambda: link.topics().get("/thing") == COMMAND)
    eventually(lambda: f"/thing is a {COMMAND} on the robot, not a {ODOMETRY}" in caplog.text)
    robot.advertise("/thing", COMMAND)
    eventually(lambda: link.publishers("/thing") == 2)
    assert caplog.text.count("/thing is a") == 1
    robot.close()


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_a_latched_topic_holds_arrives_once(link: Link, config: LinkConfig, when: str) -> None:
    heard = Heard()
    if when == "before":
        link.subscribe("/map", COMMAND, heard.take)
    participant = DomainParticipant(config.domain)
    kind = DdsTypes(CODEC.store).topic_type(COMMAND)
    xcdr1 = Policy.DataRepresentation(use_cdrv0_representation=True)
    topic = Topic(participant, "rt/map", kind, Qos(xcdr1))
    writer = DataWriter(
        participant,
        topic,
        Qos(
            Policy.Reliability.Reliable(max_blocking_time=0),
            Policy.Durability.TransientLocal,
            Policy.History.KeepLast(1),
            xcdr1,
        ),
    )
    writer.write(passed(kind, encoded(CODEC, COMMAND, command(1))))
    eventually(lambda: link.publishers("/map") == 1)
    if when == "after":
        link.subscribe("/map", COMMAND, heard.take)
    heard.wait(1)
    writer.write(passed(kind, encoded(CODEC, COMMAND, command(2))))
    heard.wait(2)
    writer.write(passed(kind, encoded(CODEC, COMMAND, command(3))))
    raws = heard.wait(3)
    assert [number_of(CODEC.decode(raw)) for raw in raws] == [1, 2, 3]
    del writer, topic, participant


def test_parts_wait_for_a_taker_that_is_behind(link: Link, config: LinkConfig) -> None:
    robot = open_for_test(config, CODEC)
    started, go_on, heard = threading.Event(), threading.Event(), Heard()

    def take(raw: object) -> None:
        started.set()
        assert go_on.wait(30)
        heard.take(raw)  # type: ignore[arg-type]

    link.subscribe("/tf", TRANSFORMS, take)
    publisher = robot.advertise("/tf", TRANSFORMS)
    nothing = bytes(CODEC.encode(CODEC.type(TRANSFORMS)(transforms=[])))

    def taken() -> bool:
        publisher.send(nothing)
        return started.is_set()

    eventually(taken)
    for _ in range(60):
        publisher.send(nothing)
    go_on.set()
    heard.wait(61)
    robot.close()


def test_a_domain_has_one_network(link: Link, config: LinkConfig) -> None:
    with pytest.raises(LinkError, match=f"DDS domain {config.domain} is in use .* other settings"):
        DdsLink(CODEC.store, domain=config.domain, interface="127.0.0.1", multicast=False)


def test_a_network_that_is_none_is_told(config: LinkConfig) -> None:
    with pytest.raises(LinkError, match="DDS domain"):
        DdsLink(CODEC.store, domain=config.domain, interface="no_such0")


def test_every_message_type_of_every_distribution_is_declared() -> None:
    """Cyclone refuses a type only once a topic of it is made."""
    for distro in ("humble", "jazzy", "lyrical"):
        store = Codec(distro).store
        types = DdsTypes(store)
        messages = [name for name in store.fielddefs if "/msg/" in name]
        for name in messages:
            kind = types.topic_type(name)
            kind.__idl__.populate()
            kind.__idl__.fill_type_data()
    assert IMAGE in messages
