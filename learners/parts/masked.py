"""A transformer that tells hidden patch tokens from visible ones and where both are.

Axis letters: b batch, n visible tokens, h hidden tokens, l layers of the encoder that are read and
predicted, e patch features.
"""

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from learners.parts.kinds import Options, PartKind, Shape
from learners.parts.positions import grid_positions
from learners.parts.vit import Layer


class MaskedOptions(Options):
    """Settings."""

    width: int = Field(64, ge=16)
    """Narrower than the encoder: what is easy to predict is left to the encoder."""
    layers: int = Field(3, ge=1)
    heads: int = Field(4, ge=1)


class MaskedPredictor(nn.Module):
    """Mask tokens with positions look at the visible tokens and become the hidden ones.

    Tokens of several layers of the encoder are fused by a perceptron and predicted side by side.

    References:
        Assran et al. 2023, arXiv:2301.08243, section 3 (predictor); V-JEPA 2.1 2026,
        arXiv:2603.14482 (several layers).
    """

    def __init__(self, options: MaskedOptions, shape: Shape) -> None:
        super().__init__()
        self.side, self.num_layers = shape.side, shape.num_levels + 1
        width, inner = options.width, self.num_layers * shape.patch_dim
        self.enter = _fusing(inner, width) if shape.num_levels else nn.Linear(inner, width)
        self.mask = nn.Parameter(0.02 * torch.randn(width))
        self.layers = nn.ModuleList(Layer(width, options.heads) for _ in range(options.layers))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, inner)

    def forward(
        self,
        visible: Float[Tensor, "b n l e"],
        keep: Int[Tensor, "b n"],
        hidden: Int[Tensor, "b h"],
        num_tubelets: int,
    ) -> tuple[Float[Tensor, "b n l e"], Float[Tensor, "b h l e"]]:
        """Return what the target makes of visible and of hidden patches.

        Args:
            visible: Tokens of the visible patches.
            keep: Their numbers.
            hidden: Numbers of the patches that are asked for.
            num_tubelets: Of the clip that the numbers count through.
        """
        n = keep.shape[1]
        positions = grid_positions(num_tubelets, self.side, self.mask.shape[0]).flatten(0, 1)
        known = self.enter(visible.flatten(2)) + positions[keep]
        x = torch.cat([known, self.mask + positions[hidden]], dim=1)
        for layer in self.layers:
            x = layer(x)
        out = self.leave(self.norm(x)).unflatten(-1, (self.num_layers, -1))
        return out[:, :n], out[:, n:]


def _fusing(inner: int, width: int) -> nn.Module:
    return nn.Sequential(
        nn.LayerNorm(inner), nn.Linear(inner, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
    )


def _make(options: MaskedOptions, shape: Shape) -> MaskedPredictor:
    if options.width % options.heads:
        raise ValueError(f"width {options.width} is no multiple of heads {options.heads}")
    return MaskedPredictor(options, shape)


MASKED = PartKind(
    options=MaskedOptions,
    make=_make,
    provides=frozenset({"hidden_predictor"}),
    needs=frozenset({"maskable"}),
)
