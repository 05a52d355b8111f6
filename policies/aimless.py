"""Drives by chance, for bodies that nothing can be navigated with: no depth, no goal, no map."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from memory.records import Action, BodySpec, Detection, Goal, Observation
from policies.protocols import Decision, LatentModel, Mode

_WHY = "draws its actions at random"


class Aimless:
    """Draws an action, holds it for some steps, draws another. Satisfies `Policy`.

    Args:
        spec: Body that is driven.
        primitives: v_mps, w_radps of all that it can do; empty: any speeds within its limits.
        hold_steps: Steps for which an action is held.
        rng: What the actions are drawn from.
    """

    def __init__(
        self,
        spec: BodySpec,
        primitives: Sequence[tuple[float, float]],
        hold_steps: int,
        rng: np.random.Generator,
    ) -> None:
        self._spec, self._primitives = spec, tuple(primitives)
        self._hold_steps, self._rng = hold_steps, rng
        self._left = 0
        self._command = (0.0, 0.0)

    def act(
        self, observation: Observation, detections: Sequence[Detection], goal: Goal | None
    ) -> Decision:
        """Draw; a goal is refused, for nothing here goes anywhere."""
        if self._left == 0:
            self._left = self._hold_steps
            self._command = self._draw()
        self._left -= 1
        v_mps, w_radps = self._command
        action = Action(
            v_mps=v_mps, w_radps=w_radps, duration_s=self._spec.tick_s, source="explorer"
        )
        return Decision(
            action=action,
            mode=Mode.EXPLORE,
            reason=f"{_WHY}: nothing is measured that it could navigate by",
            goal_id=goal.goal_id if goal is not None else None,
            failed=f"this body {_WHY} and goes for no goal" if goal is not None else "",
        )

    def note_surprise(self, surprise: float) -> None:
        """Chance is not curious."""

    def note_applied(self, action: Action) -> None:
        """Chance learns nothing."""

    def use_model(self, model: LatentModel | None) -> None:
        """Chance needs no model."""

    def reset(self, *, keep_map: bool = True) -> None:
        """Draw anew."""
        self._left = 0

    def _draw(self) -> tuple[float, float]:
        if self._primitives:
            return self._primitives[int(self._rng.integers(len(self._primitives)))]
        v, w = self._rng.uniform(-1.0, 1.0, 2)
        return float(v) * self._spec.v_max_mps, float(w) * self._spec.w_max_radps


class Unguarded:
    """Keeps commands within the limits of a body that cannot hit anything real.

    Attributes:
        interventions: Commands that were changed so far.
    """

    def __init__(self, spec: BodySpec) -> None:
        self._spec = spec
        self.interventions = 0

    def clip(self, action: Action, observation: Observation) -> Action:
        """Return the action within the body's limits; one that is not finite becomes a stop."""
        limits = np.array([self._spec.v_max_mps, self._spec.w_max_radps])
        wanted = np.array([action.v_mps, action.w_radps])
        allowed = np.clip(wanted, -limits, limits) if np.isfinite(wanted).all() else np.zeros(2)
        if np.array_equal(allowed, wanted):
            return action
        self.interventions += 1
        v_mps, w_radps = allowed.tolist()
        return replace(action, v_mps=v_mps, w_radps=w_radps, source="safety")
