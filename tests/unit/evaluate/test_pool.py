import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from agentd.evaluate.pool import play_all

SCRIPT = """
import os, sys, time
from pathlib import Path
from agentd.evaluate.pool import play_all

def play(path):
    Path(path).write_text(str(os.getpid()))
    time.sleep(600)

if __name__ == "__main__":
    list(play_all(play, sys.argv[1:], 2, "jobs"))
"""


def square(number: int) -> int:
    return number * number


def test_one_worker_plays_in_order_in_this_process() -> None:
    assert list(play_all(square, [3, 1, 2], 1, "jobs")) == [9, 1, 4]


def inverse(number: int) -> float:
    return 1 / number


@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_that_fails_does_not_lose_the_others(workers: int) -> None:
    results = play_all(inverse, [0, 1, 2, 4], workers, "jobs")
    found = [next(results) for _ in range(3)]
    with pytest.raises(ZeroDivisionError) as raised:
        next(results)
    assert sorted(found) == [0.25, 0.5, 1.0]
    assert "1 of 4 jobs" in raised.value.__notes__[0]


def test_workers_end_when_who_started_them_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "pool_script.py"
    script.write_text(SCRIPT)
    paths = [tmp_path / "a", tmp_path / "b"]
    command = [sys.executable, str(script), *map(str, paths)]
    started = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(Path.cwd())})
    workers: list[psutil.Process] = []
    try:
        deadline = time.monotonic() + 60
        while len(workers) < 2 and time.monotonic() < deadline:
            told = [path.read_text() for path in paths if path.exists()]
            workers = [psutil.Process(int(pid)) for pid in told if pid]
        assert len(workers) == 2
        started.kill()
        _, alive = psutil.wait_procs(workers, timeout=30)
        assert not alive
    finally:
        started.kill()
        started.wait(10)
        for worker in workers:
            if worker.is_running():
                worker.kill()
