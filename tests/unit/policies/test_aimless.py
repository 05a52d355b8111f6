"""Chance drives what cannot be navigated: within limits, from a seed, for no goal."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from fakes_policies import BoxWorld, room

from memory.records import Action, PointGoal
from policies.aimless import Aimless, Unguarded
from policies.protocols import Policy

WORLD = BoxWorld(room(4.0, 4.0), [2.0, 2.0, 0.0])
SPEC, SEEN = WORLD.spec, WORLD.observe()
THREE = ((0.0, 1.0), (0.0, -1.0), (0.5, 0.0))


def drawn(count: int, seed: int = 0, **settings: Any) -> list[tuple[float, float]]:
    options = {"primitives": THREE, "hold_steps": 1} | settings
    policy = Aimless(SPEC, rng=np.random.default_rng(seed), **options)
    assert isinstance(policy, Policy)
    actions = [policy.act(SEEN, [], None).action for _ in range(count)]
    assert all(a.duration_s == SPEC.tick_s and a.source == "explorer" for a in actions)
    return [(a.v_mps, a.w_radps) for a in actions]


def test_each_primitive_is_drawn_about_as_often() -> None:
    counts = Counter(drawn(600))
    assert set(counts) == set(THREE)
    assert min(counts.values()) > 160


def test_the_seed_decides() -> None:
    assert drawn(50, seed=1) == drawn(50, seed=1)
    assert drawn(50, seed=1) != drawn(50, seed=2)


def test_a_draw_is_held() -> None:
    actions = drawn(60, hold_steps=4, primitives=())
    for k in range(0, 60, 4):
        assert len(set(actions[k : k + 4])) == 1
    assert len(set(actions)) == 15


def test_without_primitives_any_speed_within_the_limits_is_drawn() -> None:
    v, w = np.array(drawn(400, primitives=())).T
    assert np.abs(v).max() <= SPEC.v_max_mps
    assert np.abs(w).max() <= SPEC.w_max_radps
    assert v.min() < -0.9 * SPEC.v_max_mps
    assert w.max() > 0.9 * SPEC.w_max_radps


def test_a_goal_is_refused_with_the_reason() -> None:
    policy = Aimless(SPEC, THREE, 1, np.random.default_rng(0))
    decision = policy.act(SEEN, [], PointGoal(goal_id="g1", xy_m=(1.0, 1.0)))
    assert decision.goal_id == "g1"
    assert "at random" in decision.failed
    assert not policy.act(SEEN, [], None).failed


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ((0.1, -0.2), (0.1, -0.2)),
        ((99.0, -99.0), (SPEC.v_max_mps, -SPEC.w_max_radps)),
        ((float("nan"), 0.1), (0.0, 0.0)),
    ],
)
def test_commands_stay_within_the_limits(
    asked: tuple[float, float], given: tuple[float, float]
) -> None:
    guard = Unguarded(SPEC)
    action = Action(v_mps=asked[0], w_radps=asked[1], duration_s=0.2, source="explorer")
    clipped = guard.clip(action, SEEN)
    assert (clipped.v_mps, clipped.w_radps) == given
    assert guard.interventions == (asked != given)
