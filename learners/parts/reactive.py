"""Acting without planning: from the latent and where to go straight to the action."""

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from learners.parts.kinds import Options, PartKind, Shape


class ReactiveOptions(Options):
    """Settings."""

    width: int = Field(128, ge=8)


class Reactive(nn.Module):
    """A small perceptron, cheap enough for a tick in which nothing else has time."""

    def __init__(self, options: ReactiveOptions, shape: Shape) -> None:
        super().__init__()
        self.enter = nn.Linear(shape.latent_dim + 2, options.width)
        self.inner = nn.Linear(options.width, options.width)
        self.leave = nn.Linear(options.width, 2)

    def forward(
        self, z: Float[Tensor, "n d"], goal_m: Float[Tensor, "n 2"]
    ) -> Float[Tensor, "n 2"]:
        """Return actions in units of `learners.batch.Scale`.

        Args:
            z: Latents now.
            goal_m: Places to go to, x forward and y left of the body.
        """
        x = torch.relu(self.enter(torch.cat([z, goal_m], dim=-1)))
        actions: Tensor = self.leave(torch.relu(self.inner(x)))
        return actions


REACTIVE = PartKind(options=ReactiveOptions, make=Reactive, needs=frozenset({"latent"}))
