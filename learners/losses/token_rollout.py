"""Prediction of a frozen encoder's patch tokens from the predictor's own predictions.

    L_ar = mean over k = 2 .. 1 + STEPS of | z~_k - z_k |
    z~_2 = P(z_1),  z~_k = P(z_1, z~_2, .., z~_{k-1})

with the commands and the true states of all frames. The gradient runs through all steps.

References:
    Assran et al. 2025, arXiv:2506.09985, Eq. (3); two steps as in its released settings.
"""

from jaxtyping import Float
from torch import Tensor

from learners.losses.forward import Forward

STEPS = 2


def token_rollout(fwd: Forward) -> Float[Tensor, ""]:
    """Return the mean absolute error of rollouts from the first frame."""
    predictor = fwd.model.predictor
    steps = min(STEPS, fwd.z.shape[1] - 1)
    target, states = predictor.layout.split(fwd.z[:, 1 : 1 + steps].detach())
    rolled = predictor.unroll(
        fwd.z[:, :1], fwd.windows.command[:, :0], fwd.windows.command[:, :steps], states=states
    )
    gap: Tensor = predictor.layout.split(rolled)[0] - target
    return gap.abs().mean()
