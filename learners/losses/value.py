"""Distance of latents as minus the value of a goal: the encoder learns what is far to go.

    V(s, g) = -d(E(s), E(g))
    delta   = -1[s_t != g] + GAMMA * sg V(s_{t+1}, g) - V(s_t, g)
    L       = mean over goals and t of |TAU - 1[delta < 0]| * delta^2

Goals are the last frame of the same window and a frame of another. TAU above one half believes the
better of what followed a frame. No target network. The gradient flows into the encoder; with
`separate_prediction` no other gradient does, which the source found better than sharing.

References:
    Destrade et al. 2026, arXiv:2601.00844, section 3 (VF_quasi); Kostrikov et al. 2021,
    arXiv:2110.06169, Eq. (5).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from learners.losses.across import mine
from learners.losses.forward import Forward, num_windows, other_windows

GAMMA = 0.93
TAU = 0.6


def value(fwd: Forward) -> Float[Tensor, ""]:
    """Return the mean expectile error of the values."""
    return value_error(fwd, fwd.z)


def value_error(fwd: Forward, z: Float[Tensor, "b t d"]) -> Float[Tensor, ""]:
    """Return the mean expectile error of the values of latents."""
    head = fwd.model.quasi_distance
    points = head.points(z)
    t, other = points.shape[1], other_windows(fwd)
    goal_time = mine(fwd.across, torch.randint(t, (num_windows(fwd),), generator=fwd.generator))
    far = fwd.across.whole(points)[other, goal_time]
    # From the last frame but one the goal is reached next, at no distance: rewards come from there.
    goals = torch.stack([points[:, -1], far], dim=1)[:, :, None]
    here, after = points[:, None, :-1], points[:, None, 1:]
    shape = torch.broadcast_shapes(here.shape, goals.shape)
    with torch.no_grad():
        next_value = -head.between(after.expand(shape), goals.expand(shape))
    delta = -1 + GAMMA * next_value + head.between(here.expand(shape), goals.expand(shape))
    return expectile_error(delta)


def expectile_error(delta: Float[Tensor, "*n"], tau: float = TAU) -> Float[Tensor, ""]:
    """Return the mean square, weighted tau where delta >= 0 and 1 - tau where it is below."""
    weight = torch.where(delta < 0, 1 - tau, tau)
    return (weight * delta.square()).mean()
