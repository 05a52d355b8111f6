"""A robot of our own make, in a process of its own: any link, the same messages as dora's robot.

Ends with its standard input.
"""

import argparse
import os
import sys
import threading
import time

from links_tools import build, open_for_test
from links_values import COMMAND, STREAMS, message_of

from agentd.worlds.ros2.codec import Codec
from configs.bodies.ros2_link import LinkConfig


def main() -> None:
    """Be the robot."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--link", required=True, help="settings of the link as JSON")
    parser.add_argument("--hz", type=float, default=20)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--height", type=int, default=48)
    args = parser.parse_args()
    config = LinkConfig.model_validate_json(args.link)
    codec = Codec(config.distro)
    link = open_for_test(config, codec)
    echo = link.advertise("/cmd_vel_echo", COMMAND)
    link.subscribe("/cmd_vel", COMMAND, lambda raw: echo.send(raw.data))
    streams = {name: link.advertise(name, msgtype) for name, msgtype in STREAMS.items()}

    def end() -> None:
        sys.stdin.read()
        link.close()
        os._exit(0)

    threading.Thread(target=end, daemon=True).start()
    print("ready", flush=True)
    start, number = time.monotonic(), 0
    while True:
        for name, publisher in streams.items():
            fields = message_of(name, number, args.width, args.height)
            publisher.send(codec.encode(build(codec, STREAMS[name], fields)))
        number += 1
        time.sleep(max(0.0, start + number / args.hz - time.monotonic()))


if __name__ == "__main__":
    main()
