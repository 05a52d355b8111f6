"""A distance learned on latents that no longer change, over the whole replay at once.

A batch of windows holds a few places and never the way between two of them. Latents that stay as
they are fit in memory all together, and updates of the head alone cost a hundredth of the others:
so it can be shown every step that was ever taken, and goals from anywhere.

Axis letters: n frames, m steps, d latent.
"""

import torch
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from learners.losses.qrl import qrl_error
from learners.recipes.model import ComposedModel
from learners.update import NotFiniteError, rate_factor


class Settling(BaseModel):
    """How the head is trained."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    updates: int = Field(3000, ge=1)
    batch_size: int = Field(512, ge=1)
    learning_rate: float = Field(1e-3, gt=0)


def settle(
    model: ComposedModel,
    z: Float[Tensor, "n d"],
    steps: Int[Tensor, "m 2"],
    settling: Settling,
    seed: int,
) -> float:
    """Train `quasi_distance` and `multiplier` of a model by `learners.losses.qrl`; change no other.

    Args:
        model: Trained; provides both heads.
        z: Latents of frames, as the model encodes them.
        steps: Frames that were one step apart, the earlier first.
        settling: How.
        seed: Draws steps and goals.

    Returns:
        The mean loss of the last tenth of the updates.

    Raises:
        ValueError: If there is no step, or one leads to no frame.
        NotFiniteError: If the loss is not finite.
    """
    if steps.numel() == 0 or int(steps.min()) < 0 or int(steps.max()) >= len(z):
        raise ValueError(f"steps must join some of the {len(z)} frames, {len(steps)} were given")
    head, multiplier = model.quasi_distance, model.multiplier
    parameters = [*head.parameters(), *multiplier.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=settling.learning_rate, weight_decay=0.0)
    generator = torch.Generator().manual_seed(seed)
    last, z = [], z.detach()
    for number in range(settling.updates):
        size, progress = (settling.batch_size,), number / settling.updates
        taken = steps[torch.randint(len(steps), size, generator=generator)]
        goals = z[torch.randint(len(z), size, generator=generator)]
        points = head.points(torch.cat([z[taken[:, 0]], z[taken[:, 1]], goals]))
        here, after, goal = points.chunk(3)
        loss = qrl_error(head.between(here, goal), head.between(here, after), multiplier())
        if not torch.isfinite(loss):
            raise NotFiniteError(f"the distance's loss is {float(loss)}")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = settling.learning_rate * rate_factor(progress)
        optimizer.step()
        if progress >= 0.9:
            last.append(float(loss.detach()))
    return sum(last) / max(1, len(last))
