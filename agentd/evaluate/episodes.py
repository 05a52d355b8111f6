"""Goal lists and start poses of a house, drawn by seed from ground truth alone.

What is drawn depends on the house and the seed, never on an arm: every arm plays the same goals
from the same poses.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.ndimage import distance_transform_edt

from agentd.evaluate.errors import EvaluationError
from agentd.worlds.oracle import Oracle, TrueMap
from memory.records import ObjectGoal

FIRST_HELD_OUT_HOUSE = 10_000
"""Houses from this seed on are for evaluation: no life is lived in them."""

MIN_START_M = 1.5
"""Goals start at least this far away: standing in front of the goal measures nothing."""

_START_CLEARANCE_M = 0.1
"""Starts keep this distance to unreachable cells, where a footprint fits by rounding only."""

_MAX_START_DRAWS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One goal of a house.

    Attributes:
        index: Its place in the house's list, from 0.
        goal: What to find.
        start: x_m, y_m, yaw_rad where the robot is put.
        shortest_m: True geodesic from the start to the goal's success region.
    """

    index: int
    goal: ObjectGoal
    start: Float64[np.ndarray, "3"]
    shortest_m: float


def held_out_houses(num_houses: int) -> tuple[int, ...]:
    """Return the seeds of the houses that no life is lived in."""
    return tuple(range(FIRST_HELD_OUT_HOUSE, FIRST_HELD_OUT_HOUSE + num_houses))


def draw_tasks(
    oracle: Oracle, *, house: int, num_goals: int, seed: int, first: frozenset[str] = frozenset()
) -> tuple[Task, ...]:
    """Return the goals of a house: categories that are there and reachable, distinct if possible.

    Args:
        oracle: Truth about the house, before anything was moved.
        house: Seed of the house.
        num_goals: Goals to draw.
        seed: Seed of the evaluation.
        first: Categories that come before the others, in the first half of the list.

    Raises:
        EvaluationError: If no category of the house can be reached from far enough away.
    """
    rng = np.random.default_rng((house, seed))
    cells = _start_cells(oracle.true_map())
    labels = sorted({thing.label for thing in oracle.objects()})
    tasks: list[Task] = []
    sooner = np.random.default_rng((house, seed, 1)).permutation(sorted(first & set(labels)))
    head = [str(label) for label in sooner[: (num_goals + 1) // 2]]
    for label in _after(head, len(labels), _label_order(labels, num_goals, rng)):
        if len(tasks) == num_goals:
            break
        goal = ObjectGoal(goal_id=f"{house}-{len(tasks)}", label=label)
        drawn = _draw_start(oracle, goal, cells, rng)
        if drawn is not None:
            start, shortest_m = drawn
            tasks.append(Task(index=len(tasks), goal=goal, start=start, shortest_m=shortest_m))
    if len(tasks) < num_goals:
        raise EvaluationError(
            f"house {house} offers only {len(tasks)} of {num_goals} goals: of its categories "
            f"({', '.join(labels) or 'none'}) too few can be reached from {MIN_START_M} m or more"
        )
    return tuple(tasks)


def draw_start(oracle: Oracle, *, house: int, seed: int) -> Float64[np.ndarray, "3"]:
    """Return where a body without a goal begins: x_m, y_m, yaw_rad.

    Raises:
        EvaluationError: If nothing of the house can be reached.
    """
    rng = np.random.default_rng((house, seed))
    cells = _start_cells(oracle.true_map())
    if len(cells) == 0:
        raise EvaluationError(f"house {house} has no floor to start from")
    x_m, y_m = cells[rng.integers(len(cells))]
    return np.array([x_m, y_m, rng.uniform(-math.pi, math.pi)])


def _label_order(labels: list[str], num_rounds: int, rng: np.random.Generator) -> Iterator[str]:
    """Yield every label once per round, and none twice in a row if there are several."""
    last = ""
    for _ in range(num_rounds):
        order = [labels[i] for i in rng.permutation(len(labels))]
        if len(order) > 1 and order[0] == last:
            order = [*order[1:], order[0]]
        yield from order
        last = order[-1] if order else ""


def _after(head: list[str], num_labels: int, order: Iterator[str]) -> Iterator[str]:
    """Yield some labels first, then the others in their order, those of the head next round."""
    yield from head
    for place, label in enumerate(order):
        if place >= num_labels or label not in head:
            yield label


def _start_cells(true_map: TrueMap) -> Float64[np.ndarray, "n 2"]:
    """Return the centres of the cells to start from, in the world frame."""
    padded = np.pad(true_map.navigable, 1)
    clearance_m = distance_transform_edt(padded)[1:-1, 1:-1] * true_map.cell_m
    roomy = clearance_m > _START_CLEARANCE_M
    cells = np.argwhere(roomy if roomy.any() else true_map.navigable)
    return (cells + 0.5) * true_map.cell_m + np.asarray(true_map.origin_m)


def _draw_start(
    oracle: Oracle,
    goal: ObjectGoal,
    cells: Float64[np.ndarray, "n 2"],
    rng: np.random.Generator,
) -> tuple[Float64[np.ndarray, "3"], float] | None:
    for _ in range(_MAX_START_DRAWS if len(cells) else 0):
        x_m, y_m = cells[rng.integers(len(cells))]
        start = np.array([x_m, y_m, rng.uniform(-math.pi, math.pi)])
        shortest_m = oracle.geodesic_m(goal, start)
        if MIN_START_M <= shortest_m < math.inf:
            return start, shortest_m
    return None
