"""The Zenoh link with a robot of our own in another process, and what only Zenoh does."""

from collections.abc import Iterator

import pytest
from links_tools import Heard, encoded, eventually, exchange, free_port, own_peer
from links_values import COMMAND, STREAMS, command, number_of

pytest.importorskip("zenoh", reason="eclipse-zenoh is not installed")

import zenoh
import zenoh.ext

from agentd.worlds.ros2.codec import Codec
from agentd.worlds.ros2.link import Link, LinkError
from agentd.worlds.ros2.open_link import open_link
from agentd.worlds.ros2.zenoh import settings
from agentd.worlds.ros2.zenoh_keys import NO_HASH, Token, attachment, data_key
from configs.bodies.ros2_link import LinkConfig

CODEC = Codec("jazzy")
DOMAIN = 3


@pytest.fixture
def config() -> LinkConfig:
    endpoint = f"tcp/127.0.0.1:{free_port()}"
    return LinkConfig(transport="zenoh", distro="jazzy", domain=DOMAIN, zenoh_endpoint=endpoint)


def router(config: LinkConfig) -> Link:
    """Open the link that is the router where the others connect."""
    return open_link(config.model_copy(update={"zenoh_listen": config.zenoh_endpoint}), CODEC)


@pytest.fixture
def link(config: LinkConfig) -> Iterator[Link]:
    link = router(config)
    yield link
    link.close()


@pytest.mark.parametrize("size", [(64, 48), (640, 480)], ids=["small", "full"])
def test_another_process(link: Link, config: LinkConfig, size: tuple[int, int]) -> None:
    width, height = size
    with own_peer(config, f"--width={width}", f"--height={height}"):
        exchange(link, CODEC, width=width, height=height)


def test_a_robot_that_is_killed_is_missed_at_once(link: Link, config: LinkConfig) -> None:
    heard = {topic: Heard() for topic in STREAMS}
    for topic, msgtype in STREAMS.items():
        link.subscribe(topic, msgtype, heard[topic].take)
    with own_peer(config) as peer:
        for topic in STREAMS:
            heard[topic].wait(3)
        peer.kill()
        peer.wait()
        eventually(lambda: not any(link.publishers(topic) for topic in STREAMS), 3)
        gone = {topic: len(heard[topic].raws) for topic in STREAMS}
    assert gone == {topic: len(heard[topic].raws) for topic in STREAMS}


def test_a_router_that_comes_back_is_found_again(config: LinkConfig) -> None:
    first = router(config)
    link = open_link(config, CODEC)
    heard = Heard()
    link.subscribe("/thing", COMMAND, heard.take)
    robot = first.advertise("/thing", COMMAND)

    def arrived() -> bool:
        robot.send(encoded(CODEC, COMMAND, command(1)))
        return bool(heard.raws)

    eventually(arrived)
    first.close()
    eventually(lambda: link.publishers("/thing") == 0)
    second = router(config)
    robot = second.advertise("/thing", COMMAND)

    def arrived_again() -> bool:
        robot.send(encoded(CODEC, COMMAND, command(2)))
        return number_of(CODEC.decode(heard.raws[-1])) == 2

    eventually(arrived_again)
    eventually(lambda: link.publishers("/thing") == 1)
    link.close()
    second.close()


def test_no_router_is_told(config: LinkConfig) -> None:
    with pytest.raises(LinkError, match=f"no Zenoh router answers at {config.zenoh_endpoint}"):
        open_link(config, CODEC)


def test_an_address_in_use_is_told(link: Link, config: LinkConfig) -> None:
    with pytest.raises(LinkError, match=f"no Zenoh router can listen at {config.zenoh_endpoint}"):
        router(config)


def test_bytes_that_do_not_fit_the_type_are_told_from_good_ones(
    link: Link, config: LinkConfig
) -> None:
    robot = open_link(config, CODEC)
    heard = Heard()
    link.subscribe("/thing", COMMAND, heard.take)
    publisher = robot.advertise("/thing", COMMAND)

    def arrived() -> bool:
        publisher.send(b"\x00\x01\x00\x00" + bytes([255]) * 40)
        return bool(heard.raws)

    eventually(arrived)
    with pytest.raises(LinkError, match=f"/thing: no {COMMAND}"):
        CODEC.decode(heard.raws[0])
    publisher.send(encoded(CODEC, COMMAND, command(7)))
    eventually(lambda: len(heard.raws[-1].data) > 44)
    assert number_of(CODEC.decode(heard.raws[-1])) == 7
    robot.close()


def test_commands_go_under_the_hash_that_the_robot_names(link: Link, config: LinkConfig) -> None:
    """A robot whose definition of a type differs in name only still hears us."""
    with zenoh.open(settings(config.zenoh_endpoint, None)) as session:
        heard: list[tuple[str, bytes]] = []
        listening = session.declare_subscriber(
            f"{DOMAIN}/cmd_vel/**",
            lambda sample: heard.append((str(sample.key_expr), sample.attachment.to_bytes())),
        )
        publisher = link.advertise("/cmd_vel", COMMAND)

        def sent_under(digest: str) -> bool:
            publisher.send(encoded(CODEC, COMMAND, command(1)))
            return any(key == data_key(DOMAIN, "/cmd_vel", COMMAND, digest) for key, _ in heard)

        eventually(lambda: sent_under(CODEC.store.hash_rihs01(COMMAND)))
        token = Token(
            session="abc",
            kind="MS",
            topic="/cmd_vel",
            msgtype=COMMAND,
            type_hash="RIHS01_of_the_robot",
            latched=False,
        )
        declared = session.liveliness().declare_token(token.key(DOMAIN, 7, "base"))
        eventually(lambda: sent_under("RIHS01_of_the_robot"))
        heard.clear()
        eventually(lambda: sent_under("RIHS01_of_the_robot"))
        assert {key.rpartition("/")[2] for key, _ in heard} == {"RIHS01_of_the_robot"}
        beside = heard[-1][1]
        assert len(beside) == 33
        assert beside[16] == 16
        declared.undeclare()
        listening.undeclare()


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_a_latched_topic_holds_arrives(link: Link, config: LinkConfig, when: str) -> None:
    heard = Heard()
    if when == "before":
        link.subscribe("/map", COMMAND, heard.take)
    with zenoh.open(settings(config.zenoh_endpoint, None, stamped=True)) as session:
        digest = CODEC.store.hash_rihs01(COMMAND)
        publisher = zenoh.ext.declare_advanced_publisher(
            session,
            data_key(DOMAIN, "/map", COMMAND, digest),
            cache=zenoh.ext.CacheConfig(1),
            publisher_detection=True,
        )
        publisher.put(encoded(CODEC, COMMAND, command(1)), attachment=attachment(1, 0, bytes(16)))
        key = (
            f"@ros2_lv/{DOMAIN}/abc/0/9/MP/%/%/base/%map/"
            f"geometry_msgs::msg::dds_::TwistStamped_/{digest}/:1:,1:,:,:,,"
        )
        token = session.liveliness().declare_token(key)
        eventually(lambda: link.publishers("/map") == 1)
        if when == "after":
            link.subscribe("/map", COMMAND, heard.take)
        heard.wait(1)
        eventually(lambda: number_of(CODEC.decode(heard.raws[-1])) == 1)
        publisher.put(encoded(CODEC, COMMAND, command(2)), attachment=attachment(2, 0, bytes(16)))
        eventually(lambda: number_of(CODEC.decode(heard.raws[-1])) == 2)
        token.undeclare()
        publisher.undeclare()


def test_tokens_of_other_kinds_and_makes_are_left_alone() -> None:
    assert Token.parse("@ros2_lv/0/aa/0/0/NN/%/%/node") is None
    assert Token.parse("@ros2_lv/0/aa/0/3/SS/%/%/n/%s/a::srv::dds_::B_/x/::,10:,:,:,,") is None
    assert Token.parse("something/else") is None
    token = Token.parse(
        "@ros2_lv/0/aa/0/3/MP/%/%robot%one/camera/%robot%rgb/"
        f"sensor_msgs::msg::dds_::Image_/{NO_HASH}/2:1:,10:,:,:,,"
    )
    assert token is not None
    assert (token.topic, token.msgtype) == ("/robot/rgb", "sensor_msgs/msg/Image")
    assert (token.type_hash, token.latched) == (NO_HASH, True)
