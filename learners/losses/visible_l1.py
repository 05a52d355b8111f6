"""Visible patches told as well, the nearer to a hidden one the more: keeps tokens local.

    L = r(progress) * mean over tasks and visible patches i of | told_i - target_i |_mean
                      / sqrt( d_min(i) )

with d_min(i) the distance from patch i to the nearest hidden one, in tokens along time, row and
column, and r rising from 0 to 1 while `RAMP` of the updates are taken. The weight of the loss is
the lambda of the source (0.05 to 1). `told` and `target` as in `learners.losses.hidden_tokens`.

A loss on hidden patches alone lets the tokens of visible ones become summaries of the whole clip.

References:
    V-JEPA 2.1 2026, arXiv:2603.14482, L_ctx.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from learners.losses.forward import Forward
from learners.losses.hidden_tokens import told_regions

RAMP = (0.11, 0.22)
"""Epochs 50 to 100 of about 450, as shares."""


def visible_l1(fwd: Forward) -> Float[Tensor, ""]:
    """Return the weighted mean over the tasks."""
    ramp = ramp_factor(fwd.progress)
    side = fwd.model.encoder.shape.side
    means = []
    for told in fwd.once(told_regions):
        error = (told.visible - told.visible_target).abs().mean(dim=(2, 3))
        nearness = nearest_hidden(told.keep, told.hidden, side).rsqrt()
        means.append((error * nearness).mean())
    return ramp * torch.stack(means).mean()


def ramp_factor(progress: float) -> float:
    """Return r."""
    first, last = RAMP
    return min(max((progress - first) / (last - first), 0.0), 1.0)


def nearest_hidden(
    keep: Int[Tensor, "b n"], hidden: Int[Tensor, "b h"], side: int
) -> Float[Tensor, "b n"]:
    """Return the distance of each visible patch to the nearest hidden one, in tokens."""
    return torch.cdist(_grid(keep, side), _grid(hidden, side)).amin(dim=2)


def _grid(numbers: Int[Tensor, "b n"], side: int) -> Float[Tensor, "b n 3"]:
    """Return tubelet, row and column."""
    frame, inside = numbers // side**2, numbers % side**2
    return torch.stack([frame, inside // side, inside % side], dim=-1).float()
