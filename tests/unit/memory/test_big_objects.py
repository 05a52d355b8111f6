"""A large object memory is opened, asked and continued like one that was lived."""

from pathlib import Path

import numpy as np
from big_life import PER_ROOM, make_big_objects
from fakes_memory import SPEC, Box, look_at, observe

from memory.config import ObjectConfig
from memory.objects.memory import SlotMemory

NUM_SLOTS, NUM_VIEWS = 400, 3


def test_what_the_script_wrote_is_a_memory(tmp_path: Path) -> None:
    centres = make_big_objects(tmp_path, NUM_SLOTS, NUM_VIEWS, seed=1)
    memory = SlotMemory(tmp_path, ObjectConfig(), SPEC)
    slots = memory.slots(archived=True)
    assert sorted(slot.slot_id for slot in slots) == list(range(1, NUM_SLOTS + 1))
    found = np.stack([slot.xyz_m for slot in sorted(slots, key=lambda slot: slot.slot_id)])
    np.testing.assert_allclose(found, centres, atol=1e-4)
    assert memory.num_views() == NUM_SLOTS * NUM_VIEWS
    assert [view.view_id for view in memory.views(7)] == [19, 20, 21]
    assert len(memory.changes()) == 2 * NUM_SLOTS
    assert len(memory.near(tuple(centres[0, :2]), 3.0)) <= 4 * PER_ROOM


def test_a_large_memory_goes_on(tmp_path: Path) -> None:
    make_big_objects(tmp_path, NUM_SLOTS, NUM_VIEWS, seed=1)
    memory = SlotMemory(tmp_path, ObjectConfig(), SPEC)
    sofa = Box(label="sofa", xyz_m=(202.0, 0.0, 0.45), extent_m=(0.5, 0.5, 0.9))
    for step in range(4):
        ids = memory.update(*observe([sofa], look_at((200.0, 0.0), (202.0, 0.0))), step)
        assert ids == [NUM_SLOTS + 1]
    assert memory.flush() > 0
    again = SlotMemory(tmp_path, ObjectConfig(), SPEC)
    assert NUM_SLOTS + 1 in {slot.slot_id for slot in again.slots("sofa")}
    assert again.num_views() == NUM_SLOTS * NUM_VIEWS + 1


def test_what_is_far_away_changes_nothing_about_what_is_near(tmp_path: Path) -> None:
    make_big_objects(tmp_path, NUM_SLOTS, NUM_VIEWS, seed=1)
    big, small = (SlotMemory(folder, ObjectConfig(), SPEC) for folder in (tmp_path, None))
    boxes = [
        Box(label="chair", xyz_m=(202.0, y, 0.45), extent_m=(0.5, 0.5, 0.9)) for y in (-0.7, 0.7)
    ]
    for step in range(120):
        seen = boxes if step < 60 else boxes[:1]
        frame = observe(seen, look_at((200.0, step / 100), (202.0, 0.0)), step)
        told = [
            [i - first for i in m.update(*frame, 10**6 + step)]
            for m, first in ((big, NUM_SLOTS), (small, 0))
        ]
        assert told[0] == told[1]
    near = big.near((202.0, 0.0), 3.0)
    alone = small.slots()
    assert [s.existence for s in near] == [s.existence for s in alone]
    assert [s.num_hits for s in near] == [s.num_hits for s in alone]
    for a, b in zip(near, alone, strict=True):
        np.testing.assert_array_equal(a.xyz_m, b.xyz_m)


def test_an_answer_by_label_follows_every_change(tmp_path: Path) -> None:
    make_big_objects(tmp_path, NUM_SLOTS, NUM_VIEWS, seed=1)
    memory = SlotMemory(tmp_path, ObjectConfig(), SPEC)
    chair = Box(label="chair", xyz_m=(202.0, 0.0, 0.45), extent_m=(0.5, 0.5, 0.9))
    sizes = set()
    for step in range(40):
        seen = [chair] if step < 20 else []
        memory.update(*observe(seen, look_at((200.0, 0.0), (202.0, 0.0)), step), 10**6 + step)
        everything = [slot.slot_id for slot in memory.slots() if slot.label == "chair"]
        assert [slot.slot_id for slot in memory.slots("chair")] == everything
        sizes.add(len(everything))
    assert len(sizes) == 2


def test_pixels_are_read_from_disk_when_they_are_asked_for(tmp_path: Path) -> None:
    make_big_objects(tmp_path, 40, NUM_VIEWS, seed=1)
    memory = SlotMemory(tmp_path, ObjectConfig(), SPEC)
    views = memory.views(7)
    assert [view.view_id for view in views] == [19, 20, 21]
    assert {view.crop.shape for view in views} == {(32, 32, 3)}
    assert len({view.crop.tobytes() for view in views}) == NUM_VIEWS
