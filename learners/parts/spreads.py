"""How far off a latent may be: log-variances, of predictions and of encodings.

Axis letters: n latents, d latent.
"""

import math

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from learners.parts.kinds import Options, PartKind, Shape

LOWEST, HIGHEST = -6.0, 2.0
"""Of a log-variance. Without an end, a likelihood is won by variance alone."""


class SpreadOptions(Options):
    """Settings."""

    width: int = Field(128, ge=8)


class PredictionSpread(nn.Module):
    """Log-variance of the latent that follows a latent and a command.

    References:
        Huang 2026, arXiv:2601.14354, predictive distribution with diagonal covariance.
    """

    def __init__(self, options: SpreadOptions, shape: Shape) -> None:
        super().__init__()
        self.layers = _perceptron(shape.latent_dim + 2, options.width, shape.latent_dim)

    def forward(
        self, z: Float[Tensor, "*n d"], command: Float[Tensor, "*n 2"]
    ) -> Float[Tensor, "*n d"]:
        """Return log-variances between `LOWEST` and `HIGHEST`."""
        return bounded(self.layers(torch.cat([z, command], dim=-1)))


class Posterior(nn.Module):
    """Log-variance of the latent of a frame: what the frame leaves open.

    References:
        Huang 2026, arXiv:2601.14354, target posterior with diagonal covariance.
    """

    def __init__(self, options: SpreadOptions, shape: Shape) -> None:
        super().__init__()
        self.layers = _perceptron(shape.latent_dim, options.width, shape.latent_dim)

    def forward(self, z: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """Return log-variances between `LOWEST` and `HIGHEST`."""
        return bounded(self.layers(z))


def bounded(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Return x, bent smoothly so that it stays inside the bounds; near 0 it is x itself."""
    share = -LOWEST / (HIGHEST - LOWEST)
    pace = 1 / ((HIGHEST - LOWEST) * share * (1 - share))
    return LOWEST + (HIGHEST - LOWEST) * torch.sigmoid(x * pace + math.log(share / (1 - share)))


def _perceptron(inputs: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.GELU(), nn.Linear(width, outputs))


SPREAD = PartKind(options=SpreadOptions, make=PredictionSpread, needs=frozenset({"predictor"}))
POSTERIOR = PartKind(options=SpreadOptions, make=Posterior, needs=frozenset({"latent"}))
