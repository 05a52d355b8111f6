import math

import numpy as np
import pytest
from unit.evaluate.flatland import slot, thing

from agentd.evaluate.slots import score_slots


def test_a_perfect_memory_scores_one() -> None:
    objects = [thing(1, "chair", 1, 1), thing(2, "bed", 4, 4)]
    score = score_slots([slot(t.label, t.xyz_m) for t in objects], objects)
    assert (score.precision, score.recall, score.f1) == (1.0, 1.0, 1.0)
    assert score.centroid_error_m == 0.0


def test_phantoms_cost_precision_and_missed_objects_recall() -> None:
    objects = [thing(1, "chair", 1, 1), thing(2, "bed", 4, 4), thing(3, "sink", 6, 6)]
    slots = [slot("chair", np.array([1.2, 1.0, 0.5])), slot("chair", np.array([5.0, 5.0, 0.5]))]
    score = score_slots(slots, objects)
    assert score.precision == pytest.approx(1 / 2)
    assert score.recall == pytest.approx(1 / 3)
    assert score.f1 == pytest.approx(2 / 5)
    assert score.centroid_error_m == pytest.approx(0.2)


def test_a_wrong_label_or_a_place_too_far_off_is_no_match() -> None:
    objects = [thing(1, "chair", 1, 1)]
    assert score_slots([slot("stool", objects[0].xyz_m)], objects).num_matched == 0
    assert score_slots([slot("chair", np.array([1.51, 1.0, 0.5]))], objects).num_matched == 0
    assert score_slots([slot("chair", np.array([1.49, 1.0, 0.5]))], objects).num_matched == 1


def test_one_object_seen_twice_matches_once() -> None:
    objects = [thing(1, "chair", 1, 1)]
    score = score_slots([slot("chair", objects[0].xyz_m)] * 3, objects)
    assert score.num_matched == 1
    assert score.precision == pytest.approx(1 / 3)


def test_as_many_pairs_as_possible_are_matched() -> None:
    """The nearest pair first would leave the second slot without a partner."""
    objects = [thing(1, "chair", 1.0, 1), thing(2, "chair", 1.6, 1)]
    slots = [slot("chair", np.array([1.45, 1.0, 0.5])), slot("chair", np.array([2.05, 1.0, 0.5]))]
    assert score_slots(slots, objects).num_matched == 2


def test_nothing_to_score_has_no_score() -> None:
    score = score_slots([], [])
    assert math.isnan(score.precision)
    assert math.isnan(score.f1)
    assert score_slots([], [thing(1, "chair", 1, 1)]).f1 == 0.0
