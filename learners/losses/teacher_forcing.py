"""One-step prediction of a frozen encoder's patch tokens from true frames.

    L_tf = mean over b, t, patches and features of | z^_{t+1} - z_{t+1} |

References:
    Assran et al. 2025, arXiv:2506.09985, Eq. (2).
"""

from jaxtyping import Float
from torch import Tensor

from learners.losses.forward import Forward


def teacher_forcing(fwd: Forward) -> Float[Tensor, ""]:
    """Return the mean absolute error of the predicted patch tokens."""
    layout = fwd.model.predictor.layout
    predicted, target = layout.split(fwd.z_next)[0], layout.split(fwd.z[:, 1:])[0]
    gap: Tensor = predicted - target.detach()
    return gap.abs().mean()
