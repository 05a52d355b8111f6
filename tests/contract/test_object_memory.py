"""Every object memory: with tables and in RAM only."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fakes_memory import SPEC, Box, look_at, observe

from memory.config import ObjectConfig
from memory.objects.memory import SlotMemory
from memory.protocols import ObjectMemory
from memory.records import SlotState

CHAIR = Box(label="chair", xyz_m=(2.0, 0.0, 0.45), extent_m=(0.5, 0.5, 0.9))
TABLE = Box(label="table", xyz_m=(2.0, 1.5, 0.4), extent_m=(1.6, 0.8, 0.8), rgb=(30, 200, 30))

MEMORIES: list[Callable[[Path], SlotMemory]] = [
    lambda folder: SlotMemory(folder, ObjectConfig(), SPEC),
    lambda folder: SlotMemory(None, ObjectConfig(), SPEC),
]


@pytest.fixture(params=MEMORIES, ids=["folder", "ram"])
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> SlotMemory:
    """An empty memory of each kind."""
    made: SlotMemory = request.param(tmp_path / "memory")
    return made


def circle(memory: ObjectMemory, boxes: list[Box], *, first_step: int = 0, steps: int = 24) -> None:
    """Walk around the boxes, looking at their middle."""
    centre = np.mean([box.xyz_m[:2] for box in boxes], axis=0)
    for i in range(steps):
        angle = 2 * math.pi * i / steps
        eye = (float(centre[0] + 3 * math.cos(angle)), float(centre[1] + 3 * math.sin(angle)))
        observation, detections = observe(
            boxes, look_at(eye, (float(centre[0]), float(centre[1]))), first_step + i
        )
        memory.update(observation, detections, first_step + i)


def test_it_satisfies_the_protocol(memory: SlotMemory) -> None:
    assert isinstance(memory, ObjectMemory)
    assert memory.slots() == []


def test_seen_objects_become_confirmed_slots_where_they_are(memory: SlotMemory) -> None:
    circle(memory, [CHAIR, TABLE])
    slots = memory.slots()
    assert sorted(slot.label for slot in slots) == ["chair", "table"]
    for slot, box in zip(sorted(slots, key=lambda s: s.label), (CHAIR, TABLE), strict=True):
        assert slot.state is SlotState.CONFIRMED
        np.testing.assert_allclose(slot.xyz_m, box.xyz_m, atol=0.1)
        np.testing.assert_allclose(slot.extent_m, box.extent_m, atol=0.2)


def test_each_detection_is_told_its_slot(memory: SlotMemory) -> None:
    circle(memory, [CHAIR, TABLE])
    observation, detections = observe([CHAIR, TABLE], look_at((0.0, 0.7), (2.0, 0.7)))
    ids = memory.update(observation, detections, 100)
    by_id = {slot.slot_id: slot.label for slot in memory.slots()}
    assert [by_id[slot_id] for slot_id in ids] == [d.label for d in detections]


def test_objects_of_a_kind_side_by_side_stay_apart(memory: SlotMemory) -> None:
    chairs = [
        Box(label="chair", xyz_m=(2.0, y, 0.45), extent_m=(0.45, 0.45, 0.9))
        for y in (-0.6, 0.0, 0.6)
    ]
    circle(memory, chairs, steps=60)
    found = sorted(slot.xyz_m[1] for slot in memory.slots("chair"))
    np.testing.assert_allclose(found, [-0.6, 0.0, 0.6], atol=0.1)


def test_large_furniture_seen_in_parts_is_one_slot(memory: SlotMemory) -> None:
    counter = Box(label="counter", xyz_m=(2.0, 0.0, 0.45), extent_m=(0.6, 4.0, 0.9))
    for i in range(60):
        y = -2.5 + 5.0 * i / 59
        observation, detections = observe([counter], look_at((0.8, y), (2.0, y)))
        memory.update(observation, detections, i)
    slots = memory.slots()
    assert len(slots) == 1
    assert slots[0].extent_m[1] == pytest.approx(4.0, abs=0.2)


def test_slots_are_filtered_by_label_and_sorted_by_existence(memory: SlotMemory) -> None:
    circle(memory, [CHAIR, TABLE])
    observation, detections = observe([CHAIR, TABLE], look_at((0.0, 1.5), (2.0, 1.5)))
    for step in range(2):
        memory.update(observation, [d for d in detections if d.label != "table"], 50 + step)
    assert [slot.label for slot in memory.slots()] == ["chair", "table"]
    assert [slot.label for slot in memory.slots("table")] == ["table"]
    assert memory.slots("bed") == []


def test_views_show_a_slot_from_several_sides(memory: SlotMemory) -> None:
    circle(memory, [CHAIR])
    slot = memory.slots()[0]
    views = memory.views(slot.slot_id)
    assert 3 <= len(views) <= ObjectConfig().max_views
    assert len(views) == memory.num_views()
    directions = [math.atan2(v.pose[1] - 0.0, v.pose[0] - 2.0) for v in views]
    gaps = [
        abs((a - b + math.pi) % (2 * math.pi) - math.pi)
        for i, a in enumerate(directions)
        for b in directions[:i]
    ]
    assert min(gaps) > math.radians(10)
    assert all((view.crop[16, 16] == CHAIR.rgb).all() for view in views)
    assert memory.views(99) == []


def test_a_crop_has_the_configured_size_and_shows_the_object_with_what_is_around_it() -> None:
    memory = SlotMemory(None, ObjectConfig(crop_px=16, crop_context=2.0), SPEC)
    memory.update(*observe([CHAIR], look_at((0.0, 0.0), (2.0, 0.0))), 0)
    (view,) = memory.views(memory.slots()[0].slot_id)
    assert view.crop.shape == (16, 16, 3)
    assert (view.crop[8, 8] == CHAIR.rgb).all()
    assert (view.crop[8, 0] == 128).all()


def test_search_finds_by_text_and_near_by_place(memory: SlotMemory) -> None:
    circle(memory, [CHAIR, TABLE])
    assert [slot.label for slot in memory.search("Chairs", 5)] == ["chair"]
    assert memory.search("sofa", 5) == []
    assert [slot.label for slot in memory.near((2.0, 0.0), 1.0)] == ["chair"]
    assert [slot.label for slot in memory.near((2.0, 0.0), 2.0)] == ["chair", "table"]


def test_clear_forgets_but_never_uses_an_id_twice(memory: SlotMemory) -> None:
    circle(memory, [CHAIR])
    memory.flush()
    old = memory.slots()[0].slot_id
    memory.clear()
    assert memory.slots(archived=True) == []
    assert memory.num_views() == 0
    circle(memory, [CHAIR], first_step=100)
    assert memory.slots()[0].slot_id > old


def test_flush_with_nothing_new_writes_nothing(memory: SlotMemory) -> None:
    circle(memory, [CHAIR])
    memory.flush()
    assert memory.flush() == 0
