"""Builds a house and an agent for one arm, from the real parts."""

import time
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from agentd.evaluate.arms import ARMS, Arm
from agentd.evaluate.episodes import draw_tasks
from agentd.evaluate.errors import EvaluationError
from agentd.evaluate.rows import HouseResult
from agentd.evaluate.runner import NoSlots, Player, Stage
from agentd.worlds.house.truth import HouseOracle
from agentd.worlds.house.world import HouseWorld
from configs.worlds import HouseConfig
from memory.config import ObjectConfig
from memory.objects import SlotMemory
from memory.records import BodySpec
from policies.config import PoliciesConfig
from policies.navigator import Navigator
from policies.perception import InstanceDetector
from policies.protocols import LatentModel
from policies.safety import SafetyFilter


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
    world = HouseWorld(job.world.model_copy(update={"seed": job.house}))
    try:
        oracle = HouseOracle(world)
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


def make_stage(world: HouseWorld, oracle: HouseOracle, arm: Arm, job: HouseJob) -> Stage:
    """Return the stage of an arm; the agent's randomness is the same in every arm."""
    spec = world.spec
    policies = arm.policies(job.policies)
    memory = SlotMemory(None, job.objects, spec) if arm.use_slots else None
    policy = Navigator(
        spec,
        policies,
        memory if memory is not None else NoSlots(),
        np.random.default_rng((job.seed, job.house)),
    )
    if arm.use_model:
        policy.use_model(load_model(job.checkpoints, job.checkpoint_id, spec))
    return Stage(
        world=world,
        oracle=oracle,
        detector=InstanceDetector(spec, policies),
        policy=policy,
        safety=SafetyFilter(spec, policies.safety),
        memory=memory,
    )


def load_model(checkpoints: Path | None, checkpoint_id: str | None, spec: BodySpec) -> LatentModel:
    """Load a checkpoint, after its files were verified.

    Raises:
        EvaluationError: If there is none.
    """
    from learners.inference import TorchModel
    from learners.registry import Registry

    if checkpoints is None or checkpoint_id is None:
        raise EvaluationError("an arm that is steered by a model needs a life with a checkpoint")
    registry = Registry(checkpoints)
    registry.verify(checkpoint_id)
    model: Any = TorchModel.load(checkpoints / checkpoint_id, registry.manifest(checkpoint_id))
    return model
