"""A robot of another make: dora's ROS 2 bridge, with its own DDS (or Zenoh keys) and serialiser.

Publishes odometry and images whose values follow from their number, and sends each command back.
Run in a process of its own, which ends with its standard input.
"""

import argparse
import os
import sys
import threading
import time

import dora
import numpy as np
import pyarrow as pa

PREFIX_TYPES = [
    "nav_msgs/msg/Odometry",
    "sensor_msgs/msg/Image",
    "geometry_msgs/msg/TwistStamped",
    "geometry_msgs/msg/Twist",
    "std_msgs/msg/String",
]


def header(number: int, frame: str) -> dict[str, object]:
    """Return a header of now; the number rides in the frame's name."""
    sec, nanosec = divmod(time.time_ns(), 10**9)
    return {
        "stamp": {"sec": np.int32(sec), "nanosec": np.uint32(nanosec)},
        "frame_id": f"{frame}#{number}",
    }


def vector(x: float, y: float, z: float) -> dict[str, object]:
    """Return a Vector3 or a Point."""
    return {"x": np.float64(x), "y": np.float64(y), "z": np.float64(z)}


def odometry(number: int) -> dict[str, object]:
    """Return the odometry of a number."""
    covariance = np.arange(36, dtype=np.float64) * number
    return {
        "header": header(number, "odom"),
        "child_frame_id": "base_link",
        "pose": {
            "pose": {
                "position": vector(number / 3, -number / 7, 0.125),
                "orientation": {**vector(0, 0, 0.6), "w": np.float64(0.8)},
            },
            "covariance": covariance,
        },
        "twist": {
            "twist": {"linear": vector(number / 9, 0, 0), "angular": vector(0, 0, -number / 11)},
            "covariance": covariance + 1,
        },
    }


def image(number: int, encoding: str, width: int, height: int) -> dict[str, object]:
    """Return the picture of a number."""
    size = {"rgb8": 3, "16UC1": 2}[encoding]
    pixels = (np.arange(width * height * size, dtype=np.uint32) * 7 + number) % 251
    return {
        "header": header(number, encoding),
        "height": np.uint32(height),
        "width": np.uint32(width),
        "encoding": encoding,
        "is_bigendian": np.uint8(0),
        "step": np.uint32(width * size),
        "data": pixels.astype(np.uint8),
    }


def arrow(message: dict[str, object]) -> pa.Array:
    """Return a message as dora takes it, without a Python object for each pixel."""

    def value(item: object) -> pa.Array:
        if isinstance(item, dict):
            return pa.StructArray.from_arrays([value(v) for v in item.values()], list(item))
        if isinstance(item, np.ndarray):
            return pa.ListArray.from_arrays(pa.array([0, len(item)], pa.int32()), pa.array(item))
        return pa.array([item])

    return value(message)


def main() -> None:
    """Be the robot."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--domain", type=int, required=True)
    parser.add_argument("--zenoh", choices=["humble", "rep2016"])
    parser.add_argument("--config")
    parser.add_argument("--hz", type=float, default=20)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--height", type=int, default=48)
    args = parser.parse_args()
    transport = dora.Ros2Transport.dds()
    if args.zenoh:
        transport = dora.Ros2Transport.zenoh(args.zenoh, args.config)
    context = dora.Ros2Context([args.prefix], transport=transport, domain_id=args.domain)
    node = context.new_node("robot", "/", dora.Ros2NodeOptions(rosout=False))
    qos = dora.Ros2QosPolicies(reliable=True, keep_last=5, max_blocking_time=0.1)

    def topic(name: str, kind: str) -> object:
        return node.create_topic(name, kind, qos)

    echo = node.create_publisher(topic("/cmd_vel_echo", "geometry_msgs/TwistStamped"), qos)
    commands = node.create_subscription(topic("/cmd_vel", "geometry_msgs/TwistStamped"), qos)
    odom = node.create_publisher(topic("/odom", "nav_msgs/Odometry"), qos)
    rgb = node.create_publisher(topic("/rgb", "sensor_msgs/Image"), qos)
    depth = node.create_publisher(topic("/depth", "sensor_msgs/Image"), qos)

    def answer() -> None:
        while True:
            command = commands.next()
            if command is not None:
                echo.publish(command)

    def end() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=answer, daemon=True).start()
    threading.Thread(target=end, daemon=True).start()
    print("ready", flush=True)
    start, number = time.monotonic(), 0
    while True:
        odom.publish(arrow(odometry(number)))
        rgb.publish(arrow(image(number, "rgb8", args.width, args.height)))
        depth.publish(arrow(image(number, "16UC1", args.width, args.height)))
        number += 1
        time.sleep(max(0.0, start + number / args.hz - time.monotonic()))


if __name__ == "__main__":
    main()
