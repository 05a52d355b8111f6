"""What each exploration strategy prefers, on small synthetic maps."""

import math
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from fakes_policies import BoxWorld, UnicycleModel, fake_spec, room
from unit.policies.test_frontiers import two_rooms, view

from memory.records import NUM_OBJECTS, OBJECT_FEATURES
from policies.config import StrategyName
from policies.frontiers import UnreachableSet, find_frontiers
from policies.strategies.base import ExplorationStrategy, ExploreView, Look
from policies.strategies.curious import Curious
from policies.strategies.make import make_strategy

SIZE_M = 14.0
NAMES = get_args(StrategyName)
CURIOUS = ("rnd", "disagreement", "surprise", "progress")
NO_OBJECTS = np.zeros((NUM_OBJECTS, len(OBJECT_FEATURES)), dtype=np.float32)


def strategy_of(name: str, seed: int = 0) -> ExplorationStrategy:
    made = make_strategy(name, fake_spec(), SIZE_M, np.random.default_rng(seed))
    made.clear((-4.0, -5.0))
    return made


def explore_view(boxes: list, pose: tuple[float, float, float], step: int = 0) -> ExploreView:
    terrain, field = view(boxes, pose, 16)
    unreachable = UnreachableSet()
    return ExploreView(
        terrain=terrain,
        from_body=field,
        frontiers=find_frontiers(terrain, field, unreachable, 0.3),
        unreachable=unreachable,
        pose=np.array(pose),
        step=step,
    )


def live(
    strategy: ExplorationStrategy, boxes: list, poses: list, noisy_from_m: float = math.inf
) -> None:
    """Let a strategy look from poses; beyond a place the pictures are noise."""
    rng, world = np.random.default_rng(3), BoxWorld(boxes, list(poses[0]))
    for step, pose in enumerate(poses):
        world.pose[:] = pose
        seen = world.observe()
        if pose[0] > noisy_from_m:
            noise = rng.integers(0, 256, seen.rgb.shape, dtype=np.uint8)
            seen = replace(seen, rgb=noise)
        strategy.note(Look(observation=seen, objects=NO_OBJECTS, pose=np.array(pose), step=step))


@pytest.mark.parametrize("name", NAMES)
def test_every_strategy_chooses_what_can_be_reached_and_the_same_every_time(name: str) -> None:
    seen = explore_view(two_rooms(), (0.8, 3.2, 0.0))
    chosen = []
    for _ in range(2):
        strategy = strategy_of(name)
        assert isinstance(strategy, ExplorationStrategy)
        live(strategy, two_rooms(), [(0.8, 3.2, 0.4 * k) for k in range(16)])
        target = strategy.choose(seen)
        assert target is not None
        assert target.reason
        assert math.isfinite(seen.from_body.at_cells(target.stand_cell[None])[0])
        chosen.append((target.kind, target.xy_m))
    assert chosen[0] == chosen[1]


def test_the_nearest_frontier_is_the_nearest() -> None:
    seen = explore_view(room(30, 4), (4.0, 2.0, 0.0))
    target = strategy_of("nearest_frontier").choose(seen)
    assert target is not None
    assert target.distance_m == min(f.distance_m for f in seen.frontiers)


def test_random_stays_near_and_uniform_does_not() -> None:
    seen = explore_view(room(12, 4), (1.0, 2.0, 0.0))
    far = {}
    for name in ("random", "uniform"):
        strategy = strategy_of(name)
        found = [strategy.choose(seen) for _ in range(40)]
        far[name] = max(target.distance_m for target in found if target)
    assert far["random"] <= 3.0
    assert far["uniform"] > 6.0


def test_count_goes_where_it_was_not() -> None:
    boxes, strategy = room(6, 4), strategy_of("count")
    live(strategy, boxes, [(x, y, 0.0) for x in np.arange(0.5, 3, 0.25) for y in (1, 2, 3)] * 3)
    target = strategy.choose(explore_view(boxes, (3.0, 2.0, 0.0)))
    assert target is not None
    assert target.xy_m[0] > 3.0


def test_information_prefers_the_door_to_a_corner_that_is_only_a_little_nearer() -> None:
    """A nook of a square metre on the left, a whole room on the right."""
    seen = explore_view(two_rooms(), (2.0, 3.2, 0.0))
    door = max(seen.frontiers, key=lambda f: f.gain_m2)
    nook = replace(door, xy_m=(0.6, 3.2), gain_m2=0.2, distance_m=0.8 * door.distance_m)
    target = strategy_of("information").choose(replace(seen, frontiers=[nook, door]))
    assert target is not None
    assert target.xy_m == door.xy_m


def test_information_glances_at_things_seen_from_afar_only_and_then_no_more() -> None:
    boxes, strategy = room(7, 3), strategy_of("information")
    live(strategy, boxes, [(1.0, 1.5, 0.4 * k) for k in range(16)])
    seen = explore_view(boxes, (1.0, 1.5, 0.0))
    seen = replace(seen, frontiers=[])
    target = strategy.choose(seen)
    assert target is not None
    assert target.kind == "glance"
    assert target.xy_m[0] > 3.0
    live(strategy, boxes, [(5.0, 1.5, 0.4 * k) for k in range(16)])
    assert strategy.choose(seen) is None


def test_what_a_map_of_an_earlier_life_holds_is_not_glanced_at_again() -> None:
    strategy = strategy_of("information")
    strategy.clear((-4.0, -5.0), known=True)
    assert strategy.choose(replace(explore_view(room(7, 3), (1.0, 1.5, 0.0)), frontiers=[])) is None


def walk(rounds: int) -> list[tuple[float, float, float]]:
    """Return rounds through a long room, looking around on the way."""
    return [
        (x, 1.5, yaw) for _ in range(rounds) for x in (1.5, 3, 5, 7, 9) for yaw in (0.0, 1.6, -1.6)
    ]


@pytest.mark.parametrize("name", CURIOUS)
def test_raw_error_is_attracted_to_noise_and_progress_is_not(name: str) -> None:
    """From x = 6 on every picture is noise; the rest of the room is always the same."""
    boxes, strategy = room(11, 3), strategy_of(name)
    assert isinstance(strategy, Curious)
    live(strategy, boxes, walk(25), noisy_from_m=6.0)
    grid = np.stack(np.meshgrid(np.arange(0.4, 11, 0.5), np.arange(0.4, 3, 0.5)), -1).reshape(-1, 2)
    grid = grid[strategy._looks.at(grid) > 0]
    values, in_noise = strategy.values(grid), grid[:, 0] > 6.5
    attraction = values[in_noise].mean() - values[grid[:, 0] < 5.0].mean()
    if name == "surprise":
        assert attraction > 1.0
    if name == "progress":
        assert attraction < 0.5


def test_information_pays_no_attention_to_noise() -> None:
    boxes, seen = room(11, 3), explore_view(room(11, 3), (5.0, 1.5, 0.0))
    quiet, noisy = strategy_of("information"), strategy_of("information")
    live(quiet, boxes, walk(2))
    live(noisy, boxes, walk(2), noisy_from_m=6.0)
    assert quiet.choose(seen) == noisy.choose(seen)


@pytest.mark.parametrize("name", CURIOUS)
def test_a_model_starts_the_signals_over(name: str) -> None:
    boxes, strategy = room(6, 4), strategy_of(name)
    assert isinstance(strategy, Curious)
    live(strategy, boxes, walk(2)[:20])
    strategy.use_model(UnicycleModel(fake_spec()))
    live(strategy, boxes, [(3.0, 2.0, 0.1)])
    assert (strategy.values(np.array([[3.0, 2.0], [1.0, 1.0]])) == 0).all()
    live(strategy, boxes, walk(2)[:20])
    assert strategy.choose(explore_view(boxes, (3.0, 2.0, 0.0))) is not None


@pytest.mark.parametrize("name", CURIOUS)
def test_a_motion_that_is_no_number_teaches_nothing(name: str) -> None:
    strategy = strategy_of(name)
    assert isinstance(strategy, Curious)
    live(strategy, room(6, 4), [(1.0, 2.0, 0.4 * k) for k in range(16)])
    seen = BoxWorld(room(6, 4), [1.0, 2.0, 0.0]).observe()
    lost = replace(seen, egomotion=np.full(3, np.nan, dtype=np.float32))
    before = strategy._looks.values.sum()
    for step, observation in enumerate((lost, seen, seen, seen)):
        pose = np.array([1.0, 2.0, 0.0])
        look = Look(observation=observation, objects=NO_OBJECTS, pose=pose, step=20 + step)
        strategy.note(look)
    # Signals are numbers again, and only numbers are written down.
    assert strategy._looks.values.sum() > before
