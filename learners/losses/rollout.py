"""Open-loop prediction several steps ahead.

    L = sum over j of w_j * mean (z^_{s+j} - sg(z_{s+j}))^2,  w_j proportional to DECAY^(j-1)

z^ is predicted from its own predictions. The target's gradient is stopped: far targets would
otherwise pull the encoder towards what is easy to foresee.

References:
    RC-aux 2026, arXiv:2605.07278, multi-horizon loss.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from learners.losses.forward import Forward

DECAY = 0.85


def rollout(fwd: Forward) -> Float[Tensor, ""]:
    """Return the weighted mean squared error of the rollouts."""
    num_starts, length = fwd.rolled.shape[1:3]
    weights = DECAY ** torch.arange(length, dtype=fwd.z.dtype)
    target = torch.stack([fwd.z[:, s + 1 : s + 1 + length] for s in range(num_starts)], dim=1)
    error = (fwd.rolled - target.detach()).square().mean(dim=(0, 1, 3))
    return (error * weights).sum() / weights.sum()
