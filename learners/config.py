"""Settings of the learners. No torch here: the command line reads this."""

from pydantic import BaseModel, ConfigDict, Field

from memory.config import SamplingConfig


class ModelConfig(BaseModel):
    """Shape of the world model; changing it starts a new lineage."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    latent_dim: int = Field(128, ge=16)
    width: int = Field(256, ge=32)
    """Hidden width of the predictor and heads."""
    predictor_blocks: int = Field(3, ge=1)
    subspace_dim: int = Field(8, ge=2)
    """Sub-JEPA: dimension of each frozen subspace; latent_dim / subspace_dim subspaces."""
    iqe_components: int = Field(8, ge=1)
    iqe_intervals: int = Field(8, ge=1)


class LossConfig(BaseModel):
    """Weights of the losses; the names are the names of the loss files' outputs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prediction: float = 1.0
    rollout: float = 0.5
    sub_sigreg: float = 0.09
    """At batch 128; scaled so that weight x batch stays constant (statistic grows with it)."""
    inverse_dynamics: float = 1.0
    egomotion: float = 1.0
    collision: float = 0.3
    objects: float = 0.3
    quasi_distance: float = 0.3


class RoundConfig(BaseModel):
    """One learning round."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_new_rows: int = Field(600, ge=1)
    """New rows since the last round before another starts."""
    first_rows: int = Field(1500, ge=1)
    """Rows before the first round."""
    budget_s: float = Field(60.0, gt=0)
    """Wall time of the optimiser steps."""
    max_updates: int = Field(2000, ge=1)
    """Upper bound of optimiser steps, for reproducible short rounds."""
    batch_size: int = Field(48, ge=2)
    horizon: int = Field(10, ge=3)
    """Frames per window: 1 + the longest rollout of the probes must fit."""
    sampling: SamplingConfig = SamplingConfig()
    """Which windows of life are trained on, and how often."""
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    grad_clip: float = Field(1.0, gt=0)
    num_threads: int = Field(1, ge=1)
    """The learner must not take the agent's core."""
    nice: int = Field(10, ge=0, le=19)
    num_probe_windows: int = Field(128, ge=8)
    seed: int = 0


class GateConfig(BaseModel):
    """When a candidate replaces the incumbent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_effective_rank: float = Field(8.0, gt=0)
    """Below: collapsed."""
    min_latent_std: float = Field(0.05, gt=0)
    """Smallest standard deviation of a latent dimension; the regulariser aims at 1."""
    min_action_sensitivity: float = Field(1.05, ge=0)
    """Error with shuffled actions over error with the true ones, 4 steps ahead, that may act."""
    max_regression: float = Field(0.03, ge=0)
    """Upper 95 % bound of the relative change of the probe error that is still acceptable."""
    trust_egomotion_r2: float = Field(0.6, le=1)
    """Probe R2 of egomotion from which the planner may use the model."""
    trust_action_sensitivity: float = Field(1.2, ge=1)
    """Sensitivity from which the planner may use the model."""


class RayConfig(BaseModel):
    """Where rounds run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str | None = None
    """None starts a local Ray; an address joins a cluster that shares the home's folder."""
    num_cpus: int = Field(1, ge=1)
    object_store_mb: int = Field(100, ge=80)


class LearnersConfig(BaseModel):
    """The learners."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    model: ModelConfig = ModelConfig()
    losses: LossConfig = LossConfig()
    round: RoundConfig = RoundConfig()
    gate: GateConfig = GateConfig()
    ray: RayConfig = RayConfig()
