"""Where remembered objects will be seen next, and what makes one the same again.

    L = mean over matched objects of
            smooth_l1( g^_{t+1} - g_{t+1} ) + |c^_{t+1} - sg(c_{t+1})|^2 / a
        + CONTRAST * InfoNCE(crops)

g geometry, c appearance, both predicted from the predicted latent z^_{t+1} and the object's own
token at t. Objects are matched by slot id, which the memory assigns by geometry: no label enters.
Processes that share a batch all hold its crops whole: they are few, and each is told from all.
InfoNCE tells two crops of one slot from the crops of other slots; its vectors are what the object
memory searches by.

References:
    C-JEPA 2026, arXiv:2602.11389, object tokens; van den Oord et al. 2018, arXiv:1807.03748,
    Eq. (4).
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from learners.batch import CropPairs
from learners.losses.across import mean
from learners.losses.forward import Forward
from learners.recipes.model import ComposedModel

CONTRAST = 0.1
_TEMPERATURE = 0.1


def objects(fwd: Forward) -> Float[Tensor, ""]:
    """Return the object loss; zero if the batch holds no object twice."""
    total = _prediction(fwd)
    if fwd.windows.crops is not None:
        total = total + CONTRAST * contrast(fwd.model, fwd.windows.crops)
    return total


def _prediction(fwd: Forward) -> Float[Tensor, ""]:
    slots = fwd.windows.slots
    same = (slots[:, :-1, :, None] == slots[:, 1:, None, :]) & (slots[:, :-1, :, None] > 0)
    window, time, row, row_next = same.nonzero(as_tuple=True)
    geometry, appearance = fwd.model.objects(
        fwd.z_next[window, time],
        fwd.windows.geometry[window, time, row],
        fwd.appearance[window, time, row],
    )
    seen = fwd.windows.geometry[window, time + 1, row_next]
    seen_appearance = fwd.appearance[window, time + 1, row_next].detach()
    off = functional.smooth_l1_loss(geometry, seen, beta=0.1, reduction="none")
    unlike = (appearance - seen_appearance).square()
    # Processes see different numbers of objects, and some may see none.
    return mean(fwd.across, off) + mean(fwd.across, unlike)


def contrast(model: ComposedModel, crops: CropPairs) -> Float[Tensor, ""]:
    """Return how badly crops of one slot are told from those of others."""
    p = len(crops.slot)
    vectors = model.encoder.embed(torch.cat([crops.first, crops.second]))
    scores = vectors[:p] @ vectors[p:].T / _TEMPERATURE
    # Another pair of the same slot is neither right nor wrong.
    twin = (crops.slot[:, None] == crops.slot) & ~torch.eye(p, dtype=torch.bool)
    scores = scores.masked_fill(twin, float("-inf"))
    right = torch.arange(p)
    return (functional.cross_entropy(scores, right) + functional.cross_entropy(scores.T, right)) / 2
