"""Values of `learners.losses.value` on latents that something else shapes.

    L as there, on sg z

The encoder stays the predictor's; the head alone learns how far goals are.

References:
    Destrade et al. 2026, arXiv:2601.00844, section 3, with the separation on the side of the value.
"""

from jaxtyping import Float
from torch import Tensor

from learners.losses.forward import Forward
from learners.losses.value import value_error


def settled_value(fwd: Forward) -> Float[Tensor, ""]:
    """Return the mean expectile error of the values."""
    return value_error(fwd, fwd.z.detach())
