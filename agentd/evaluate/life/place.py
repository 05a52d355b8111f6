"""One home of a life: a house at its place in the world, on the clock of the life."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64

from agentd.worlds.base import Resumable, StepResult, World
from agentd.worlds.oracle import Oracle
from configs.worlds import ScenarioEvent
from memory.records import Action, BodySpec, Observation

APART_M = 200.0
"""Homes lie this far apart along x."""


@runtime_checkable
class Changeable(Resumable, Protocol):
    """A simulated world in which something can be made to happen, and be put back."""

    def happen(self, event: ScenarioEvent, rng: np.random.Generator) -> str | None:
        """Make an event happen now; return what did, None if it cannot at the moment."""
        ...


class LifeClock:
    """The time of a life, whatever the clocks of its worlds say."""

    def __init__(self) -> None:
        self.now_ns = 0

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now_ns += round(seconds * 1e9)


class Sited:
    """A world moved to its place, with stamps of the life's clock. Satisfies World."""

    def __init__(self, world: World, x_m: float, clock: LifeClock) -> None:
        self._world, self._x_m, self._clock = world, x_m, clock

    @property
    def spec(self) -> BodySpec:
        """Constant description of the body."""
        return self._world.spec

    def reset(self, seed: int | None = None) -> Observation:
        """Open an episode."""
        self._clock.advance(self.spec.tick_s)
        return self._moved(self._world.reset(seed))

    def step(self, action: Action) -> StepResult:
        """Carry out one action and sense."""
        result = self._world.step(action)
        self._clock.advance(result.applied.duration_s)
        return replace(result, observation=self._moved(result.observation))

    def close(self) -> None:
        """Release the body."""
        self._world.close()

    def _moved(self, observation: Observation) -> Observation:
        T = observation.T_world_camera.copy()
        T[0, 3] += self._x_m
        return replace(observation, T_world_camera=T, stamp_ns=self._clock.now_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class HomePlace:
    """A home that can be lived in, changed and asked for the truth.

    Attributes:
        world: What the agent lives in.
        changeable: The same place, for what happens to it.
        oracle: Truth, in the house's own frame.
        offset_m: Place of that frame in the life's world frame.
    """

    world: Sited
    changeable: Changeable
    oracle: Oracle
    offset_m: Float64[np.ndarray, "3"]


def open_home(
    index: int, make: Callable[[], tuple[World, Oracle, Changeable]], clock: LifeClock
) -> HomePlace:
    """Return the home of a number in a life."""
    world, oracle, changeable = make()
    offset_m = np.array([APART_M * index, 0.0, 0.0])
    return HomePlace(
        world=Sited(world, float(offset_m[0]), clock),
        changeable=changeable,
        oracle=oracle,
        offset_m=offset_m,
    )
