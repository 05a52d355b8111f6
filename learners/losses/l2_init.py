"""How far the weights are from those that the lineage began with."""

import torch
from jaxtyping import Float
from torch import Tensor

from learners.losses.forward import Forward


def l2_init(fwd: Forward) -> Float[Tensor, ""]:
    """Return the squared distance of the trained weights from their initial values.

    The pull keeps weights small and units alive in a life of changing data, where a decay towards
    zero would do away with what the initialisation had balanced.

    References:
        Kumar et al. 2023, arXiv:2308.11958, Eq. (3) (L2 Init).
    """
    initial: dict[str, Tensor] = fwd.model.initial
    parts = [
        (parameter - initial[name]).square().sum()
        for name, parameter in fwd.model.named_parameters()
        if parameter.requires_grad
    ]
    return torch.stack(parts).sum()
