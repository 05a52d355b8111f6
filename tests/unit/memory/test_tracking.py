"""Slots over time: moved objects, parts, labels."""

from dataclasses import replace

import numpy as np
import pytest
from fakes_memory import SPEC, Box, look_at, observe

from memory.config import ObjectConfig
from memory.objects.changes import ChangeKind
from memory.objects.memory import SlotMemory
from memory.objects.reunion import unambiguous_best
from memory.records import Detection, Observation, SlotState
from policies.config import PerceptionConfig
from policies.detectors.instances import InstanceDetector

RED, GREEN = (200, 30, 30), (30, 200, 30)
HERE = look_at((0.0, 0.0), (2.0, 0.0))
THERE = look_at((0.0, 8.0), (2.0, 8.0))


def chair(x: float, y: float, rgb: tuple[int, int, int] = RED) -> Box:
    return Box(label="chair", xyz_m=(x, y, 0.45), extent_m=(0.5, 0.5, 0.9), rgb=rgb)


class Walk:
    """A memory and a step counter."""

    def __init__(self) -> None:
        self.memory = SlotMemory(None, ObjectConfig(), SPEC)
        self.step = 0

    def see(self, boxes: list[Box], pose: np.ndarray, steps: int = 6) -> None:
        for _ in range(steps):
            self.memory.update(*observe(boxes, pose, self.step), self.step)
            self.step += 1
        self.memory.flush()


def test_an_object_found_elsewhere_keeps_its_identity() -> None:
    walk = Walk()
    walk.see([chair(2, 0)], HERE)
    slot_id = walk.memory.slots()[0].slot_id
    walk.see([chair(2, 8)], THERE)
    walk.see([chair(2, 8)], HERE, steps=8)
    slots = walk.memory.slots(archived=True)
    assert [(s.slot_id, s.state) for s in slots] == [(slot_id, SlotState.CONFIRMED)]
    np.testing.assert_allclose(slots[0].xyz_m[:2], (2, 8), atol=0.3)
    moved = [change for change in walk.memory.changes() if change.kind is ChangeKind.MOVED]
    assert [change.slot_id for change in moved] == [slot_id]
    assert moved[0].from_xyz_m is not None
    np.testing.assert_allclose(moved[0].from_xyz_m[:2], (2, 0), atol=0.3)
    assert {view.slot_id for view in walk.memory.views(slot_id)} == {slot_id}


def test_an_archived_object_is_recognised_when_it_turns_up() -> None:
    walk = Walk()
    walk.see([chair(2, 0)], HERE)
    slot_id = walk.memory.slots()[0].slot_id
    walk.see([], HERE, steps=8)
    assert walk.memory.slots() == []
    walk.see([chair(2, 8)], THERE)
    assert [s.slot_id for s in walk.memory.slots()] == [slot_id]


def test_another_object_of_the_kind_is_not_taken_for_the_moved_one() -> None:
    walk = Walk()
    walk.see([chair(2, 0, RED)], HERE)
    walk.see([], HERE, steps=8)
    walk.see([chair(2, 8, GREEN)], THERE)
    states = {slot.slot_id: slot.state for slot in walk.memory.slots(archived=True)}
    assert states == {1: SlotState.ARCHIVED, 2: SlotState.CONFIRMED}


def test_of_two_equal_candidates_none_is_the_moved_one() -> None:
    walk = Walk()
    walk.see([chair(2, 0)], HERE)
    walk.see([], HERE, steps=8)
    walk.see([chair(2, 7.4), chair(2, 8.6)], THERE)
    assert len(walk.memory.slots(archived=True)) == 3
    assert ChangeKind.MOVED not in {change.kind for change in walk.memory.changes()}


def test_an_object_that_was_pushed_is_not_smeared_over_its_path() -> None:
    walk = Walk()
    for shift in np.linspace(0.0, 1.2, 7):
        walk.see([chair(2, float(shift))], HERE, steps=4)
    slots = walk.memory.slots()
    assert len(slots) == 1
    np.testing.assert_allclose(slots[0].xyz_m[:2], (2, 1.2), atol=0.3)
    assert slots[0].extent_m[1] < 0.8


def test_the_label_is_voted_for() -> None:
    walk = Walk()
    walk.see([chair(2, 0)], HERE, steps=5)
    sofa = Box(label="sofa", xyz_m=(2, 0, 0.45), extent_m=(0.5, 0.5, 0.9))
    walk.see([sofa], HERE, steps=3)
    slots = walk.memory.slots()
    assert [slot.label for slot in slots] == ["chair"]
    assert slots[0].votes == {"chair": 5.0, "sofa": 3.0}


def test_two_ends_of_a_table_seen_apart_are_merged_when_the_middle_is_seen() -> None:
    table = Box(label="table", xyz_m=(2.0, 0.0, 0.4), extent_m=(0.8, 5.0, 0.8))
    walk = Walk()
    walk.see([table], look_at((0.9, -2.6), (2.0, -2.6)))
    walk.see([table], look_at((0.9, 2.6), (2.0, 2.6)))
    assert len(walk.memory.slots()) == 2
    for y in np.linspace(-2.6, 2.6, 50):
        walk.see([table], look_at((0.9, float(y)), (2.0, float(y))), steps=2)
    slots = walk.memory.slots()
    assert len(slots) == 1
    assert slots[0].extent_m[1] == pytest.approx(5.0, abs=0.3)
    assert ChangeKind.MERGED in {change.kind for change in walk.memory.changes()}


def test_a_body_without_an_instance_camera_relies_on_the_detections_boxes() -> None:
    memory = SlotMemory(None, ObjectConfig(), SPEC)
    for step in range(4):
        observation, detections = observe([chair(2, 0)], HERE)
        object.__setattr__(observation, "instances", None)
        memory.update(observation, detections, step)
    slot = memory.slots()[0]
    assert slot.state is SlotState.CONFIRMED
    np.testing.assert_allclose(slot.xyz_m, detections[0].xyz_m, atol=1e-5)
    np.testing.assert_allclose(slot.extent_m, detections[0].extent_m, atol=1e-5)


def test_the_best_must_beat_the_threshold_and_the_next() -> None:
    assert unambiguous_best(np.array([0.99, 0.90]), 0.92) == 0
    assert unambiguous_best(np.array([0.99, 0.985]), 0.92) is None
    assert unambiguous_best(np.array([0.91]), 0.92) is None
    assert unambiguous_best(np.array([]), 0.92) is None


def test_a_mask_that_is_off_by_a_pixel_does_not_stretch_an_object_to_the_wall() -> None:
    """The mask's edge shows what stands behind; the slot must end where the object ends."""
    memory = SlotMemory(None, ObjectConfig(), SPEC)
    rng = np.random.default_rng(0)
    for step in range(20):
        observation, detections = observe([chair(2, 0)], look_at((0.0, step / 20), (2.0, 0.0)))
        assert observation.instances is not None
        shift = tuple(int(s) for s in rng.integers(-1, 2, 2))
        object.__setattr__(observation, "instances", np.roll(observation.instances, shift, (0, 1)))
        memory.update(observation, detections, step)
    slots = memory.slots()
    assert len(slots) == 1
    np.testing.assert_allclose(slots[0].xyz_m[:2], (2, 0), atol=0.15)
    assert slots[0].extent_m.max() < 1.1


def test_a_phantom_on_a_wall_is_dropped_though_nobody_looks_through_it() -> None:
    near_wall = Box(label="", xyz_m=(3.0, 0.0, 1.0), extent_m=(0.2, 6.0, 2.0))
    poster = Box(label="picture", xyz_m=(2.9, 0.0, 1.0), extent_m=(0.02, 0.8, 0.8))
    walk = Walk()
    observation, detections = observe([near_wall, poster], HERE)
    walk.memory.update(observation, detections, 0)
    assert [slot.state for slot in walk.memory.slots()] == [SlotState.TENTATIVE]
    for step in (1, 2):
        walk.memory.update(*observe([near_wall], HERE, step), step)
    assert walk.memory.slots() == []


def in_two(boxes: list[Box], pose: np.ndarray) -> tuple[Observation, list[Detection]]:
    """Return what is seen, with every object detected as a left and a right half."""
    observation, detections = observe(boxes, pose)
    assert observation.instances is not None
    mask, labels = observation.instances.copy(), list(observation.labels)
    for detection in detections:
        v, u = np.nonzero(mask == detection.instance)
        right = u > np.median(u)
        labels.append(detection.label)
        mask[v[right], u[right]] = len(labels) - 1
    split = replace(observation, instances=mask, labels=tuple(labels))
    return split, InstanceDetector(SPEC, PerceptionConfig()).detect(split)


def test_an_object_detected_in_two_pieces_stays_one() -> None:
    walk = Walk()
    walk.see([chair(2, 0)], HERE)
    extent_m = walk.memory.slots()[0].extent_m
    for step in range(10, 20):
        observation, detections = in_two([chair(2, 0)], HERE)
        assert len(detections) == 2
        assert walk.memory.update(observation, detections, step) == [1, 1]
    slot = walk.memory.slots(archived=True)[0]
    np.testing.assert_allclose(slot.extent_m, extent_m, atol=0.05)
    assert slot.num_hits == 16


def test_an_object_that_was_first_seen_in_two_pieces_becomes_one() -> None:
    memory = SlotMemory(None, ObjectConfig(), SPEC)
    for step in range(4):
        memory.update(*in_two([chair(2, 0)], HERE), step)
    assert len(memory.slots()) == 2
    for step in range(4, 60):
        memory.update(*observe([chair(2, 0)], HERE, step), step)
    assert [slot.state for slot in memory.slots()] == [SlotState.CONFIRMED]


def test_two_of_a_kind_that_stand_close_are_never_pieces_of_one() -> None:
    memory = SlotMemory(None, ObjectConfig(), SPEC)
    pair = [chair(2, -0.27), chair(2, 0.27)]
    for step in range(110):
        angle = step / 110
        memory.update(*observe(pair, look_at((0.0, 2 * angle - 1), (2.0, 0.0)), step), step)
    assert sorted(round(float(s.xyz_m[1]), 1) for s in memory.slots()) == [-0.3, 0.3]
