"""What a life tells those who watch it, and its record of collisions and goals.

Axis letters: k objects, f features.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from agentd.goals import GoalState
from memory.records import Action, Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class LivedStep:
    """One step that was lived.

    Attributes:
        step: Its number.
        is_first: Whether an episode began with it.
        observation: What was seen.
        rows: Object rows of it.
        action: What the body did then.
        checkpoint_id: Model that acted, empty for none.
        goal: What became of the goal that ended with this step, None if none did.
    """

    step: int
    is_first: bool
    observation: Observation
    rows: Float32[np.ndarray, "k f"]
    action: Action
    checkpoint_id: str
    goal: GoalState | None


@dataclass(frozen=True, slots=True)
class Tally:
    """What happened in some steps."""

    steps: int = 0
    bumps: int = 0
    """Collisions; one that lasts counts once."""
    reached: int = 0
    failed: int = 0

    def text(self) -> str:
        """Return it in words."""
        goals = f"{self.reached} goals reached, {self.failed} failed"
        return f"{self.bumps} collisions, {goals} in {self.steps} steps"


class LifeRecord:
    """Counts what happened in the last steps.

    Args:
        num_steps: How far it looks back.
    """

    def __init__(self, num_steps: int) -> None:
        self._events: deque[tuple[bool, bool, bool]] = deque(maxlen=num_steps)
        self._was_bumped = False

    def note(self, lived: LivedStep) -> None:
        """Count a step."""
        bumped = lived.observation.bumped
        is_new = bumped and not self._was_bumped
        self._was_bumped = bumped
        self._events.append((is_new, lived.goal == "reached", lived.goal == "failed"))

    def tally(self) -> Tally:
        """Return the counts."""
        events = list(self._events)
        bumps, reached, failed = (
            (sum(kind) for kind in zip(*events, strict=True))
            if events
            else (
                0,
                0,
                0,
            )
        )
        return Tally(len(events), bumps, reached, failed)
