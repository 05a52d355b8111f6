"""What the object memory keeps on disk."""

import contextlib
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes_memory import SPEC, Box, look_at, observe

from memory.care.merging import merge_all
from memory.config import ObjectConfig
from memory.errors import DamagedTableError, NewerFormatError
from memory.format import FORMAT_FILE
from memory.objects.memory import SlotMemory
from memory.objects.tables import ObjectTables
from memory.records import Slot
from memory.search.home import list_slots
from memory.tables import connect

BOXES = [
    Box(label="chair", xyz_m=(2.0, -0.8, 0.45), extent_m=(0.5, 0.5, 0.9)),
    Box(label="dining_table", xyz_m=(2.0, 0.8, 0.4), extent_m=(0.9, 0.9, 0.8), rgb=(9, 200, 9)),
]
HERE = look_at((0.0, 0.0), (2.0, 0.0))


def remember(folder: Path, boxes: list[Box] = BOXES, steps: int = 6) -> SlotMemory:
    memory = SlotMemory(folder, ObjectConfig(), SPEC)
    for step in range(steps):
        eye = (0.0, -1.0 + 2.0 * step / steps)
        memory.update(*observe(boxes, look_at(eye, (2.0, 0.0)), step), step)
    return memory


def plain(slots: list[Slot]) -> list[dict[str, Any]]:
    return [
        {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in ((name, getattr(slot, name)) for name in Slot.__slots__)
        }
        for slot in slots
    ]


def test_a_restart_brings_back_exactly_what_was_known(tmp_path: Path) -> None:
    memory = remember(tmp_path)
    assert memory.flush() > 0
    again = SlotMemory(tmp_path, ObjectConfig(), SPEC)
    assert plain(again.slots()) == plain(memory.slots())
    assert again.num_views() == memory.num_views() > 0
    for slot in memory.slots():
        for a, b in zip(memory.views(slot.slot_id), again.views(slot.slot_id), strict=True):
            assert (a.view_id, a.num_px, a.stamp_ns) == (b.view_id, b.num_px, b.stamp_ns)
            np.testing.assert_array_equal(a.crop, b.crop)
            np.testing.assert_array_equal(a.pose, b.pose)
    assert [(c.event_id, c.kind) for c in again.changes()] == [
        (c.event_id, c.kind) for c in memory.changes()
    ]


def test_after_a_restart_it_goes_on_as_if_there_had_been_none(tmp_path: Path) -> None:
    memory = remember(tmp_path)
    memory.flush()
    again = SlotMemory(tmp_path, ObjectConfig(), SPEC)
    for step in range(10, 18):
        boxes = BOXES if step < 13 else BOXES[:1]
        ids = [m.update(*observe(boxes, HERE, step), step) for m in (memory, again)]
        assert ids[0] == ids[1]
    memory.flush()
    assert plain(again.slots(archived=True)) == plain(memory.slots(archived=True))


def test_ids_of_dropped_slots_are_not_used_again(tmp_path: Path) -> None:
    memory = remember(tmp_path, BOXES[:1], steps=1)
    for step in range(1, 4):
        memory.update(*observe([], HERE), step)
    assert memory.slots(archived=True) == []
    memory.flush()
    again = SlotMemory(tmp_path, ObjectConfig(), SPEC)
    assert again.update(*observe(BOXES[:1], HERE), 9) == [2]


def test_what_was_removed_is_removed_on_disk(tmp_path: Path) -> None:
    memory = remember(tmp_path)
    memory.flush()
    memory.clear()
    assert list_slots(tmp_path) == []
    assert SlotMemory(tmp_path, ObjectConfig(), SPEC).num_views() == 0


def test_another_process_lists_slots(tmp_path: Path) -> None:
    assert list_slots(tmp_path / "none") == []
    memory = remember(tmp_path)
    memory.flush()
    found = [slot for slot in list_slots(tmp_path) if slot["label"] == "chair"]
    assert found[0]["state"] == "confirmed"
    assert found[0]["num_views"] == len(memory.views(found[0]["slot_id"]))
    np.testing.assert_allclose(found[0]["xyz_m"], memory.slots("chair")[0].xyz_m)
    assert len(list_slots(tmp_path)) == 2


def test_a_damaged_table_is_named_and_left_alone(tmp_path: Path) -> None:
    remember(tmp_path).flush()
    for file in (tmp_path / "slots.lance" / "data").iterdir():
        file.write_bytes(b"not a lance file")
    before = sorted((p, p.stat().st_size) for p in tmp_path.rglob("*") if p.is_file())
    with pytest.raises(DamagedTableError, match=r"'slots' in .*cannot be"):
        SlotMemory(tmp_path, ObjectConfig(), SPEC)
    with pytest.raises(DamagedTableError, match="'slots'"):
        list_slots(tmp_path)
    assert sorted((p, p.stat().st_size) for p in tmp_path.rglob("*") if p.is_file()) == before


def test_damaged_counters_are_named(tmp_path: Path) -> None:
    remember(tmp_path).flush()
    (tmp_path / "objects.json").write_text("{")
    with pytest.raises(DamagedTableError, match=r"objects\.json"):
        SlotMemory(tmp_path, ObjectConfig(), SPEC)
    (tmp_path / "objects.json").unlink()
    with pytest.raises(DamagedTableError, match=r"objects\.json is missing"):
        SlotMemory(tmp_path, ObjectConfig(), SPEC)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    remember(tmp_path).flush()
    (tmp_path / FORMAT_FILE).write_text('{"format": 99}')
    for call in (lambda: SlotMemory(tmp_path, ObjectConfig(), SPEC), lambda: list_slots(tmp_path)):
        with pytest.raises(NewerFormatError, match="format 99"):
            call()


def test_a_flush_that_fails_is_made_up_for_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = remember(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(
            "memory.objects.tables.ObjectTables._upsert",
            lambda *_: (_ for _ in ()).throw(OSError("disk full")),
        )
        with pytest.raises(OSError, match="disk full"):
            memory.flush()
    memory.flush()
    again = SlotMemory(tmp_path, ObjectConfig(), SPEC)
    assert plain(again.slots()) == plain(memory.slots())
    assert again.num_views() == memory.num_views()


def test_updates_and_flushes_may_run_at_once(tmp_path: Path) -> None:
    memory = SlotMemory(tmp_path, ObjectConfig(), SPEC)
    errors: list[BaseException] = []
    done = threading.Event()

    def keep_flushing() -> None:
        try:
            while not done.is_set():
                memory.flush()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=keep_flushing)
    frames = [observe(BOXES[: 1 + i % 2], HERE, i) for i in range(8)]
    thread.start()
    try:
        for step in range(80):
            memory.update(*frames[step % 8], step)
    finally:
        done.set()
        thread.join()
    memory.flush()
    assert errors == []
    assert plain(SlotMemory(tmp_path, ObjectConfig(), SPEC).slots()) == plain(memory.slots())


@pytest.mark.parametrize("last", range(1, 7))
def test_a_process_killed_between_two_writes_leaves_a_memory_that_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    memory = remember(tmp_path)
    memory.flush()
    moved = [BOXES[0], replace(BOXES[1], xyz_m=(2.0, 6.0, 0.4))]
    for step in range(20, 40):
        memory.update(*observe(BOXES[:1], HERE, step), step)
        memory.update(*observe(moved, look_at((0.0, 6.0), (2.0, 6.0)), step), step)
    done = 0
    real = {name: getattr(ObjectTables, name) for name in ("_add", "_upsert", "_delete")}

    def dying(name: str) -> Any:
        def write(*args: Any, **options: Any) -> None:
            nonlocal done
            done += 1
            if done > last:
                raise KeyboardInterrupt
            real[name](*args, **options)

        return write

    with monkeypatch.context() as patch:
        for name in real:
            patch.setattr(ObjectTables, name, dying(name))
        with contextlib.suppress(KeyboardInterrupt):
            memory.flush()
    again = SlotMemory(tmp_path, ObjectConfig(), SPEC)
    assert {slot.label for slot in again.slots()} == {"chair", "dining_table"}
    assert len(again.views(1)) >= 1
    for step in range(40, 44):
        ids = again.update(*observe(moved, look_at((0.0, 6.0), (2.0, 6.0)), step), step)
        assert [slot.slot_id for slot in again.near((2.0, 6.0), 0.5)] == ids
    again.flush()
    last_one = SlotMemory(tmp_path, ObjectConfig(), SPEC)
    assert plain(last_one.slots()) == plain(again.slots())


def test_a_row_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    memory = remember(tmp_path)
    memory.flush()
    for name in ("slots", "views"):
        table = connect(tmp_path).open_table(name)
        table.add(table.to_arrow())
    again = SlotMemory(tmp_path, ObjectConfig(), SPEC)
    assert plain(again.slots()) == plain(memory.slots())
    assert again.num_views() == memory.num_views()


@pytest.mark.parametrize("name", ["slots", "views"])
def test_a_truncated_table_is_named_and_left_alone(tmp_path: Path, name: str) -> None:
    remember(tmp_path).flush()
    for file in (tmp_path / f"{name}.lance" / "data").iterdir():
        os.truncate(file, file.stat().st_size // 2)
    before = sorted((p, p.stat().st_size) for p in tmp_path.rglob("*") if p.is_file())
    with pytest.raises(DamagedTableError, match=f"'{name}' in .*cannot be"):
        SlotMemory(tmp_path, ObjectConfig(), SPEC)
    assert sorted((p, p.stat().st_size) for p in tmp_path.rglob("*") if p.is_file()) == before


def test_a_compaction_keeps_every_row(tmp_path: Path) -> None:
    memory = remember(tmp_path)
    for step in range(10, 16):
        memory.update(*observe(BOXES, HERE, step), step)
        memory.flush()
    merge_all(tmp_path, "slots")
    memory.update(*observe(BOXES, HERE, 16), 16)
    memory.flush()
    again = SlotMemory(tmp_path, ObjectConfig(), SPEC)
    assert plain(again.slots()) == plain(memory.slots())
    assert again.num_views() == memory.num_views()
