"""Encodings stay near a standard Gaussian, each by itself.

    L = KL( N(m, diag s^2) || N(0, I) ) / D = 1/(2 D) sum_d [ m_d^2 + s_d^2 - 1 - log s_d^2 ]

with m the encoder's latent and log s^2 = Q(m). Unlike SIGReg this asks every frame for the same
distribution: a large weight erases what frames differ in.

References:
    Huang 2026, arXiv:2601.14354, variational objective.
"""

from jaxtyping import Float
from torch import Tensor

from learners.losses.forward import Forward


def posterior(fwd: Forward) -> Float[Tensor, ""]:
    """Return the mean divergence per dimension."""
    return divergence(fwd.z, fwd.model.posterior(fwd.z)).mean() / fwd.z.shape[-1]


def divergence(
    mean: Float[Tensor, "*n d"], log_variance: Float[Tensor, "*n d"]
) -> Float[Tensor, "*n"]:
    """Return the divergence from a standard Gaussian."""
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=-1) / 2
