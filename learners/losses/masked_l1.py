"""Hidden patches told from visible ones, L1.

    L = mean over tasks, hidden patches i and features of | told_i - target_i |

`told` and `target` as in `learners.losses.hidden_tokens`; layers that are supervised count alike.

References:
    Bardes et al. 2024, arXiv:2404.08471, Eq. (1); V-JEPA 2.1 2026, arXiv:2603.14482, L_predict.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from learners.losses.forward import Forward
from learners.losses.hidden_tokens import told_regions


def masked_l1(fwd: Forward) -> Float[Tensor, ""]:
    """Return the mean over the tasks."""
    told = fwd.once(told_regions)
    return torch.stack([functional.l1_loss(x.predicted, x.target) for x in told]).mean()
