"""Steps from one latent to another, learned near-field from what the agent did.

    hindsight:  target k for frames i and i + k of one window, an upper bound of the distance
    TD:         target 1 + sg d(z_{t+1}, g) for a goal g of another window
    bound:      target max(|dxy| / v_max, |dyaw| / w_max) for frames of any two windows, which no
                body can undercut
    L = E_tau( log(1 + target) - log(1 + d) ),  E_tau(x) = |tau - 1[x < 0]| * x^2

tau is low for targets that are upper bounds and high for the lower bound. Latents enter without
gradient.

References:
    Kostrikov et al. 2021, arXiv:2110.06169, Eq. (5), with the expectile below one half because
    every observed time is at least the distance.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from learners.losses.across import mean, mine
from learners.losses.forward import Forward, num_windows, other_windows

EXPECTILE = 0.1
"""For hindsight and TD."""

BOUND_EXPECTILE = 0.95
TD_WEIGHT = 0.3
CAP_STEPS = 80.0
"""Beyond, distances are not told apart."""


def quasi_distance(fwd: Forward) -> Float[Tensor, ""]:
    """Return the hindsight loss, the weighted TD loss and the lower bound's."""
    head = fwd.model.quasi_distance
    points = head.points(fwd.z.detach())
    b, t = points.shape[:2]
    early, late = torch.triu_indices(t, t, offset=1)
    steps = (late - early).to(points.dtype).expand(b, -1)
    near = expectile(steps, head.between(points[:, early], points[:, late]))
    whole, other = fwd.across.whole(points), other_windows(fwd)
    goal_time = mine(fwd.across, torch.randint(t, (num_windows(fwd),), generator=fwd.generator))
    goal = whole[other, goal_time][:, None].expand(-1, t - 1, -1, -1)
    with torch.no_grad():
        after = head.between(points[:, 1:], goal)
    target = (1 + after).clamp(max=CAP_STEPS)
    total = near + TD_WEIGHT * expectile(target, head.between(points[:, :-1], goal))
    pairs = fwd.windows.pairs
    if pairs is None:
        return total
    flat = whole.flatten(0, 1)
    start, goal, steps = (
        mine(fwd.across, column) for column in (pairs.start, pairs.goal, pairs.steps)
    )
    between = head.between(flat[start], flat[goal])
    return total + mean(fwd.across, expectile_errors(steps, between, BOUND_EXPECTILE))


def expectile(
    target: Float[Tensor, "*n"], distance: Float[Tensor, "*n"], tau: float = EXPECTILE
) -> Float[Tensor, ""]:
    """Return the mean asymmetric squared error of the logarithms."""
    return expectile_errors(target, distance, tau).mean()


def expectile_errors(
    target: Float[Tensor, "*n"], distance: Float[Tensor, "*n"], tau: float
) -> Float[Tensor, "*n"]:
    """Return the asymmetric squared errors of the logarithms."""
    error = torch.log1p(target) - torch.log1p(distance)
    weight = torch.where(error < 0, 1 - tau, tau)
    return weight * error.square()
