"""Open-loop prediction, far steps counting more.

    L = sum over j <= h of w_j * mean |z^_{s+j} - z_{s+j}|^2,  w_j proportional to j, summing to 1

h is drawn from 1 to a bound that grows to LONGEST over the first half of training. As in the
one-step loss of the same source, the gradient flows into prediction and target alike.

References:
    RC-aux 2026, arXiv:2605.07278, multi-horizon loss.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from learners.losses.forward import Forward

LONGEST = 4
_FULL_AT = 0.5
"""Share of training after which the longest horizon may be drawn."""


def multi_horizon(fwd: Forward) -> Float[Tensor, ""]:
    """Return the weighted mean squared error of rollouts of a random length."""
    num_starts, length = fwd.rolled.shape[1:3]
    bound = min(1 + int(LONGEST * fwd.progress / _FULL_AT), LONGEST, length)
    h = int(torch.randint(1, bound + 1, (), generator=fwd.generator))
    target = torch.stack([fwd.z[:, s + 1 : s + 1 + h] for s in range(num_starts)], dim=1)
    error = (fwd.rolled[:, :, :h] - target).square().mean(dim=(0, 1, 3))
    weights = torch.arange(1, h + 1, dtype=error.dtype)
    return (error * weights).sum() / weights.sum()
