import itertools
import math

import numpy as np
import pytest
from unit.evaluate.flatland import FlatWorld, thing

from agentd.evaluate.episodes import MIN_START_M, draw_tasks, held_out_houses
from agentd.evaluate.errors import EvaluationError
from agentd.worlds.oracle import TrueMap
from memory.records import Goal

THINGS = [thing(1, "chair", 1, 1), thing(2, "bed", 7, 7), thing(3, "sink", 1, 7)]


def _as_data(tasks: tuple) -> list[tuple]:
    return [(t.index, t.goal.label, t.goal.goal_id, *t.start, t.shortest_m) for t in tasks]


def test_the_same_house_and_seed_draw_the_same_goals() -> None:
    first = draw_tasks(FlatWorld(THINGS), house=5, num_goals=6, seed=1)
    again = draw_tasks(FlatWorld(THINGS), house=5, num_goals=6, seed=1)
    assert _as_data(first) == _as_data(again)
    other_seed = draw_tasks(FlatWorld(THINGS), house=5, num_goals=6, seed=2)
    other_house = draw_tasks(FlatWorld(THINGS), house=6, num_goals=6, seed=1)
    assert _as_data(first) != _as_data(other_seed)
    assert _as_data(first) != _as_data(other_house)


def test_where_the_robot_stands_changes_nothing() -> None:
    world = FlatWorld(THINGS)
    first = draw_tasks(world, house=5, num_goals=3, seed=1)
    world.place(np.array([0.5, 0.5, 1.0]))
    assert _as_data(first) == _as_data(draw_tasks(world, house=5, num_goals=3, seed=1))


def test_a_shorter_list_is_the_start_of_a_longer_one() -> None:
    short = draw_tasks(FlatWorld(THINGS), house=5, num_goals=2, seed=1)
    long = draw_tasks(FlatWorld(THINGS), house=5, num_goals=5, seed=1)
    assert _as_data(short) == _as_data(long)[:2]


def test_categories_are_distinct_until_they_run_out_and_never_twice_in_a_row() -> None:
    for seed in range(20):
        labels = [
            t.goal.label for t in draw_tasks(FlatWorld(THINGS), house=5, num_goals=7, seed=seed)
        ]
        assert set(labels[:3]) == {"chair", "bed", "sink"}
        assert all(a != b for a, b in itertools.pairwise(labels))


def test_starts_are_reachable_far_enough_and_scored_from_there() -> None:
    world = FlatWorld(THINGS)
    for task in draw_tasks(world, house=5, num_goals=12, seed=0):
        assert MIN_START_M <= task.shortest_m < math.inf
        assert task.shortest_m == world.geodesic_m(task.goal, task.start)
        assert np.all((task.start[:2] > 0.1) & (task.start[:2] < 7.9))
        assert -math.pi <= task.start[2] <= math.pi


def test_a_category_that_cannot_be_reached_is_no_goal() -> None:
    class Shut(FlatWorld):
        def geodesic_m(self, goal: Goal, start: np.ndarray | None = None) -> float:
            return math.inf if goal.label == "bed" else super().geodesic_m(goal, start)

    labels = {t.goal.label for t in draw_tasks(Shut(THINGS), house=5, num_goals=6, seed=0)}
    assert labels == {"chair", "sink"}


def test_a_house_without_goals_says_so() -> None:
    with pytest.raises(EvaluationError, match="house 5 offers only 0 of 3 goals"):
        draw_tasks(FlatWorld([]), house=5, num_goals=3, seed=0)


def test_a_house_without_a_reachable_cell_says_so() -> None:
    class Solid(FlatWorld):
        def true_map(self) -> TrueMap:
            return TrueMap(navigable=np.zeros((4, 4), dtype=bool), origin_m=(0.0, 0.0), cell_m=0.1)

    with pytest.raises(EvaluationError, match="offers only 0"):
        draw_tasks(Solid(THINGS), house=5, num_goals=3, seed=0)


def test_held_out_houses_are_far_from_the_seeds_of_lives() -> None:
    assert held_out_houses(3) == (10_000, 10_001, 10_002)
