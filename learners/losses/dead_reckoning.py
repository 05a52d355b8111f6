"""How far and which way the body moved inside of a window, as its odometry says.

    s_t = (x / 2 m, y / 2 m, sin yaw, cos yaw)   by dead reckoning
    r_t = W z_t - s_t
    L   = mean over b, t of | r_t - mean_t r_t |^2

W is linear and without bias. Only differences between frames of one window count, all pairs of
them: where in the place the window lies is told by no label. What all windows share is the frame of
reference, which odometry has carried along since the life began; one that drifts over a window is
as good as one that does not, one that drifts over the life is not.

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
    return (error - error.mean(dim=1, keepdim=True)).square().mean()
