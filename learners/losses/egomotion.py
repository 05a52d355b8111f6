"""How the body will really move.

    L = mean over b, t of smooth_l1( M(z_t, command_t) - egomotion_{t+1} )

on encoded and on rolled-out latents, in units of the largest motion of one tick. Stopped motions
are judged with a command that would have been stopped too (see `learners.batch.Windows`).
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from learners.losses.forward import Forward, motion_inputs


def egomotion(fwd: Forward) -> Float[Tensor, ""]:
    """Return the mean robust error of the predicted egomotion."""
    z, command, after = motion_inputs(fwd)
    predicted, _ = fwd.model.motion(z, command)
    target = fwd.windows.ego[..., :3].flatten(0, 1)[after]
    return functional.smooth_l1_loss(predicted, target, beta=0.1)
