"""Whether the command will be stopped by something.

    L = mean over b, t of BCE( C(z_t, command_t), bumped_{t+1} )

on encoded and on rolled-out latents. Not re-weighted: the planner needs a probability.
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from learners.losses.forward import Forward, motion_inputs


def collision(fwd: Forward) -> Float[Tensor, ""]:
    """Return the mean cross-entropy of the predicted stops."""
    z, command, after = motion_inputs(fwd)
    _, logit = fwd.model.motion(z, command)
    bumped = fwd.windows.ego[..., 3].flatten()[after]
    return functional.binary_cross_entropy_with_logits(logit, bumped)
