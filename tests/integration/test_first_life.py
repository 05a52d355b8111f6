"""The main job end to end: live, store, learn in a Ray worker, swap, answer, go on."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from living import LivingProcess

from learners.registry import Registry


def _cli(home: Path, *args: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "agentd", *args, "--home", str(home), "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(600)
def test_a_life_learns_in_a_ray_worker_and_swaps_while_it_runs(tmp_path: Path) -> None:
    home = tmp_path / "life"
    with LivingProcess(home, "--profile", "test", "--seed", "3") as life:
        status = life.until(lambda s: s["learning"]["checkpoint"] is not None, 240)
        swapped_at = status["steps"]["total"]
        status = life.until(lambda s: s["steps"]["total"] > swapped_at + 20)
        status = life.until(lambda s: len(s["learning"]["rounds"]) >= 2, 240)
        checkpoints = Registry(home / "checkpoints")
        # Its canary may be refused: then the next one's is waited for.
        status = life.until(lambda s: checkpoints.promoted() is not None, 240)
        assert status["health"]["ray_rss_mb"] > 0
        assert _cli(home, "status")["life"]["pid"] == life.process.pid
        listed = _cli(home, "checkpoints", "list")
        assert listed
        goal = _cli(home, "goal", "add", "chair")
        assert goal["goal_id"].startswith("g")
        assert _cli(home, "goal", "list")
        children = psutil.Process(life.process.pid).children(recursive=True)
        assert life.stop() == 0
    # Ray's processes end with the life
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
    promoted = checkpoints.promoted()
    assert promoted is not None
    with LivingProcess(home, "--profile", "test", "--set", "learners.enabled=false") as life:
        again = life.until(lambda s: s["steps"]["this_run"] > 5)
        assert again["steps"]["total"] > status["steps"]["total"]
        assert again["learning"]["checkpoint"] == promoted
        assert again["life"]["id"] == status["life"]["id"]
        assert life.stop(signal.SIGINT) == 0


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(600)
def test_a_killed_ray_worker_is_not_noticed_by_the_agent(tmp_path: Path) -> None:
    home = tmp_path / "life"
    args = ("--set", "learners.round.budget_s=30", "--set", "learners.round.max_updates=100000")
    with LivingProcess(home, "--profile", "test", "--seed", "3", *args) as life:
        life.until(lambda s: s["learning"]["in_flight"] is not None, 240)

        def workers() -> list[psutil.Process]:
            found = []
            for process in psutil.Process(life.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):  # it may have ended meanwhile
                    if "ray::" in " ".join(process.cmdline()):
                        found.append(process)
            return found

        status = life.until(lambda s: bool(workers()), 120)
        before = status["steps"]["total"]
        for worker in workers():
            os.kill(worker.pid, signal.SIGKILL)
        status = life.until(lambda s: s["steps"]["total"] > before + 50)
        assert status["steps"]["missed_ticks"] == 0
        # the round is tried again, or told as failed: never silence
        life.until(
            lambda s: s["learning"]["in_flight"] is not None or bool(s["learning"]["rounds"]), 60
        )
        assert life.stop() == 0
