"""Views of the same place get the same latent.

    L = mean over b, v of | mu_b - z_{b,v} |^2 / D,  mu_b = mean over v of z_{b,v}

Views are the frames of one short window: what the body saw moments apart. Crops and flips, the
views of pictures, would destroy the geometry that a body needs. No slow copy and no stop-gradient:
alone this collapses, with `sigreg` it does not.

References:
    Balestriero and LeCun 2025, arXiv:2511.08544, Eq. (7); Klindt et al. 2026, arXiv:2605.26379,
    for views that follow each other in time.
"""

from jaxtyping import Float
from torch import Tensor

from learners.losses.forward import Forward


def agreement(fwd: Forward) -> Float[Tensor, ""]:
    """Return the mean squared distance from the mean of the views."""
    return (fwd.z - fwd.z.mean(dim=1, keepdim=True)).square().mean()
