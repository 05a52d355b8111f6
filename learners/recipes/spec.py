"""A recipe as it stands in its file. No torch here: the command line reads this."""

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_ABOUT_WEIGHTS = ("latent_dim", "encoder", "target", "predictor", "masks", "heads")
"""Fields that say which weights there are; losses and training may change in between."""


class PartSpec(BaseModel):
    """One part: its kind, and the settings of that kind."""

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: str


class HeadSpec(BaseModel):
    """Settings of a head."""

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: str | None = None
    """Its name if None; another kind has to provide that name."""


class TrainingSpec(BaseModel):
    """How a recipe is trained."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    grad_clip: float = Field(1.0, gt=0)
    batch_size: int = Field(48, ge=2)
    horizon: int = Field(10, ge=2)
    """Frames per window."""
    accumulate: int = Field(1, ge=1)
    """Batches of that size whose gradients make one step. Each is normalised and regularised by
    itself: to the regulariser it is a batch of `batch_size`, whatever this is."""
    rates: dict[str, Annotated[float, Field(gt=0)]] = {}
    """Learning rate of single parts over that of all others, by the part's name."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the products inside of the parts; losses are taken in float32."""


class Recipe(BaseModel):
    """Which parts and losses make one method."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.\-]*$")
    title: str
    """What the idea is, in a line."""
    source: str
    """Paper and equation."""
    claim: str
    """What has to be seen on our replay for the idea to hold."""
    latent_dim: int = Field(128, ge=2)
    encoder: PartSpec
    target: PartSpec = PartSpec(kind="live")
    predictor: PartSpec | None = None
    masks: PartSpec | None = None
    heads: dict[str, HeadSpec] = {}
    losses: dict[str, float]
    """Weight of each loss."""
    training: TrainingSpec = TrainingSpec()


def recipe_sha256(recipe: Recipe) -> str:
    """Return the hash of what a recipe sets; its comments and the order of its keys do not count.

    What it leaves at the default does not count either: a field that comes later changes no hash.
    """
    return values_sha256(recipe.model_dump(mode="json", exclude_defaults=True))


def values_sha256(values: object) -> str:
    """Return the hash of a recipe as it was written down, before what is new gets its default."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def differing_parts(found: Recipe, wanted: Recipe) -> list[str]:
    """Return in words where the parts of two recipes differ; with none, the weights of one fit.

    Args:
        found: With every setting spelled out, as `learners.recipes.build.completed` returns it.
        wanted: Likewise.
    """
    have, want = (
        _flat(r.model_dump(mode="json", include=set(_ABOUT_WEIGHTS))) for r in (found, wanted)
    )
    return [
        f"{key} is {have.get(key, 'not there')}, not {want.get(key, 'there')}"
        for key in sorted({*have, *want})
        if have.get(key) != want.get(key)
    ]


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{name}."))
        elif value is not None:
            flat[prefix + name] = value
    return flat
