import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from learners.cluster import RayRounds
from learners.config import RayConfig
from learners.registry import Registry
from learners.round_spec import RoundFailure, RoundResult, RoundSpec
from memory.config import ReplayConfig
from memory.replay.ram import RamReplay
from memory.replay.store import LanceReplay

pytestmark = [pytest.mark.ray, pytest.mark.slow]

_DEADLINE_S = 240.0


@pytest.fixture
def rounds(tmp_path: Path) -> Iterator[RayRounds]:
    runner = RayRounds(RayConfig(), tmp_path / "ray")
    yield runner
    runner.close()


@pytest.fixture
def lance_spec(
    arena_spec: Callable[..., RoundSpec], arena_replay: RamReplay
) -> Callable[[int], RoundSpec]:
    def make(updates: int) -> RoundSpec:
        spec = arena_spec(updates, replay=ReplayConfig(probe_every=4))
        if not spec.memory_folder.exists():
            LanceReplay(spec.memory_folder, spec.replay).append(arena_replay._rows)
        version = LanceReplay(spec.memory_folder, spec.replay).version
        return spec.model_copy(update={"replay_version": version})

    return make


def _outcome(rounds: RayRounds) -> RoundResult | RoundFailure:
    outcome = _until(rounds.poll)
    assert not rounds.busy
    return outcome


def _until(ask: Callable[[], object]) -> object:
    began = time.monotonic()
    pause = threading.Event()
    while time.monotonic() - began < _DEADLINE_S:
        if answer := ask():
            return answer
        pause.wait(0.1)
    raise AssertionError("the deadline passed")


def _worker(rounds: RayRounds, not_pid: int = 0) -> psutil.Process | None:
    for pid in rounds.pids():
        with contextlib.suppress(psutil.NoSuchProcess):  # listed, and gone since
            process = psutil.Process(pid)
            if pid != not_pid and "round_task" in " ".join(process.cmdline()):
                return process
    return None


def test_a_round_runs_in_a_worker_and_nothing_stays_behind(
    rounds: RayRounds, lance_spec: Callable[[int], RoundSpec]
) -> None:
    rounds.start()
    assert rounds.poll() is None
    spec = lance_spec(3)
    rounds.submit(spec)
    assert rounds.busy
    result = _outcome(rounds)
    assert isinstance(result, RoundResult), result
    assert result.num_updates == 3
    registry = Registry(spec.checkpoints_folder)
    assert [m.id for m in registry.list()] == [result.checkpoint_id]
    pids = rounds.pids()
    assert len(pids) > 2
    assert sum(psutil.Process(p).memory_info().rss for p in pids) < 2.5 * 2**30
    rounds.submit(spec.model_copy(update={"replay_version": 10**6}))
    failure = _outcome(rounds)
    assert isinstance(failure, RoundFailure)
    assert "1000000" in failure.reason
    rounds.close()
    rounds.close()
    assert not [p for p in pids if psutil.pid_exists(p)]


def test_a_killed_worker_is_retried_once_and_then_reported(
    rounds: RayRounds, lance_spec: Callable[[int], RoundSpec]
) -> None:
    rounds.submit(lance_spec(100_000))
    first = _until(lambda: _worker(rounds))
    assert isinstance(first, psutil.Process)
    first.send_signal(signal.SIGKILL)
    second = _until(lambda: _worker(rounds, not_pid=first.pid))
    assert isinstance(second, psutil.Process)
    assert rounds.poll() is None
    second.send_signal(signal.SIGKILL)
    failure = _outcome(rounds)
    assert isinstance(failure, RoundFailure)
    assert "the worker died in each of 2 tries" in failure.reason


@pytest.mark.parametrize("name", ["gcs_server", "raylet"])
def test_ray_itself_may_die_and_is_started_again(
    rounds: RayRounds, lance_spec: Callable[[int], RoundSpec], name: str
) -> None:
    rounds.submit(lance_spec(100_000))
    _until(lambda: _worker(rounds))
    for pid in rounds.pids():
        if psutil.Process(pid).name() == name:
            os.kill(pid, signal.SIGKILL)
    assert isinstance(_outcome(rounds), RoundFailure)
    rounds.submit(lance_spec(1))
    assert isinstance(_outcome(rounds), RoundResult)


_OWNER = """
import sys, threading, psutil
from pathlib import Path
from learners.cluster import RayRounds
from learners.config import RayConfig

rounds = RayRounds(RayConfig(), Path(sys.argv[1]))
rounds.start()
pause = threading.Event()
names = []
while not any("raylet" in name for name in names):
    pause.wait(0.2)
    names = [psutil.Process(pid).name() for pid in rounds.pids()]
print(*rounds.pids(), flush=True)
pause.wait()
"""


def test_ray_goes_when_its_owner_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(tmp_path / "ray")], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        pids = [int(pid) for pid in owner.stdout.readline().split()]
        owner.kill()
    assert len(pids) > 2
    assert _until(lambda: not any(psutil.pid_exists(pid) for pid in pids))
