"""What the policies need from others, and what they promise.

Axis letters: s plans, t time, d latent.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64

from memory.objects.changes import Change
from memory.records import Action, Detection, Goal, Observation, Rollout, Slot
from policies.why import Why


class Mode(StrEnum):
    """What the agent is doing."""

    INITIALISE = "initialise"
    EXPLORE = "explore"
    REVISIT = "revisit"
    GOTO = "goto"
    VERIFY = "verify"
    SEARCH = "search"
    RECOVER = "recover"
    STOP = "stop"
    IDLE = "idle"


@runtime_checkable
class LatentModel(Protocol):
    """A learned model, as the planner sees it. `learners.inference` satisfies it."""

    @property
    def checkpoint_id(self) -> str:
        """Identifier of the weights."""
        ...

    @property
    def trusted(self) -> bool:
        """Whether the probes say that its egomotion and rollouts may steer the body."""
        ...

    def encode(
        self, observation: Observation, objects: Float32[np.ndarray, "k f"]
    ) -> Float32[np.ndarray, "d"]:
        """Return the latent of an observation (objects: see memory.records.OBJECT_FEATURES)."""
        ...

    def rollout(self, z: Float32[np.ndarray, "d"], plans: Float32[np.ndarray, "s t 3"]) -> Rollout:
        """Predict along plans of (v_mps, w_radps, duration_s)."""
        ...

    def distance(
        self, z: Float32[np.ndarray, "n d"], z_goal: Float32[np.ndarray, "d"]
    ) -> Float32[np.ndarray, "n"]:
        """Return the quasi-distance in steps from each latent to the goal latent, >= 0."""
        ...


@runtime_checkable
class ReactivePolicy(Protocol):
    """A model that acts without planning: what plans taught it. A `LatentModel` may be one too."""

    def react(
        self, z: Float32[np.ndarray, "d"], goal_m: Float64[np.ndarray, "2"]
    ) -> tuple[float, float]:
        """Return (v_mps, w_radps) for the next tick.

        Args:
            z: Latent now.
            goal_m: Place to go to, x forward and y left of the body.
        """
        ...


@runtime_checkable
class Detector(Protocol):
    """Finds things in an observation."""

    def detect(self, observation: Observation) -> list[Detection]:
        """Return what is seen, the largest first."""
        ...


@runtime_checkable
class ClosedDetector(Protocol):
    """A detector that knows in advance which words it will ever use."""

    @property
    def vocabulary(self) -> Sequence[str] | None:
        """All its labels; None if any label may come."""
        ...


@runtime_checkable
class SlotSource(Protocol):
    """The part of an object memory that a policy reads."""

    def slots(self, label: str | None = None, *, archived: bool = False) -> list[Slot]:
        """Return remembered objects, the most certain first."""
        ...


@runtime_checkable
class PastSource(Protocol):
    """What an object memory may know beyond what is there now."""

    def changes(self, since: int = 0) -> Sequence[Change]:
        """Return log entries with an `event_id` above `since`."""
        ...

    def near(self, xy_m: tuple[float, float], radius_m: float) -> list[Slot]:
        """Return the slots whose centre lies within a radius on the floor, the nearest first."""
        ...

    def voted(self, label: str) -> list[tuple[Slot, float]]:
        """Return slots of other labels that got votes for this one, with its share of them."""
        ...


@runtime_checkable
class LocalSlotSource(Protocol):
    """An object memory that knows where its objects are without looking at all of them."""

    def slots_within(self, label: str, rect_m: tuple[float, float, float, float]) -> list[Slot]:
        """Return remembered objects of a label in x0, y0, x1, y1 of the floor."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """An action and why.

    Attributes:
        action: What to do now (before safety).
        mode: What the agent is doing.
        reason: One sentence for the log: what it goes for, and why that and not another.
        goal_id: Goal it serves, None when it explores on its own account.
        target_m: Where it is heading, world frame.
        path_m: Planned path ahead, world frame, for display.
        slot_id: Remembered object it goes for, if any.
        done: True on the decision that declares the goal reached (STOP).
        failed: Reason that the goal was given up, else "".
        why: The same as data; the same object until another choice is made.
    """

    action: Action
    mode: Mode
    reason: str
    goal_id: str | None = None
    target_m: tuple[float, float] | None = None
    path_m: tuple[tuple[float, float], ...] = field(default=())
    slot_id: int | None = None
    done: bool = False
    failed: str = ""
    why: Why | None = None


@runtime_checkable
class LooksOn(Protocol):
    """A policy that takes in what is seen while it does not decide."""

    def look_on(self, observation: Observation, detections: Sequence[Detection]) -> str:
        """Take in an observation; return why it is not believed, or ""."""
        ...


@runtime_checkable
class Policy(Protocol):
    """Chooses actions. One instance lives through many goals and keeps its map."""

    def act(
        self, observation: Observation, detections: Sequence[Detection], goal: Goal | None
    ) -> Decision:
        """Take in an observation and decide; goal None means explore."""
        ...

    def note_surprise(self, surprise: float) -> None:
        """Take in the surprise of the next observation, in deviations, before `act`; NaN: none."""
        ...

    def note_applied(self, action: Action) -> None:
        """Take in the action of the last decision as the body reports it, before the next `act`."""
        ...

    def use_model(self, model: LatentModel | None) -> None:
        """Swap the model between two steps."""
        ...

    def reset(self, *, keep_map: bool = True) -> None:
        """Forget the goal in hand; with keep_map False also the map."""
        ...
