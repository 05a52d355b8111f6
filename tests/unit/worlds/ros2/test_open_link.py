"""Which link is opened, and what is said where none fits."""

import pytest
from pydantic import ValidationError

from agentd.worlds.ros2 import open_link as opening
from agentd.worlds.ros2.codec import Codec
from agentd.worlds.ros2.link import LinkError
from agentd.worlds.ros2.names import dds_topic, dds_type, ros_topic, ros_type
from configs.bodies.ros2_link import LinkConfig

URL = "ws://127.0.0.1:9090"


@pytest.mark.parametrize(
    ("config", "installed", "chosen"),
    [
        (LinkConfig(), {"cyclonedds", "zenoh"}, "dds"),
        (LinkConfig(), {"zenoh"}, "zenoh"),
        (LinkConfig(transport="zenoh"), {"cyclonedds", "zenoh"}, "zenoh"),
        (LinkConfig(rosbridge_url=URL), {"cyclonedds", "websockets", "cbor2"}, "rosbridge"),
        (LinkConfig(transport="dds", rosbridge_url=URL), {"cyclonedds"}, "dds"),
    ],
)
def test_the_link_that_is_asked_for_or_installed_is_chosen(
    config: LinkConfig, installed: set[str], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "find_spec", lambda name: name if name in installed else None)
    assert opening.choose(config) == chosen


@pytest.mark.parametrize(
    ("config", "installed", "command"),
    [
        (LinkConfig(), {"websockets", "cbor2"}, r"pip install 'agentd\[dds\]'"),
        (LinkConfig(transport="dds"), {"zenoh"}, r"'dds' .*pip install 'agentd\[dds\]'"),
        (LinkConfig(transport="zenoh"), {"cyclonedds"}, r"pip install 'agentd\[zenoh\]'"),
        (LinkConfig(rosbridge_url=URL), {"websockets"}, r"pip install 'agentd\[rosbridge\]'"),
    ],
)
def test_what_is_not_installed_is_told_with_the_command(
    config: LinkConfig, installed: set[str], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "find_spec", lambda name: name if name in installed else None)
    with pytest.raises(LinkError, match=command):
        opening.open_link(config)


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"transport": "rosbridge"}, "needs rosbridge_url, as ws://HOST:9090"),
        ({"distro": "noetic"}, "'noetic' is ROS 1: it needs rosbridge_url"),
        ({"distro": "noetic", "transport": "dds", "rosbridge_url": URL}, "'dds' is ROS 2's"),
        ({"rosbridge_url": "wss://robot:9090"}, "'wss://robot:9090' is no address of a rosbridge"),
        ({"rosbridge_url": "robot:9090"}, "'robot:9090' is no address of a rosbridge"),
        ({"zenoh_endpoint": "localhost:7447"}, "'localhost:7447' is no Zenoh endpoint"),
        ({"zenoh_listen": "tcp/0.0.0.0:7447"}, "'tcp/0.0.0.0:7447' would listen beyond this"),
        ({"zenoh_listen": "tcp/192.168.1.4:7447"}, "would listen beyond this machine"),
        ({"domain": 233}, "less than or equal to 232"),
        ({"distro": "hydro"}, "'humble'"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object], wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        LinkConfig.model_validate(settings)


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "[::1]"])
def test_a_router_may_listen_on_this_machine(address: str) -> None:
    assert LinkConfig(zenoh_listen=f"tcp/{address}:7447").zenoh_listen


def test_names_of_ros_and_dds_say_the_same() -> None:
    assert dds_topic("/robot/odom") == "rt/robot/odom"
    assert ros_topic("rt/robot/odom") == "/robot/odom"
    assert ros_topic("rq/add_two_intsRequest") is None
    assert dds_type("sensor_msgs/msg/Image") == "sensor_msgs::msg::dds_::Image_"
    assert ros_type("sensor_msgs::msg::dds_::Image_") == "sensor_msgs/msg/Image"
    assert ros_type("HelloWorld") == "HelloWorld"


def test_every_distribution_knows_transforms() -> None:
    for distro in ("humble", "noetic"):
        codec = Codec(distro)
        message = codec.type("tf2_msgs/msg/TFMessage")(transforms=[])
        assert len(codec.encode(message)) == 8
