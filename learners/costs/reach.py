"""Plans that can reach the goal within what is left of them are cheaper.

    C = |z^_H - g|^2 * max( FLOOR, 1 - w * max_t sigmoid( r(z^_t, g, H - t) ) )

References:
    RC-aux 2026, arXiv:2605.07278, planner multiplier.

Axis letters: s plans, t time, d latent.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from learners.parts.distances import Reachability

FLOOR = 0.05
WEIGHT = 0.35
"""0.85 where walls stand between start and goal."""


def reach_cost(
    rolled: Float[Tensor, "s t d"],
    z_goal: Float[Tensor, "d"],
    head: Reachability,
    weight: float = WEIGHT,
) -> Float[Tensor, "s"]:
    """Return the cost of each plan.

    Args:
        rolled: Latents along the plans.
        z_goal: Latent of the goal.
        head: Knows what is within reach.
        weight: Largest share of the cost that reach can take away.
    """
    end = (rolled[:, -1] - z_goal).square().sum(dim=-1)
    left = torch.arange(rolled.shape[1] - 1, -1, -1).expand(rolled.shape[:2])
    return end * multiplier(head(rolled, z_goal.expand_as(rolled), left), weight)


def multiplier(logits: Float[Tensor, "s t"], weight: float = WEIGHT) -> Float[Tensor, "s"]:
    """Return what the cost of each plan is multiplied by."""
    return (1 - weight * logits.sigmoid().amax(dim=1)).clamp(min=FLOOR)
