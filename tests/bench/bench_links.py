"""What the links to a robot carry: images at 30 Hz in, commands out and back.

    python tests/bench/bench_links.py                   # a minute for each link and peer
    python tests/bench/bench_links.py --seconds 15      # a glance

A robot in another process publishes odometry, rgb8 and 16UC1 images of 640 x 480 and sends each
command back: one of our own make for each link, and dora's (another DDS, another serialiser) where
dora-rs is installed. A client decodes all of it, in a process of its own. The rosbridge is the fake
that the tests use, so its row tells of our client and not of the real server. A robot that is
slower than 30 Hz shows in the column of rates: dora is, where the machine is busy. Lost is what did
not reach the taker, by its numbers; whether the robot, the network or the link dropped it, they do
not tell. The age of an observation is from the stamp of its header, set before it is made and sent,
to its decoding. Loopback only; dora's DDS runs in a network of its own, where the machine allows
that.
"""

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1]))

import links_network
from links_tools import (
    build,
    dora_peer,
    eventually,
    free_domain,
    free_port,
    loopback,
    own_peer,
    zenoh_client,
)
from links_values import COMMAND, STREAMS, command, message_of, number_of

from agentd.worlds.ros2.codec import Codec
from agentd.worlds.ros2.link import Link, Raw
from agentd.worlds.ros2.open_link import open_link
from configs.bodies.ros2_link import LinkConfig

ROWS = {
    "dds": ["own", "dora"],
    "zenoh": ["own", "dora"],
    "rosbridge": ["fake server"],
}
SIZE = ["--width=640", "--height=480"]
HZ, COMMAND_HZ = 30, 20
TARGET = {"lost": 0, "age_ms": 10.0, "trip_ms": 2.0, "cpu": 20.0}


class Watch:
    """Decodes what arrives and keeps when: numbers, ages, round trips."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self.numbers: dict[str, list[int]] = {topic: [] for topic in STREAMS}
        self.ages_ms: list[float] = []
        self.trips_ms: list[float] = []

    def stream(self, raw: Raw) -> None:
        """Take a message of a stream."""
        message = self._codec.decode(raw)
        now_ns = time.time_ns()
        self.numbers[raw.topic].append(number_of(message))
        if raw.topic != "/odom":
            stamp = message.header.stamp
            self.ages_ms.append((now_ns - stamp.sec * 10**9 - stamp.nanosec) / 1e6)

    def echo(self, raw: Raw) -> None:
        """Take a command that came back."""
        stamp = self._codec.decode(raw).header.stamp
        self.trips_ms.append((time.time_ns() - stamp.sec * 10**9 - stamp.nanosec) / 1e6)

    def clear(self) -> None:
        """Forget what was before the measurement."""
        self.ages_ms.clear()
        self.trips_ms.clear()
        for numbers in self.numbers.values():
            numbers.clear()


def measure(link: Link, codec: Codec, seconds: float) -> dict[str, Any]:
    """Take all streams and send commands for so long."""
    watch = Watch(codec)
    for topic, msgtype in STREAMS.items():
        link.subscribe(topic, msgtype, watch.stream)
    link.subscribe("/cmd_vel_echo", COMMAND, watch.echo)
    publisher = link.advertise("/cmd_vel", COMMAND)

    def send(number: int) -> None:
        publisher.send(codec.encode(build(codec, COMMAND, command(number))))

    def met() -> bool:
        send(0)
        return bool(watch.trips_ms) and all(watch.numbers.values())

    eventually(met)
    threading.Event().wait(1)
    watch.clear()
    before, start, sent = cpu_s(), time.monotonic(), 0
    while time.monotonic() < start + seconds:
        send(sent)
        sent += 1
        time.sleep(max(0.0, start + sent / COMMAND_HZ - time.monotonic()))
    took_s, used_s = time.monotonic() - start, cpu_s() - before
    threading.Event().wait(0.3)
    images = [watch.numbers[topic] for topic in ("/rgb", "/depth")]
    return {
        "rate_hz": round(sum(map(len, images)) / 2 / (took_s + 0.3), 1),
        "lost": sum(n[-1] - n[0] + 1 - len(n) for n in watch.numbers.values()),
        "seen": sum(map(len, watch.numbers.values())),
        "age_ms": np.percentile(watch.ages_ms, [50, 95]).round(1).tolist(),
        "trip_ms": np.percentile(watch.trips_ms, [50, 95]).round(2).tolist(),
        "echoed": f"{len(watch.trips_ms)}/{sent}",
        "cpu": round(100 * used_s / took_s, 1),
    }


def cpu_s() -> float:
    """Return the processor time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def client(transport: str, peer: str, seconds: float) -> dict[str, Any]:
    """Measure one row, in the process that this is."""
    rate = [*SIZE, f"--hz={HZ}"]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if transport == "dds" and peer == "dora":
            config = LinkConfig(transport="dds", domain=11, interface="127.0.0.1")
            codec = Codec(config.distro)
            link = open_link(config, codec)
            stack.callback(link.close)
            stack.enter_context(dora_peer(codec, folder, 11, *rate))
        elif transport == "dds":
            config = loopback(free_domain())
            codec = Codec(config.distro)
            link = open_link(config, codec)
            stack.callback(link.close)
            stack.enter_context(own_peer(config, *rate))
        else:
            config, url = far_end(transport, stack)
            codec = Codec(config.distro)
            link = open_link(config, codec)
            stack.callback(link.close)
            if peer == "dora":
                options = ["--zenoh", "humble", *zenoh_client(folder, url)]
                stack.enter_context(dora_peer(codec, folder, 0, *options, *rate))
            elif peer == "own":
                stack.enter_context(own_peer(config, *rate))
        return measure(link, codec, seconds)


def far_end(transport: str, stack: contextlib.ExitStack) -> tuple[LinkConfig, str]:
    """Start a router or a server in another process; returns how it is reached."""
    port = free_port()
    script = ["--serve", transport, "--port", str(port)]
    server = subprocess.Popen(
        [sys.executable, __file__, *script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdin is not None
    assert server.stdout is not None
    stack.callback(ended, server)
    assert server.stdout.readline() == b"ready\n"
    if transport == "zenoh":
        endpoint = f"tcp/127.0.0.1:{port}"
        return LinkConfig(transport="zenoh", zenoh_endpoint=endpoint), endpoint
    url = f"ws://127.0.0.1:{port}"
    return LinkConfig(rosbridge_url=url), url


def ended(server: "subprocess.Popen[bytes]") -> None:
    """End a process that ends with its standard input, one way or the other."""
    assert server.stdin is not None
    server.stdin.close()
    try:
        server.wait(5)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def serve(transport: str, port: int) -> None:
    """Be the router, or the fake server with its robot, until the standard input ends."""
    if transport == "zenoh":
        endpoint = f"tcp/127.0.0.1:{port}"
        router = open_link(LinkConfig(transport="zenoh", zenoh_listen=endpoint))
        print("ready", flush=True)
        sys.stdin.read()
        router.close()
        return

    from links_rosbridge import FakeRosbridge

    server = FakeRosbridge(port=port)
    echo = open_link(LinkConfig(rosbridge_url=server.url))
    back = echo.advertise("/cmd_vel_echo", COMMAND)
    echo.subscribe("/cmd_vel", COMMAND, lambda raw: back.send(raw.data))
    end = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), end.set()), daemon=True).start()
    print("ready", flush=True)
    start, number = time.monotonic(), 0
    while not end.wait(max(0.0, start + number / HZ - time.monotonic())):
        for topic, msgtype in STREAMS.items():
            made = build(server.codec, msgtype, message_of(topic, number, 640, 480))
            server.publish(topic, bytes(server.codec.encode(made)))
        number += 1
    echo.close()
    server.close()


def row(transport: str, peer: str, seconds: float) -> dict[str, Any]:
    """Measure one row in a process of its own."""
    arguments = ["--client", transport, peer, "--seconds", str(seconds)]
    try:
        done = subprocess.run(
            [sys.executable, __file__, *arguments],
            capture_output=True,
            text=True,
            timeout=seconds + 60,
        )
    except subprocess.TimeoutExpired:
        return {"failed": "hung"}
    if done.returncode:
        return {"failed": (done.stderr or done.stdout).strip().splitlines()[-1]}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--only", choices=list(ROWS))
    parser.add_argument("--client", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve, args.port)
        return
    if args.client:
        if args.client == ["dds", "dora"]:
            links_network.enter()
        print(json.dumps(client(*args.client, args.seconds)))
        return
    table = Table(title=f"640 x 480 rgb8 and 16UC1 at {HZ} Hz, {args.seconds:g} s each")
    for name in ("link", "peer", "Hz", "lost", "age ms p50/p95", "trip ms p50/p95", "echoed"):
        table.add_column(name)
    for name in ("CPU % of a core", "load"):
        table.add_column(name)
    table.add_row(
        "to reach", "", str(HZ), "0", f"< {TARGET['age_ms']:g}", f"< {TARGET['trip_ms']:g}", "all",
        f"< {TARGET['cpu']:g}", "",
    )  # fmt: skip
    for transport, peers in ROWS.items():
        for peer in peers if args.only in (None, transport) else ():
            found = row(transport, peer, args.seconds)
            load = f"{os.getloadavg()[0]:.1f}"
            if "failed" in found:
                table.add_row(transport, peer, found["failed"])
                continue
            age, trip = ("/".join(map(str, found[key])) for key in ("age_ms", "trip_ms"))
            lost = f"{found['lost']} of {found['lost'] + found['seen']}"
            cells = [str(found["rate_hz"]), lost, age, trip, found["echoed"], str(found["cpu"])]
            table.add_row(transport, peer, *cells, load)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
