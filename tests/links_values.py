"""Messages whose every value follows from their number, so that both ends know what to expect.

Imported by peers that know nothing of this program: numpy and the standard library alone.
"""

import time
from typing import Any

import numpy as np

ODOMETRY = "nav_msgs/msg/Odometry"
IMAGE = "sensor_msgs/msg/Image"
COMMAND = "geometry_msgs/msg/TwistStamped"
STREAMS = {"/odom": ODOMETRY, "/rgb": IMAGE, "/depth": IMAGE}
PIXEL_BYTES = {"rgb8": 3, "16UC1": 2}


def header(number: int, frame: str) -> dict[str, Any]:
    """Return a header of now; the number rides in the frame's name."""
    sec, nanosec = divmod(time.time_ns(), 10**9)
    return {
        "stamp": {"sec": np.int32(sec), "nanosec": np.uint32(nanosec)},
        "frame_id": f"{frame}#{number}",
    }


def vector(x: float, y: float, z: float) -> dict[str, Any]:
    """Return a Vector3 or a Point."""
    return {"x": np.float64(x), "y": np.float64(y), "z": np.float64(z)}


def twist(number: int) -> dict[str, Any]:
    """Return the velocities of a number."""
    return {"linear": vector(number / 9, -0.1, 1e-300), "angular": vector(0, -0.0, -number / 11)}


def odometry(number: int) -> dict[str, Any]:
    """Return the odometry of a number."""
    covariance = np.arange(36, dtype=np.float64) * number / 7
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
        "twist": {"twist": twist(number), "covariance": covariance + 1},
    }


def pixels(number: int, encoding: str, width: int, height: int) -> np.ndarray:
    """Return the bytes of the picture of a number."""
    count = width * height * PIXEL_BYTES[encoding]
    return np.resize((np.arange(251) * 7 + number).astype(np.uint8), count)


def image(number: int, encoding: str, width: int, height: int) -> dict[str, Any]:
    """Return the picture of a number."""
    return {
        "header": header(number, encoding),
        "height": np.uint32(height),
        "width": np.uint32(width),
        "encoding": encoding,
        "is_bigendian": np.uint8(0),
        "step": np.uint32(width * PIXEL_BYTES[encoding]),
        "data": pixels(number, encoding, width, height),
    }


def command(number: int) -> dict[str, Any]:
    """Return the command of a number."""
    return {"header": header(number, "base_link"), "twist": twist(number)}


def message_of(topic: str, number: int, width: int, height: int) -> dict[str, Any]:
    """Return what a robot publishes on a topic."""
    if topic == "/odom":
        return odometry(number)
    return image(number, "rgb8" if topic == "/rgb" else "16UC1", width, height)


def number_of(message: Any) -> int:
    """Return the number of a decoded message."""
    return int(message.header.frame_id.rpartition("#")[2])


def differences(message: Any, expected: dict[str, Any], path: str = "") -> list[str]:
    """Return where a decoded message is not exactly what was expected; stamps are left out."""
    found = []
    for name, value in expected.items():
        where, is_value = f"{path}.{name}", getattr(message, name)
        if name == "stamp":
            continue
        if isinstance(value, dict):
            found += differences(is_value, value, where)
        elif isinstance(value, np.ndarray):
            if is_value.dtype != value.dtype or not np.array_equal(is_value, value):
                found.append(where)
        elif is_value != value:
            found.append(f"{where}: {is_value!r} is not {value!r}")
    return found
