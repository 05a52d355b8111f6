"""What rosbridge carries: CDR or ROS 1 bytes inwards, JSON outwards."""

import base64
import json
from typing import Any

import cbor2
import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys.store import Typestore

from agentd.worlds.ros2.link import LinkError


def bridge_type(msgtype: str, *, ros1: bool) -> str:
    """Return a type as the server knows it: ROS 1 leaves the `msg` out."""
    return msgtype.replace("/msg/", "/") if ros1 else msgtype


def ros_type(name: str) -> str:
    """Return the ROS 2 form of a type's name, whichever ROS it came from."""
    package, _, last = name.partition("/")
    return f"{package}/msg/{last.removeprefix('msg/')}"


def read(frame: str | bytes) -> dict[str, Any]:
    """Return what a server sent: JSON as text, CBOR as bytes.

    Raises:
        LinkError: If it is neither.
    """
    try:
        message = json.loads(frame) if isinstance(frame, str) else cbor2.loads(frame)
    except (ValueError, cbor2.CBORDecodeError) as error:
        raise LinkError(f"rosbridge sent what nobody can read: {error}") from error
    if not isinstance(message, dict) or "op" not in message:
        raise LinkError(f"rosbridge sent a {type(message).__name__} that is no operation")
    return message


def cdr(store: Typestore, msgtype: str, message: object, *, ros1: bool) -> bytes | memoryview:
    """Return the CDR bytes of a message that came in the mode `cbor-raw`.

    Raises:
        LinkError: If there are no bytes, or they do not fit the type.
    """
    data = message.get("bytes") if isinstance(message, dict) else None
    if not isinstance(data, bytes):
        raise LinkError("rosbridge sent no bytes: it must know the mode 'cbor-raw'")
    if not ros1:
        return data
    try:
        return store.ros1_to_cdr(data, msgtype)
    except Exception as error:  # whatever a decoder raises on bytes that are not its own
        raise LinkError(f"no {msgtype} ({error})") from error


def fields(store: Typestore, msgtype: str, data: bytes | memoryview, *, ros1: bool) -> Any:
    """Return a message as JSON takes it.

    Raises:
        LinkError: If the bytes do not fit the type, or a number is none.
    """
    try:
        message = store.deserialize_cdr(data, msgtype)
    except Exception as error:  # whatever a decoder raises on bytes that are not its own
        raise LinkError(f"no {msgtype} ({error})") from error
    return _plain(store, msgtype, message, ros1)


def _plain(store: Typestore, msgtype: str, message: Any, ros1: bool) -> Any:
    if ros1 and msgtype in ("builtin_interfaces/msg/Time", "builtin_interfaces/msg/Duration"):
        return {"secs": message.sec, "nsecs": message.nanosec}
    return {
        name.rstrip("_"): _value(store, described, getattr(message, name), ros1)
        for name, described in store.fielddefs[msgtype][1]
    }


def _value(store: Typestore, described: Any, value: Any, ros1: bool) -> Any:
    kind, detail = described
    if kind is Nodetype.NAME:
        return _plain(store, detail, value, ros1)
    if kind is Nodetype.BASE:
        return value
    if isinstance(value, np.ndarray):
        # Bytes go as text, which every rosbridge reads; numbers as a list.
        return base64.b64encode(value.tobytes()).decode() if value.dtype == "u1" else value.tolist()
    return [_value(store, detail[0], item, ros1) for item in value]
