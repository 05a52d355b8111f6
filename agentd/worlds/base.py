"""The World protocol: what a body must offer to be lived in."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from memory.records import Action, BodySpec, Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What one action led to.

    Attributes:
        observation: Sensed after the action.
        applied: The action as the body carried it out (clipped, stopped by the bumper).
        events: Scripted or sensed happenings, for the log ("scenario: moved chair 3").
        is_first: Whether the world opened an episode of its own: the observation before was the
            last of its episode, nothing was carried out (`applied` rests), and no motion led here
            (`egomotion` is zero).
        was_terminal: With `is_first`: whether the episode before ended by success or failure, not
            by a cut.
        interventions: What a guardian in front of the body did, for the log.
        advice: What it asks of the agent: values of `guardian.records.Advice`.
        held: Why it lets nothing move, until a person does something; "" if it does.
    """

    observation: Observation
    applied: Action
    events: tuple[str, ...] = ()
    is_first: bool = False
    was_terminal: bool = False
    interventions: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    held: str = ""


@runtime_checkable
class World(Protocol):
    """A body in a place. A new body is one file that passes `agentd.worlds.contract`."""

    @property
    def spec(self) -> BodySpec:
        """Constant description of the body."""
        ...

    def reset(self, seed: int | None = None) -> Observation:
        """Open an episode; a simulator may place the body by the seed, a robot stays put."""
        ...

    def step(self, action: Action) -> StepResult:
        """Carry out one action and sense.

        What comes back was sensed after the call, with a stamp of its own. A body that senses
        nothing new within its own limit raises; the loop then asks it to stop and to sense again.

        Raises:
            StaleWorldError: If nothing new was sensed.
            WorldClosedError: If the world was closed.
        """
        ...

    def close(self) -> None:
        """Release the body; quiet when called twice."""
        ...


@runtime_checkable
class Resumable(Protocol):
    """A simulated world that can go on where it was; a robot simply is where it is."""

    def save_state(self) -> bytes:
        """Return the whole state of the world, without pickle."""
        ...

    def load_state(self, state: bytes) -> Observation:
        """Put the world into a saved state and sense.

        Raises:
            ValueError: If the state belongs to another world or is damaged.
        """
        ...


class WorldClosedError(RuntimeError):
    """The world was used after close."""


class StaleWorldError(RuntimeError):
    """Nothing new was sensed: what is known is old, and never passed as new."""


class WorldEndedError(WorldClosedError):
    """A world that has an end, as a log, is over: the life waits, and learns on."""
