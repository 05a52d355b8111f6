"""The steps of changes, and a draw that another process repeats with nothing but numbers."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fakes_memory import SPEC, make_episode
from fakes_stored import store_episodes, store_objects

from memory.care.access import open_tables
from memory.care.fsck import check_memory
from memory.care.retention_apply import _life_columns
from memory.config import (
    CuriosityConfig,
    MemoryConfig,
    ObjectConfig,
    ReplayConfig,
    SamplingConfig,
    StrataConfig,
)
from memory.errors import DamagedTableError
from memory.objects.changes import Change, ChangeKind
from memory.objects.memory import SlotMemory
from memory.objects.tables import Counters, ObjectTables, Snapshot
from memory.objects.timeline import read_timeline
from memory.replay.change_steps import change_steps
from memory.replay.curiosity import Curiosity
from memory.replay.samplers import Curious, Reserve, training_mix
from memory.replay.store import LanceReplay


def log(tables: ObjectTables, *entries: tuple[int, int, ChangeKind]) -> None:
    """Write entries of (event, step, kind)."""
    changes = [
        Change(
            event_id=event_id,
            step=step,
            stamp_ns=step,
            kind=kind,
            slot_id=1,
            label="chair",
            xyz_m=np.zeros(3),
        )
        for event_id, step, kind in entries
    ]
    tables.write(Snapshot(counters=Counters(), changes=changes))


def test_changes_of_the_world_are_told_from_other_entries(tmp_path: Path) -> None:
    log(
        ObjectTables(tmp_path),
        (1, 3, ChangeKind.CREATED),
        (2, 4, ChangeKind.CONFIRMED),
        (3, 50, ChangeKind.MOVED),
        (4, 30, ChangeKind.ARCHIVED),
        (5, 30, ChangeKind.SUSPECT),
        (6, 60, ChangeKind.MERGED),
        (7, 70, ChangeKind.FAILED),
    )
    steps, last_event_id = change_steps(tmp_path)
    assert (steps.tolist(), last_event_id) == ([30, 50, 70], 7)


def test_a_failed_goal_is_kept_with_its_step_and_is_no_object(tmp_path: Path) -> None:
    store_episodes(tmp_path, (100, 5))
    memory = store_objects(tmp_path)
    known = len(read_timeline(tmp_path).slots_at(1 << 62))
    memory.note_failure("bed", np.array([1.0, 2.0, 0.0]))
    memory.flush()
    again = SlotMemory(tmp_path, ObjectConfig(), SPEC)
    entry = again.changes()[-1]
    assert (entry.kind, entry.step, entry.label) == (ChangeKind.FAILED, 7, "bed")
    assert 7 in change_steps(tmp_path)[0]
    assert len(read_timeline(tmp_path).slots_at(1 << 62)) == known
    assert check_memory(tmp_path, deep=True) == []
    assert _life_columns(tmp_path, open_tables(tmp_path), MemoryConfig()).protected_steps[0] == 7


def test_the_failure_of_a_goal_is_drawn_by_the_reserve(tmp_path: Path) -> None:
    store_episodes(tmp_path, (100, 5))
    log(ObjectTables(tmp_path), (1, 60, ChangeKind.FAILED))
    store = LanceReplay(tmp_path, ReplayConfig())
    # Five windows hold the failure, many a bump: with this quota each kind is half of the draws.
    reserve = Reserve(SamplingConfig(quota=5), StrataConfig(), change_steps(tmp_path)[0])
    batch = store.sample(256, 5, np.random.default_rng(0), sampler=reserve)
    assert (batch.step == 60).any(axis=1).mean() > 0.4


def test_a_pinned_log_stays_the_same(tmp_path: Path) -> None:
    tables = ObjectTables(tmp_path)
    log(tables, (1, 3, ChangeKind.MOVED))
    _, pinned = change_steps(tmp_path)
    log(tables, (2, 2, ChangeKind.MOVED))
    assert change_steps(tmp_path, pinned)[0].tolist() == [3]
    assert change_steps(tmp_path)[0].tolist() == [2, 3]


def test_a_life_without_a_log_has_no_changes(tmp_path: Path) -> None:
    steps, last_event_id = change_steps(tmp_path)
    assert (steps.tolist(), last_event_id) == ([], 0)


def test_a_damaged_log_is_named(tmp_path: Path) -> None:
    log(ObjectTables(tmp_path), (1, 3, ChangeKind.MOVED))
    for file in (tmp_path / "events.lance" / "data").iterdir():
        file.write_bytes(b"damage")
    with pytest.raises(DamagedTableError, match="'events'"):
        change_steps(tmp_path)


READER = """
import json, sys
from pathlib import Path
import numpy as np
from memory.replay.change_steps import change_steps
from memory.config import CuriosityConfig, ReplayConfig, SamplingConfig, StrataConfig
from memory.replay.curiosity import Curiosity
from memory.replay.store import LanceReplay
from memory.replay.samplers import Curious, training_mix

folder, version, last_event_id = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
store = LanceReplay(folder, ReplayConfig()).at_version(version)
curious = Curious(Curiosity(CuriosityConfig()))
changes, _ = change_steps(folder, last_event_id)
mix = training_mix(SamplingConfig(), StrataConfig(), changes, curious)
drawn = []
for number in range(5):
    rng = np.random.default_rng([7, number])
    batch = store.sample(32, 4, rng, sampler=mix)
    curious.learn(batch.step[:, 0], rng.random(32, dtype=np.float32))
    drawn.append(batch.step[:, 0].tolist())
print(json.dumps(drawn))
"""


def test_another_process_draws_the_same_from_a_version_whatever_came_later(tmp_path: Path) -> None:
    store, tables = LanceReplay(tmp_path, ReplayConfig()), ObjectTables(tmp_path)
    for episode in range(6):
        store.append(make_episode(30 * episode, 2 * episode, 30))
    log(tables, (1, 3, ChangeKind.MOVED), (2, 99, ChangeKind.ARCHIVED))
    version = store.version
    changes, last_event_id = change_steps(tmp_path)
    curious = Curious(Curiosity(CuriosityConfig()))
    mix = training_mix(SamplingConfig(), StrataConfig(), changes, curious)
    here = []
    for number in range(5):
        rng = np.random.default_rng([7, number])
        batch = store.sample(32, 4, rng, sampler=mix)
        curious.learn(batch.step[:, 0], rng.random(32, dtype=np.float32))
        here.append(batch.step[:, 0].tolist())
    store.append(make_episode(180, 12, 30))
    log(tables, (3, 70, ChangeKind.MOVED))
    root = Path(__file__).parents[3]
    arguments = [str(tmp_path), str(version), str(last_event_id)]
    there = subprocess.run(
        [sys.executable, "-c", READER, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin"},
    )
    assert json.loads(there.stdout) == here
