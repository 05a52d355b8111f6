"""Sketched isotropic Gaussian regularisation inside frozen random subspaces.

    S(u) = N * sum_k w_k * ( [mean_n cos(t_k <z_n, u>) - phi(t_k)]^2 + [mean_n sin(...)]^2 )
    L    = mean over subspaces W, time steps and unit slices u of S(u) on z W^T

with 17 knots t_k = 3k/16, phi(t) = exp(-t^2/2) and trapezoid weights times phi. Samples are the
batch's windows, per time step. The value of a standard Gaussian is 1.06 whatever N, not 0; away
from it the value is proportional to N. Where processes share a batch, the means are those of the
whole batch and N is its size: a mean of statistics of parts would be another, smaller value.

References:
    LeJEPA 2025, arXiv:2511.08544, Epps-Pulley statistic; Sub-JEPA 2026, arXiv:2605.09241, Eq. (4).
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from learners.losses.across import ALONE, Across
from learners.losses.forward import Forward

FLOOR = 1.06
"""Value of standard Gaussian samples."""

NUM_SLICES = 32
"""Per subspace and call; more slices change the noise, not the value."""

MAX_TIMES = 4
"""Time steps that are judged per call: neighbours in time tell nothing new."""

_KNOTS = 17
_LAST_KNOT = 3.0


def sub_sigreg(fwd: Forward) -> Float[Tensor, ""]:
    """Return the regulariser on some time steps of the batch."""
    z = some_times(fwd)
    return subspace_statistic(z, fwd.model.planes, fwd.generator, across=fwd.across)


def some_times(fwd: Forward) -> Float[Tensor, "t n d"]:
    """Return the latents of the time steps that are judged."""
    horizon = fwd.z.shape[1]
    times = torch.randperm(horizon, generator=fwd.generator)[:MAX_TIMES]
    return fwd.z[:, fwd.across.same(times)].transpose(0, 1)


def subspace_statistic(
    z: Float[Tensor, "t n d"],
    subspaces: Float[Tensor, "k s d"],
    generator: torch.Generator,
    num_slices: int = NUM_SLICES,
    across: Across = ALONE,
) -> Float[Tensor, ""]:
    """Return the mean statistic over subspaces, each with fresh slices."""
    k, s, _ = subspaces.shape
    slices = torch.randn(k, s, num_slices, generator=generator)
    # A slice of a subspace is a direction of the whole space.
    directions = torch.einsum("ksd,ksm->dkm", subspaces, functional.normalize(slices, dim=1))
    return epps_pulley(z @ across.same(directions.flatten(1)), across)


def sigreg(
    z: Float[Tensor, "t n d"],
    generator: torch.Generator,
    num_slices: int = 1024,
    across: Across = ALONE,
) -> Float[Tensor, ""]:
    """Return the statistic on slices of the whole space: a meter of the latents' health."""
    directions = torch.randn(z.shape[-1], num_slices, generator=generator)
    return epps_pulley(z @ across.same(functional.normalize(directions, dim=0)), across)


def epps_pulley(h: Float[Tensor, "t n m"], across: Across = ALONE) -> Float[Tensor, ""]:
    """Return the mean normality statistic of each time step's projections over samples.

    Args:
        h: Projections of the samples that this process holds; processes may hold different numbers.
        across: How the others' samples are counted in.
    """
    knots = torch.linspace(0, _LAST_KNOT, _KNOTS)
    gap = _LAST_KNOT / (_KNOTS - 1)
    phi = torch.exp(-knots.square() / 2)
    weights = gap * phi * torch.tensor([1.0, *[2.0] * (_KNOTS - 2), 1.0])
    x = h[..., None] * knots
    count = across.total(torch.tensor(float(h.shape[1])))
    real, imaginary = across.total(torch.stack([x.cos().sum(dim=1), x.sin().sum(dim=1)])) / count
    error = (real - phi).square() + imaginary.square()
    return count * (error * weights).sum(dim=-1).mean()
