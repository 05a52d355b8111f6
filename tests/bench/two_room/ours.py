"""Our learner on the same windows, and our search with one held action per block.

Axis letters: b batch, t time, s plans, n parameters, d latent.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from bench.two_room.windows import Drawer, images, windows
from torch import Tensor

from learners.recipes.build import build
from learners.recipes.model import ComposedModel
from learners.recipes.spec import Recipe
from learners.update import make_updater
from policies.cem import minimise

HORIZON_BLOCKS = 5
NUM_SAMPLES = 100
NUM_ELITES = 10
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


@torch.no_grad()
def latents(model: ComposedModel, frames: np.ndarray) -> Tensor:
    """Return the latents of pictures (n h w 3)."""
    parts = [frames[i : i + _ENCODE_AT_ONCE] for i in range(0, len(frames), _ENCODE_AT_ONCE)]
    return torch.cat([model.encoder.latents(images(part)) for part in parts])


Distance = Callable[[Tensor], Tensor]
"""From latents (n d) to how far each is from what to go for (n)."""

Towards = Callable[[Tensor], Distance]
"""From the latent now (d) to the distance that the next plan goes by."""


class Planner:
    """Plan, execute the first block, plan again from what was left of the plan.

    Args:
        model: Trained.
        towards: Asked for every plan.
        seed: Draws the samples.
    """

    def __init__(
        self,
        model: ComposedModel,
        towards: Towards,
        *,
        block_steps: int,
        samples: int = NUM_SAMPLES,
        iterations: int = NUM_ITERATIONS,
        seed: int = 0,
    ) -> None:
        self._model, self._towards = model, towards
        self._block_steps, self._samples, self._iterations = block_steps, samples, iterations
        self._rng = np.random.default_rng(seed)
        self._mean = np.zeros(2 * HORIZON_BLOCKS)
        self.cpu_s: list[float] = []

    @torch.inference_mode()
    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """Return the actions of the next block, (block_steps 2)."""
        began = time.process_time()
        z = latents(self._model, picture[None])[0]
        far = self._towards(z)

        def cost(samples: np.ndarray) -> np.ndarray:
            commands = torch.from_numpy(samples.astype(np.float32)).unflatten(1, (-1, 2))
            rolled = self._model.rollout(z.expand(len(samples), -1), commands)
            steps = far(rolled.flatten(0, 1)).unflatten(0, rolled.shape[:2])
            return steps.mean(dim=1).double().numpy()

        ones = np.ones_like(self._mean)
        mean, best, _ = minimise(
            cost,
            self._mean,
            STD * ones,
            (-ones, ones),
            num_samples=self._samples,
            num_elites=NUM_ELITES,
            num_iterations=self._iterations,
            rng=self._rng,
            min_std=MIN_STD * ones,
        )
        self._mean = np.concatenate([mean[2:], mean[-2:]])
        self.cpu_s.append(time.process_time() - began)
        return np.tile(best[:2], (self._block_steps, 1))
