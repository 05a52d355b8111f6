"""`agentd robot simulate` in a process of its own, on loopback in a DDS domain of its own."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from links_tools import python_path

RAISED = (
    'guardian.raised=["arm.self_test_s", "arm.warning_s", "budget.interventions", '
    '"budget.contacts"]'
)
"""What the profile `robot-sim` raises, and the self-test besides."""


@contextlib.contextmanager
def simulated(domain: int, folder: Path, *options: str) -> Iterator["subprocess.Popen[str]"]:
    """Serve a small house until the block ends; its sockets lie in `folder`."""
    command = [sys.executable, "-m", "agentd", "robot", "simulate", "--domain", str(domain)]
    folder.chmod(0o700)
    with subprocess.Popen(
        [*command, "--seed", "3", "--rooms", "5", "--image-px", "64", *options],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(folder),
    ) as robot:
        assert robot.stdout is not None
        try:
            assert robot.stdout.readline() == "ready\n", "the robot did not start"
            yield robot
        finally:
            if robot.poll() is None:
                robot.send_signal(signal.SIGTERM)
                try:
                    robot.wait(20)
                except subprocess.TimeoutExpired:
                    robot.kill()


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a process that finds the robot's socket."""
    own = {"PYTHONPATH": python_path(), "OMP_NUM_THREADS": "1", "XDG_RUNTIME_DIR": str(folder)}
    return os.environ | own
