"""What a checkpoint says about itself. No torch here: the command line reads this."""

import hashlib
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from learners.config import LossConfig, ModelConfig

FORMAT_VERSION = 2
"""Newest checkpoint format that this program reads and the one that it writes."""

WEIGHTS_FILE = "weights.safetensors"
OPTIMIZER_FILE = "optimizer.safetensors"
CURIOSITY_FILE = "curiosity.safetensors"
MANIFEST_FILE = "manifest.json"


class Comparison(BaseModel):
    """One number of the candidate next to the incumbent's, on the same probe windows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: str
    candidate: float
    incumbent: float
    relative_change: float
    """Mean of the paired bootstrap; negative is better."""
    upper_95: float
    """Upper bound of the one-sided 95 % interval of the relative change."""


class Verdict(BaseModel):
    """What the gate said, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    accepted: bool
    reasons: tuple[str, ...]
    comparisons: tuple[Comparison, ...] = ()
    sane: bool = True
    """Finite and not collapsed: later rounds may train on from it even if it may not act."""


class Manifest(BaseModel):
    """Description of one immutable checkpoint."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    parent_id: str | None
    """Checkpoint whose weights and optimiser state the training went on from."""
    incumbent_id: str | None = None
    """Checkpoint that acted when the round began; the gate compared with it."""
    created_ns: int
    format_version: int = Field(FORMAT_VERSION, ge=1)
    model: ModelConfig
    losses: LossConfig
    body: dict[str, Any]
    """Body that the actions and images belong to (see `learners.round_spec.body_to_dict`)."""
    config_sha256: str
    git_commit: str | None = None
    seed: int = 0
    replay_version: int
    """Rows with steps below this were trained from: enough to repeat the round."""
    rows: tuple[int, int]
    """First and last step of that version."""
    newest_stamp_ns: int | None = None
    oldest_new_stamp_ns: int | None = None
    """Stamp of the first row that the parent had not seen."""
    num_updates: int = 0
    """Optimiser steps of this round."""
    total_updates: int = 0
    """Optimiser steps of the whole lineage."""
    total_frames: int = 0
    """Frames that the whole lineage was trained on; 0 in manifests of format 1."""
    last_event_id: int = 0
    """Newest entry of the log of object changes that the samplers knew."""
    metrics: dict[str, Any] = Field(default_factory=dict)
    trusted: bool = False
    """Whether the probes say that egomotion and rollouts may steer the body."""
    files: dict[str, str] = Field(default_factory=dict)
    """sha256 by file name."""
    verdict: Verdict
    round_seconds: float = 0.0
    waited_share: float | None = None
    """Share of the training time in which no batch was ready; None in manifests of format 1."""


def sha256_of(data: bytes) -> str:
    """Return the hexadecimal SHA-256 of some bytes."""
    return hashlib.sha256(data).hexdigest()


def config_sha256(*models: BaseModel) -> str:
    """Return one hash of the values of several settings."""
    return sha256_of("\n".join(m.model_dump_json() for m in models).encode())
