"""Sketched isotropic Gaussian regularisation of the whole latent: nothing else stops a collapse.

    L = mean over time steps and unit directions u of EP(<z, u>)

EP is the Epps-Pulley statistic of `learners.losses.sub_sigreg`; directions are redrawn each call.

References:
    LeJEPA 2025, arXiv:2511.08544, Epps-Pulley statistic; Maes et al. 2026, arXiv:2603.19312.
"""

from jaxtyping import Float
from torch import Tensor

from learners.losses.forward import Forward
from learners.losses.sub_sigreg import sigreg as statistic
from learners.losses.sub_sigreg import some_times

NUM_SLICES = 256


def sigreg(fwd: Forward) -> Float[Tensor, ""]:
    """Return the regulariser on some time steps of the batch."""
    return statistic(some_times(fwd), fwd.generator, NUM_SLICES, fwd.across)
