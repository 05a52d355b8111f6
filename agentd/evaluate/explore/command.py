"""What `agentd eval explore` does: explore many houses with several strategies, and compare.

Standard output stays free: progress goes to standard error, the result is returned.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field

from agentd.evaluate.episodes import held_out_houses
from agentd.evaluate.explore.play import ExploreJob, explore_job
from agentd.evaluate.explore.rows import ExploreRow
from agentd.evaluate.explore.summary import summarise
from agentd.evaluate.pool import play_all
from agentd.evaluate.rows import ResultFile
from agentd.exit_codes import UsageError
from configs.worlds import HouseConfig
from policies.config import PoliciesConfig, StrategyName

ALL = "all"
STRATEGIES: tuple[StrategyName, ...] = get_args(StrategyName)


class ExploreRequest(BaseModel):
    """What to explore. Houses are the held-out ones unless `house_seeds` names others."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    houses: int = Field(12, ge=1, le=10_000)
    steps: int = Field(1500, ge=10)
    """Ticks per house: 1500 of 0.2 s are five minutes."""
    strategies: tuple[StrategyName, ...] = Field(STRATEGIES, min_length=1)
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    """One start per house and seed; also the agent's own seed."""
    workers: int = Field(2, ge=1, le=256)
    out: Path | None = None
    """Folder for `explored.jsonl` (resumed if it is there) and `explored.json`."""
    house_seeds: tuple[int, ...] | None = Field(None, min_length=1)
    world: HouseConfig = HouseConfig()
    policies: PoliciesConfig = PoliciesConfig()


def strategies_named(text: str) -> tuple[StrategyName, ...]:
    """Return the strategies of a list like `count,rnd`, or every one of `all`.

    Raises:
        UsageError: If there is no strategy of a name.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if ALL in names:
        return STRATEGIES
    found: list[StrategyName] = []
    for name in names:
        known = next((strategy for strategy in STRATEGIES if strategy == name), None)
        if known is None:
            raise UsageError(
                f"there is no strategy {name!r}; there are {', '.join(STRATEGIES)}, and {ALL}"
            )
        found.append(known)
    if not found:
        raise UsageError(f"no strategy was named; there are {', '.join(STRATEGIES)}, and {ALL}")
    return tuple(found)


def run(request: ExploreRequest) -> dict[str, Any]:
    """Explore what is asked for and is not yet in `request.out`; return the comparison.

    Returns:
        Numbers only a JSON file can hold; `agentd.evaluate.explore.summary.report` shows them.

    Raises:
        UsageError: If `request.out` was explored with other settings.
        EvaluationError: If nothing of a house can be reached.
    """
    houses = request.house_seeds or held_out_houses(request.houses)
    file = None
    if request.out is not None:
        file = ResultFile(request.out / "explored.jsonl", _settings(request), ExploreRow)
    rows = [] if file is None else list(file.results)
    explored = {(row.house, row.seed, row.strategy) for row in rows}
    jobs = [
        ExploreJob(
            house=house,
            seed=seed,
            strategy=strategy,
            num_steps=request.steps,
            world=request.world,
            policies=request.policies,
        )
        for house in houses
        for seed in request.seeds
        for strategy in request.strategies
        if (house, seed, strategy) not in explored
    ]
    for row in play_all(explore_job, jobs, request.workers, "houses x strategies"):
        if file is not None:
            file.append(row)
        rows.append(row)
    asked = [
        row
        for row in rows
        if row.house in houses and row.seed in request.seeds and row.strategy in request.strategies
    ]
    summary = summarise(asked, request.strategies)
    summary["request"] = request.model_dump(
        mode="json", exclude={"workers", "out", "world", "policies"}
    )
    if request.out is not None:
        text = json.dumps(summary, indent=1, allow_nan=False)
        (request.out / "explored.json").write_text(text + "\n", encoding="utf-8")
    return summary


def _settings(request: ExploreRequest) -> dict[str, Any]:
    """Return what must be the same for results to stand in one table."""
    config = request.model_dump_json(include={"world", "policies"})
    return {
        "steps": request.steps,
        "config_sha256": hashlib.sha256(config.encode()).hexdigest()[:16],
    }
