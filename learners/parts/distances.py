"""What distances need besides the head on a projected latent.

Axis letters: n pairs, d latent, k components, l intervals, b budgets.
"""

import math

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from learners.parts.kinds import Options, PartKind, Shape
from learners.quasidistance import iqe_components

_BUDGET_DIM = 32


class LatentOptions(Options):
    """Settings."""

    intervals: int = Field(8, ge=1)
    """Numbers per component; divides the latent's size."""


class LatentDistance(nn.Module):
    """Interval quasimetric of the latents as they are: training it shapes the encoder.

    References:
        Wang and Isola 2022, arXiv:2211.15120, section 4; Destrade et al. 2026, arXiv:2601.00844,
        section 3 (VF_quasi).
    """

    def __init__(self, options: LatentOptions, shape: Shape) -> None:
        super().__init__()
        if shape.latent_dim % options.intervals:
            raise ValueError(
                f"intervals {options.intervals} do not divide latent_dim {shape.latent_dim}"
            )
        self.intervals = options.intervals
        self.raw_mix = nn.Parameter(torch.tensor(-1.0))

    def forward(self, z: Float[Tensor, "n d"], z_goal: Float[Tensor, "n d"]) -> Float[Tensor, "n"]:
        """Return the distance from each latent to its goal, >= 0."""
        return self.between(self.points(z), self.points(z_goal))

    def points(self, z: Float[Tensor, "*n d"]) -> Float[Tensor, "*n k l"]:
        """Return the latent as components of intervals."""
        return z.unflatten(-1, (-1, self.intervals))

    def between(
        self, x: Float[Tensor, "*n k l"], y: Float[Tensor, "*n k l"]
    ) -> Float[Tensor, "*n"]:
        """Return the distance between points."""
        parts = iqe_components(x, y)
        mix = torch.sigmoid(self.raw_mix)
        return mix * parts.amax(dim=-1) + (1 - mix) * parts.mean(dim=-1)


class MultiplierOptions(Options):
    """Settings."""

    start: float = Field(0.01, gt=0)
    """First value."""
    pace: float = Field(10.0, gt=0)
    """How many times faster than other weights it moves."""


class Multiplier(nn.Module):
    """Price of a constraint, always positive; the loss that owns it raises it by its gradient."""

    def __init__(self, options: MultiplierOptions, shape: Shape) -> None:
        super().__init__()
        # The optimiser moves any number by about the learning rate a step: a larger unit is faster.
        self.pace = options.pace
        self.raw = nn.Parameter(torch.tensor(math.log(math.expm1(options.start)) / options.pace))

    def forward(self) -> Float[Tensor, ""]:
        """Return the price."""
        return nn.functional.softplus(self.raw * self.pace)


class ReachOptions(Options):
    """Settings."""

    width: int = Field(128, ge=8)
    budgets: int = Field(5, ge=1)
    """Largest number of steps that is asked about."""


class Reachability(nn.Module):
    """Whether a goal can be reached from a latent within so many steps, as a logit.

    References:
        RC-aux 2026, arXiv:2605.07278, budget-conditioned head.
    """

    def __init__(self, options: ReachOptions, shape: Shape) -> None:
        super().__init__()
        self.budgets = options.budgets
        self.budget = nn.Embedding(options.budgets, _BUDGET_DIM)
        inputs = 4 * shape.latent_dim + _BUDGET_DIM
        self.layers = nn.Sequential(
            nn.LayerNorm(inputs),
            nn.Linear(inputs, options.width),
            nn.SiLU(),
            nn.Linear(options.width, options.width),
            nn.SiLU(),
            nn.Linear(options.width, 1),
        )

    def forward(
        self,
        z: Float[Tensor, "*n d"],
        z_goal: Float[Tensor, "*n d"],
        budget: Int[Tensor, "*n"],
    ) -> Float[Tensor, "*n"]:
        """Return logits.

        Args:
            z: From where.
            z_goal: To where.
            budget: Steps that are left; less than 1 counts as 1, more than `budgets` as that.
        """
        left = self.budget(budget.clamp(1, self.budgets) - 1)
        seen = torch.cat([z, z_goal, (z - z_goal).abs(), z * z_goal, left], dim=-1)
        return self.layers(seen).squeeze(-1)


LATENT_DISTANCE = PartKind(
    options=LatentOptions, make=LatentDistance, provides=frozenset({"quasi_distance"})
)
MULTIPLIER = PartKind(
    options=MultiplierOptions, make=Multiplier, needs=frozenset({"quasi_distance"})
)
REACHABILITY = PartKind(options=ReachOptions, make=Reachability, needs=frozenset({"predictor"}))
