"""How far the prediction is off, learned beside a prediction that does not know of it.

    L = 1/(2 D) sum_d [ log 2 pi sigma_d^2 + sg(z_{t+1} - mu)_d^2 / sigma_d^2 ]

The mean is held: a likelihood that may move both learns the mean where it is already good and
widens where it is not.

References:
    Huang 2026, arXiv:2601.14354, predictive distribution; Seitzer et al. 2022, arXiv:2203.09168,
    section 3 (why not both at once).
"""

from jaxtyping import Float
from torch import Tensor

from learners.losses.forward import Forward
from learners.losses.likelihood import gaussian_nll


def error_spread(fwd: Forward) -> Float[Tensor, ""]:
    """Return the mean negative log-likelihood per dimension; only the spread learns from it."""
    z = fwd.z.detach()
    log_variance = fwd.model.spread(z[:, :-1], fwd.windows.command[:, :-1])
    return gaussian_nll(z[:, 1:], fwd.z_next.detach(), log_variance).mean() / z.shape[-1]
