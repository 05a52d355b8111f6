"""A robot of another make in a process of its own: dora's ROS 2 bridge, its serialiser, its keys.

Drives as it is told, stops by itself without commands, and says what it senses: odometry at 20 Hz,
colour and depth of a wall at 10 Hz. Ends with its standard input.
"""

import argparse
import math
import os
import sys
import threading
import time
import warnings
from typing import Any

import dora
import numpy as np
from links_dora import arrow
from links_values import COMMAND, IMAGE, ODOMETRY, vector

PERIOD_S = 0.05
TIMEOUT_S = 0.3
WIDTH, HEIGHT = 64, 48


def header(frame: str) -> dict[str, Any]:
    sec, nanosec = divmod(time.time_ns(), 10**9)
    return {"stamp": {"sec": np.int32(sec), "nanosec": np.uint32(nanosec)}, "frame_id": frame}


def odometry(x: float, y: float, yaw: float, v: float, w: float) -> dict[str, Any]:
    turned = {**vector(0, 0, math.sin(yaw / 2)), "w": np.float64(math.cos(yaw / 2))}
    unknown = np.zeros(36)
    return {
        "header": header("odom"),
        "child_frame_id": "base_link",
        "pose": {
            "pose": {"position": vector(x, y, 0), "orientation": turned},
            "covariance": unknown,
        },
        "twist": {
            "twist": {"linear": vector(v, 0, 0), "angular": vector(0, 0, w)},
            "covariance": unknown,
        },
    }


def image(encoding: str, pixels: np.ndarray) -> dict[str, Any]:
    data = np.ascontiguousarray(pixels).view(np.uint8).ravel()
    return {
        "header": header("camera"),
        "height": np.uint32(HEIGHT),
        "width": np.uint32(WIDTH),
        "encoding": encoding,
        "is_bigendian": np.uint8(0),
        "step": np.uint32(data.size // HEIGHT),
        "data": data,
    }


class Base:
    """A unicycle and its newest command."""

    def __init__(self) -> None:
        self.x = self.y = self.yaw = 0.0
        self.wanted, self.heard_s = (0.0, 0.0), -math.inf

    def hear(self, commands: Any) -> None:
        while True:
            received = commands.next()
            if received is None:
                time.sleep(0.002)  # it does not wait for one
                continue
            twist = received[0].as_py()["twist"]
            self.wanted = (twist["linear"]["x"], twist["angular"]["z"])
            self.heard_s = time.monotonic()

    def drive(self) -> tuple[float, float]:
        v, w = self.wanted if time.monotonic() - self.heard_s < TIMEOUT_S else (0.0, 0.0)
        self.x += v * math.cos(self.yaw) * PERIOD_S
        self.y += v * math.sin(self.yaw) * PERIOD_S
        self.yaw += w * PERIOD_S
        return v, w


def pictures(base: Base, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return colour and depth in mm of stripes on a wall, with a camera's noise."""
    column = np.arange(WIDTH) + 40 * base.yaw + 20 * base.x
    stripes = np.where(np.sin(column / 3) > 0, 200, 60)
    rgb = np.broadcast_to(stripes[None, :, None], (HEIGHT, WIDTH, 3))
    rgb = rgb + rng.integers(0, 4, (HEIGHT, WIDTH, 3))
    depth = np.full((HEIGHT, WIDTH), 2000.0) + rng.normal(0, 3, (HEIGHT, WIDTH))
    return rgb.astype(np.uint8), depth.astype(np.uint16)


def main() -> None:
    """Be the robot."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--prefix", required=True, help="folder with the definitions of messages")
    parser.add_argument("--zenoh", choices=["humble", "rep2016"])
    parser.add_argument("--config", help="Zenoh's configuration")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # dora's bridge says at each start that it is unstable
    transport = dora.Ros2Transport.dds()
    if args.zenoh:
        transport = dora.Ros2Transport.zenoh(args.zenoh, args.config)
    context = dora.Ros2Context([args.prefix], transport=transport)
    node = context.new_node("robot", "/", dora.Ros2NodeOptions(rosout=False))
    qos = dora.Ros2QosPolicies(reliable=True, keep_last=5, max_blocking_time=0.1)

    def topic(name: str, msgtype: str) -> Any:
        return node.create_topic(name, msgtype.replace("/msg/", "/"), qos)

    base, rng = Base(), np.random.default_rng(0)
    commands = node.create_subscription(topic("/cmd_vel", COMMAND), qos)
    odom = node.create_publisher(topic("/odom", ODOMETRY), qos)
    rgb = node.create_publisher(topic("/rgb", IMAGE), qos)
    depth = node.create_publisher(topic("/depth", IMAGE), qos)

    def end() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=base.hear, args=(commands,), daemon=True).start()
    threading.Thread(target=end, daemon=True).start()
    print("ready", flush=True)
    due_s, number = time.monotonic(), 0
    while True:
        speeds = base.drive()
        odom.publish(arrow(odometry(base.x, base.y, base.yaw, *speeds)))
        if number % 2 == 0:
            colour, far = pictures(base, rng)
            depth.publish(arrow(image("16UC1", far)))
            rgb.publish(arrow(image("rgb8", colour)))
        number += 1
        due_s = max(due_s + PERIOD_S, time.monotonic() - PERIOD_S)
        time.sleep(max(0.0, due_s - time.monotonic()))


if __name__ == "__main__":
    main()
