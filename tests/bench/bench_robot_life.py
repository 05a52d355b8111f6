"""A life over ROS 2, hurt on the way: robot, guardian and agent as processes of their own.

    python tests/bench/bench_robot_life.py --minutes 10 --out runs/robot-life

Serves a house as a robot over DDS on loopback, lives in it with learning, and injects faults one
after the other while a bystander on the link watches how fast the robot moves. Then the life is
exported to MCAP and read back. Prints tables; asserts nothing but that everything ran.
"""

import argparse
import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from links_tools import free_domain, python_path

from agentd.client import Client, NotRunningError
from agentd.commands.output import print_table
from agentd.worlds.ros2.codec import Codec
from agentd.worlds.ros2.messages import TF, TWIST, read_transforms
from agentd.worlds.ros2.open_link import open_link
from configs.bodies.ros2 import Ros2Config

AGENTD = (sys.executable, "-m", "agentd")
FAULT_S = 5.0
FAULTS: tuple[tuple[str, ...], ...] = (
    ("freeze", "/odom"),
    ("stale", "/camera/color/image_raw"),
    ("drop", "/camera/depth/image_raw"),
    ("ignore-commands",),
    ("kill guardian",),
)
_MOVES_MPS = 0.03


class Bystander:
    """Watches the transforms of the robot: when it moved last, and how fast."""

    def __init__(self, config: Ros2Config) -> None:
        self._codec = Codec(config.link.distro)
        self._link = open_link(config.link, self._codec)
        self._last: tuple[float, float, float] | None = None
        self.moved_s = self.heard_s = 0.0
        self.commands_s: list[float] = []
        self._link.subscribe(config.topics.tf, TF, self._take)
        self._link.subscribe(config.topics.command, TWIST, self._hear)

    def _hear(self, raw: Any) -> None:
        self.commands_s.append(raw.received_ns * 1e-9)

    def jitter_ms(self, since_s: float) -> tuple[float, float, float]:
        """Return p50, p99 and the largest distance of a gap between commands from 50 ms."""
        times = np.array([t for t in list(self.commands_s) if t > since_s])
        off = np.abs(np.diff(times) - 0.05) * 1e3
        if not len(off):
            return (math.nan,) * 3
        return float(np.median(off)), float(np.percentile(off, 99)), float(off.max())

    def _take(self, raw: Any) -> None:
        for found in read_transforms(self._codec.decode(raw), raw.topic):
            if found.child != "base_link":
                continue
            T, t = found.T_parent_child, found.stamp_ns * 1e-9
            if self._last is not None and t > self._last[0]:
                x, y = self._last[1:]
                speed = math.hypot(T[0, 3] - x, T[1, 3] - y) / (t - self._last[0])
                if speed > _MOVES_MPS:
                    self.moved_s = time.monotonic()
            self._last, self.heard_s = (t, float(T[0, 3]), float(T[1, 3])), time.monotonic()

    def close(self) -> None:
        self._link.close()


@contextlib.contextmanager
def child(*words: str, env: dict[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with (
        log.open("wb") as out,
        subprocess.Popen([*AGENTD, *words], env=env, stdout=out, stderr=out) as process,
    ):
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()


def status(home: Path) -> dict[str, Any]:
    try:
        with Client(home) as client:
            return client.call("status")
    except NotRunningError:
        return {}


def guardian_pid(home: Path) -> int:
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "agentd.guardian" in words and str(home) in words:
            return process.pid
    raise RuntimeError(f"no guardian of {home}")


def hurt(fault: tuple[str, ...], domain: int, home: Path, env: dict[str, str]) -> None:
    if fault == ("kill guardian",):
        os.kill(guardian_pid(home), signal.SIGKILL)
        return
    words = ["robot", "fault", *fault, "--for", str(FAULT_S), "--domain", str(domain)]
    subprocess.run([*AGENTD, *words], env=env, check=True, capture_output=True)


def wait(seconds: float) -> None:
    threading.Event().wait(seconds)


def watched(
    fault: tuple[str, ...], bystander: Bystander, call: Any, patience_s: float
) -> list[Any]:
    """Return a row: how long the robot moved on, and when it moved again."""
    deadline = time.monotonic() + 60
    while time.monotonic() - bystander.moved_s > 0.3 and time.monotonic() < deadline:
        wait(0.02)
    call()
    began_s = time.monotonic()
    wait(FAULT_S - 0.5)
    moved_on_s = max(0.0, bystander.moved_s - began_s)
    while bystander.moved_s < began_s + FAULT_S and time.monotonic() < began_s + patience_s:
        wait(0.05)
    again_s = bystander.moved_s - began_s
    is_back = again_s >= FAULT_S
    return [" ".join(fault), f"{moved_on_s:.2f}", f"{again_s:.1f}" if is_back else "never"]


def live(options: argparse.Namespace, folder: Path, domain: int, env: dict[str, str]) -> None:
    home = folder / "life"
    robot = Ros2Config.model_validate({"robot": "simulated", "link": {"domain": domain}})
    reach = ("--set", f"world.ros2.link.domain={domain}")
    with child(
        *("robot", "simulate", "--seed", str(options.seed), "--domain", str(domain)),
        env=env,
        log=folder / "robot.log",
    ):
        while b"ready" not in (folder / "robot.log").read_bytes():
            wait(0.1)
        words = ["run", "--profile", "robot-sim", "--home", str(home), "--no-view", *reach]
        began_s = time.monotonic()
        with child(*words, env=env, log=folder / "run.log") as life:
            bystander = Bystander(robot)
            with contextlib.closing(bystander):
                hurts = _faults(
                    options, bystander, lambda f: hurt(f, domain, home, env), began_s, life
                )
                rows = list(hurts)
                calm_s = time.monotonic()
                while time.monotonic() - began_s < options.minutes * 60 and life.poll() is None:
                    wait(1.0)
                jitter = bystander.jitter_ms(calm_s)
            last = status(home)
            life.send_signal(signal.SIGTERM)
            code = life.wait(120)
    print_table(("fault (5 s)", "moved on s", "moves again after s"), rows)
    p50, p99, most = jitter
    print(f"commands at 20 Hz, off by (ms): p50 {p50:.1f}, p99 {p99:.1f}, most {most:.1f}")
    report(home, last, code)
    export(home, folder, env)


def _faults(
    options: argparse.Namespace, bystander: Bystander, do: Any, began_s: float, life: Any
) -> Iterator[list[Any]]:
    every_s = (options.minutes * 60 - options.calm_s) / (len(FAULTS) + 1)
    for k, fault in enumerate(FAULTS):
        while time.monotonic() - began_s < options.calm_s + k * every_s:
            wait(0.5)
            if life.poll() is not None:
                return
        yield watched(fault, bystander, lambda f=fault: do(f), min(60.0, every_s - 2))


def report(home: Path, last: dict[str, Any], code: int) -> None:
    done = json.loads((home / "log" / "report.json").read_text())
    events = [json.loads(line) for line in (home / "log" / "events.jsonl").read_text().splitlines()]
    kinds = Counter(event["kind"] for event in events)
    learning, steps = last.get("learning", {}), last.get("steps", {})
    rounds = learning.get("rounds", [])
    rows = [
        ("exit code", code),
        ("steps", done["steps"]["total"]),
        ("steps per s", steps.get("per_s")),
        ("tick p50, p99 ms", f"{steps.get('tick_p50_ms')}, {steps.get('tick_p99_ms')}"),
        ("rounds", len(rounds)),
        ("swapped in", sum(" acts from the next episode" in e["text"] for e in events)),
        ("promoted", sum(" promoted: " in e["text"] for e in events)),
        ("acts with", learning.get("checkpoint")),
        ("explored m2", last.get("map", {}).get("explored_m2")),
        ("slots", last.get("memory", {}).get("slots")),
        ("goals", Counter(g["state"] for g in last.get("goals", []))),
        ("events", dict(kinds)),
        ("guardian", last.get("guardian", {}).get("counts")),
        ("guardian late ms", last.get("guardian", {}).get("late_ms")),
    ]
    print_table(("", "value"), [[name, str(value)] for name, value in rows])


def export(home: Path, folder: Path, env: dict[str, str]) -> None:
    path = folder / "life.mcap"
    subprocess.run(
        [*AGENTD, "export", "--home", str(home), "--mcap", str(path)], env=env, check=True
    )
    from mcap.reader import make_reader

    with path.open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    assert summary.statistics is not None
    counts = summary.statistics.channel_message_counts
    rows = [[channel.topic, counts.get(k, 0)] for k, channel in summary.channels.items()]
    print_table(("channel of the MCAP file", "messages"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--calm-s", type=float, default=150.0, help="before the first fault")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--out", type=Path, default=None, help="keep home, logs and export here")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = options.out or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        sockets = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        own = {"PYTHONPATH": python_path(), "OMP_NUM_THREADS": "1"}
        env = {**os.environ, **own, "XDG_RUNTIME_DIR": str(sockets)}
        live(options, folder, free_domain(), env)


if __name__ == "__main__":
    main()
