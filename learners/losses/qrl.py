"""Quasimetric reinforcement learning: as far as the observed steps allow.

    maximise  E[ d(s, g) ]  subject to  E[ relu(d(s_t, s_{t+1}) - 1)^2 ] <= SLACK^2
    L = mean softplus( OFFSET - d(s, g); SOFTNESS )
        + lambda * ( mean relu(d(s_t, s_{t+1}) - 1)^2 - SLACK^2 )

lambda is a part of its own and goes up along its gradient while the constraint is broken. Nothing
is rewarded and nothing bootstrapped: where a step is a step, the farthest distance that the steps
allow is the number of steps of the shortest way. Pairs s, g are frames of different windows.
Latents enter without gradient.

References:
    Wang et al. 2023, arXiv:2304.01203, Eq. (8) and (12).
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from learners.losses.forward import Forward, other_windows

OFFSET = 15.0
"""Steps beyond which pairs are pushed apart ever less."""
SOFTNESS = 0.1
SLACK = 0.25


def qrl(fwd: Forward) -> Float[Tensor, ""]:
    """Return the push plus the priced constraint."""
    head = fwd.model.quasi_distance
    points = head.points(fwd.z.detach())
    other = fwd.across.whole(points)[other_windows(fwd)]
    goals = other[:, torch.randperm(points.shape[1], generator=fwd.generator)]
    price = fwd.model.multiplier()
    far, step = head.between(points, goals), head.between(points[:, :-1], points[:, 1:])
    return qrl_error(far, step, price)


def qrl_error(
    far: Float[Tensor, "*n"], step: Float[Tensor, "*m"], price: Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """Return the push plus the priced constraint.

    Args:
        far: Distances between frames that have nothing to do with each other.
        step: Distances from frames to those one step later.
        price: The multiplier lambda.
    """
    push = functional.softplus(OFFSET - far, beta=SOFTNESS).mean()
    broken = functional.relu(step - 1).square().mean() - SLACK**2
    # Down for the distance, up for the price: the same product with either side held.
    return push + price.detach() * broken - price * broken.detach()
