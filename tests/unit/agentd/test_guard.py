"""The guard trips where life goes worse than its record, not where chance may have done it."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from line_life import observe

from agentd.guard import Guard
from agentd.lived import LifeRecord, LivedStep, Tally
from learners.config import CanaryConfig
from memory.records import Action

CONFIG = CanaryConfig()
ACTION = Action(v_mps=0.5, w_radps=0.0, duration_s=0.2)


def lived(step: int, *, bumped: bool = False, goal: Any = None, who: str = "new") -> LivedStep:
    return LivedStep(
        step=step, is_first=False, observation=observe(0.0, 0.0, step, bumped=bumped),
        rows=np.zeros((1, 1), np.float32), action=ACTION, checkpoint_id=who, goal=goal,
    )  # fmt: skip


def guard_after(record: Tally, bump_every: int = 0, failed: int = 0, reached: int = 0) -> Guard:
    guard = Guard("new", record, CONFIG)
    goals = ["failed"] * failed + ["reached"] * reached
    for step in range(400):
        bumped = bool(bump_every) and step % bump_every == 0
        guard.note(lived(step, bumped=bumped, goal=goals[step] if step < len(goals) else None))
    return guard


@pytest.mark.parametrize(
    ("record", "bump_every", "trips"),
    [
        (Tally(8000, 8, 0, 0), 40, True),
        (Tally(8000, 0, 0, 0), 40, True),
        (Tally(8000, 200, 0, 0), 40, False),  # this life always bumps so often
        (Tally(8000, 8, 0, 0), 400, False),  # once may be bad luck
        (Tally(0, 0, 0, 0), 40, False),  # nothing to compare with
    ],
)
def test_collisions_are_held_against_the_record(
    record: Tally, bump_every: int, trips: bool
) -> None:
    reason = guard_after(record, bump_every).trip()
    assert (reason is not None) is trips
    assert reason is None or reason.startswith("too many collisions: 10 collisions")


@pytest.mark.parametrize(
    ("record", "failed", "reached", "trips"),
    [
        (Tally(8000, 0, 48, 0), 3, 0, True),
        (Tally(8000, 0, 48, 0), 1, 0, False),
        (Tally(8000, 0, 24, 24), 3, 0, False),
        (Tally(8000, 0, 48, 2), 4, 1, True),
        (Tally(8000, 0, 0, 0), 5, 0, False),
    ],
)
def test_failed_goals_are_held_against_the_record(
    record: Tally, failed: int, reached: int, trips: bool
) -> None:
    reason = guard_after(record, failed=failed, reached=reached).trip()
    assert (reason is not None) is trips
    assert reason is None or reason.startswith("too many failed goals")


def test_what_others_did_is_not_held_against_the_canary() -> None:
    guard = Guard("new", Tally(8000, 0, 48, 0), CONFIG)
    for step in range(0, 400, 2):
        guard.note(lived(step, bumped=True, goal="failed", who="old"))
        guard.note(lived(step + 1, who="new"))
    assert (guard.trip(), guard.steps) == (None, 200)


def test_a_collision_that_lasts_counts_once_and_the_record_forgets() -> None:
    record = LifeRecord(100)
    for step in range(50):
        record.note(lived(step, bumped=10 <= step < 20 or step == 30))
    assert record.tally() == Tally(50, 2, 0, 0)
    for step in range(50, 200):
        record.note(lived(step, goal="cancelled"))
    assert record.tally() == dataclasses.replace(Tally(), steps=100)
