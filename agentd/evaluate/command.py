"""What `agentd eval` does: play the goals of many houses with several arms, and compare.

Standard output stays free: progress goes to standard error, the result is returned.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from agentd.evaluate.arms import arms_named
from agentd.evaluate.episodes import held_out_houses
from agentd.evaluate.errors import EvaluationError
from agentd.evaluate.pool import play_all
from agentd.evaluate.rows import HouseResult, ResultFile
from agentd.evaluate.stage import HouseJob, play_job
from agentd.evaluate.summary import summarise
from configs.worlds import HouseConfig
from memory.config import ObjectConfig
from policies.config import PoliciesConfig


class EvalRequest(BaseModel):
    """What to play.

    Houses are the held-out ones unless `house_seeds` names others, such as the one that a life
    was lived in.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    houses: int = Field(12, ge=1, le=10_000)
    goals: int = Field(6, ge=1, le=50)
    """Goals per house."""
    arms: tuple[str, ...] = Field(("floor", "reset", "kept"), min_length=1)
    budget_steps: int = Field(400, ge=1)
    """Ticks per goal: 400 of 0.2 s are 60 m at full speed."""
    explore_steps: int = Field(600, ge=1)
    """Ticks that the arm `lived` explores before its first goal."""
    seed: int = Field(0, ge=0)
    """Draws goals and starts; also the agent's own seed."""
    workers: int = Field(2, ge=1, le=256)
    checkpoints: Path | None = None
    """Folder of a registry whose promoted checkpoint steers the arms that use a model."""
    out: Path | None = None
    """Folder for `goals.jsonl` (resumed if it is there) and `result.json`."""
    house_seeds: tuple[int, ...] | None = Field(None, min_length=1)
    world: HouseConfig = HouseConfig()
    objects: ObjectConfig = ObjectConfig()
    policies: PoliciesConfig = PoliciesConfig()


def run(request: EvalRequest) -> dict[str, Any]:
    """Play what is asked for and is not yet in `request.out`; return the comparison.

    Returns:
        Numbers only a JSON file can hold; `agentd.evaluate.summary.report` shows them.

    Raises:
        UsageError: If an arm does not exist, or `request.out` was played with other settings.
        EvaluationError: If a checkpoint is missing, or a house offers too few goals.
    """
    arms_named(request.arms)
    checkpoints, checkpoint_id = _checkpoint(request)
    houses = request.house_seeds or held_out_houses(request.houses)
    path = None if request.out is None else request.out / "goals.jsonl"
    file = (
        None if path is None else ResultFile(path, _settings(request, checkpoint_id), HouseResult)
    )
    results = [] if file is None else list(file.results)
    played = {(result.house, result.arm) for result in results}
    jobs = [
        _job(request, house, arm, checkpoints, checkpoint_id)
        for house in houses
        for arm in request.arms
        if (house, arm) not in played
    ]
    for result in play_all(play_job, jobs, request.workers, "houses x arms"):
        if file is not None:
            file.append(result)
        results.append(result)
    asked = [r for r in results if r.house in houses and r.arm in request.arms]
    summary = summarise(asked, request.arms, seed=request.seed)
    summary["request"] = request.model_dump(
        mode="json", exclude={"workers", "out", "world", "objects", "policies"}
    )
    summary["checkpoint"] = checkpoint_id
    if request.out is not None:
        text = json.dumps(summary, indent=1, allow_nan=False)
        (request.out / "result.json").write_text(text + "\n", encoding="utf-8")
    return summary


def _settings(request: EvalRequest, checkpoint_id: str | None) -> dict[str, Any]:
    """Return what must be the same for results to stand in one table."""
    config = request.model_dump_json(include={"world", "objects", "policies"})
    return {
        "goals": request.goals,
        "budget_steps": request.budget_steps,
        "explore_steps": request.explore_steps,
        "seed": request.seed,
        "checkpoint": checkpoint_id,
        "config_sha256": hashlib.sha256(config.encode()).hexdigest()[:16],
    }


def _checkpoint(request: EvalRequest) -> tuple[Path | None, str | None]:
    """Return the registry's folder and the promoted checkpoint, if an arm needs one."""
    steered = [arm.name for arm in arms_named(request.arms) if arm.use_model]
    if not steered:
        return None, None
    folder = request.checkpoints
    if folder is None:
        raise EvaluationError(
            f"arm {steered[0]} needs a checkpoint; name the home of a life or a folder of "
            "checkpoints, or leave the arm out"
        )
    from learners.registry import Registry

    promoted = Registry(folder).promoted() if folder.is_dir() else None
    if promoted is None:
        raise EvaluationError(
            f"no checkpoint is promoted in {folder}; "
            f"let the life learn first, or leave arm {steered[0]} out"
        )
    return folder, promoted


def _job(
    request: EvalRequest, house: int, arm: str, checkpoints: Path | None, checkpoint_id: str | None
) -> HouseJob:
    return HouseJob(
        house=house,
        arm=arm,
        num_goals=request.goals,
        budget_steps=request.budget_steps,
        explore_steps=request.explore_steps,
        seed=request.seed,
        checkpoints=checkpoints,
        checkpoint_id=checkpoint_id,
        world=request.world,
        objects=request.objects,
        policies=request.policies,
    )
