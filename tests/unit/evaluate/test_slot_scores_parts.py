"""Slots that lie on an object that has one already, and objects that share a slot."""

import math
from dataclasses import replace

import numpy as np
import pytest
from unit.evaluate.flatland import slot, thing

from agentd.evaluate.slots import score_slots


def test_every_slot_on_an_object_is_a_fragment_of_it() -> None:
    """A chair with three slots (one mislabelled) and a bed with one: two slots per object."""
    objects = [thing(1, "chair", 1, 1), thing(2, "bed", 4, 4)]
    slots = [
        slot("chair", np.array([1.0, 1.0, 0.5])),
        slot("chair", np.array([1.3, 1.0, 0.5])),
        slot("stool", np.array([1.05, 1.0, 0.5])),
        slot("bed", np.array([4.0, 4.0, 0.5])),
    ]
    assert score_slots(slots, objects).fragmentation == pytest.approx((3 + 1) / 2)


def test_phantoms_and_missed_objects_do_not_count_as_fragments() -> None:
    objects = [thing(1, "chair", 1, 1), thing(2, "bed", 4, 4)]
    slots = [slot("chair", objects[0].xyz_m), slot("chair", np.array([6.0, 6.0, 0.5]))]
    assert score_slots(slots, objects).fragmentation == 1.0
    assert math.isnan(score_slots(slots[1:], objects).fragmentation)


def test_a_fragment_counts_for_the_nearest_object_only() -> None:
    objects = [thing(1, "chair", 1.0, 1), thing(2, "chair", 1.6, 1)]
    slots = [slot("chair", t.xyz_m) for t in objects] + [slot("chair", np.array([1.2, 1.0, 0.5]))]
    assert score_slots(slots, objects).fragmentation == pytest.approx(3 / 2)


def test_two_objects_in_one_slot_are_merged() -> None:
    """One slot over two of three chairs: a third of the objects is swallowed."""
    objects = [thing(1, "chair", 1.0, 1), thing(2, "chair", 1.6, 1), thing(3, "chair", 5, 5)]
    both = replace(slot("chair", np.array([1.3, 1.0, 0.5])), extent_m=np.array([0.8, 0.2, 0.2]))
    score = score_slots([both, slot("chair", objects[2].xyz_m)], objects)
    assert score.merge_rate == pytest.approx(1 / 3)
    assert score.recall == pytest.approx(2 / 3)


def test_an_object_that_was_only_missed_is_not_merged() -> None:
    objects = [thing(1, "chair", 1.0, 1), thing(2, "chair", 1.6, 1), thing(3, "lamp", 1.0, 1)]
    assert score_slots([slot("chair", objects[0].xyz_m)], objects).merge_rate == 0.0
    assert math.isnan(score_slots([], []).merge_rate)
