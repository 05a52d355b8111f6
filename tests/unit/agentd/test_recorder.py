"""The recorder writes everything in order, survives a failing disk, and never blocks the loop."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from agentd.recorder import Recorder
from memory.config import ReplayConfig

CONFIG = ReplayConfig(batch_rows=4, flush_s=0.05, queue_rows=64)


class FakeReplay:
    def __init__(self, failures: int = 0) -> None:
        self.rows: list[Any] = []
        self.failures = failures
        self.gate = threading.Event()
        self.gate.set()

    def append(self, transitions: list[Any]) -> int:
        self.gate.wait(5)
        if self.failures:
            self.failures -= 1
            raise OSError("No space left on device")
        self.rows.extend(transitions)
        return len(self.rows)


def _recorder(replay: FakeReplay, told: list[str]) -> Recorder:
    return Recorder(replay, SimpleNamespace(flush=lambda: 0), CONFIG, told.append)


def _row(i: int) -> Any:
    return SimpleNamespace(step=i)


def test_close_writes_what_is_queued_in_order() -> None:
    replay = FakeReplay()
    recorder = _recorder(replay, [])
    recorder.start()
    for i in range(30):
        assert recorder.put(_row(i))
    assert recorder.close(5)
    assert [r.step for r in replay.rows] == list(range(30))
    assert recorder.rows_committed == 30
    assert recorder.version == 30


def test_a_full_disk_is_told_once_and_loses_nothing_when_it_ends() -> None:
    replay, told = FakeReplay(failures=3), []
    recorder = _recorder(replay, told)
    recorder.start()
    for i in range(10):
        recorder.put(_row(i))
    never = threading.Event()
    for _ in range(200):
        if recorder.rows_committed == 10:
            break
        never.wait(0.05)
    assert [r.step for r in replay.rows] == list(range(10))
    assert len(told) == 1
    assert "No space left" in told[0]
    assert recorder.close(5)


def test_a_full_queue_drops_and_counts_instead_of_blocking() -> None:
    replay = FakeReplay()
    replay.gate.clear()
    recorder = _recorder(replay, [])
    recorder.start()
    stored = [recorder.put(_row(i)) for i in range(200)]
    assert not all(stored)
    assert recorder.dropped_rows == stored.count(False)
    replay.gate.set()
    assert recorder.close(5)
    assert len(replay.rows) == stored.count(True)


@pytest.mark.parametrize("queued", [0, 3])
def test_close_reports_rows_that_could_not_be_written(queued: int) -> None:
    replay = FakeReplay(failures=10_000)
    recorder = _recorder(replay, [])
    recorder.start()
    for i in range(queued):
        recorder.put(_row(i))
    assert recorder.close(5) is (queued == 0)
