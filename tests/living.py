"""A life in a process of its own, for the tests that start, ask, kill and restart it."""

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agentd.client import Client, NotRunningError
from agentd.exit_codes import AgentdError
from configs.recipes import recipe_page

START_S = 90.0


def small_recipe(folder: Path) -> Path:
    """Write the daemon's recipe with batches that cost a sixth, for lives that have no time."""
    path = folder / "small.toml"
    path.write_text(f"{recipe_page('agentd')}\n[training]\nbatch_size = 8\n", "utf-8")
    return path


class LivingProcess:
    """`agentd run` as a child; killed at the end of the `with` block if it still runs."""

    def __init__(self, home: Path, *args: str) -> None:
        self.home = home
        self.log = home.parent / f"{home.name}.log"
        if ("--profile", "test") in itertools.pairwise(args):
            args += ("--set", f"learners.recipe={small_recipe(home.parent)}")
        self._args = [
            sys.executable,
            "-m",
            "agentd",
            "run",
            "--home",
            str(home),
            "--no-view",
            *args,
        ]

    def __enter__(self) -> "LivingProcess":
        env = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._args, stdout=log, stderr=subprocess.STDOUT, env=env, start_new_session=True
            )
        self.client = Client(self.home)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.client.close()
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]

    def until(
        self, done: Callable[[dict[str, Any]], bool], timeout_s: float = START_S
    ) -> dict[str, Any]:
        """Ask for the status until it satisfies `done`; fail if the process ends before."""
        for _ in range(int(timeout_s / 0.05)):
            try:
                status = self.client.call("status")
                if done(status):
                    return status
            except (NotRunningError, AgentdError):
                self.client.close()
            try:
                code = self.process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(f"the life ended with {code}:\n{self.tail()}")
        raise AssertionError(f"not within {timeout_s} s:\n{self.tail()}")

    def kill(self) -> None:
        """kill -9 of the agent alone, as a power cut would do it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self, signum: int = signal.SIGTERM, timeout_s: float = 30.0) -> int:
        """Ask to stop by a signal and return the exit code."""
        self.process.send_signal(signum)
        return self.process.wait(timeout_s)
