"""One run of a comparison, complete: the same spec gives the same model. No torch here."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from learners.manifest import MANIFEST_FILE, sha256_of
from learners.recipes.spec import Recipe, recipe_sha256
from memory.config import ReplayConfig

FORMAT = 1
"""Of results, models and half-done trainings; a change raises this."""

_HASH_CHARS = 12


class Budget(BaseModel):
    """What a training run may spend; every recipe of a comparison gets the same."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: Literal["updates", "cpu_s"] = "updates"
    """Optimiser steps, or CPU-seconds of the process, drawing batches included."""
    amount: float = Field(300, gt=0)


class DataSpec(BaseModel):
    """What is trained and probed on: a pinned version of the steps of a life or a recording."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    memory_folder: Path
    replay: ReplayConfig = ReplayConfig()
    version: int = Field(ge=0)
    """Rows with steps below this, whatever is appended meanwhile."""
    body: dict[str, Any]
    """See `learners.round_spec.body_to_dict`."""
    num_windows: int = Field(128, ge=8)
    """Held-out windows that all models are probed on."""
    horizon: int = Field(10, ge=3)
    """Frames of such a window."""
    seed: int = Field(0, ge=0)
    """Draws the probe windows; not the seed of a training."""
    world: dict[str, Any] | None = None
    """Settings of the simulated world that was lived in, to drive there; None if there is none."""

    def key(self) -> str:
        """Return a hash of all that decides which numbers are read."""
        fields = self.model_dump(mode="json", exclude={"memory_folder", "replay", "world"})
        return _hash(fields | {"probe_every": self.replay.probe_every})


class RunSpec(BaseModel):
    """One recipe, one seed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: Recipe
    seed: int = Field(ge=0)
    budget: Budget
    data: DataSpec
    out: Path
    keep_model: bool = False
    num_threads: int = Field(1, ge=1)
    num_processes: int = Field(1, ge=1)
    """Processes that share every batch; what they train is what one would, but for rounding."""
    nice: int = Field(10, ge=0, le=19)
    save_every_s: float = Field(60.0, gt=0)
    """Seconds between two saves of a training on its way: at most this much is done again."""

    @property
    def name(self) -> str:
        """Recipe, seed and a hash of recipe, budget and data: the run's file names."""
        facts = {
            "format": FORMAT,
            "recipe": recipe_sha256(self.recipe),
            "budget": self.budget.model_dump(mode="json"),
            "data": self.data.key(),
        }
        return f"{self.recipe.name}-s{self.seed}-{_hash(facts)}"

    @property
    def result_file(self) -> Path:
        """The result of the finished run."""
        return self.out / "runs" / f"{self.name}.json"

    @property
    def state_file(self) -> Path:
        """The training, while it is on its way."""
        return self.out / "runs" / f"{self.name}.state"

    @property
    def progress_file(self) -> Path:
        """Updates done and planned, while the training is on its way."""
        return self.out / "runs" / f"{self.name}.progress"

    @property
    def model_folder(self) -> Path:
        """The trained model, if it is kept."""
        return self.out / "models" / self.name


class RunResult(BaseModel):
    """What became of a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    name: str
    recipe: str
    seed: int
    failure: str | None = None
    """Why there is nothing below."""
    metrics: dict[str, float | None] = {}
    """See `learners.recipes.measure.METRICS`."""
    windows: dict[str, tuple[float, ...]] = {}
    """Share of each probe window in those metrics that are means over windows."""
    probes_sha256: str = ""
    """Of the probe windows' content: equal for all that may be compared."""
    parameters: int = 0
    updates: int = 0
    cpu_s: float = 0.0
    losses: dict[str, float] = {}
    throughput: dict[str, float | None] | None = None
    """See `learners.throughput.Throughput`; of each process."""


def read_result(spec: RunSpec) -> RunResult | None:
    """Return the result of a run that was finished, maybe by an older program; None without one."""
    try:
        result = RunResult.model_validate_json(spec.result_file.read_text("utf-8"))
    except (FileNotFoundError, ValidationError):
        return None
    return result if result.name == spec.name and result.format == FORMAT else None


def keeps_model(spec: RunSpec) -> bool:
    """Return whether the trained model of a finished run is still there."""
    return (spec.model_folder / MANIFEST_FILE).exists()


def failed_run(spec: RunSpec, reason: str) -> RunResult:
    """Return the result of a run that came to no end."""
    return RunResult(name=spec.name, recipe=spec.recipe.name, seed=spec.seed, failure=reason)


def _hash(values: dict[str, Any]) -> str:
    return sha256_of(json.dumps(values, sort_keys=True).encode())[:_HASH_CHARS]
