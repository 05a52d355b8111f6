"""Frames that arrive whole, and everything else that may arrive."""

import json
import socket
import struct
import threading

import numpy as np
import pytest

from agentd.worlds.habitat import wire


@pytest.fixture
def pair():
    a, b = socket.socketpair()
    with a, b:
        yield a, b


def _frame(header: bytes, data: bytes = b"", magic: bytes = wire.MAGIC) -> bytes:
    return struct.pack("<4sIQ", magic, len(header), len(data)) + header + data


def test_messages_and_arrays_arrive_as_they_were_sent(pair):
    arrays = {
        "rgb": np.arange(24, dtype=np.uint8).reshape(2, 4, 3)[:, ::-1],
        "depth": np.array([[0.5, np.nan]], dtype=">f4"),
        "scalar": np.array(3, dtype=np.int64),
        "none": np.zeros((0, 3)),
        "mask": np.array([True, False]),
    }
    wire.send(pair[0], {"call": "x", "args": {"ä": [1, None]}}, arrays)
    message, found = wire.receive(pair[1], 5)
    assert message["args"] == {"ä": [1, None]}
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype.newbyteorder("<")
        assert found[name].flags.writeable


def test_large_arrays_pass_through_a_small_pipe(pair):
    big = np.random.default_rng(0).integers(0, 256, (3000, 1000), dtype=np.uint8)
    sender = threading.Thread(target=wire.send, args=(pair[0], {"call": "x"}, {"big": big}))
    sender.start()
    _, found = wire.receive(pair[1], 10)
    sender.join()
    np.testing.assert_array_equal(found["big"], big)


@pytest.mark.parametrize("bad", [np.array(["a"]), np.array([1j]), np.array([object()])])
def test_other_types_are_not_sent(pair, bad):
    with pytest.raises(wire.WireError, match="has type"):
        wire.send(pair[0], {"call": "x"}, {"bad": bad})


def _listing(*arrays):
    return json.dumps({"arrays": list(arrays)}).encode()


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"HTTP/1.1 400 Bad Request", "starts with"),
        (_frame(b"{}", magic=b"AgdX"), "starts with"),
        (struct.pack("<4sIQ", wire.MAGIC, 0, 0), "header of 0 bytes"),
        (struct.pack("<4sIQ", wire.MAGIC, (1 << 32) - 1, 0), "header of 4294967295"),
        (struct.pack("<4sIQ", wire.MAGIC, 2, 1 << 60), "arrays of 1152921504606846976"),
        (_frame(b"{"), "header of a frame"),
        (_frame(b"[]"), "header of a frame"),
        (_frame(b"{}"), "header of a frame"),
        (_frame(b"\xff\xfe"), "header of a frame"),
        (_frame(_listing(["a", "<f8", [1]]), b"1234"), "does not fit"),
        (_frame(_listing(["a", "|u1", [1 << 40, 1 << 40]]), b"1"), "does not fit"),
        (_frame(_listing(["a", "|u1", [-1]]), b"1"), "the shape"),
        (_frame(_listing(["a", "|O8", [1]]), b"12345678"), "has type"),
        (_frame(_listing(["a", "|u1", [1]]), b"12"), "belong to no array"),
    ],
)
def test_garbage_is_named(pair, raw, why):
    pair[0].sendall(raw)
    with pytest.raises(wire.WireError, match=why):
        wire.receive(pair[1], 5)


def test_an_end_in_the_middle_is_an_end(pair):
    pair[0].sendall(_frame(_listing(["a", "|u1", [5]]), b"12345")[:-2])
    pair[0].close()
    with pytest.raises(wire.WireClosedError):
        wire.receive(pair[1], 5)
    with pytest.raises(wire.WireClosedError):
        wire.send(pair[1], {}, {"a": np.zeros(1 << 20)})


def test_silence_is_noticed(pair):
    pair[0].sendall(b"Ag")
    with pytest.raises(wire.WireTimeoutError, match="2 of 16 bytes"):
        wire.receive(pair[1], 0.05)
    with pytest.raises(wire.WireTimeoutError, match="does not read"):
        wire.send(pair[1], {}, {"a": np.zeros(1 << 22)}, timeout_s=0.05)
