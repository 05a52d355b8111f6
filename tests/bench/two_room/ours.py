"""Our learner on the same windows, and our search with one held action per block.

Axis letters: b batch, t time, s plans, n parameters, d latent.
"""

import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from bench.two_room.episodes import BLOCK
from bench.two_room.windows import Drawer, images, windows
from torch import Tensor

from learners.recipes.build import build
from learners.recipes.model import ComposedModel
from learners.recipes.spec import Recipe
from learners.update import make_updater
from policies.cem import minimise

HORIZON_BLOCKS = 5
NUM_SAMPLES = 100
ELITE_SHARE = 0.1
NUM_ITERATIONS = 6
STD = 0.6
MIN_STD = 0.05
_ENCODE_AT_ONCE = 512


def train(
    recipe: Recipe, drawer: Drawer, *, updates: int, seed: int
) -> tuple[ComposedModel, dict[str, float]]:
    """Return a trained model and the mean losses of its last tenth."""
    spec, model = recipe.training, build(recipe, seed)
    updater = make_updater(
        model,
        recipe.losses,
        learning_rate=spec.learning_rate,
        weight_decay=spec.weight_decay,
        grad_clip=spec.grad_clip,
        after_step=model.after_step,
    )
    generator = torch.Generator().manual_seed(seed)
    last = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for number in range(updates):
            step = updater.step(windows(drawer.draw()), generator, number / updates)
            if number >= int(0.9 * updates):
                last.append(step.losses)
    return model.eval(), {name: float(np.mean([x[name] for x in last])) for name in last[0]}


class Imagines(Protocol):
    """What the search asks of a model."""

    def latents(self, frames: np.ndarray) -> Tensor:
        """Return the latents (n d) of pictures (n h w 3)."""
        ...

    def rollout(self, z: Tensor, commands: Tensor) -> Tensor:
        """Return the latents (s t d) after each held action (s t 2), from one latent (d)."""
        ...


class Imagined:
    """Our model for the search."""

    def __init__(self, model: ComposedModel) -> None:
        self.model = model

    @torch.no_grad()
    def latents(self, frames: np.ndarray) -> Tensor:
        """Return the latents of pictures (n h w 3)."""
        parts = [frames[i : i + _ENCODE_AT_ONCE] for i in range(0, len(frames), _ENCODE_AT_ONCE)]
        return torch.cat([self.model.encoder.latents(images(part)) for part in parts])

    def rollout(self, z: Tensor, commands: Tensor) -> Tensor:
        """Return the latents after each action."""
        return self.model.rollout(z.expand(len(commands), -1), commands)


Distance = Callable[[Tensor], Tensor]
"""From latents (n d) to how far each is from the goal (n)."""


def steps_to(imagined: Imagined, goal: Tensor) -> Distance:
    """Return the learned distance to a goal's latent."""
    head = imagined.model.quasi_distance
    with torch.no_grad():
        point = head.points(goal)

    def steps(z: Tensor) -> Tensor:
        points = head.points(z)
        far: Tensor = head.between(points, point.expand_as(points))
        return far

    return steps


class Planner:
    """Plan, execute the first block, plan again from what was left of the plan.

    Args:
        model: Looks ahead.
        distance: To the goal; a plan costs its mean over the blocks, so that early counts.
        samples: Plans per iteration.
        iterations: Of the cross-entropy method.
        seed: Draws the samples.
    """

    def __init__(
        self,
        model: Imagines,
        distance: Distance,
        *,
        samples: int = NUM_SAMPLES,
        iterations: int = NUM_ITERATIONS,
        seed: int = 0,
    ) -> None:
        self._model, self._distance = model, distance
        self._samples, self._iterations = samples, iterations
        self._rng = np.random.default_rng(seed)
        self._mean = np.zeros(2 * HORIZON_BLOCKS)
        self.cpu_s: list[float] = []

    @torch.inference_mode()
    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """Return the actions of the next block, (BLOCK 2)."""
        began = time.process_time()
        z = self._model.latents(picture[None])[0]

        def cost(samples: np.ndarray) -> np.ndarray:
            commands = torch.from_numpy(samples.astype(np.float32)).unflatten(1, (-1, 2))
            rolled = self._model.rollout(z, commands)
            far = self._distance(rolled.flatten(0, 1)).unflatten(0, rolled.shape[:2])
            return far.mean(dim=1).double().numpy()

        ones = np.ones_like(self._mean)
        mean, best, _ = minimise(
            cost,
            self._mean,
            STD * ones,
            (-ones, ones),
            num_samples=self._samples,
            num_elites=max(2, round(ELITE_SHARE * self._samples)),
            num_iterations=self._iterations,
            rng=self._rng,
            min_std=MIN_STD * ones,
        )
        self._mean = np.concatenate([mean[2:], mean[-2:]])
        self.cpu_s.append(time.process_time() - began)
        return np.tile(best[:2], (BLOCK, 1))
