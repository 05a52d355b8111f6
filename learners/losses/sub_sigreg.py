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

from collections.abc import Iterator
from typing import Any

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
_GAP = 3 / 16


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
    knots = torch.arange(_KNOTS) * _GAP
    phi = torch.exp(-knots.square() / 2)
    weights = _GAP * phi * torch.tensor([1.0, *[2.0] * (_KNOTS - 2), 1.0])
    count = across.total(torch.tensor(float(h.shape[1])))
    sums: Tensor = _Waves.apply(h)
    real, imaginary = across.total(sums) / count
    error = (real - phi[:, None, None]).square() + imaginary.square()
    return count * torch.einsum("k,ktm->tm", weights, error).mean()


class _Waves(torch.autograd.Function):
    """Sums over samples of the cosine and the sine of h times each knot: (2 k t m) of (t n m).

    Knots are multiples of the first: each wave is the one before, turned by one angle, which is
    four products where a cosine and a sine cost twenty times as much. Neither pass keeps waves.
    """

    @staticmethod
    def forward(ctx: Any, h: Float[Tensor, "t n m"]) -> Float[Tensor, "2 k t m"]:
        angle = h * _GAP
        cos, sin = angle.cos(), angle.sin()
        ctx.save_for_backward(cos, sin)
        sums = h.new_zeros((2, _KNOTS, h.shape[0], h.shape[2]))
        sums[0, 0] = h.shape[1]
        for knot, (real, imaginary) in enumerate(_turned(cos, sin), start=1):
            torch.sum(real, dim=1, out=sums[0, knot])
            torch.sum(imaginary, dim=1, out=sums[1, knot])
        return sums

    @staticmethod
    def backward(ctx: Any, gradient: Float[Tensor, "2 k t m"]) -> Float[Tensor, "t n m"]:
        cos, sin = ctx.saved_tensors
        out = torch.zeros_like(cos)
        slopes = gradient * (torch.arange(_KNOTS) * _GAP)[:, None, None]
        for knot, (real, imaginary) in enumerate(_turned(cos, sin), start=1):
            out.addcmul_(imaginary, slopes[0, knot, :, None], value=-1)
            out.addcmul_(real, slopes[1, knot, :, None])
        return out


def _turned(
    cos: Float[Tensor, "*s"], sin: Float[Tensor, "*s"]
) -> Iterator[tuple[Float[Tensor, "*s"], Float[Tensor, "*s"]]]:
    """Yield cosine and sine of 1, 2, ... times an angle, for all knots; valid until the next."""
    real, imaginary, spare = cos.clone(), sin.clone(), torch.empty_like(cos)
    for _ in range(_KNOTS - 2):
        yield real, imaginary
        torch.mul(real, cos, out=spare).addcmul_(imaginary, sin, value=-1)
        imaginary.mul_(cos).addcmul_(real, sin)
        real, spare = spare, real
    yield real, imaginary
