"""Prediction of patch tokens and state, one to STEPS steps ahead.

    L   = L_1 + .. + L_K
    L_1 = mean | P(z_{t-w+1..t}, a) - z_{t+1} |^2 over patches, and the same over the state
    L_k = the same for the k-th of k predictions that are fed back, the first from w true frames

w is drawn from 1 to the predictor's history: an episode's first plan has one frame to look back on.

No gradient flows from a step into the one before: each learns to mend what it is given.

References:
    Terver et al. 2025, arXiv:2512.24497, section 3 (multistep rollout loss; K = 2 in simulation).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from learners.losses.forward import Forward
from learners.parts.frame_tokens import Layout

STEPS = 2


def multistep(fwd: Forward) -> Float[Tensor, ""]:
    """Return the sum of the errors of 1 to STEPS steps, as far as the window is long enough."""
    predictor, z, command = fwd.model.predictor, fwd.z.detach(), fwd.windows.command
    total = _gap(predictor.layout, fwd.z_next, z[:, 1:])
    steps = min(STEPS, z.shape[1] - 1)
    longest = min(predictor.history, z.shape[1] - steps)
    width = int(torch.randint(1, longest + 1, (), generator=fwd.generator))
    starts = range(z.shape[1] - width - steps + 1)
    past = torch.cat([z[:, s : s + width] for s in starts])
    done = torch.cat([command[:, s : s + width - 1] for s in starts])
    ahead = torch.cat([command[:, s + width - 1 : s + width - 1 + steps] for s in starts])
    target = torch.cat([z[:, s + width : s + width + steps] for s in starts])
    rolled = predictor.unroll(past, done, ahead, cut=True)
    # The first step of the rollout is teacher forced: it is part of L_1 already.
    for k in range(1, steps):
        total = total + _gap(predictor.layout, rolled[:, k], target[:, k])
    return total


def _gap(
    layout: Layout, predicted: Float[Tensor, "*s d"], target: Float[Tensor, "*s d"]
) -> Float[Tensor, ""]:
    (patches, state), (wanted, wanted_state) = layout.split(predicted), layout.split(target)
    return (patches - wanted).square().mean() + (state - wanted_state).square().mean()
