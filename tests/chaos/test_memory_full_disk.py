"""A full disk stops an append or a merge with a reason; nothing is lost, and it goes on after."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
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
from memory.vectors import index
from memory.vectors.index import refresh_indexes
from memory.vectors.tables import EmbeddingTables, table_name

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


class WideEncoder:
    """So many features that the vectors of a few views take more than the pages that are left."""

    encoder_version = "wide-1"

    def embed(self, crops: np.ndarray) -> np.ndarray:
        means = crops.reshape(len(crops), -1, 3).mean(axis=1).astype(np.float32) / 255.0 + 0.01
        wide = np.repeat(means, 20_000, axis=1)
        return wide / np.linalg.norm(wide, axis=1, keepdims=True)


def test_a_new_encoder_waits_for_space_and_the_old_one_goes_on(small_disk: Path) -> None:
    folder = small_disk / "memory"
    memory = SlotMemory(folder, ObjectConfig(), SPEC)
    for step in range(4):
        memory.update(*observe(BOXES, look_at((0.0, step * 0.1), (2.0, 0.0)), step), step)
    memory.flush()
    before, num_views = memory.active_encoder, memory.num_views()
    fill(small_disk)
    with pytest.raises(StoreError, match="the disk is full"):
        memory.reembed(WideEncoder())
    for one in (memory, SlotMemory(folder, ObjectConfig(), SPEC)):
        assert one.active_encoder == before
        assert one.num_views() == num_views
    (small_disk / "ballast").unlink()
    assert memory.reembed(WideEncoder()).written == num_views
    again = SlotMemory(folder, ObjectConfig(), SPEC)
    assert again.active_encoder == "wide-1"
    assert again.num_views() == num_views
    assert check_memory(folder, deep=True) == []


def test_an_index_waits_for_space_and_no_vector_is_lost(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "INDEX_FROM", 16)
    folder = small_disk / "memory"
    memory = SlotMemory(folder, ObjectConfig(), SPEC)
    memory.update(*observe(BOXES, look_at((0.0, 0.0), (2.0, 0.0)), 0), 0)
    memory.flush()
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2000, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = np.arange(1000, 3000)
    tables = EmbeddingTables(folder)
    tables.add("e", ids, vectors.astype(np.float16))
    fill(small_disk)
    with pytest.raises(StoreError, match="the disk is full"):
        refresh_indexes(folder)
    np.testing.assert_array_equal(EmbeddingTables(folder).ids("e"), ids)
    assert [f for f in check_memory(folder, deep=True) if f.level == "error"] == []
    (small_disk / "ballast").unlink()
    assert refresh_indexes(folder) == ["e"]
    np.testing.assert_array_equal(EmbeddingTables(folder).ids("e"), ids)
    table = EmbeddingTables(folder)._open("e")
    assert table is not None
    assert table.list_indices()
    assert {f.table for f in check_memory(folder, deep=True)} <= {table_name("e")}
