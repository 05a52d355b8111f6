"""What the losses look at: one pass of the model over a batch, computed once.

Axis letters: b batch, t time, s start frames, h steps of a rollout, d latent, k objects.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from learners.batch import Windows
from learners.world_model import WorldModel

MAX_ROLLOUT = 8
"""Longest open-loop rollout in training; the planner looks as far ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """A batch and what the model makes of it.

    Attributes:
        model: The model, for the heads.
        windows: The batch.
        z: Latents of all frames.
        appearance: Of the objects of all frames.
        z_next: One-step predictions from every frame but the last.
        rolled: Open-loop predictions; `rolled[:, s, j]` stands for frame `s + 1 + j`.
        generator: Source of randomness.
    """

    model: WorldModel
    windows: Windows
    z: Float[Tensor, "b t d"]
    appearance: Float[Tensor, "b t k a"]
    z_next: Float[Tensor, "b u d"]
    rolled: Float[Tensor, "b s h d"]
    generator: torch.Generator


def forward(model: WorldModel, windows: Windows, generator: torch.Generator) -> Forward:
    """Run the model once over a batch."""
    z, appearance = model.encode(windows)
    horizon = z.shape[1]
    length = min(MAX_ROLLOUT, horizon - 1)
    num_starts = min(2, horizon - length)
    starts = torch.stack([z[:, s] for s in range(num_starts)], dim=1)
    commands = torch.stack([windows.command[:, s : s + length] for s in range(num_starts)], dim=1)
    rolled = model.rollout(starts.flatten(0, 1), commands.flatten(0, 1))
    return Forward(
        model=model,
        windows=windows,
        z=z,
        appearance=appearance,
        z_next=model.predict(z[:, :-1], windows.command[:, :-1]),
        rolled=rolled.unflatten(0, (-1, num_starts)),
        generator=generator,
    )


def motion_inputs(fwd: Forward) -> tuple[Tensor, Tensor, Tensor]:
    """Return latents, commands and frames (flat index of b and t) that the motion heads judge.

    Rolled-out latents are among them: the planner asks the heads about nothing else.
    """
    b, t = fwd.z.shape[:2]
    frames = torch.arange(b * t).view(b, t)
    z, command, after = [fwd.z[:, :-1]], [fwd.windows.command[:, :-1]], [frames[:, 1:]]
    for s in range(fwd.rolled.shape[1]):
        rolled = fwd.rolled[:, s, :-1]
        first = s + 1
        z.append(rolled)
        command.append(fwd.windows.command[:, first : first + rolled.shape[1]])
        after.append(frames[:, first + 1 : first + 1 + rolled.shape[1]])
    return (
        torch.cat([x.flatten(0, 1) for x in z]),
        torch.cat([x.flatten(0, 1) for x in command]),
        torch.cat([x.flatten() for x in after]),
    )
