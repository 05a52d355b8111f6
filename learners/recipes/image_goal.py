"""Plans towards a goal image: what they cost, and its gradient.

Axis letters: s plans, n parameters, w past frames, k steps, d latent, t time.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from learners.batch import Scale, Windows, tensor, to_ego, to_geometry, to_image
from learners.recipes.model import ComposedModel
from memory.records import NUM_OBJECTS, OBJECT_FEATURES, Observation


@runtime_checkable
class WithPast(Protocol):
    """A predictor that looks at past frames and says itself how far a latent is from a goal's."""

    history: int

    def unroll(self, past: Tensor, done: Tensor, commands: Tensor) -> Tensor:
        """Return the latents after each command."""
        ...

    def energy(self, z: Tensor, goal: Tensor) -> Tensor:
        """Return how far latents are from a goal's."""
        ...


class ImageGoal:
    """The cost of plans: how far the latent after their last step is from the goal's.

    Far is what the predictor calls so, else the quasi-distance, else the mean square.

    Plans are blocks of (v, w), each held for some steps, in units of `Scale`.

    Args:
        model: A recipe's model that has a predictor.
        past: Latents of the last frames, now the last.
        done: Commands between them, one less.
        goal: Latent of the goal image.
        block_steps: Steps that one action is held.
    """

    def __init__(
        self,
        model: ComposedModel,
        past: Float[Tensor, "w d"],
        done: Float[Tensor, "v 2"],
        goal: Float[Tensor, "d"],
        block_steps: int = 1,
    ) -> None:
        self._model, self._goal, self._block_steps = model, goal, block_steps
        self._past, self._done = past, done
        self.num_evaluations = 0

    @torch.inference_mode()
    def __call__(self, samples: Float64[np.ndarray, "s n"]) -> Float64[np.ndarray, "s"]:
        """Return the costs of plans."""
        return self.of(tensor(samples.astype(np.float32))).double().numpy()

    @torch.inference_mode()
    def nearest(self, samples: Float64[np.ndarray, "s n"]) -> Float64[np.ndarray, "s"]:
        """Return how near plans come on the way, for goals that may be nearer than the last step.

        The mean over the way instead would drive straight at the goal and never make a bow: with a
        faultless predictor it reaches a third less.
        """
        return self._after_steps(tensor(samples.astype(np.float32))).amin(dim=1).double().numpy()

    def of(self, samples: Float[Tensor, "s n"]) -> Float[Tensor, "s"]:
        """Return the costs of plans, with gradient."""
        return self._after_steps(samples)[:, -1]

    def _after_steps(self, samples: Float[Tensor, "s n"]) -> Float[Tensor, "s k"]:
        """Return how far the latent after each step is from the goal's, as the recipe tells it."""
        self.num_evaluations += len(samples)
        commands = samples.unflatten(1, (-1, 2)).repeat_interleave(self._block_steps, dim=1)
        predictor = self._model.predictor
        if isinstance(predictor, WithPast):
            past = self._past[-predictor.history :]
            done = self._done[len(self._done) - len(past) + 1 :]
            past, done = (x.expand(len(samples), -1, -1) for x in (past, done))
            return predictor.energy(predictor.unroll(past, done, commands), self._goal)
        z = self._model.rollout(self._past[-1].expand(len(samples), -1), commands)
        if self._model.has("quasi_distance"):
            flat = z.flatten(0, 1)
            steps: Tensor = self._model.quasi_distance(flat, self._goal.expand(len(flat), -1))
            return steps.unflatten(0, z.shape[:2])
        return (z - self._goal).square().mean(dim=-1)


@torch.no_grad()
def latents_of(
    model: ComposedModel,
    observations: Sequence[Observation],
    scale: Scale,
    objects: Float32[np.ndarray, "t k f"] | None = None,
) -> Float[Tensor, "t d"]:
    """Return the latents of observations.

    Args:
        model: Encodes.
        observations: In their order.
        scale: Unit of egomotion.
        objects: What is seen in each, without identities; None if no object is known.
    """
    t = len(observations)
    images = to_image(
        np.stack([x.rgb for x in observations]), np.stack([x.depth_m for x in observations])
    )
    egomotion = tensor(np.stack([x.egomotion for x in observations]))
    bumped = torch.tensor([x.bumped for x in observations])
    if objects is None:
        objects = np.zeros((t, NUM_OBJECTS, len(OBJECT_FEATURES)), dtype=np.float32)
    rows = tensor(objects)[None]
    still = torch.zeros(1, t, 2)
    windows = Windows(
        image=images[None],
        ego=to_ego(egomotion, bumped, scale)[None],
        action=still,
        command=still,
        geometry=to_geometry(rows),
        valid=rows[..., 0] > 0.5,
        slots=torch.zeros((1, t, NUM_OBJECTS), dtype=torch.int64),
    )
    return model.encode(windows).z[0]


def minimise_by_gradient(
    cost: Callable[[Tensor], Tensor],
    starts: Float64[np.ndarray, "s n"],
    bounds: tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"]],
    *,
    num_steps: int,
    learning_rate: float,
    has_time: Callable[[], bool] = lambda: True,
) -> tuple[Float64[np.ndarray, "n"], float]:
    """Return the best vector that Adam came across from any start, and its cost.

    Args:
        cost: Maps samples (s n) to costs (s), with gradient.
        starts: Where to begin.
        bounds: Lowest and highest value of each parameter; steps are clipped to them.
        num_steps: Steps, each of which judges all samples.
        learning_rate: Of Adam, in the unit of the parameters.
        has_time: Asked after every step; the search ends with what it has when it says no.
    """
    low, high = (tensor(x.astype(np.float32)) for x in bounds)
    x = tensor(starts.astype(np.float32)).clone().clamp_(low, high).requires_grad_()
    adam = torch.optim.Adam([x], lr=learning_rate)
    best, best_cost = x[0].detach().clone(), float("inf")
    for _ in range(num_steps):
        costs = cost(x)
        found = costs.detach().nan_to_num(nan=torch.inf)
        first = int(found.argmin())
        if float(found[first]) < best_cost:
            best, best_cost = x[first].detach().clone(), float(found[first])
        (x.grad,) = torch.autograd.grad(costs.sum(), [x])
        adam.step()
        with torch.no_grad():
            x.clamp_(low, high)
        if not has_time():
            break
    return best.double().numpy(), best_cost
