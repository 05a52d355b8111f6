"""What `agentd eval life` does: live the same lives with several arms, and compare.

Standard output stays free: progress goes to standard error, the result is returned.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from agentd.evaluate.life.arms import LIFE_ARMS, life_arms_named
from agentd.evaluate.life.lives import LifeJob, houses_of, live
from agentd.evaluate.life.rows import LifeResult
from agentd.evaluate.life.scenario import LifeScenario, load_scenario
from agentd.evaluate.life.ship import ShipJob, is_shipped, ship
from agentd.evaluate.life.summary import summarise
from agentd.evaluate.pool import play_all
from agentd.evaluate.rows import ResultFile
from agentd.exit_codes import UsageError
from configs.worlds import HouseConfig
from learners.config import LearnersConfig
from memory.config import ObjectConfig
from policies.config import PoliciesConfig


class LifeRequest(BaseModel):
    """What to live."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scenario: str = "abca"
    lives: int = Field(30, ge=1, le=10_000)
    """Each begins in a held-out house of its own."""
    arms: tuple[str, ...] = Field(
        ("floor", "memory", "frozen", "learning", "ungated"), min_length=1
    )
    learner_seeds: int = Field(3, ge=1, le=100)
    """Shipped checkpoints; a life begins with the one of its number modulo this."""
    budget_steps: int = Field(400, ge=1)
    """Ticks per goal."""
    learn_every: int = Field(700, ge=1)
    """New steps before another learning round."""
    updates: int = Field(30, ge=1)
    """Updates of a round."""
    ship_rounds: int = Field(4, ge=1)
    """Rounds that make a shipped checkpoint, of twice as many updates."""
    ship_goals: int = Field(16, ge=1, le=50)
    """Goals in each of the three homes that a shipped checkpoint has seen."""
    seed: int = Field(0, ge=0)
    workers: int = Field(2, ge=1, le=256)
    so_far: bool = False
    """Live nothing: compare the lives that every arm has lived."""
    out: Path
    """Folder for `lives.jsonl` (resumed if it is there), `result.json` and what is shipped."""
    world: HouseConfig = HouseConfig()
    objects: ObjectConfig = ObjectConfig()
    policies: PoliciesConfig = PoliciesConfig()
    learners: LearnersConfig = LearnersConfig()


def run(request: LifeRequest) -> dict[str, Any]:
    """Live what is asked for and is not yet in `request.out`; return the comparison.

    Returns:
        Numbers only a JSON file can hold; `agentd.evaluate.life.tables.report` shows them.

    Raises:
        UsageError: If an arm or scenario does not exist, or `out` was lived with other settings.
        EvaluationError: If no shipped checkpoint passes the gate, or a house offers too few goals.
    """
    life_arms_named(request.arms)
    scenario = load_scenario(request.scenario)
    file = ResultFile(request.out / "lives.jsonl", _settings(request, scenario), LifeResult)
    done = {(result.life, result.arm) for result in file.results}
    jobs = [
        _job(request, scenario, life, arm)
        for life in range(request.lives)
        for arm in request.arms
        if (life, arm) not in done
    ]
    if not request.so_far:
        _ship(request, jobs)
        for result in play_all(live, jobs, request.workers, "lives x arms"):
            file.append(result)
    asked = _whole(file.results, request)
    summary = summarise(asked, request.arms, scenario, seed=request.seed)
    summary["request"] = request.model_dump(
        mode="json",
        exclude={"workers", "so_far", "out", "world", "objects", "policies", "learners"},
    )
    text = json.dumps(summary, indent=1, allow_nan=False)
    (request.out / "result.json").write_text(text + "\n", encoding="utf-8")
    return summary


def _whole(results: Sequence[LifeResult], request: LifeRequest) -> list[LifeResult]:
    """Return the results of lives that every arm has lived, so that arms are compared on the same.

    Raises:
        UsageError: If there is none yet.
    """
    asked = [r for r in results if r.life < request.lives and r.arm in request.arms]
    lived = Counter(r.life for r in asked)
    whole = [r for r in asked if lived[r.life] == len(request.arms)]
    if not whole:
        raise UsageError(
            f"no life in {request.out} was lived by all of {', '.join(request.arms)} yet; "
            "leave --so-far out to go on, or name fewer --arms"
        )
    return whole


def _settings(request: LifeRequest, scenario: LifeScenario) -> dict[str, Any]:
    """Return what must be the same for results to stand in one table."""
    config = request.model_dump_json(include={"world", "objects", "policies", "learners"})
    text = config + scenario.model_dump_json()
    names = ("scenario", "lives", "learner_seeds", "budget_steps", "learn_every", "updates")
    return {
        **{name: getattr(request, name) for name in (*names, "ship_rounds", "ship_goals", "seed")},
        "config_sha256": hashlib.sha256(text.encode()).hexdigest()[:16],
    }


def _learners(request: LifeRequest, updates: int, seed: int) -> LearnersConfig:
    """Return settings under which updates end a round, not the clock."""
    round_ = request.learners.round.model_copy(
        update={"budget_s": 86_400.0, "max_updates": updates, "seed": seed}
    )
    return request.learners.model_copy(update={"round": round_})


def _folder(request: LifeRequest, learner_seed: int) -> Path:
    return request.out / "shipped" / f"seed-{learner_seed}"


def _ship(request: LifeRequest, jobs: Sequence[LifeJob]) -> None:
    """Make the shipped checkpoints that some life begins with."""
    seeds = sorted({job.learner_seed for job in jobs if job.shipped is not None})
    missing = [
        ShipJob(
            folder=_folder(request, seed),
            learner_seed=seed,
            goals=request.ship_goals,
            rounds=request.ship_rounds,
            budget_steps=request.budget_steps,
            world=request.world,
            objects=request.objects,
            policies=request.policies,
            learners=_learners(request, 2 * request.updates, seed),
        )
        for seed in seeds
        if not is_shipped(_folder(request, seed))
    ]
    for _ in play_all(ship, missing, request.workers, "shipped models"):
        pass


def _job(request: LifeRequest, scenario: LifeScenario, life: int, arm: str) -> LifeJob:
    learner_seed = life % request.learner_seeds
    return LifeJob(
        life=life,
        arm=arm,
        learner_seed=learner_seed,
        houses=houses_of(life, scenario.num_homes, request.lives),
        scenario=scenario,
        budget_steps=request.budget_steps,
        seed=request.seed,
        learn_every=request.learn_every,
        shipped=_folder(request, learner_seed) if LIFE_ARMS[arm].uses_model else None,
        world=request.world,
        objects=request.objects,
        policies=request.policies,
        learners=_learners(request, request.updates, learner_seed),
    )
