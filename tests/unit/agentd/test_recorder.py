"""The recorder writes everything in order, survives a failing disk, and never blocks the loop."""

import threading
from collections.abc import Collection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes_memory import make_episode, make_transition

from agentd.recorder import Recorder
from memory.config import ReplayConfig
from memory.errors import RefusedRowError
from memory.replay.store import LanceReplay

CONFIG = ReplayConfig(batch_rows=4, flush_s=0.05, queue_rows=64)


class FakeReplay:
    def __init__(self, failures: int = 0, bad: Collection[int] = ()) -> None:
        self.bad = bad
        self.rows: list[Any] = []
        self.failures = failures
        self.gate = threading.Event()
        self.gate.set()

    def append(self, transitions: list[Any]) -> int:
        self.gate.wait(5)
        for row in transitions:
            if row.step in self.bad:
                raise RefusedRowError(row.step, "pose holds nan")
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


def test_a_refused_row_is_dropped_and_cuts_the_episode_but_holds_up_no_other() -> None:
    bad = {3, 4, 7, 20, 21}
    replay, told = FakeReplay(bad=bad), []
    replay.gate.clear()
    recorder = _recorder(replay, told)
    recorder.start()
    for i in range(30):
        recorder.put(_row(i))
    replay.gate.set()
    assert recorder.close(5)
    assert [r.step for r in replay.rows] == [i for i in range(30) if i not in bad]
    assert recorder.rows_committed == 25
    assert recorder.dropped_rows == 5
    assert not recorder.put(_row(30)), "the episode has a hole"
    assert recorder.put(_row(31))
    assert [text.rsplit(": ", 1)[1] for text in told] == ["1", "2", "4"]
    assert "step 3 is refused: pose holds nan" in told[0]


def test_of_two_rows_with_one_number_the_first_is_kept(tmp_path: Path) -> None:
    replay, told = LanceReplay(tmp_path, CONFIG), []
    recorder = Recorder(replay, SimpleNamespace(flush=lambda: 0), CONFIG, told.append)
    rows = make_episode(0, 0, 6)
    twin = make_transition(2, 0)
    twin.observation.rgb[:] = 0
    for row in (*rows[:3], twin, *rows[3:]):
        recorder.put(row)
    recorder.start()
    assert recorder.close(20)
    stored = replay.read(0, 9)
    assert [row.step for row in stored] == list(range(6))
    assert stored[2].observation.rgb.any()
    assert "step 2 follows step 2" in told[0]


def test_in_a_hurry_a_batch_need_not_be_full() -> None:
    replay = FakeReplay()
    config = ReplayConfig(batch_rows=64, flush_s=60.0, queue_rows=64)
    flushed = threading.Event()

    def flush() -> int:
        flushed.set()
        return 0

    recorder = Recorder(replay, SimpleNamespace(flush=flush), config, lambda text: None)
    recorder.start()
    for i in range(3):
        recorder.put(_row(i))
    recorder.hurry()
    assert flushed.wait(10)
    assert recorder.close(5)
    assert [r.step for r in replay.rows] == [0, 1, 2]
