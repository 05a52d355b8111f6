"""Settings of the learners. No torch here: the command line reads this."""

from pydantic import BaseModel, ConfigDict, Field

from memory.config import SamplingConfig


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
    sampling: SamplingConfig = SamplingConfig()
    """Which windows of life are trained on, and how often."""
    num_threads: int = Field(1, ge=1)
    """The learner must not take the agent's core."""
    nice: int = Field(10, ge=0, le=19)
    num_probe_windows: int = Field(128, ge=8)
    probe_frames: int = Field(10, ge=3)
    """Frames of a probe window; the gate takes at least those that its longest rollout needs."""
    freeze_encoder: bool = False
    """Train predictor and heads only (a minor version): the memory's vectors stay valid."""
    seed: int = 0


class ShadowConfig(BaseModel):
    """T2: the candidate predicts what is lived, next to the model that acts, and does not act."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    life_share: float = Field(0.02, ge=0, le=1)
    """Steps it takes, as a share of the steps of the life so far."""
    min_steps: int = Field(96, ge=0)
    """At least so many, however young the life."""
    max_steps: int = Field(1000, ge=0)
    """At most so many; 0 leaves the stage out."""
    max_regression: float = Field(0.1, ge=0)
    """Error on what is lived, relative to that of the model that acts, that is acceptable."""
    patience: float = Field(4.0, ge=1)
    """It ends after so many times its steps, however few of them the budget let it look at."""
    cpu_share: float = Field(0.5, gt=0, le=1)
    """Share of one core that it may take; steps beyond that are left out."""


class CanaryConfig(BaseModel):
    """T3: the candidate acts for a while, watched; T4: promoted, it stays watched for longer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    life_share: float = Field(0.05, ge=0, le=1)
    """Steps it takes, as a share of the steps of the life so far."""
    min_steps: int = Field(256, ge=0)
    """At least so many, however young the life."""
    max_steps: int = Field(2000, ge=0)
    """At most so many; 0 leaves the stage out."""
    probation: float = Field(4.0, ge=0)
    """A promoted checkpoint is watched on for so many times the steps of its canary."""
    max_regression: float = Field(0.25, ge=0)
    """Error on what it lives, relative to that of the model before it, that is acceptable."""
    min_windows: int = Field(12, ge=1)
    """Stretches of life that have to be compared before the error counts."""
    max_bump_ratio: float = Field(2.0, ge=1)
    """Collisions per step, relative to the life's record, from which they are suspicious."""
    min_bumps: int = Field(5, ge=1)
    """Fewer collisions never count."""
    max_chance: float = Field(0.001, gt=0, lt=1)
    """More collisions or failed goals than the record trip the guard where chance alone would
    bring them this rarely."""
    record_steps: int = Field(10_000, ge=100)
    """Steps of life that the record looks back on."""


class GateConfig(BaseModel):
    """When a candidate replaces the incumbent.

    T0 sanity and T1 probes are judged by the learning round, T2 shadow, T3 canary and T4 promotion
    by the life.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_effective_rank: float = Field(8.0, gt=0)
    """T0. Below: collapsed."""
    min_latent_std: float = Field(0.05, gt=0)
    """T0. Smallest standard deviation of a latent dimension; the regulariser aims at 1."""
    max_cost_ratio: float = Field(1.3, ge=1)
    """T0. CPU time of looking and planning once over the incumbent's, measured beside it."""
    min_action_sensitivity: float = Field(1.05, ge=0)
    """T1. Error with shuffled actions over error with the true ones, 4 steps ahead."""
    max_regression: float = Field(0.03, ge=0)
    """T1. Upper 95 % bound of the relative change of the probe error that is still acceptable."""
    max_anchor_regression: float = Field(0.03, ge=0)
    """T1. The same against the anchor, the best checkpoint so far: small losses may not add up."""
    shadow: ShadowConfig = ShadowConfig()
    canary: CanaryConfig = CanaryConfig()
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
    recipe: str = "agentd"
    """What is trained and acts: a name that `agentd learn recipes` lists, or a .toml file."""
    round: RoundConfig = RoundConfig()
    gate: GateConfig = GateConfig()
    ray: RayConfig = RayConfig()
