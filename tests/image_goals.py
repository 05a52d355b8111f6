"""Episodes towards goal images: drive somewhere, come back, and find the way again by planning."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from learners.batch import Scale
from learners.recipes.image_goal import ImageGoal, latents_of
from learners.recipes.model import ComposedModel
from memory.config import ReplayConfig
from memory.records import (
    NUM_OBJECTS,
    OBJECT_FEATURES,
    Action,
    BodySpec,
    Observation,
    Transition,
)
from memory.replay.ram import RamReplay

BLOCKS = 2
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


def recorded(world: World, num_episodes: int, length: int, seed: int) -> RamReplay:
    """Return a replay of random blocks, driven as episodes do."""
    rng, rows = np.random.default_rng(seed), []
    nothing = np.zeros((NUM_OBJECTS, len(OBJECT_FEATURES)), dtype=np.float32)
    for number in range(num_episodes):
        observation = world.begin(10_000 + number)
        for i in range(length):
            if i % BLOCK_STEPS == 0:
                v, w = rng.uniform(LOW[:2], HIGH[:2]) * (
                    world.spec.v_max_mps,
                    world.spec.w_max_radps,
                )
            pose, before = world.pose.copy(), observation
            observation = world.step(float(v), float(w))
            moved = float(observation.egomotion[0]) / world.spec.tick_s
            applied = moved if observation.bumped else float(v)
            last = i == length - 1
            rows.append(
                Transition(
                    step=len(rows),
                    episode_id=number,
                    observation=before,
                    action=Action(
                        v_mps=0.0 if last else applied,
                        w_radps=0.0 if last else float(w),
                        duration_s=0.0 if last else world.spec.tick_s,
                        source="explorer",
                    ),
                    pose=pose.astype(np.float32),
                    objects=nothing,
                    object_slots=np.zeros(NUM_OBJECTS, dtype=np.int32),
                    is_first=i == 0,
                    is_last=last,
                    is_terminal=False,
                    surprise=float("nan"),
                    checkpoint_id="",
                )
            )
    replay = RamReplay(ReplayConfig())
    replay.append(rows)
    return replay


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
