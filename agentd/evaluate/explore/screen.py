"""A thing in the house whose pixels are noise: what raw prediction error is attracted to.

Axis letters: h w image.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from agentd.worlds.base import StepResult, World
from agentd.worlds.oracle import Oracle
from memory.records import Action, BodySpec, Observation

SCREENS = ("tv", "picture", "bookcase", "wardrobe", "couch")
"""What becomes the screen: the first of these that the house has."""


class NoisyScreen:
    """A world in which the things of one category show new noise at every look.

    Attributes:
        category: What shows noise, "" for nothing.
    """

    def __init__(self, world: World, category: str, seed: int) -> None:
        self._world = world
        self.category = category
        self._rng = np.random.default_rng(seed)

    @property
    def spec(self) -> BodySpec:
        """The world's body."""
        return self._world.spec

    def reset(self, seed: int | None = None) -> Observation:
        """Sense."""
        return self._noisy(self._world.reset(seed))

    def step(self, action: Action) -> StepResult:
        """Act and sense."""
        result = self._world.step(action)
        return replace(result, observation=self._noisy(result.observation))

    def close(self) -> None:
        """Close the world."""
        self._world.close()

    def shown(self, observation: Observation) -> Bool[np.ndarray, "h w"]:
        """Return which pixels show the screen."""
        if not self.category or observation.instances is None:
            return np.zeros(observation.rgb.shape[:2], dtype=np.bool_)
        numbers = [k for k, label in enumerate(observation.labels) if label == self.category]
        return np.isin(observation.instances, numbers)

    def _noisy(self, observation: Observation) -> Observation:
        shown = self.shown(observation)
        rgb = observation.rgb.copy()
        rgb[shown] = self._rng.integers(0, 256, (int(shown.sum()), 3), dtype=np.uint8)
        return replace(observation, rgb=rgb)


def screen_category(oracle: Oracle) -> str:
    """Return what becomes the screen of a house, "" if it has nothing that could."""
    labels = {thing.label for thing in oracle.objects()}
    return next((name for name in SCREENS if name in labels), "")
