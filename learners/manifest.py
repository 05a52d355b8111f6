"""What a checkpoint says about itself. No torch here: the command line reads this."""

import hashlib
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from learners.recipes.spec import Recipe, values_sha256

FORMAT_VERSION = 4
"""Newest checkpoint format that this program reads and the one that it writes."""

WEIGHTS_FILE = "weights.safetensors"
OPTIMIZER_FILE = "optimizer.safetensors"
CURIOSITY_FILE = "curiosity.safetensors"
MANIFEST_FILE = "manifest.json"

Stage = Literal["T0", "T1", "T2", "T3", "T4"]
"""Sanity, offline probes, shadow, canary, promotion."""


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


class Check(BaseModel):
    """One question that the gate asked, and the answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: Stage
    name: str
    passed: bool
    reason: str


class Verdict(BaseModel):
    """What the gate said before the candidate met the life, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    accepted: bool
    reasons: tuple[str, ...]
    comparisons: tuple[Comparison, ...] = ()
    sane: bool = True
    """Finite and not collapsed: later rounds may train on from it even if it may not act."""
    checks: tuple[Check, ...] = ()
    """All that was asked, in order; empty in manifests of format 2."""
    anchor_comparisons: tuple[Comparison, ...] = ()
    """Against the anchor (its numbers stand under `incumbent`); empty if it is the incumbent."""
    beats_anchor: bool = False
    """Surely better than the anchor: once promoted, it becomes the anchor."""


class Manifest(BaseModel):
    """Description of one immutable checkpoint."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    parent_id: str | None
    """Checkpoint whose weights and optimiser state the training went on from."""
    incumbent_id: str | None = None
    """Checkpoint that acted when the round began; the gate compared with it."""
    anchor_id: str | None = None
    """Best checkpoint when the round began; the gate compared with it, too."""
    recipe: Recipe
    """What was trained, and how, with every setting spelled out."""
    recipe_sha256: str = ""
    """See `learners.recipes.spec.values_sha256`; filled in if it is not told."""
    level: Literal["major", "minor"] = "major"
    """Major: the encoder was trained. Minor: only what comes after it."""
    encoder_id: str | None = None
    """Checkpoint whose encoder it has, None: its own."""
    created_ns: int
    format_version: int = Field(FORMAT_VERSION, ge=1)
    body: dict[str, Any]
    """Body that the actions and images belong to (see `learners.round_spec.body_to_dict`)."""
    config_sha256: str
    git_commit: str | None = None
    seed: int = 0
    init_seed: int = 0
    """Drew the weights that the lineage began with."""
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
    throughput: dict[str, float | None] | None = None
    """See `learners.throughput.Throughput`; None in manifests from before it was measured."""

    @model_validator(mode="before")
    @classmethod
    def _hash_recipe(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "recipe" not in values:
            return values
        recipe = values["recipe"]
        # As it was written: a field that came later must not make an older one look altered.
        plain = recipe.model_dump(mode="json") if isinstance(recipe, Recipe) else recipe
        found, told = values_sha256(plain), values.get("recipe_sha256")
        if told not in (None, found):
            raise ValueError(f"the recipe has the hash {found[:12]}, it says {str(told)[:12]}")
        return {**values, "recipe_sha256": found}

    @property
    def encoder_version(self) -> str:
        """Name of the space of its search vectors; versions with one encoder share it."""
        return self.encoder_id or self.id


def sha256_of(data: bytes) -> str:
    """Return the hexadecimal SHA-256 of some bytes."""
    return hashlib.sha256(data).hexdigest()


def config_sha256(*models: BaseModel) -> str:
    """Return one hash of the values of several settings."""
    return sha256_of("\n".join(m.model_dump_json() for m in models).encode())
