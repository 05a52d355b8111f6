"""What a life leaves behind: a row per goal, the rounds, the model's errors, the changes."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agentd.evaluate.rows import GoalRow

LifeFailure = Literal[
    "",
    "never_seen",
    "seen_not_detected",
    "detected_not_reached",
    "stop_too_far",
    "wrong_object",
    "stuck",
    "gave_up",
]


Vain = Literal["", "unforeseen", "shown", "misnamed"]
"""Why nothing stood where a goal led to: the thing had gone and the camera had not shown it before
this goal; it had shown it; or no such thing ever stood there (a detector's error, a bad place)."""


class LifeRow(BaseModel):
    """One goal of a life."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int = Field(ge=0)
    """Number of the goal in the life."""
    phase: str
    repeat: int = Field(ge=0)
    """How often its list was played before in this phase."""
    begun_step: int
    """Step of the life at which it was given."""
    goal: GoalRow
    why: LifeFailure
    """Why it failed, "" if it did not; see `agentd.evaluate.life.failures`."""
    seen_before: bool
    """Whether the camera had shown an object of the category in this home before."""
    moved: bool
    """Whether every object of the category in this home was moved since the home was lived in."""
    stale_aim: bool
    """Whether the first remembered object that it went for was not there."""
    vain: Vain
    """Why it first came close to where a remembered object was not, "" if it never did."""
    checkpoint: str
    """Model that acted at the end, "" for none."""


class DomainError(BaseModel):
    """A model's error on held-out windows of one home's first phase."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    after: str
    """Phase after which it was measured."""
    domain: str
    """Phase whose windows these are."""
    checkpoint: str
    error: float
    """Mean over horizons of the prediction error relative to the change; copying has 1."""
    shipped_error: float
    """The same of the model that the life began with."""


class ChangeRow(BaseModel):
    """How the object memory took what went, or what came, until the body changed too."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    facts: int
    """Changes that the camera showed."""
    claims: int
    true_claims: int
    claimed_in_time: int
    """Facts that were claimed within 50 steps of being visible."""


class LifeResult(BaseModel):
    """A whole life of one arm."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    life: int
    """Number of the life; its homes follow from it."""
    arm: str
    learner_seed: int
    houses: tuple[int, ...]
    rows: tuple[LifeRow, ...]
    events: tuple[str, ...]
    """What happened between phases."""
    gone: ChangeRow | None
    came: ChangeRow | None
    errors: tuple[DomainError, ...] = ()
    rounds: tuple[dict[str, Any], ...] = ()
    steps: int
    seconds: float
    """Wall time."""
