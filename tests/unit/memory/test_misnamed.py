"""Detections under a wrong name, and masks that a detector brings along."""

from dataclasses import replace

import numpy as np
from fakes_memory import SPEC, Box, look_at, observe

from memory.config import ObjectConfig
from memory.objects.memory import SlotMemory
from memory.records import Detection, SlotState

HERE = look_at((0.0, 0.0), (2.0, 0.0))
TABLE = Box(label="table", xyz_m=(2.2, 0.0, 0.4), extent_m=(0.8, 1.2, 0.8))
BALL = Box(label="ball", xyz_m=(2.2, 0.0, 0.95), extent_m=(0.3, 0.3, 0.3), rgb=(9, 200, 9))
CHAIR = Box(label="chair", xyz_m=(2.0, -1.3, 0.45), extent_m=(0.5, 0.5, 0.9), rgb=(9, 9, 200))


def remember(memory: SlotMemory, names: list[str], boxes: list[Box]) -> None:
    """See boxes once per name; the first of them goes by that name."""
    for step, name in enumerate(names):
        observation, found = observe(boxes, HERE, step * 200_000_000)
        memory.update(observation, [replace(found[0], label=name), *found[1:]], step)


def test_the_name_that_most_sightings_give_wins() -> None:
    memory = SlotMemory(None, ObjectConfig(), SPEC)
    remember(memory, [*["chair"] * 4, *["table"] * 12], [TABLE])
    (slot,) = memory.slots()
    assert slot.label == "table"
    assert slot.votes == {"chair": 4.0, "table": 12.0}
    remember(memory, ["chair"] * 5, [TABLE])
    assert [s.label for s in memory.slots()] == ["table"]


def test_a_misnamed_thing_does_not_stretch_its_neighbour_of_that_name() -> None:
    memory = SlotMemory(None, ObjectConfig(), SPEC)
    near = replace(CHAIR, xyz_m=(2.0, -0.9, 0.45))
    remember(memory, ["table"] * 6, [TABLE, near])
    before = {s.label: s.extent_m for s in memory.slots()}
    for step in range(6, 12):
        observation, found = observe([TABLE, near], HERE, step * 200_000_000)
        memory.update(observation, [replace(found[0], label="chair")], step)
    after = {s.label: s.extent_m for s in memory.slots()}
    assert after.keys() == before.keys() == {"table", "chair"}
    np.testing.assert_allclose(after["chair"], before["chair"], atol=0.05)


def test_what_was_seen_side_by_side_stays_two_things() -> None:
    memory = SlotMemory(None, ObjectConfig(), SPEC)
    remember(memory, ["table"] * 60, [TABLE, BALL])
    assert sorted(s.label for s in memory.slots()) == ["ball", "table"]


def test_the_memory_looks_at_the_masks_that_detections_bring() -> None:
    """The observation's own mask may be another one, or none at all."""
    observation, (table, chair) = observe([TABLE, CHAIR], HERE)
    assert observation.instances is not None
    flat = observation.instances.ravel()

    def brought(d: Detection, number: int) -> Detection:
        return replace(d, instance=number, pixels=np.flatnonzero(flat == d.instance))

    for mask in (np.zeros_like(observation.instances), None):
        memory = SlotMemory(None, ObjectConfig(), SPEC)
        other = replace(observation, instances=mask)
        for step in range(5):
            memory.update(other, [brought(table, 9), brought(chair, 4)], step)
        slots = {s.label: s for s in memory.slots()}
        assert all(s.state is SlotState.CONFIRMED for s in slots.values())
        for box, seen in ((TABLE, slots["table"]), (CHAIR, slots["chair"])):
            assert (np.abs(seen.xyz_m - box.xyz_m) <= np.array(box.extent_m) / 2 + 0.05).all()
            assert (seen.extent_m <= np.array(box.extent_m) + 0.1).all()


def test_pixels_outside_the_image_are_refused() -> None:
    memory = SlotMemory(None, ObjectConfig(), SPEC)
    observation, (table,) = observe([TABLE], HERE)
    wrong = replace(table, pixels=np.array([3, observation.depth_m.size]))
    assert memory.update(observation, [wrong], 0) == [0]
    assert memory.num_refused() == {"pixels outside the image": 1}


def test_a_part_of_a_known_thing_under_another_name_is_no_news() -> None:
    memory = SlotMemory(None, ObjectConfig(), SPEC)
    remember(memory, ["table"] * 8, [TABLE])
    (slot,) = memory.slots()
    observation, (table,) = observe([TABLE], HERE, 9 * 200_000_000)
    aside_m = slot.extent_m * np.array([0.0, 0.2, 0.2])
    part = {"xyz_m": slot.xyz_m + aside_m, "extent_m": slot.extent_m * 0.4, "label": "oven"}
    low = replace(table, **part)
    # Without a mask the boxes of the detections stand for them.
    bare = replace(observation, instances=None)
    assert memory.update(bare, [low], 9) == [0]
    assert memory.num_refused() == {"a known thing under another name": 1}
    assert [s.label for s in memory.slots()] == ["table"]
    # Seen together with the thing, it is another thing.
    (_, other) = memory.update(bare, [table, replace(low, instance=99)], 10)
    assert other > 0


def test_several_known_things_taken_for_one_are_neither_news_nor_doubted() -> None:
    memory = SlotMemory(None, ObjectConfig(), SPEC)
    pair = [CHAIR, replace(CHAIR, xyz_m=(2.0, -0.4, 0.45))]
    for step in range(8):
        observation, found = observe(pair, HERE, step * 200_000_000)
        memory.update(observation, found, step)
    before = {s.slot_id: (s.existence, *s.extent_m) for s in memory.slots()}
    assert len(before) == 2
    corners = [d.xyz_m + side * d.extent_m / 2 for d in found for side in (-1, 1)]
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    both = replace(found[0], xyz_m=(low + high) / 2, extent_m=high - low)
    for step in range(8, 60):
        observation, _ = observe(pair, HERE, step * 200_000_000)
        assert memory.update(replace(observation, instances=None), [both], step) == [0]
    assert {s.slot_id: (s.existence, *s.extent_m) for s in memory.slots()} == before


def test_what_stands_in_place_of_a_thing_that_left_is_not_that_thing_misnamed() -> None:
    memory = SlotMemory(None, ObjectConfig(), SPEC)
    remember(memory, ["table"] * 8, [TABLE])
    (table,) = memory.slots()
    for step in range(8, 12):
        memory.update(*observe([], HERE, step * 200_000_000), step)
    assert [s.state for s in memory.slots(archived=True)] == [SlotState.ARCHIVED]
    for step in range(12, 70):
        observation, found = observe([TABLE], HERE, step * 200_000_000)
        memory.update(observation, [replace(found[0], label="oven")], step)
    (oven,) = memory.slots()
    assert oven.label == "oven"
    assert oven.slot_id != table.slot_id


def test_a_thing_is_doubted_where_something_else_stands_in_plain_view_but_not_at_once() -> None:
    """Nobody looks through the place: only what the detector says counts, and its errors last."""
    memory = SlotMemory(None, ObjectConfig(confirm_s=2.0), SPEC)
    remember(memory, ["table"] * 8, [TABLE])
    (before,) = memory.slots()
    steps = {}
    for step in range(8, 8 + 50):
        eye = look_at((0.0, 0.03 * (step - 8)), (2.0, 0.0))
        observation, _ = observe([TABLE], eye, step * 200_000_000)
        memory.update(observation, [], step)
        steps[step] = memory.slots(archived=True)[0]
    assert steps[8].existence < before.existence
    assert steps[8 + 9].existence == steps[8].existence
    assert steps[8 + 10].existence < steps[8].existence
    assert steps[8 + 9].state is SlotState.CONFIRMED
    assert steps[8 + 49].state is SlotState.ARCHIVED


def test_what_a_detector_misses_from_one_place_never_makes_a_thing_gone() -> None:
    memory = SlotMemory(None, ObjectConfig(confirm_s=2.0), SPEC)
    remember(memory, ["table"] * 50, [TABLE])
    for step in range(50, 50 + 200):
        observation, _ = observe([TABLE], HERE, step * 200_000_000)
        memory.update(observation, [], step)
    assert [s.state for s in memory.slots()] == [SlotState.CONFIRMED]
    assert memory.slots()[0].existence > 0


def test_a_part_of_one_of_two_things_that_overlap_is_a_sighting() -> None:
    memory = SlotMemory(None, ObjectConfig(), SPEC)
    pair = [replace(CHAIR, xyz_m=(2.0, 0.0, 0.45)), replace(CHAIR, xyz_m=(2.0, 0.45, 0.45))]
    for step in range(8):
        observation, found = observe(pair, HERE, step * 200_000_000)
        memory.update(observation, found, step)
    ids = {s.slot_id for s in memory.slots()}
    assert len(ids) == 2
    observation, found = observe(pair, HERE, 9 * 200_000_000)
    strip = replace(found[0], extent_m=found[0].extent_m * np.array([1.0, 0.3, 1.0]))
    (slot_id,) = memory.update(replace(observation, instances=None), [strip], 9)
    assert slot_id in ids


def test_what_stands_in_a_thing_that_the_frame_does_not_show_is_news() -> None:
    memory = SlotMemory(None, ObjectConfig(), SPEC)
    remember(memory, ["table"] * 8, [TABLE])
    (slot,) = memory.slots()
    close = look_at((1.75, 0.0), (2.2, 0.0))
    observation, found = observe([TABLE], close, 9 * 200_000_000)
    part = {"xyz_m": slot.xyz_m, "extent_m": slot.extent_m * 0.3, "label": "oven"}
    oven = replace(found[0], **part)
    (slot_id,) = memory.update(replace(observation, instances=None), [oven], 9)
    assert slot_id not in (0, slot.slot_id)
    assert memory.num_refused() == {}
