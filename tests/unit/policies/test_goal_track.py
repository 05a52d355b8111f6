"""What a goal's track makes of a detector that errs."""

from dataclasses import replace

import numpy as np
import pytest
from fakes_policies import Box, BoxWorld, fake_slot, room

from memory.records import Detection
from policies.config import PerceptionConfig
from policies.detectors.instances import InstanceDetector
from policies.detectors.lifting import Lifter
from policies.goal_track import LASTS_STEPS, GoalTrack

CHAIR = Box(2.0, 1.8, 2.4, 2.2, top_m=0.9, label="chair")
POSE = np.array([1.0, 2.0, 0.0])


@pytest.fixture
def world() -> BoxWorld:
    return BoxWorld([*room(5, 4), CHAIR], POSE)


@pytest.fixture
def chair(world: BoxWorld) -> Detection:
    (found,) = InstanceDetector(world.spec, PerceptionConfig()).detect(world.observe())
    return replace(found, score=0.7)


def test_what_is_seen_for_longer_than_an_error_lasts_is_there(chair: Detection) -> None:
    track = GoalTrack("chair")
    for step in range(LASTS_STEPS + 1):
        track.see([chair], step, POSE)
        (candidate,) = track.candidates([], 0, 0.2, step)
        assert track.lasts(candidate, 0, 1.05) == (step == LASTS_STEPS)
    assert not track.is_certain(candidate, 0)
    assert not track.lasts(candidate, 1, 1.05)
    assert not track.lasts(candidate, 0, 0.5)


def test_a_sure_detector_needs_no_second_look(chair: Detection) -> None:
    track = GoalTrack("chair")
    track.see([replace(chair, score=1.0)], 0, POSE)
    (candidate,) = track.candidates([], 0, 0.2, 0)
    assert track.is_certain(candidate, 0)


def test_one_bad_box_does_not_move_the_place_to_go_to(chair: Detection) -> None:
    track, slot = GoalTrack("chair"), fake_slot(3, "chair", (2.2, 2.0, 0.45), (1.6, 1.6, 0.9))
    for step in range(5):
        wide = replace(chair, extent_m=chair.extent_m + 1.2)
        track.see([wide if step == 2 else chair], step, POSE)
    (candidate,) = track.candidates([slot], 0, 0.2, 5)
    assert (candidate.low_m >= np.array([CHAIR.x0, CHAIR.y0]) - 0.1).all()
    assert (candidate.high_m <= np.array([CHAIR.x1, CHAIR.y1]) + 0.1).all()


def test_a_slot_that_is_mostly_called_otherwise_is_a_poor_candidate() -> None:
    track, slot = GoalTrack("chair"), fake_slot(3, "chair", (2.2, 2.0, 0.45))
    torn = replace(slot, votes={"chair": 6.0, "table": 5.0})
    (sure,) = track.candidates([slot], 0, 0.2, 0)
    (doubtful,) = track.candidates([torn], 0, 0.2, 0)
    assert doubtful.chance < 0.6 * sure.chance


def test_without_its_rim_a_mask_that_is_off_shows_the_thing_alone(world: BoxWorld) -> None:
    observation = world.observe()
    assert observation.instances is not None
    off = np.roll(observation.instances, (0, 1), axis=(0, 1))

    def depth_m(trim: bool) -> float:
        lifter = Lifter(world.spec, 12, trim=trim)
        (found,) = lifter.lift(observation, off, 2, lambda number: ("chair", 1.0))
        return float(found.extent_m[0])

    assert depth_m(trim=False) > 1.0
    assert depth_m(trim=True) < 0.5
