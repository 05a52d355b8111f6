"""Processes for the guardian's tests: a robot in one dimension, its guardian, a policy.

    python tests/guardian_children.py robot|guardian|policy FOLDER

They talk by datagrams in FOLDER. The robot writes what it hears and does to FOLDER/wire.jsonl, each
line with the time of CLOCK_MONOTONIC, which all processes share.
"""

import json
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from agentd.guardian.records import Odometry, Ranges

ODOM_S = 0.02
DECEL_MPS2 = 1.0
WATCHDOG_S = 0.4


def _datagrams(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    path.unlink(missing_ok=True)
    sock.bind(str(path))
    sock.setblocking(False)
    return sock


def _send(sock: socket.socket, path: Path, message: dict[str, Any]) -> None:
    try:
        sock.sendto(json.dumps(message).encode(), str(path))
    except OSError:
        return  # nobody listens: as with a real link


def _receive(sock: socket.socket) -> list[dict[str, Any]]:
    found = []
    while True:
        try:
            found.append(json.loads(sock.recv(4096)))
        except BlockingIOError:
            return found


def robot(folder: Path) -> None:
    """Move in one dimension, 50 steps a second, until killed."""
    sock = _datagrams(folder / "robot.sock")
    log = (folder / "wire.jsonl").open("w", buffering=1)
    x = v = 0.0
    wanted, heard_s = 0.0, float("-inf")
    last_s = time.monotonic()
    due_s = last_s
    while True:
        now_s = time.monotonic()
        for message in _receive(sock):
            wanted, heard_s = message["v"], now_s
            log.write(json.dumps({"t": now_s, "sent": message["t"], "v": message["v"]}) + "\n")
        goal = wanted if now_s - heard_s <= WATCHDOG_S else 0.0
        step = DECEL_MPS2 * (now_s - last_s)
        v += min(max(goal - v, -step), step)
        x += v * (now_s - last_s)
        last_s = now_s
        log.write(json.dumps({"t": now_s, "robot_v": v, "x": x}) + "\n")
        message = {"x": x, "v": v, "stamp": time.time()}
        _send(sock, folder / "senses.sock", message)
        due_s = max(due_s + ODOM_S, now_s)
        time.sleep(max(0.0, due_s - time.monotonic()))


class LineBody:
    """The guardian's side of that robot; satisfies Body."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.problems: dict[str, str] = {}
        self._sock = _datagrams(folder / "senses.sock")
        self._newest: dict[str, Any] = {}
        self._num = 0

    def newest(self) -> dict[str, Any]:
        for message in _receive(self._sock):
            times = {"stamp_s": message["stamp"], "arrival_s": time.monotonic()}
            self._num += 1
            self._newest = {
                "odom": Odometry(
                    **times, x_m=message["x"], y_m=0.0, yaw_rad=0.0, v_mps=message["v"], w_radps=0.0
                ),
                "scan": Ranges(**times, fingerprint=self._num, xy_m=np.empty((0, 2))),
            }
        return self._newest

    def send(self, v_mps: float, w_radps: float) -> None:
        del w_radps
        _send(self._sock, self._folder / "robot.sock", {"t": time.monotonic(), "v": v_mps})

    def num_other_publishers(self) -> int | None:
        return 1 if (self._folder / "other_publisher").exists() else 0

    def close(self) -> None:
        self._sock.close()


def guardian(folder: Path) -> None:
    """Guard that robot until SIGTERM."""
    from agentd.events import EventLog
    from agentd.guardian.door import Door
    from agentd.guardian.places import Places
    from agentd.guardian.process import GuardianProcess
    from agentd.home import Home
    from configs.guardian import ArmConfig, GuardianConfig

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    home = Home(folder)
    places = Places(home)
    is_measured = not (folder / "unmeasured").exists()
    config = GuardianConfig(arm=ArmConfig(watchdog_s=WATCHDOG_S if is_measured else None))
    events = EventLog(folder / "guardian.jsonl")
    process = GuardianProcess(
        config, 0.2, LineBody(folder), Door(places.socket), places.kept, events
    )
    process.run(stop)
    (folder / "modules.json").write_text(json.dumps(sorted(sys.modules)))


def policy(folder: Path) -> None:
    """Want 0.3 m/s, 20 times a second, until killed; write down what the guardian tells."""
    from agentd.guardian.client import GuardianClient
    from agentd.guardian.places import Places
    from agentd.home import Home

    client = GuardianClient(Places(Home(folder)).socket)
    log = (folder / "told.jsonl").open("w", buffering=1)
    while True:
        client.command(0.3, 0.0)
        for state in client.listen():
            log.write(json.dumps(state) + "\n")
        time.sleep(0.05)


if __name__ == "__main__":
    {"robot": robot, "guardian": guardian, "policy": policy}[sys.argv[1]](Path(sys.argv[2]))
