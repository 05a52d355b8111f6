"""A link and dora's robot in a network that has only a loopback interface.

Dora's DDS speaks on every interface there is. Prints what went wrong; ends with 77 where the
machine allows no network of its own.
"""

import sys

import links_network

NO_NETWORK = 77


def main() -> None:
    """Exchange messages over DDS."""
    try:
        links_network.enter()
    except OSError as error:
        print(error)
        sys.exit(NO_NETWORK)

    from pathlib import Path

    from links_tools import dora_peer, exchange

    from agentd.worlds.ros2.codec import Codec
    from agentd.worlds.ros2.open_link import open_link
    from configs.bodies.ros2_link import LinkConfig

    codec = Codec("humble")
    size = {"width": int(sys.argv[2]), "height": int(sys.argv[3])}
    options = [f"--{name}={value}" for name, value in size.items()]
    link = open_link(LinkConfig(transport="dds", domain=11, interface="127.0.0.1"), codec)
    with dora_peer(codec, Path(sys.argv[1]), 11, *options):
        exchange(link, codec, **size)
    link.close()


if __name__ == "__main__":
    main()
