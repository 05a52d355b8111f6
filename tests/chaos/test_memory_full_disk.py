"""A full disk stops an append or a merge with a reason; nothing is lost, and it goes on after."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes_memory import SPEC, look_at, make_episode, make_transition, observe
from fakes_stored import BOXES

from memory.care.fsck import check_memory
from memory.care.merging import merge_all
from memory.config import ObjectConfig, ReplayConfig
from memory.errors import StoreError
from memory.objects.memory import SlotMemory
from memory.records import Transition
from memory.replay.store import LanceReplay

SIZE_BYTES = 16 << 20
BALLAST_BYTES = 10 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes, most of it taken by a file that can be removed."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", str(disk)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no small file system here: {mounted.stderr.strip()}")
    try:
        (disk / "ballast").write_bytes(b"\xff" * BALLAST_BYTES)
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path) -> None:
    """Take what space is left, down to a few pages."""
    with (disk / "filler").open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12):
            try:
                while True:
                    file.write(b"\xff" * size)
            except OSError:
                continue


def rows_at(step: int) -> list[Transition]:
    return make_episode(step, step, 40, size=64)


def append_for_ever(store: LanceReplay) -> None:
    while True:
        store.append(rows_at(store.last_step() + 1))


def look_for_ever(memory: SlotMemory, step: int) -> None:
    """See and write until a write fails; the smallest may still find a page."""
    while True:
        memory.update(*observe(BOXES, look_at((0.0, -0.1 * (step % 9)), (2.0, 0.0)), step), step)
        memory.flush()
        step += 1


def test_a_full_disk_loses_nothing_and_the_store_goes_on_after(small_disk: Path) -> None:
    folder = small_disk / "memory"
    store = LanceReplay(folder, ReplayConfig())
    with pytest.raises(StoreError, match="'transitions' in"):
        append_for_ever(store)
    step = len(store)
    assert step > 40
    assert [row.step for row in store.read(0, step + 99)] == list(range(step))
    with pytest.raises(StoreError):
        merge_all(folder, "transitions")
    assert [row.step for row in LanceReplay(folder, ReplayConfig()).read(0, step)] == list(
        range(step)
    )
    (small_disk / "ballast").unlink()
    store.append(rows_at(step))  # the same rows, as the recorder does
    merge_all(folder, "transitions")
    found = store.read(0, step + 99)
    assert [row.step for row in found] == list(range(step + 40))
    for row in (found[0], found[-1]):
        expected = make_transition(row.step, row.episode_id, size=64).observation.rgb
        assert row.observation.rgb.tobytes() == expected.tobytes()
    assert [f for f in check_memory(folder, deep=True) if f.level == "error"] == []


def test_what_is_remembered_of_objects_waits_for_space(small_disk: Path) -> None:
    folder = small_disk / "memory"
    memory = SlotMemory(folder, ObjectConfig(), SPEC)
    for step in range(4):
        memory.update(*observe(BOXES, look_at((0.0, step * 0.1), (2.0, 0.0)), step), step)
    memory.flush()
    fill(small_disk)
    with pytest.raises((StoreError, OSError)):
        look_for_ever(memory, 4)
    (small_disk / "ballast").unlink()
    memory.flush()
    again = SlotMemory(folder, ObjectConfig(), SPEC)
    assert [(s.slot_id, s.num_hits) for s in again.slots(archived=True)] == [
        (s.slot_id, s.num_hits) for s in memory.slots(archived=True)
    ]
    assert again.num_views() == memory.num_views()
    assert [c.event_id for c in again.changes()] == [c.event_id for c in memory.changes()]
    assert [f for f in check_memory(folder, deep=True) if f.level == "error"] == []
