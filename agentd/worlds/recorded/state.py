"""Where in a log a recorded world is, as bytes without pickle."""

import json
import math
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from memory.records import Observation

_FORMAT = 1
_LENGTH = struct.Struct(">I")
ARRAYS: dict[str, tuple[str, tuple[int, ...]]] = {
    "rgb": ("u1", (-1, -1, 3)),
    "depth_m": ("<f4", (-1, -1)),
    "T_world_camera": ("<f8", (4, 4)),
    "egomotion": ("<f4", (3,)),
}
"""Kind of number and shape of what is kept; -1: of the image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A saved place in a log.

    Attributes:
        observation: What is seen there.
        tick: Its number in the log.
        shift_ns: What is added to the log's times.
        over: Whether the log is over.
    """

    observation: Observation
    tick: int
    shift_ns: int
    over: bool


def pack_state(observation: Observation | None, *, tick: int, shift_ns: int, over: bool) -> bytes:
    """Return a place in a log as bytes.

    Raises:
        ValueError: If nothing was seen yet.
    """
    if observation is None:
        raise ValueError("nothing was seen yet: reset the world first")
    meta = {
        "format": _FORMAT,
        "tick": tick,
        "shift_ns": shift_ns,
        "over": over,
        "stamp_ns": observation.stamp_ns,
        "bumped": observation.bumped,
        "image": list(observation.rgb.shape[:2]),
    }
    head = json.dumps(meta).encode()
    arrays = (getattr(observation, name).tobytes() for name in ARRAYS)
    body = _LENGTH.pack(len(head)) + head + zlib.compress(b"".join(arrays), 6)
    return _LENGTH.pack(zlib.crc32(body)) + body


def unpack_state(state: bytes, shape: tuple[int, int]) -> State:
    """Return a saved place.

    Args:
        state: What `pack_state` returned.
        shape: Height and width of the body's images.

    Raises:
        ValueError: If it is damaged or of another body.
    """
    try:
        observation, meta = _unpack(state)
        found = State(
            observation=observation,
            tick=int(meta["tick"]),
            shift_ns=int(meta["shift_ns"]),
            over=bool(meta["over"]),
        )
    except (ValueError, KeyError, TypeError, struct.error, zlib.error) as error:
        raise ValueError(f"the state of the recorded world is damaged: {error}") from error
    if observation.rgb.shape != (*shape, 3):
        raise ValueError(
            f"the state is of images of {observation.rgb.shape[1]} x {observation.rgb.shape[0]} "
            f"pixels, this body has {shape[1]} x {shape[0]}"
        )
    return found


def _unpack(state: bytes) -> tuple[Observation, dict[str, Any]]:
    body = state[_LENGTH.size :]
    if _LENGTH.unpack(state[: _LENGTH.size])[0] != zlib.crc32(body):
        raise ValueError("its checksum does not fit")
    end = _LENGTH.size + _LENGTH.unpack(body[: _LENGTH.size])[0]
    meta: dict[str, Any] = json.loads(body[_LENGTH.size : end])
    if meta["format"] != _FORMAT:
        raise ValueError(f"format {meta['format']}, this program reads {_FORMAT}")
    data = zlib.decompress(body[end:])
    arrays: dict[str, np.ndarray] = {}
    at, image = 0, tuple(meta["image"])
    for name, (dtype, shape) in ARRAYS.items():
        shape = (*image, *shape[2:]) if shape[:2] == (-1, -1) else shape
        count = math.prod(shape)
        arrays[name] = np.frombuffer(data, dtype, count, at).reshape(shape).copy()
        at += count * np.dtype(dtype).itemsize
    observation = Observation(
        stamp_ns=int(meta["stamp_ns"]),
        rgb=arrays["rgb"],
        depth_m=arrays["depth_m"],
        instances=None,
        labels=(),
        T_world_camera=arrays["T_world_camera"],
        egomotion=arrays["egomotion"],
        bumped=bool(meta["bumped"]),
    )
    return observation, meta
