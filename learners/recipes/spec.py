"""A recipe as it stands in its file. No torch here: the command line reads this."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


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

    model_config = ConfigDict(extra="forbid", frozen=True)

    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    grad_clip: float = Field(1.0, gt=0)
    batch_size: int = Field(48, ge=2)
    horizon: int = Field(10, ge=2)
    """Frames per window."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the products inside of the parts; losses are taken in float32."""


class Recipe(BaseModel):
    """Which parts and losses make one method."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
