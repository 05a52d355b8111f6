"""Which action was applied between two frames.

    L = mean over b, t of | I(z_t, z_{t+1}) - a_t |^2

A layout that never changes within an episode would let the encoder forget where it looks from;
this keeps the agent's own motion in the code.

References:
    eb_jepa 2026, arXiv:2602.03604, inverse dynamics term.
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from learners.losses.forward import Forward


def inverse_dynamics(fwd: Forward) -> Float[Tensor, ""]:
    """Return the mean squared error of the recovered actions."""
    z, z_next = fwd.z[:, :-1].flatten(0, 1), fwd.z[:, 1:].flatten(0, 1)
    action = fwd.model.inverse_dynamics(z, z_next)
    return functional.mse_loss(action, fwd.windows.action[:, :-1].flatten(0, 1))
