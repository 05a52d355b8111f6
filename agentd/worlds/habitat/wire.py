"""Frames between this program and the process that runs the simulator.

A frame is 16 bytes (magic, length of the header, length of the arrays), a JSON header, and the
bytes of the arrays one after the other. Nothing that arrives is ever executed.

The process at the other end may be as old as Python 3.9 and knows none of our packages: this file
needs numpy alone.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import Any

import numpy as np

VERSION = 1
"""Of calls and answers; both ends must speak the same."""
MAGIC = b"AgdH"
_HEAD = struct.Struct("<4sIQ")
MAX_HEADER_BYTES = 1 << 24
MAX_ARRAY_BYTES = 1 << 28
DTYPES = ("|b1", "|u1", "<i4", "<u4", "<i8", "<f4", "<f8")
_CHUNK_BYTES = 1 << 20

Message = dict[str, Any]
Arrays = dict[str, np.ndarray]


class WireError(RuntimeError):
    """What arrived is no frame of ours."""


class WireClosedError(WireError):
    """The other end is gone."""


class WireTimeoutError(WireError):
    """The other end did not answer in time."""


def send(
    connection: socket.socket, message: Message, arrays: Arrays | None = None, timeout_s: float = 30
) -> None:
    """Send one frame.

    Args:
        connection: A connected stream socket.
        message: What JSON can hold; must not use the key `arrays`.
        arrays: Arrays by name.
        timeout_s: Time for all of it.

    Raises:
        WireError: If an array has a type that is not sent, or the frame would be too large.
        WireClosedError: If the other end is gone.
        WireTimeoutError: If the other end does not read.
    """
    parts, listed = [], []
    for name, array in (arrays or {}).items():
        whole = np.ascontiguousarray(array)
        whole = whole.astype(whole.dtype.newbyteorder("<"), copy=False).reshape(np.shape(array))
        if whole.dtype.str not in DTYPES:
            raise WireError(f"array {name!r} has type {whole.dtype}; sent are {', '.join(DTYPES)}")
        listed.append([name, whole.dtype.str, list(whole.shape)])
        parts.append(whole.reshape(-1).view(np.uint8).data)
    header = json.dumps(dict(message, arrays=listed)).encode()
    size = sum(len(part) for part in parts)
    _check_lengths(len(header), size)
    deadline = time.monotonic() + timeout_s
    _send_all(connection, _HEAD.pack(MAGIC, len(header), size) + header, deadline)
    for part in parts:
        _send_all(connection, part, deadline)


def receive(connection: socket.socket, timeout_s: float | None) -> tuple[Message, Arrays]:
    """Wait for one frame.

    Args:
        connection: A connected stream socket.
        timeout_s: Time for all of it; None waits for ever.

    Raises:
        WireError: If what arrives is no frame of ours, or is too large.
        WireClosedError: If the other end is gone.
        WireTimeoutError: If no whole frame arrives in time.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    magic, header_bytes, array_bytes = _HEAD.unpack(_read(connection, _HEAD.size, deadline))
    if magic != MAGIC:
        raise WireError(f"a frame starts with {bytes(magic)!r} instead of {MAGIC!r}")
    _check_lengths(header_bytes, array_bytes)
    raw = _read(connection, header_bytes, deadline)
    data = _read(connection, array_bytes, deadline)
    try:
        message = json.loads(bytes(raw))
        listed = [(str(n), str(t), [int(s) for s in shape]) for n, t, shape in message["arrays"]]
    except (ValueError, KeyError, TypeError) as error:
        raise WireError(f"the header of a frame cannot be read: {error}") from error
    return message, _cut(data, listed)


def _cut(data: bytearray, listed: list[tuple[str, str, list[int]]]) -> Arrays:
    """Return the arrays that lie in the bytes of a frame, which they fill exactly."""
    arrays, start = {}, 0
    for name, kind, shape in listed:
        if kind not in DTYPES:
            raise WireError(f"array {name!r} has type {kind!r}; accepted are {', '.join(DTYPES)}")
        if any(side < 0 for side in shape):
            raise WireError(f"array {name!r} has the shape {shape}")
        count = 1
        for side in shape:
            count *= side
        end = start + count * np.dtype(kind).itemsize
        if end > len(data):
            raise WireError(f"array {name!r} of shape {shape} does not fit into its frame")
        arrays[name] = np.frombuffer(data, kind, count, start).reshape(shape)
        start = end
    if start != len(data):
        raise WireError(f"a frame holds {len(data) - start} bytes that belong to no array")
    return arrays


def _check_lengths(header_bytes: int, array_bytes: int) -> None:
    if not 0 < header_bytes <= MAX_HEADER_BYTES:
        raise WireError(f"a header of {header_bytes} bytes; accepted are 1 to {MAX_HEADER_BYTES}")
    if array_bytes > MAX_ARRAY_BYTES:
        raise WireError(f"arrays of {array_bytes} bytes; accepted are {MAX_ARRAY_BYTES} at most")


def _send_all(connection: socket.socket, data: bytes | memoryview, deadline: float) -> None:
    try:
        connection.settimeout(max(deadline - time.monotonic(), 1e-3))
        connection.sendall(data)
    except socket.timeout as error:  # noqa: UP041 - not the builtin one before Python 3.10
        raise WireTimeoutError("the other end does not read") from error
    except OSError as error:
        raise WireClosedError(f"the other end is gone: {error}") from error


def _read(connection: socket.socket, count: int, deadline: float | None) -> bytearray:
    # Read in chunks: a length that was announced and never comes must not cost its memory.
    data = bytearray()
    while len(data) < count:
        try:
            left_s = None if deadline is None else max(deadline - time.monotonic(), 1e-3)
            connection.settimeout(left_s)
            chunk = connection.recv(min(count - len(data), _CHUNK_BYTES))
        except socket.timeout as error:  # noqa: UP041 - not the builtin one before Python 3.10
            raise WireTimeoutError(f"{len(data)} of {count} bytes came in time") from error
        except OSError as error:
            raise WireClosedError(f"the other end is gone: {error}") from error
        if not chunk:
            raise WireClosedError("the other end closed the connection")
        data += chunk
    return data
