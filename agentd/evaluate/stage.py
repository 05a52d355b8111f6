"""Builds a house and an agent for one arm, from the real parts."""

import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from agentd.build import (
    build_detector,
    build_model_loader,
    build_oracle,
    build_policy,
    build_world,
)
from agentd.evaluate.arms import ARMS, Arm
from agentd.evaluate.episodes import draw_tasks
from agentd.evaluate.errors import EvaluationError
from agentd.evaluate.rows import HouseResult
from agentd.evaluate.runner import NoSlots, Player, Stage
from agentd.worlds.base import World
from agentd.worlds.oracle import Oracle
from configs.worlds import HouseConfig, WorldConfig
from learners.registry import Registry
from memory.config import ObjectConfig
from memory.objects.memory import SlotMemory
from policies.config import PoliciesConfig


class HouseJob(BaseModel):
    """One house and one arm to play, as it travels to a worker process."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    house: int
    arm: str
    num_goals: int
    budget_steps: int
    explore_steps: int
    seed: int
    checkpoints: Path | None
    """Folder of the registry that a model is loaded from, for the arms that use one."""
    checkpoint_id: str | None
    world: HouseConfig
    objects: ObjectConfig
    policies: PoliciesConfig


def play_job(job: HouseJob) -> HouseResult:
    """Play all goals of one house with one arm."""
    started_s = time.perf_counter()
    arm = ARMS[job.arm]
    house = job.world.model_copy(update={"seed": job.house})
    world = build_world(WorldConfig(house=house))
    try:
        oracle = build_oracle(world)
        if oracle is None:
            raise EvaluationError("a world that does not know the truth about itself scores nobody")
        tasks = draw_tasks(oracle, house=job.house, num_goals=job.num_goals, seed=job.seed)
        player = Player(make_stage(world, oracle, arm, job), arm)
        if arm.explores:
            player.explore(tasks[0].start, job.explore_steps)
        goals = tuple(player.play(task, job.budget_steps) for task in tasks)
        coverage = player.coverage()
    finally:
        world.close()
    return HouseResult(
        house=job.house,
        arm=job.arm,
        goals=goals,
        coverage=coverage,
        seconds=time.perf_counter() - started_s,
    )


def make_stage(world: World, oracle: Oracle, arm: Arm, job: HouseJob) -> Stage:
    """Return the stage of an arm; the agent's randomness is the same in every arm.

    Raises:
        EvaluationError: If the arm uses a model and the job names none.
    """
    spec = world.spec
    policies = arm.policies(job.policies)
    memory = SlotMemory(None, job.objects, spec) if arm.use_slots else None
    policy, safety = build_policy(spec, policies, NoSlots() if memory is None else memory, job.seed)
    if arm.use_model:
        if job.checkpoints is None or job.checkpoint_id is None:
            raise EvaluationError(f"arm {arm.name} needs the checkpoint of a life")
        load = build_model_loader(Registry(job.checkpoints))
        policy.use_model(load(job.checkpoint_id))
    return Stage(
        world=world,
        oracle=oracle,
        detector=build_detector(spec, policies.perception, job.seed),
        policy=policy,
        safety=safety,
        memory=memory,
    )
