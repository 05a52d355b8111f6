"""Episodes towards goal images: drive somewhere, come back, and find the way again by planning."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from learners.batch import Scale
from learners.recipes.image_goal import ImageGoal, latents_of
from learners.recipes.model import ComposedModel
from memory.records import BodySpec, Observation

BLOCKS = 3
BLOCK_STEPS = 2
LOW = np.tile([0.0, -1.0], BLOCKS)
HIGH = np.tile([1.0, 1.0], BLOCKS)
MEAN, STD = np.tile([0.5, 0.0], BLOCKS), np.tile([0.4, 0.5], BLOCKS)


class World(Protocol):
    """What an episode needs."""

    spec: BodySpec
    pose: np.ndarray
    """(x_m, y_m, yaw_rad), for scoring alone."""

    def begin(self, seed: int) -> Observation:
        """Put the body where this seed puts it and sense."""

    def step(self, v_mps: float, w_radps: float) -> Observation:
        """Move for one tick and sense."""


Plan = Callable[[ImageGoal, np.random.Generator], np.ndarray]
"""Returns (v, w) of each block, in units of the largest speeds."""


@dataclass(frozen=True)
class Ended:
    """How an episode ended: gaps to the goal in ticks of motion, and what planning evaluated."""

    start_gap: float
    gap: float
    num_evaluations: int

    @property
    def reached(self) -> bool:
        """Whether the goal is within a tick and a half."""
        return self.gap < 1.5


def gap(a: np.ndarray, b: np.ndarray, scale: Scale) -> float:
    """Return the larger of way and turn between poses, in ticks at full speed."""
    turn = abs((a[2] - b[2] + math.pi) % (2 * math.pi) - math.pi)
    return float(max(math.hypot(*(a[:2] - b[:2])) / scale.step_m, turn / scale.turn_rad))


def episode(
    world: World, model: ComposedModel, plan: Plan, seed: int, execute: int = BLOCKS
) -> Ended | None:
    """Return how an episode ended; None if the goal is where it starts.

    The goal is what is seen after BLOCKS random blocks; as many are driven, replanned after
    `execute` blocks.
    """
    scale, rng = Scale.of(world.spec), np.random.default_rng(seed)
    world.begin(seed)
    goal_image = [_drive(world, block) for block in rng.uniform(LOW, HIGH).reshape(-1, 2)][-1]
    goal_pose = world.pose.copy()
    seen = [world.begin(seed)]
    start_gap = gap(world.pose, goal_pose, scale)
    if start_gap < 1.5:
        return None
    goal_z = latents_of(model, [goal_image], scale)[0]
    done, evaluations = 0, 0
    while done < BLOCKS:
        z = latents_of(model, seen[-1:], scale)
        goal = ImageGoal(model, z, z.new_zeros(0, 2), goal_z, BLOCK_STEPS)
        for block in plan(goal, rng).reshape(-1, 2)[:execute]:
            seen.append(_drive(world, block))
            done += 1
        evaluations += goal.num_evaluations
    return Ended(start_gap, gap(world.pose, goal_pose, scale), evaluations)


def _drive(world: World, block: np.ndarray) -> Observation:
    v, w = block * (world.spec.v_max_mps, world.spec.w_max_radps)
    return [world.step(float(v), float(w)) for _ in range(BLOCK_STEPS)][-1]


def random_plan(goal: ImageGoal, rng: np.random.Generator) -> np.ndarray:
    """Return a plan that looks at nothing."""
    return rng.uniform(LOW, HIGH)
