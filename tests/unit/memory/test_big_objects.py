"""A large object memory is opened, asked and continued like one that was lived."""

from pathlib import Path

import numpy as np
from big_life import PER_ROOM, make_big_objects
from fakes_memory import SPEC, Box, look_at, observe

from memory.config import ObjectConfig
from memory.objects import SlotMemory

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
