"""Robot, guardian and policy as processes, started, hurt and ended by a test."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agentd.guardian.client import GuardianClient, NoGuardianError
from agentd.guardian.places import Places
from agentd.home import Home

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 30.0


def wait_for(what: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    """Return what a call gives once that is true."""
    deadline = time.monotonic() + patience_s
    while not (found := what()):
        assert time.monotonic() < deadline, f"waited {patience_s} s in vain"
        time.sleep(0.02)
    return found


class Trio:
    """The three in one folder; ends them all at the end of the `with` block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.children: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Trio":
        return self

    def __exit__(self, *exc_info: object) -> None:
        for child in self.children.values():
            if child.poll() is None:
                child.kill()
            child.wait(10)

    def start(self, *roles: str) -> None:
        env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
        script = str(ROOT / "tests" / "guardian_children.py")
        for role in roles:
            with (self.folder / f"{role}.log").open("ab") as log:
                self.children[role] = subprocess.Popen(
                    [sys.executable, script, role, str(self.folder)],
                    env=env,
                    stdout=log,
                    stderr=log,
                )
        if "guardian" in roles:
            wait_for(self._answers)

    def _answers(self) -> bool:
        child = self.children["guardian"]
        log = self.folder / "guardian.log"
        assert child.poll() is None, log.read_text()
        try:
            return bool(self.ask("status")["state"])
        except NoGuardianError:
            return False

    def ask(self, do: str, reason: str = "") -> dict[str, Any]:
        with GuardianClient(Places(Home(self.folder)).socket) as client:
            return client.ask(do, reason)

    def arm(self) -> None:
        wait_for(lambda: self.ask("arm")["ok"])

    def drive(self) -> None:
        """Start all, arm, and wait until the robot drives at full speed."""
        self.start("robot", "guardian", "policy")
        self.arm()
        wait_for(lambda: self.robot_v() > 0.29)

    def signal(self, role: str, number: int) -> float:
        """Send a signal; return when."""
        self.children[role].send_signal(number)
        return time.monotonic()

    def rows(self) -> list[dict[str, Any]]:
        try:
            lines = (self.folder / "wire.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def wire(self) -> list[tuple[float, float]]:
        """Return (when, speed) of every command that the robot heard."""
        return [(row["t"], row["v"]) for row in self.rows() if "v" in row]

    def robot_v(self) -> float:
        return next((r["robot_v"] for r in reversed(self.rows()) if "robot_v" in r), 0.0)

    def rest_s(self, since_s: float) -> float:
        """Return when the robot stood still after a time; waits for it."""

        def rest() -> float:
            rows = [r for r in self.rows() if r["t"] > since_s and "robot_v" in r]
            return next((r["t"] for r in rows if r["robot_v"] == 0), 0.0)

        return float(wait_for(rest))
