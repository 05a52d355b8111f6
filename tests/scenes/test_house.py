"""What the memory makes of the embedded house when things in it are carried about."""

import pytest
from scenes.house import HousePlace, upheaval
from scenes.noise import LEVELS
from scenes.script import Outcome, Play


def played(level: str, seed: int) -> Outcome:
    """Return the outcome of an upheaval."""
    place = HousePlace(seed)
    return Play(place, LEVELS[level], seed).run(upheaval(place, seed))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_perfect_detections_become_the_furniture(seed: int) -> None:
    outcome = played("perfect", seed)
    assert outcome.slots.num_objects >= 20
    assert outcome.slots.f1 >= 0.95
    assert outcome.slots.fragmentation <= 1.05
    assert outcome.slots.merge_rate == 0.0
    assert outcome.slots.centroid_error_m <= 0.05
    assert outcome.tracks.switches_per_100 <= 0.5
    assert outcome.tracks.brier <= 0.05
    assert outcome.num_false_doubts == 0
    assert outcome.changes.num_facts == 3
    assert outcome.changes.recall == 1.0
    assert outcome.moved_kept == 1.0


@pytest.mark.slow
def test_mildly_wrong_detections_do_bounded_harm() -> None:
    outcome = played("mild", 0)
    assert outcome.slots.f1 >= 0.8
    assert outcome.slots.fragmentation <= 1.15
    assert outcome.slots.centroid_error_m <= 0.1
    assert outcome.changes.recall >= 0.6
