"""How far and which way the body moved between any two frames of a batch, as its odometry says.

    s = (x / 2 m, y / 2 m, sin yaw, cos yaw)   by dead reckoning since the life began
    r = W z - s
    L = mean over all frames of | r - mean r |^2

which is half the mean over pairs of frames of | W (z_i - z_j) - (s_i - s_j) |^2. W is linear and
without bias: where the life began is told by no label. Pairs from one window alone do not do: what
odometry says of a metre or two fixes no place in a house, and the latent then has it only bent.

The pose is what the body believes, never an input. Where odometry drifts without ever being put
right, the latent learns the drift; a body that localises itself has none.

References:
    This project. Klindt et al. 2026, arXiv:2605.26379, is why: planning by distances in the latent
    is exact where the latent is a linear image of the state.

Axis letters: b batch, t time, d latent.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from learners.losses.forward import Forward

_UNIT_M = 2.0


def dead_reckoning(fwd: Forward) -> Float[Tensor, ""]:
    """Return the mean squared error of displacements read linearly from the latents."""
    assert fwd.windows.planned is not None, "windows of a replay know their poses"
    x, y, yaw = fwd.windows.planned.pose.unbind(dim=-1)
    state = torch.stack([x / _UNIT_M, y / _UNIT_M, yaw.sin(), yaw.cos()], dim=-1)
    error = fwd.model.dead_reckoning(fwd.z) - state
    return (error - error.mean(dim=(0, 1), keepdim=True)).square().mean()
