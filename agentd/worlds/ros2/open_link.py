"""Opens the link that a robot's settings ask for."""

from importlib.util import find_spec

from agentd.worlds.ros2.codec import Codec
from agentd.worlds.ros2.link import Link, LinkError
from configs.bodies.ros2_link import LinkConfig, Transport

_NEEDS = {"dds": ("cyclonedds",), "zenoh": ("zenoh",), "rosbridge": ("websockets", "cbor2")}


def open_link(config: LinkConfig, codec: Codec | None = None) -> Link:
    """Open the link to a robot.

    Args:
        config: How the robot is reached.
        codec: The types of its messages, where the caller has them read already.

    Raises:
        LinkError: If nothing that is installed reaches the robot, or it does not answer.
    """
    transport = choose(config)
    store = (codec or Codec(config.distro)).store
    if transport == "dds":
        from agentd.worlds.ros2.dds import DdsLink

        return DdsLink(
            store,
            domain=config.domain,
            interface=config.interface,
            peers=config.peers,
            multicast=config.multicast,
        )
    if transport == "zenoh":
        from agentd.worlds.ros2.zenoh import ZenohLink

        return ZenohLink(
            store,
            hashed=config.distro not in ("foxy", "galactic", "humble"),
            domain=config.domain,
            endpoint=config.zenoh_endpoint,
            listen=config.zenoh_listen,
        )
    from agentd.worlds.ros2.rosbridge import RosbridgeLink

    url = config.rosbridge_url or ""  # the settings are refused without one
    return RosbridgeLink(store, url=url, ros1=config.distro == "noetic")


def choose(config: LinkConfig) -> Transport:
    """Return the transport: what is asked for, else what is given, else what is installed.

    Raises:
        LinkError: If its library is not installed; the text names the command that installs it.
    """
    asked = config.transport
    if asked == "auto" and config.rosbridge_url is not None:
        asked = "rosbridge"
    if asked == "auto":
        if _installed("dds"):
            return "dds"
        if _installed("zenoh"):
            return "zenoh"
        raise LinkError(
            "no link to a robot is installed: pip install 'agentd[dds]' reaches ROS 2 robots as "
            "they are, pip install 'agentd[zenoh]' those with rmw_zenoh (there is no wheel of "
            "cyclonedds for Linux on ARM)"
        )
    if not _installed(asked):
        raise LinkError(f"the link {asked!r} is not installed: pip install 'agentd[{asked}]'")
    return asked


def _installed(transport: str) -> bool:
    return all(find_spec(name) is not None for name in _NEEDS[transport])
