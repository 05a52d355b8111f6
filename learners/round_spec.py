"""What goes into a learning round and what comes out. No torch here: the agent imports this."""

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from learners.config import LearnersConfig
from learners.recipes.spec import Recipe
from memory.config import ReplayConfig
from memory.records import BodySpec


class RoundSpec(BaseModel):
    """One learning round, complete: the same spec gives the same candidate.

    That holds if `round.max_updates` ends the round, not `round.budget_s`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    memory_folder: Path
    checkpoints_folder: Path
    replay_version: int
    """Rows with steps below this are trained from, whatever is appended meanwhile."""
    parent_id: str | None = None
    """Checkpoint that acts now; the gate compares the candidate with it. None: nothing acts yet."""
    anchor_id: str | None = None
    """Best checkpoint so far, compared with as well. None: the registry's anchor."""
    trunk_id: str | None = None
    """Checkpoint whose weights are trained on. None: the registry's trunk, else `parent_id`, else
    a fresh start from `round.seed`."""
    learners: LearnersConfig
    recipe: Recipe
    """What is trained, and how; `learners.recipe` is only its name."""
    replay: ReplayConfig = ReplayConfig()
    body: dict[str, Any]
    """See `body_to_dict`."""
    last_event_id: int | None = None
    """Newest entry of the log of object changes that the samplers may know. None: the newest at
    the start of the round; the manifest says which, for a repetition."""
    rows: tuple[int, int] | None = None
    """First and last step of that version, for the manifest; None counts the rows."""
    newest_stamp_ns: int | None = None
    oldest_new_stamp_ns: int | None = None
    git_commit: str | None = None


class RoundResult(BaseModel):
    """What a round made of its data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    checkpoint_id: str | None
    """Published candidate; None when it was not fit to be kept."""
    accepted: bool
    reasons: tuple[str, ...]
    metrics: dict[str, Any]
    incumbent_metrics: dict[str, Any] | None = None
    new_lineage: str = ""
    """Why the training began with fresh weights though there were others, empty if it did not."""
    learning_progress: tuple[tuple[float, float, float], ...] = ()
    """x_m, y_m and error of the incumbent minus error of the candidate, per window."""
    num_updates: int = 0
    train_s: float = 0.0
    """Wall time of the updates."""
    waited_share: float | None = None
    """Share of the training time in which no batch was ready."""
    seconds: float = 0.0
    rows: tuple[int, int] = (0, -1)


class RoundFailure(BaseModel):
    """A round that came to no end."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: str
    seconds: float = Field(0.0, ge=0)


def body_to_dict(spec: BodySpec) -> dict[str, Any]:
    """Return the body's description as plain JSON values."""
    return {
        name: getattr(spec, name).tolist() if name == "T_body_camera" else getattr(spec, name)
        for name in BodySpec.__slots__
    }


def body_from_dict(values: dict[str, Any]) -> BodySpec:
    """Return the body that `body_to_dict` described.

    Raises:
        ValueError: If a field is missing or unknown.
    """
    known = set(BodySpec.__slots__)
    if set(values) != known:
        odd = sorted(known.symmetric_difference(values))
        raise ValueError(f"body has missing or unknown fields {odd}; accepted: {sorted(known)}")
    fields = dict(values)
    fields["T_body_camera"] = np.asarray(values["T_body_camera"], dtype=np.float64)
    return BodySpec(**fields)
