"""What is done in place of what the policy would do."""

from dataclasses import dataclass

from memory.records import ActionSource
from policies.protocols import Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A command with its reason; standing still unless it says otherwise.

    Attributes:
        reason: One sentence.
        mode: What the agent is doing.
        v_mps: Forward speed.
        w_radps: Turn rate.
        source: Who decides; `recovery` is bounded by the guardian.
    """

    reason: str
    mode: Mode = Mode.IDLE
    v_mps: float = 0.0
    w_radps: float = 0.0
    source: ActionSource = "none"
