"""A robot of another make: dora's ROS 2 bridge, with its own DDS or Zenoh keys and serialiser.

Publishes odometry and images at a rate and sends each command back. Ends with its standard input.
"""

import argparse
import os
import sys
import threading
import time
import warnings
from typing import Any

import dora
import numpy as np
import pyarrow as pa
from links_values import COMMAND, STREAMS, message_of


def arrow(item: Any) -> pa.Array:
    """Return a message as dora takes it, without a Python object for each pixel."""
    if isinstance(item, dict):
        return pa.StructArray.from_arrays([arrow(value) for value in item.values()], list(item))
    if isinstance(item, np.ndarray):
        return pa.ListArray.from_arrays(pa.array([0, len(item)], pa.int32()), pa.array(item))
    return pa.array([item])


def main() -> None:
    """Be the robot."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--prefix", required=True, help="folder with the definitions of messages")
    parser.add_argument("--zenoh", choices=["humble", "rep2016"])
    parser.add_argument("--config", help="Zenoh's configuration")
    parser.add_argument("--hz", type=float, default=20)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--height", type=int, default=48)
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # dora's bridge says at each start that it is unstable
    transport = dora.Ros2Transport.dds()
    if args.zenoh:
        transport = dora.Ros2Transport.zenoh(args.zenoh, args.config)
    # The domain comes from ROS_DOMAIN_ID: over Zenoh dora reads its own argument for half the keys.
    context = dora.Ros2Context([args.prefix], transport=transport)
    node = context.new_node("robot", "/", dora.Ros2NodeOptions(rosout=False))
    qos = dora.Ros2QosPolicies(reliable=True, keep_last=5, max_blocking_time=0.1)

    def topic(name: str, msgtype: str) -> Any:
        return node.create_topic(name, msgtype.replace("/msg/", "/"), qos)

    echo = node.create_publisher(topic("/cmd_vel_echo", COMMAND), qos)
    commands = node.create_subscription(topic("/cmd_vel", COMMAND), qos)
    streams = {
        name: node.create_publisher(topic(name, msgtype), qos) for name, msgtype in STREAMS.items()
    }

    def answer() -> None:
        while True:
            received = commands.next()
            if received is None:
                time.sleep(0.0005)  # it does not wait for one
                continue
            echo.publish(received)

    def end() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=answer, daemon=True).start()
    threading.Thread(target=end, daemon=True).start()
    print("ready", flush=True)
    start, number = time.monotonic(), 0
    while True:
        for name, publisher in streams.items():
            publisher.publish(arrow(message_of(name, number, args.width, args.height)))
        number += 1
        time.sleep(max(0.0, start + number / args.hz - time.monotonic()))


if __name__ == "__main__":
    main()
