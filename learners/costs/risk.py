"""Plans whose end is uncertain are dearer.

    C = mean_i |z_H^(i) - g|^2 + kappa * std_i |z_H^(i) - g|^2
    z_{t+1}^(i) ~ N( P(z^(i)_{..t}, a_{..t}), diag sigma^2(z_t^(i), a_t) )

References:
    Huang 2026, arXiv:2601.14354, risk-aware cost.

Axis letters: s plans, i samples, t time, d latent.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def sampled_ends(
    model: Any,
    z: Float[Tensor, "d"],
    commands: Float[Tensor, "s t 2"],
    num_samples: int,
    generator: torch.Generator,
) -> Float[Tensor, "s i d"]:
    """Return where samples of each plan end; each step starts from a sampled latent.

    Args:
        model: Has `predict` and a part `spread`.
        z: Where all plans start.
        commands: In units of `learners.batch.Scale`.
        num_samples: Samples per plan; all plans are disturbed alike, so that they compare.
        generator: Source of randomness.
    """
    s, t = commands.shape[:2]
    noise = torch.randn(t, num_samples, z.shape[0], generator=generator)
    seen = z.expand(s * num_samples, 1, -1)
    done = commands.repeat_interleave(num_samples, dim=0)
    for step in range(t):
        mean = model.predict(seen, done[:, : step + 1])[:, -1]
        std = (model.spread(seen[:, -1], done[:, step]) / 2).exp()
        after = mean + std * noise[step].repeat(s, 1)
        seen = torch.cat([seen, after[:, None]], dim=1)
    return seen[:, -1].unflatten(0, (s, num_samples))


def risk_cost(
    ends: Float[Tensor, "s i d"], z_goal: Float[Tensor, "d"], kappa: float
) -> Float[Tensor, "s"]:
    """Return the cost of each plan.

    Args:
        ends: From `sampled_ends`; two samples or more.
        z_goal: Latent of the goal.
        kappa: Price of a standard deviation; 0 asks for the mean alone.
    """
    squares = (ends - z_goal).square().sum(dim=-1)
    return squares.mean(dim=1) + kappa * squares.std(dim=1)
