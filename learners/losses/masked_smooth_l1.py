"""Hidden patches told from visible ones, smooth-L1.

    L = mean over regions, hidden patches i and features of smooth_l1( told_i - target_i )

with smooth_l1(x) = x^2 / 2 where |x| < 1, |x| - 1/2 elsewhere; `told` and `target` as in
`learners.losses.hidden_tokens`.

References:
    Assran et al. 2023, arXiv:2301.08243, Eq. (1); the text has the squared error, the published
    runs smooth-L1.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from learners.losses.forward import Forward
from learners.losses.hidden_tokens import told_regions


def masked_smooth_l1(fwd: Forward) -> Float[Tensor, ""]:
    """Return the mean over the regions."""
    told = fwd.once(told_regions)
    return torch.stack([functional.smooth_l1_loss(x.predicted, x.target) for x in told]).mean()
