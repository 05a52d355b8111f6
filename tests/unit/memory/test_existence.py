"""The existence filter, alone and in a scene."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from fakes_memory import SPEC, Box, look_at, observe

from memory.config import ObjectConfig
from memory.objects.changes import ChangeKind
from memory.objects.existence import (
    ARCHIVED,
    CONFIRMED,
    DROPPED,
    SUSPECT,
    TENTATIVE,
    ExistenceFilter,
)
from memory.objects.memory import SlotMemory
from memory.records import SlotState

CHAIR = Box(label="chair", xyz_m=(2.0, 0.0, 0.45), extent_m=(0.5, 0.5, 0.9))
PERSON = Box(label="", xyz_m=(1.0, 0.0, 0.9), extent_m=(0.3, 0.9, 1.8))
HERE = look_at((0.0, 0.0), (2.0, 0.0))


def next_state(state: int, existence: float, hits: int = 5) -> int:
    found = ExistenceFilter(ObjectConfig())
    proven = found.is_proven(np.array([hits]), np.array([float(hits)]), np.array([0]))
    after = found.next_state(np.array([state], dtype=np.int8), np.array([existence]), proven)
    return int(after[0])


def test_what_an_unsure_detector_repeats_at_once_proves_nothing() -> None:
    config = ObjectConfig(confirm_hits=3, unsure_hits=6, confirm_s=2.0)
    proven = ExistenceFilter(config).is_proven(
        num_hits=np.array([3, 9, 9, 2, 5]),
        score=np.array([3.0, 5.4, 5.4, 2.0, 3.0]),
        seen_ns=np.array([0, 1_900_000_000, 2_000_000_000, 9_000_000_000, 9_000_000_000]),
    )
    assert proven.tolist() == [True, False, True, False, False]


def remember(boxes: list[Box], steps: int = 6) -> SlotMemory:
    memory = SlotMemory(None, ObjectConfig(), SPEC)
    for step in range(steps):
        memory.update(*observe(boxes, HERE), step)
    return memory


def test_a_hit_and_a_miss_move_the_log_odds_by_the_detector_s_rates() -> None:
    rates = ExistenceFilter(ObjectConfig(p_detect=0.8, p_false=0.05, existence_clip=4.0))
    zero, confirmed = np.zeros(1), np.array([CONFIRMED], dtype=np.int8)
    assert rates.seen(zero, confirmed)[0] == pytest.approx(math.log(0.8 / 0.05))
    assert rates.missed(zero)[0] == pytest.approx(math.log(0.2 / 0.95))
    assert rates.looked_through(zero)[0] == pytest.approx(math.log(0.05 / 0.95))
    assert rates.looked_through(np.array([-3.9]))[0] == -4.0
    assert rates.seen(np.array([3.9]), confirmed)[0] == 4.0
    assert rates.missed(np.array([-3.9]))[0] == -4.0


@pytest.mark.parametrize(
    ("state", "existence", "hits", "after"),
    [
        (TENTATIVE, 2.7, 2, TENTATIVE),
        (TENTATIVE, 2.7, 3, CONFIRMED),
        (TENTATIVE, -0.1, 3, DROPPED),
        (CONFIRMED, 0.1, 9, CONFIRMED),
        (CONFIRMED, -0.1, 9, SUSPECT),
        (SUSPECT, 1.9, 9, SUSPECT),
        (SUSPECT, 2.1, 9, CONFIRMED),
        (SUSPECT, -2.1, 9, ARCHIVED),
        (ARCHIVED, -3.0, 9, ARCHIVED),
        (ARCHIVED, 0.0, 9, SUSPECT),
    ],
)
def test_states_follow_from_the_log_odds(
    state: int, existence: float, hits: int, after: int
) -> None:
    assert next_state(state, existence, hits) == after


def test_an_object_that_is_gone_is_doubted_then_archived_and_stays_queryable() -> None:
    memory = remember([CHAIR])
    states = []
    for step in range(6, 14):
        memory.update(*observe([], HERE), step)
        states.append(memory.slots(archived=True)[0].state)
    assert states[-1] is SlotState.ARCHIVED
    assert SlotState.SUSPECT in states
    assert memory.slots() == []
    assert memory.search("chair", 1)[0].state is SlotState.ARCHIVED
    kinds = [change.kind for change in memory.changes()]
    assert kinds == [
        ChangeKind.CREATED,
        ChangeKind.CONFIRMED,
        ChangeKind.SUSPECT,
        ChangeKind.ARCHIVED,
    ]


def test_an_occluded_object_is_not_doubted() -> None:
    memory = remember([CHAIR])
    before = memory.slots()[0]
    for step in range(6, 30):
        observation, detections = observe([CHAIR, PERSON], HERE)
        assert detections == []
        memory.update(observation, detections, step)
    assert memory.slots()[0].existence == before.existence
    assert memory.slots()[0].state is SlotState.CONFIRMED


@pytest.mark.parametrize(
    "pose",
    [
        look_at((0.0, 0.0), (-1.0, 0.0)),
        look_at((-4.0, 0.0), (2.0, 0.0)),
        look_at((1.6, 0.0), (3.0, 0.0)),
    ],
    ids=["behind", "far", "too near"],
)
def test_a_miss_counts_only_where_the_object_would_be_seen(pose: np.ndarray) -> None:
    memory = remember([CHAIR])
    for step in range(6, 20):
        memory.update(*observe([], pose), step)
    assert memory.slots()[0].existence == 4.0


def test_pixels_without_depth_are_no_evidence() -> None:
    memory = remember([CHAIR])
    blind, _ = observe([], HERE)
    blind.depth_m[:] = np.nan
    for step in range(6, 20):
        memory.update(blind, [], step)
    assert memory.slots()[0].existence == 4.0


def test_an_archived_object_that_is_seen_again_keeps_its_slot() -> None:
    memory = remember([CHAIR])
    slot_id = memory.slots()[0].slot_id
    for step in range(6, 16):
        memory.update(*observe([], HERE), step)
    for step in range(16, 19):
        memory.update(*observe([CHAIR], HERE), step)
    assert [(s.slot_id, s.state) for s in memory.slots()] == [(slot_id, SlotState.CONFIRMED)]


def test_a_single_false_detection_is_dropped() -> None:
    memory = SlotMemory(None, ObjectConfig(), SPEC)
    memory.update(*observe([CHAIR], HERE), 0)
    for step in range(1, 4):
        memory.update(*observe([], HERE), step)
    assert memory.slots(archived=True) == []
    assert memory.changes()[-1].kind is ChangeKind.DROPPED


def test_a_missed_object_is_improbable_until_it_is_doubted_and_an_occluded_one_never() -> None:
    memory = remember([CHAIR])
    assert memory.news.missed_nats == 0.0
    memory.update(*observe([CHAIR, PERSON], HERE), 6)
    assert memory.news.missed_nats == 0.0
    found = []
    for step in range(7, 15):
        memory.update(*observe([], HERE), step)
        found.append(memory.news.missed_nats)
    there, gone = (1 / (1 + math.exp(s * 4.0)) for s in (-1, 1))  # existence at its clip
    assert found[0] == pytest.approx(-math.log(there * 0.05 + gone * 0.95))
    assert all(a > b for a, b in pairwise(found[:4]))
    assert found[-1] == 0.0


def test_an_object_is_news_once_and_a_slot_that_was_never_sure_is_not_missed() -> None:
    memory = SlotMemory(None, ObjectConfig(), SPEC)
    memory.update(*observe([CHAIR], HERE), 0)
    ((points_m),) = memory.news.fresh_m
    assert np.abs(points_m.mean(axis=0)[:2] - (2.0, 0.0)).max() < 0.4
    memory.update(*observe([CHAIR], HERE), 1)
    assert len(memory.news.fresh_m) == 0
    memory.update(*observe([], HERE), 2)
    assert memory.news.missed_nats == 0.0
    observation, detections = observe([CHAIR], HERE)
    lost = replace(observation, T_world_camera=np.full((4, 4), np.nan))
    memory.update(lost, detections, 3)
    assert len(memory.news.fresh_m) == 0
