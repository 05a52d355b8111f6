"""How likely the next latent is under the predicted distribution.

    p = N( mu, diag sigma^2 ),  mu = P(z_t, a_t), log sigma^2 = S(z_t, a_t)
    q = N( m, diag s^2 ),       m = sg target(x_{t+1}), log s^2 = Q(m)
    L = E_{Z~q}[ -log p(Z) ] / D
      = 1/(2 D) sum_d [ log 2 pi sigma_d^2 + ( (m_d - mu_d)^2 + s_d^2 ) / sigma_d^2 ]

The target is a slow copy of the encoder; Q is live, and held open by `posterior`. Point prediction
is the case of a fixed sigma.

References:
    Huang 2026, arXiv:2601.14354, variational objective.
"""

import math

from jaxtyping import Float
from torch import Tensor

from learners.losses.forward import Forward
from learners.parts.targets import target_tokens


def likelihood(fwd: Forward) -> Float[Tensor, ""]:
    """Return the mean negative log-likelihood per dimension."""
    target = fwd.once(target_tokens).z[:, 1:].detach()
    spread = fwd.model.posterior(target).exp()
    log_variance = fwd.model.spread(fwd.z[:, :-1], fwd.windows.command[:, :-1])
    return gaussian_nll(target, fwd.z_next, log_variance, spread).mean() / target.shape[-1]


def gaussian_nll(
    target: Float[Tensor, "*n d"],
    mean: Float[Tensor, "*n d"],
    log_variance: Float[Tensor, "*n d"],
    target_variance: Float[Tensor, "*n d"] | float = 0.0,
) -> Float[Tensor, "*n"]:
    """Return the expected negative log-likelihood of a target that has a variance itself."""
    squares = (target - mean).square() + target_variance
    terms = math.log(2 * math.pi) + log_variance + squares * (-log_variance).exp()
    return terms.sum(dim=-1) / 2
