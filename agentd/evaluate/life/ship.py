"""The checkpoint that a robot is shipped with: learned in homes that no life of the table sees."""

import tempfile
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from agentd.evaluate.episodes import draw_tasks
from agentd.evaluate.errors import EvaluationError
from agentd.evaluate.life.arms import LifeArm
from agentd.evaluate.life.change import Facts
from agentd.evaluate.life.learner import LifeLearner
from agentd.evaluate.life.lives import make_agent, make_world
from agentd.evaluate.life.place import LifeClock, open_home
from agentd.evaluate.life.player import LifePlayer
from agentd.evaluate.life.record import StepRecorder
from configs.worlds import HouseConfig
from learners.config import LearnersConfig
from memory.config import ObjectConfig
from memory.files import write_atomic
from policies.config import PoliciesConfig

_NUM_HOMES = 3
_FIRST_HOUSE = 500
_ARM = LifeArm(name="shipped", about="memory, and what is lived trains the first model")


class ShipJob(BaseModel):
    """One shipped checkpoint to make, as it travels to a worker process."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path
    """Registry that the checkpoint goes to."""
    learner_seed: int
    goals: int
    """Goals in each of its homes."""
    rounds: int
    """Rounds of `learners.round.max_updates` updates."""
    budget_steps: int
    world: HouseConfig
    objects: ObjectConfig
    policies: PoliciesConfig
    learners: LearnersConfig


def is_shipped(folder: Path) -> bool:
    """Return whether a checkpoint was made in this folder before."""
    return (folder / "shipped.json").exists()


def ship(job: ShipJob) -> None:
    """Live in some homes without a model, then train on it.

    Raises:
        EvaluationError: If no candidate passed the gate.
    """
    clock = LifeClock()
    with tempfile.TemporaryDirectory(prefix="agentd-ship-") as name:
        learner: LifeLearner | None = None
        player: LifePlayer | None = None
        agent = None
        for number in range(_NUM_HOMES):
            seed = _FIRST_HOUSE + _NUM_HOMES * job.learner_seed + number
            house = job.world.model_copy(update={"seed": seed})
            home = open_home(number, partial(make_world, house), clock)
            spec = home.world.spec
            if learner is None or player is None or agent is None:
                learner = LifeLearner(Path(name), "gated", job.learners, 1, spec, None)
                memory_folder = learner.memory_folder
                agent, _ = make_agent(
                    spec, job.policies, job.objects, _ARM, job.learner_seed, memory_folder
                )
                player = LifePlayer(agent, _ARM, Facts(spec), StepRecorder(learner.replay, spec))
            tasks = draw_tasks(home.oracle, house=seed, num_goals=job.goals, seed=job.learner_seed)
            for task in tasks:
                player.play(
                    home,
                    number,
                    task,
                    job.budget_steps,
                    number=task.index,
                    phase="shipping",
                    repeat=0,
                    moved=frozenset(),
                )
            home.world.close()
        assert learner is not None
        assert player is not None
        for _ in range(job.rounds):
            learner.learn(player.step)
        _keep(learner, job.folder)
        learner.close()


def _keep(learner: LifeLearner, folder: Path) -> None:
    promoted = learner.registry.promoted()
    if promoted is None:
        reasons = [reason for round_ in learner.rounds for reason in round_["reasons"]]
        raise EvaluationError(f"no shipped checkpoint passed the gate: {'; '.join(reasons)}")
    learner.copy_registry(folder)
    manifest = learner.registry.manifest(promoted)
    write_atomic(folder / "shipped.json", manifest.model_dump_json(indent=1).encode())
