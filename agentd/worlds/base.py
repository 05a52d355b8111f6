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
        cut: Whether the observation does not follow from the action: the episode ends before it.
    """

    observation: Observation
    applied: Action
    events: tuple[str, ...] = ()
    cut: bool = False


@runtime_checkable
class World(Protocol):
    """A body in a place. A new body is one file that passes tests/contract/test_world.py."""

    @property
    def spec(self) -> BodySpec:
        """Constant description of the body."""
        ...

    def reset(self, seed: int | None = None) -> Observation:
        """Open an episode; a simulator may place the body by the seed, a robot stays put."""
        ...

    def step(self, action: Action) -> StepResult:
        """Carry out one action and sense.

        Raises:
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


class WorldEndedError(WorldClosedError):
    """A world that has an end, as a log, is over: the life waits, and learns on."""
