"""What hangs on the latent: heads that read from it, and the frozen planes of its regulariser.

Axis letters: k planes, s their dimension, d latent.
"""

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from learners.heads import InverseDynamics, Motion, ObjectHead
from learners.parts.aggregate import AGGREGATE
from learners.parts.distances import LATENT_DISTANCE, MULTIPLIER, REACHABILITY
from learners.parts.kinds import Options, PartKind, Shape
from learners.parts.reactive import REACTIVE
from learners.parts.spreads import POSTERIOR, SPREAD
from learners.parts.tracks import TRACKS
from learners.quasidistance import QuasiDistance

POSE_NUMBERS = 4
"""x, y, sine and cosine of the heading."""


class HeadOptions(Options):
    """Settings."""

    width: int = Field(128, ge=8)


class QuasiOptions(HeadOptions):
    """Settings."""

    components: int = Field(8, ge=1)
    intervals: int = Field(8, ge=1)


class SubspaceOptions(Options):
    """Settings."""

    dim: int = Field(8, ge=2)


class Subspaces(nn.Module):
    """Planes that are drawn once, saved with the weights and never changed."""

    def __init__(self, options: SubspaceOptions, shape: Shape) -> None:
        super().__init__()
        # A buffer: new subspaces would be a new prior and would drag every latent along.
        self.register_buffer("planes", draw_subspaces(shape.latent_dim, options.dim))


def draw_subspaces(latent_dim: int, subspace_dim: int) -> Float[Tensor, "k s d"]:
    """Return latent_dim / subspace_dim independent planes with orthonormal rows.

    References:
        Sub-JEPA 2026, arXiv:2605.09241, section 3 (random frozen subspaces).
    """
    count = max(latent_dim // subspace_dim, 1)
    gaussian = torch.randn(count, latent_dim, subspace_dim)
    basis, _ = torch.linalg.qr(gaussian)
    return basis.transpose(1, 2).contiguous()


def _quasi_distance(options: QuasiOptions, shape: Shape) -> QuasiDistance:
    return QuasiDistance(shape.latent_dim, options.width, options.components, options.intervals)


HEADS: dict[str, PartKind] = {
    "inverse_dynamics": PartKind(
        options=HeadOptions, make=lambda o, s: InverseDynamics(s.latent_dim, o.width)
    ),
    "motion": PartKind(
        options=HeadOptions,
        make=lambda o, s: Motion(s.latent_dim, o.width),
        needs=frozenset({"predictor"}),
    ),
    "objects": PartKind(
        options=HeadOptions,
        make=lambda o, s: ObjectHead(s.latent_dim, o.width),
        needs=frozenset({"predictor", "appearance"}),
    ),
    "quasi_distance": PartKind(options=QuasiOptions, make=_quasi_distance),
    "subspaces": PartKind(options=SubspaceOptions, make=Subspaces),
    "latent_distance": LATENT_DISTANCE,
    "multiplier": MULTIPLIER,
    "reachability": REACHABILITY,
    "spread": SPREAD,
    "posterior": POSTERIOR,
    "aggregate": AGGREGATE,
    "tracks": TRACKS,
    "reactive": REACTIVE,
    "dead_reckoning": PartKind(
        options=Options, make=lambda _, s: nn.Linear(s.latent_dim, POSE_NUMBERS, bias=False)
    ),
}
"""A head provides its own name and stands under it, unless its kind provides another."""
