"""What tests of links share: what was heard, peers in other processes, addresses that are free."""

import base64
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from links_definitions import write_prefix
from links_values import COMMAND, STREAMS, command, differences, message_of, number_of
from rosbags.interfaces import Nodetype

from agentd.worlds.ros2.codec import Codec
from agentd.worlds.ros2.link import Link, Raw
from agentd.worlds.ros2.open_link import open_link
from configs.bodies.ros2_link import LinkConfig

TESTS = Path(__file__).parent
PATIENCE_S = 30.0
# A peer that is killed is missed after this; DDS's own ten seconds make slow tests.
LEASE_S = 2.0


class Heard:
    """Keeps what a link hands over, and wakes who waits for it."""

    def __init__(self) -> None:
        self.raws: list[Raw] = []
        self._changed = threading.Condition()

    def take(self, raw: Raw) -> None:
        with self._changed:
            self.raws.append(raw)
            self._changed.notify_all()

    def wait(self, count: int = 1, timeout_s: float = PATIENCE_S) -> list[Raw]:
        """Return all once there are so many."""
        with self._changed:
            enough = self._changed.wait_for(lambda: len(self.raws) >= count, timeout_s)
            assert enough, f"{len(self.raws)} of {count} messages within {timeout_s} s"
            return list(self.raws)


def eventually(true: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    """Wait until something holds that tells nobody when it does."""
    end = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end, f"not within {timeout_s} s"
        threading.Event().wait(0.01)


def build(codec: Codec, msgtype: str, values: dict[str, Any]) -> Any:
    """Return a message of these values, arrays as such or as JSON has them."""

    def value(described: Any, given: Any) -> Any:
        kind, detail = described
        if kind is Nodetype.NAME:
            return build(codec, detail, given)
        if kind is Nodetype.BASE or isinstance(given, np.ndarray):
            return given
        inner, number = detail[0]
        if inner is Nodetype.NAME or number[0] == "string":
            return [value(detail[0], item) for item in given]
        if isinstance(given, str):
            return np.frombuffer(base64.b64decode(given), np.uint8)
        return np.array(given, np.dtype(number[0]))

    if msgtype == "builtin_interfaces/msg/Time" and "secs" in values:
        values = {"sec": values["secs"], "nanosec": values["nsecs"]}
    described = codec.store.fielddefs[msgtype][1]
    given = {name: value(kind, values.get(name, 0)) for name, kind in described}
    return codec.type(msgtype)(**given)


def encoded(codec: Codec, msgtype: str, values: dict[str, Any]) -> bytes:
    """Return the bytes of a message of these values."""
    return bytes(codec.encode(build(codec, msgtype, values)))


def loopback(domain: int) -> LinkConfig:
    """Return settings of a DDS link that reaches nothing but this machine."""
    return LinkConfig(
        transport="dds",
        domain=domain,
        interface="127.0.0.1",
        peers=("127.0.0.1",),
        multicast=False,
    )


def open_for_test(config: LinkConfig, codec: Codec) -> Link:
    """Open a link; over DDS one that is soon missed when its process is killed."""
    if config.transport != "dds":
        return open_link(config, codec)
    from agentd.worlds.ros2.dds import DdsLink

    return DdsLink(
        codec.store,
        domain=config.domain,
        interface=config.interface,
        peers=config.peers,
        multicast=config.multicast,
        lease_s=LEASE_S,
    )


def free_domain() -> int:
    """Return a DDS domain that nobody on this machine is in."""
    for domain in random.SystemRandom().sample(range(1, 230), 40):
        with contextlib.ExitStack() as sockets:
            try:
                for offset in (0, 10, 11, 12, 13):
                    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                    sockets.enter_context(probe).bind(("127.0.0.1", 7400 + 250 * domain + offset))
            except OSError:
                continue
            return domain
    raise AssertionError("no DDS domain is free")


def free_port() -> int:
    """Return a TCP port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def python_path() -> str:
    """Return where peers import from: as we do, and these files."""
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join(filter(None, (*inherited, str(TESTS), str(TESTS.parent))))


@contextlib.contextmanager
def process(
    arguments: list[str], folder: Path | None = None, **environment: str
) -> Iterator["subprocess.Popen[str]"]:
    """Run a peer until the block ends; it is ready when the block begins."""
    peer = subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": python_path(), "OMP_NUM_THREADS": "1"} | environment,
    )
    assert peer.stdin is not None
    assert peer.stdout is not None
    try:
        assert peer.stdout.readline() == "ready\n", "the peer did not start"
        yield peer
    finally:
        peer.stdin.close()
        try:
            peer.wait(5)
        except subprocess.TimeoutExpired:
            peer.kill()
            peer.wait()
        peer.stdout.close()


def own_peer(config: LinkConfig, *options: str) -> Any:
    """Run our own robot."""
    arguments = [str(TESTS / "links_peer.py"), "--link", config.model_dump_json(), *options]
    return process(arguments)


def dora_peer(codec: Codec, folder: Path, domain: int, *options: str) -> Any:
    """Run dora's robot, its definitions and whatever it leaves in a folder."""
    write_prefix(codec.store, [COMMAND, *STREAMS.values()], folder)
    arguments = [str(TESTS / "links_dora.py"), "--prefix", str(folder), *options]
    # Dora looks for the hashes of types in the folder that it is started in.
    return process(arguments, folder, ROS_DOMAIN_ID=str(domain))


def zenoh_client(folder: Path, endpoint: str) -> list[str]:
    """Return options of dora's robot that have it connect to one router and leave no files."""
    path = folder / "zenoh.json5"
    settings = {
        "mode": "client",
        "connect": {"endpoints": [endpoint]},
        "scouting": {"multicast": {"enabled": False}, "gossip": {"enabled": False}},
        "transport": {"shared_memory": {"enabled": False}},
    }
    path.write_text(json.dumps(settings))
    return ["--config", str(path)]


def exchange(link: Link, codec: Codec, *, width: int, height: int) -> None:
    """Hear each stream of a robot and have a command come back, every value exactly as it was."""
    heard = {topic: Heard() for topic in (*STREAMS, "/cmd_vel_echo")}
    for topic, msgtype in STREAMS.items():
        link.subscribe(topic, msgtype, heard[topic].take)
    link.subscribe("/cmd_vel_echo", COMMAND, heard["/cmd_vel_echo"].take)
    commands = link.advertise("/cmd_vel", COMMAND)
    for topic in STREAMS:
        raws = heard[topic].wait(3)
        assert {raw.topic for raw in raws} == {topic}
        assert all(0 <= time.monotonic_ns() - raw.received_ns < 60e9 for raw in raws)
        messages = [codec.decode(raw) for raw in raws]
        numbers = [number_of(message) for message in messages]
        assert numbers == sorted(set(numbers)), "out of order, or twice"
        for number, message in zip(numbers, messages, strict=True):
            assert differences(message, message_of(topic, number, width, height)) == []
            stamp = message.header.stamp
            assert abs(time.time() - stamp.sec - stamp.nanosec / 1e9) < 60
    eventually(lambda: STREAMS.items() <= link.topics().items())
    eventually(lambda: [link.publishers(topic) for topic in STREAMS] == [1, 1, 1])

    number = 0

    def answered() -> bool:
        nonlocal number
        number += 1
        commands.send(encoded(codec, COMMAND, command(number)))
        return bool(heard["/cmd_vel_echo"].raws)

    eventually(answered)
    echo = codec.decode(heard["/cmd_vel_echo"].wait()[0])
    assert differences(echo, command(number_of(echo))) == []
