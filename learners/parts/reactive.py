"""Acting without planning: from the latent and where to go straight to the action."""

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from learners.parts.kinds import Options, PartKind, Shape

FIRST_TURN_GAIN = 1.5
"""Turn rate per radian of bearing, in units of the fastest turn of a tick."""


class ReactiveOptions(Options):
    """Settings."""

    width: int = Field(128, ge=8)


class Reactive(nn.Module):
    """A small perceptron, cheap enough for a tick in which nothing else has time.

    Its first guess is to turn towards the goal and to drive where it faces it; what is learned is
    how plans bend that.
    """

    def __init__(self, options: ReactiveOptions, shape: Shape) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor([1.0, FIRST_TURN_GAIN]))
        self.enter = nn.Linear(shape.latent_dim + 4, options.width)
        self.inner = nn.Linear(options.width, options.width)
        self.leave = nn.Linear(options.width, 2)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(
        self, z: Float[Tensor, "n d"], goal_m: Float[Tensor, "n 2"]
    ) -> Float[Tensor, "n 2"]:
        """Return actions in units of `learners.batch.Scale`.

        Args:
            z: Latents now.
            goal_m: Places to go to, x forward and y left of the body.
        """
        distance = torch.linalg.vector_norm(goal_m, dim=-1, keepdim=True)
        bearing = torch.atan2(goal_m[:, 1:], goal_m[:, :1])
        x = torch.relu(self.enter(torch.cat([z, goal_m, distance, bearing], dim=-1)))
        facing = torch.cat([bearing.cos().clamp(min=0).square(), bearing], dim=-1)
        change: Tensor = self.leave(torch.relu(self.inner(x)))
        return (self.gain * facing).clamp(-1, 1) + change


REACTIVE = PartKind(options=ReactiveOptions, make=Reactive, needs=frozenset({"latent"}))
