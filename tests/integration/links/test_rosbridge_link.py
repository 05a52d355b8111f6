"""The rosbridge link with a fake of the server, which speaks the documented protocol alone."""

import pytest
from links_rosbridge import FakeRosbridge
from links_tools import Heard, build, encoded, eventually, free_port
from links_values import COMMAND, IMAGE, ODOMETRY, command, differences, image, number_of

pytest.importorskip("websockets", reason="websockets is not installed")

from agentd.worlds.ros2.codec import Codec
from agentd.worlds.ros2.link import LinkError
from agentd.worlds.ros2.open_link import open_link
from configs.bodies.ros2_link import Distro, LinkConfig


def test_a_refused_subscription_is_told_in_the_words_of_the_server() -> None:
    server = FakeRosbridge()
    link = open_link(LinkConfig(rosbridge_url=server.url))
    with pytest.raises(LinkError, match="/secret/odom: the robot refuses: No match found"):
        link.subscribe("/secret/odom", ODOMETRY, Heard().take)
    with pytest.raises(LinkError, match="/secret/cmd: the robot refuses: No match found"):
        link.advertise("/secret/cmd", COMMAND)
    assert server.wishes == []
    link.close()
    server.close()


@pytest.mark.parametrize(("distro", "kind"), [("humble", "/msg/"), ("noetic", "/")])
def test_wishes_are_what_the_protocol_documents(distro: Distro, kind: str) -> None:
    server = FakeRosbridge(distro)
    link = open_link(LinkConfig(distro=distro, rosbridge_url=server.url))
    link.subscribe("/odom", ODOMETRY, Heard().take)
    link.advertise("/cmd_vel", COMMAND)
    subscribe, advertise = server.wishes
    assert subscribe == {
        "op": "subscribe",
        "id": subscribe["id"],
        "topic": "/odom",
        "type": ODOMETRY.replace("/msg/", kind),
        "compression": "cbor-raw",
        "throttle_rate": 0,
        "queue_length": 1,
    }
    assert (advertise["op"], advertise["topic"]) == ("advertise", "/cmd_vel")
    assert advertise["type"] == COMMAND.replace("/msg/", kind)
    link.close()
    server.close()


def test_a_server_that_comes_back_is_found_again_with_all_wishes() -> None:
    port = free_port()
    server = FakeRosbridge(port=port)
    link = open_link(LinkConfig(rosbridge_url=server.url))
    codec = server.codec
    heard, echoed = Heard(), Heard()
    link.subscribe("/odom", COMMAND, heard.take)
    link.subscribe("/cmd_vel", COMMAND, echoed.take)
    publisher = link.advertise("/cmd_vel", COMMAND)
    server.publish("/odom", encoded(codec, COMMAND, command(1)))
    heard.wait(1)
    server.close()

    def refused() -> bool:
        try:
            publisher.send(encoded(codec, COMMAND, command(5)))
        except LinkError as error:
            return f"no connection to {server.url}" in str(error)
        return False

    eventually(refused)
    with pytest.raises(LinkError, match="no connection"):
        link.subscribe("/other", COMMAND, heard.take)
    again = FakeRosbridge(port=port)
    eventually(lambda: len(again.wishes) == 3)
    again.publish("/odom", encoded(codec, COMMAND, command(2)))
    assert number_of(codec.decode(heard.wait(2)[-1])) == 2
    publisher.send(encoded(codec, COMMAND, command(6)))
    # What was refused while there was no connection is not sent later.
    assert number_of(codec.decode(echoed.wait(1)[-1])) == 6
    link.close()
    again.close()


def test_a_server_without_rosapi_still_carries_messages(caplog: pytest.LogCaptureFixture) -> None:
    server = FakeRosbridge(rosapi=False)
    link = open_link(LinkConfig(rosbridge_url=server.url))
    heard = Heard()
    link.subscribe("/odom", COMMAND, heard.take)
    assert link.topics() == {}
    assert link.publishers("/odom") is None
    assert "Service /rosapi/topics does not exist" in caplog.text
    server.publish("/odom", encoded(server.codec, COMMAND, command(1)))
    heard.wait(1)
    link.close()
    server.close()


def test_what_cannot_be_read_is_told_and_counts_as_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = FakeRosbridge("noetic")
    link = open_link(LinkConfig(distro="noetic", rosbridge_url=server.url))
    heard = Heard()
    link.subscribe("/odom", COMMAND, heard.take)
    say = {"op": "publish", "topic": "/odom"}
    server.say("/odom", say | {"msg": {"bytes": b"\xff" * 40}})
    server.say("/odom", say | {"msg": {"twist": 1}}, binary=False)
    server.say("/odom", {"no": "operation"})
    server.say("/odom", {"op": "status", "level": "warning", "msg": "the robot is tired"})
    server.publish("/odom", encoded(server.codec, COMMAND, command(1)))
    heard.wait(1)
    assert len(heard.raws) == 1
    for text in (
        f"/odom: no {COMMAND}",
        "/odom: rosbridge sent no bytes: it must know the mode 'cbor-raw'",
        "a dict that is no operation",
        "warning: the robot is tired",
    ):
        assert text in caplog.text
    link.close()
    server.close()


@pytest.mark.parametrize("distro", ["humble", "noetic"])
def test_what_is_sent_arrives_as_it_was(distro: Distro) -> None:
    """Through JSON: bytes as base64, numbers in lists, times by ROS's own names."""
    server = FakeRosbridge(distro)
    codec = Codec(distro)
    link = open_link(LinkConfig(distro=distro, rosbridge_url=server.url), codec)
    heard = Heard()
    link.subscribe("/picture", IMAGE, heard.take)
    publisher = link.advertise("/picture", IMAGE)
    sent = build(codec, IMAGE, image(3, "16UC1", 64, 48))
    publisher.send(codec.encode(sent))
    message = codec.decode(heard.wait(1)[0])
    assert differences(message, image(3, "16UC1", 64, 48)) == []
    assert message.header.stamp == sent.header.stamp
    link.close()
    server.close()


def test_a_number_that_is_none_is_not_sent() -> None:
    server = FakeRosbridge()
    link = open_link(LinkConfig(rosbridge_url=server.url))
    publisher = link.advertise("/cmd_vel", COMMAND)
    wrong = command(1)
    wrong["twist"]["linear"]["x"] = float("nan")
    with pytest.raises(LinkError, match="/cmd_vel: not sent"):
        publisher.send(encoded(server.codec, COMMAND, wrong))
    link.close()
    server.close()


def test_no_server_is_told() -> None:
    url = f"ws://127.0.0.1:{free_port()}"
    with pytest.raises(LinkError, match=f"no rosbridge answers at {url}: .*refused"):
        open_link(LinkConfig(rosbridge_url=url))
