"""One-step prediction in latent space.

    L = mean over b, t, d of (P(z_t, a_t) - z_{t+1})^2

The gradient flows into prediction and target alike.

References:
    Maes et al. 2026, arXiv:2603.19312, Eq. (1).
"""

from jaxtyping import Float
from torch import Tensor

from learners.losses.forward import Forward


def prediction(fwd: Forward) -> Float[Tensor, ""]:
    """Return the mean squared one-step error."""
    return window_errors(fwd).mean()


def window_errors(fwd: Forward) -> Float[Tensor, "b"]:
    """Return the mean squared one-step error of each window."""
    return (fwd.z_next - fwd.z[:, 1:]).square().mean(dim=(1, 2))
