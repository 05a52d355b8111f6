"""What every link does, between two of its kind in this process.

Two DDS participants, a Zenoh router and its client, and two clients of a fake rosbridge server.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from links_rosbridge import FakeRosbridge
from links_tools import Heard, encoded, eventually, free_domain, free_port, loopback
from links_values import COMMAND, IMAGE, ODOMETRY, command, differences, image, number_of, odometry

from agentd.worlds.ros2.codec import Codec
from agentd.worlds.ros2.link import Link, LinkError, Raw
from agentd.worlds.ros2.open_link import open_link
from configs.bodies.ros2_link import LinkConfig


@dataclass
class Pair:
    """Two ends, and what they speak."""

    ours: Link
    robot: Link
    codec: Codec

    def heard(self, topic: str, msgtype: str) -> tuple[Heard, "Sender"]:
        """Return what our end hears of a topic and where the robot sends, once both have met."""
        heard = Heard()
        self.ours.subscribe(topic, msgtype, heard.take)
        return heard, Sender(self, topic, msgtype)


class Sender:
    """Sends numbered messages from the robot's end."""

    def __init__(self, pair: Pair, topic: str, msgtype: str) -> None:
        self._pair = pair
        self._msgtype = msgtype
        self._publisher = pair.robot.advertise(topic, msgtype)

    def send(self, number: int) -> None:
        values = {ODOMETRY: odometry, COMMAND: command}.get(self._msgtype)
        made = values(number) if values else image(number, "rgb8", 640, 480)
        self._publisher.send(encoded(self._pair.codec, self._msgtype, made))

    def meet(self, heard: Heard) -> None:
        """Send until something arrives, then until all of it has: what follows is not lost."""

        def arrived() -> bool:
            self.send(0)
            return bool(heard.raws)

        eventually(arrived)
        self.send(1)
        eventually(lambda: number_of(self._pair.codec.decode(heard.raws[-1])) == 1)


def two(kind: str, stack: contextlib.ExitStack) -> tuple[LinkConfig, LinkConfig]:
    """Return settings of our end and of the robot's."""
    if kind == "dds":
        config = loopback(free_domain())
        return config, config
    if kind == "zenoh":
        endpoint = f"tcp/127.0.0.1:{free_port()}"
        client = LinkConfig(transport="zenoh", distro="jazzy", zenoh_endpoint=endpoint)
        return client.model_copy(update={"zenoh_listen": endpoint}), client
    distro = "noetic" if kind == "rosbridge1" else "humble"
    server = FakeRosbridge(distro)
    stack.callback(server.close)
    config = LinkConfig(distro=distro, rosbridge_url=server.url)
    return config, config


@pytest.fixture(params=["dds", "zenoh", "rosbridge", "rosbridge1"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    with contextlib.ExitStack() as stack:
        ours, robot = two(request.param, stack)
        codec = Codec(ours.distro)
        ends = []
        for config in (ours, robot):
            ends.append(open_link(config, codec))
            stack.callback(ends[-1].close)
        yield Pair(*ends, codec)


@pytest.mark.parametrize("msgtype", [ODOMETRY, IMAGE, COMMAND])
def test_values_arrive_exactly_with_their_topic_type_and_time(pair: Pair, msgtype: str) -> None:
    heard, sender = pair.heard("/robot/thing", msgtype)
    before_ns = time.monotonic_ns()
    sender.meet(heard)
    raw = heard.raws[-1]
    assert (raw.topic, raw.msgtype) == ("/robot/thing", msgtype)
    assert before_ns < raw.received_ns < time.monotonic_ns()
    made = {ODOMETRY: odometry, COMMAND: command}.get(msgtype)
    expected = made(1) if made else image(1, "rgb8", 640, 480)
    assert differences(pair.codec.decode(raw), expected) == []


def test_nothing_is_lost_where_the_taker_keeps_up(pair: Pair) -> None:
    heard, sender = pair.heard("/robot/thing", COMMAND)
    sender.meet(heard)
    start = len(heard.raws)
    for number in range(2, 52):
        sender.send(number)
        heard.wait(start + number - 1)
    numbers = [number_of(pair.codec.decode(raw)) for raw in heard.raws[start:]]
    assert numbers == list(range(2, 52))


def test_a_slow_taker_finds_the_newest_and_no_queue(pair: Pair) -> None:
    started, go_on, seen = threading.Event(), threading.Event(), Heard()

    def slow(raw: Raw) -> None:
        seen.take(raw)
        started.set()
        assert go_on.wait(30)

    pair.ours.subscribe("/robot/thing", ODOMETRY, slow)
    thing = Sender(pair, "/robot/thing", ODOMETRY)

    def taken() -> bool:
        thing.send(0)
        return started.is_set()

    eventually(taken)
    for number in range(1, 30):
        thing.send(number)
    threading.Event().wait(0.5)  # for all of it to come in; what comes later is seen one by one
    go_on.set()
    eventually(lambda: number_of(pair.codec.decode(seen.raws[-1])) == 29)
    assert len(seen.raws) <= 15, "a queue would hand over all thirty"


def test_a_taker_that_fails_hears_on(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    heard = Heard()

    def fails_once(raw: Raw) -> None:
        heard.take(raw)
        if len(heard.raws) == 1:
            raise ValueError("not today")

    pair.ours.subscribe("/robot/thing", COMMAND, fails_once)
    Sender(pair, "/robot/thing", COMMAND).meet(heard)
    assert "not today" in caplog.text


def test_who_is_there_is_told(pair: Pair) -> None:
    assert pair.ours.publishers("/robot/thing") == 0
    publisher = pair.robot.advertise("/robot/thing", COMMAND)
    pair.robot.advertise("/robot/where", ODOMETRY)
    expected = {"/robot/thing": COMMAND, "/robot/where": ODOMETRY}
    eventually(lambda: expected.items() <= pair.ours.topics().items())
    eventually(lambda: pair.ours.publishers("/robot/thing") == 1)
    pair.robot.close()
    eventually(lambda: pair.ours.publishers("/robot/thing") == 0)
    with pytest.raises(LinkError, match="the link is closed"):
        publisher.send(encoded(pair.codec, COMMAND, command(0)))


def test_a_topic_of_another_type_is_refused(pair: Pair) -> None:
    pair.robot.advertise("/robot/thing", COMMAND)
    eventually(lambda: "/robot/thing" in pair.ours.topics())
    for meet in (
        lambda: pair.ours.subscribe("/robot/thing", ODOMETRY, Heard().take),
        lambda: pair.ours.advertise("/robot/thing", ODOMETRY),
    ):
        with pytest.raises(LinkError, match=f"/robot/thing is a {COMMAND} .* not a {ODOMETRY}"):
            meet()


def test_unknown_types_and_names_without_a_slash_are_refused(pair: Pair) -> None:
    with pytest.raises(LinkError, match="'no_msgs/msg/Thing'"):
        pair.ours.subscribe("/thing", "no_msgs/msg/Thing", Heard().take)
    with pytest.raises(LinkError, match="'no_msgs/msg/Thing'"):
        pair.ours.advertise("/thing", "no_msgs/msg/Thing")
    with pytest.raises(LinkError, match="'thing': a name starts with a slash"):
        pair.ours.subscribe("thing", COMMAND, Heard().take)


def test_bytes_that_are_no_message_are_not_sent(pair: Pair) -> None:
    publisher = pair.robot.advertise("/robot/thing", COMMAND)
    with pytest.raises(LinkError, match="/robot/thing"):
        publisher.send(b"\x00")


def test_a_closed_link_says_so_and_leaves_no_thread(pair: Pair) -> None:
    heard, sender = pair.heard("/robot/thing", COMMAND)
    sender.meet(heard)
    publisher = pair.ours.advertise("/robot/command", COMMAND)
    pair.ours.close()
    pair.ours.close()
    count = len(heard.raws)
    sender.send(2)
    with pytest.raises(LinkError, match="the link is closed"):
        publisher.send(encoded(pair.codec, COMMAND, command(3)))
    with pytest.raises(LinkError, match="the link is closed"):
        pair.ours.subscribe("/robot/thing", COMMAND, heard.take)
    pair.robot.close()
    left = [t.name for t in threading.enumerate()]
    assert not [n for n in left if n.startswith(("dds", "zenoh", "rosbridge"))]
    assert len(heard.raws) == count


def test_forty_topics_at_once(pair: Pair) -> None:
    both = [pair.heard(f"/robot/thing_{n}", COMMAND) for n in range(40)]
    for heard, sender in both:
        sender.meet(heard)
    starts = [len(heard.raws) for heard, _ in both]
    for number, (_, sender) in enumerate(both):
        sender.send(100 + number)
    for number, ((heard, _), start) in enumerate(zip(both, starts, strict=True)):
        last = heard.wait(start + 1)[-1]
        assert last.topic == f"/robot/thing_{number}"
        assert number_of(pair.codec.decode(last)) == 100 + number
