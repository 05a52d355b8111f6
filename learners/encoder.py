"""From one frame to its latent: visual, ego and object tokens, fused by attention pooling.

Axis letters: n frames, c channels, h w image, k objects, d latent, a appearance.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from learners.batch import EGO_FEATURES, GEOMETRY_FEATURES, IMAGE_CHANNELS, INPUT_PX

CHANNELS = (32, 64, 64)
"""Of the three stages: 16 x 16, 8 x 8 and 4 x 4 cells."""

STRIDES = (4, 2, 2)
_KERNELS = (6, 3, 3)
"""The first stage quarters the image at once: a 32 x 32 stage would cost as much as all others."""

APPEARANCE_DIM = 64
"""Of an object's appearance vector; also the size of the search vectors of crops."""

TOKEN_DIM = 128
_HEADS = 4
_GROUPS = 8
_GELU_POWER = 0.425
"""Mean square of GELU of a standard Gaussian."""
_ROI_STAGES = (0, 1)
"""Stages that object boxes are pooled from; 4 x 4 cells are too coarse."""


class Encoded(NamedTuple):
    """What the encoder makes of frames."""

    z: Float[Tensor, "n d"]
    appearance: Float[Tensor, "n k a"]
    """Of each object row, from the features inside its box."""


class Stem(nn.Module):
    """Strided convolutions with group normalisation: about 3 million multiplications a frame."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (IMAGE_CHANNELS, *CHANNELS)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(i, o, kernel, stride, padding=1)
            for i, o, kernel, stride in zip(sizes, CHANNELS, _KERNELS, STRIDES, strict=False)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(_GROUPS, c) for c in CHANNELS)
        self.activations = nn.ModuleList(nn.ReLU() for _ in CHANNELS)
        # Mixed layouts would be converted to and fro around every convolution.
        for convolution in self.convolutions:
            weight = convolution.get_parameter("weight")
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)

    def forward(self, image: Float[Tensor, "n c h w"]) -> list[Tensor]:
        """Return the feature map of each stage, channels last: (n h w c)."""
        maps = []
        x = image
        for convolution, norm, activation in zip(
            self.convolutions, self.norms, self.activations, strict=True
        ):
            # In few bits, group normalisation alone would take as long as the convolutions.
            x = activation(norm(convolution(x).float()))
            maps.append(x.permute(0, 2, 3, 1))
        return maps


class AttentionPool(nn.Module):
    """One query per frame looks at all of its valid tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(2 * TOKEN_DIM, TOKEN_DIM)
        self.key_value = nn.Linear(TOKEN_DIM, 2 * TOKEN_DIM)
        self.norm = nn.LayerNorm(TOKEN_DIM)

    def forward(
        self,
        asking: Float[Tensor, "n q"],
        tokens: Float[Tensor, "n m e"],
        valid: Bool[Tensor, "n m"],
    ) -> Float[Tensor, "n e"]:
        """Return the pooled token; at least one token per frame must be valid."""
        n, m, e = tokens.shape
        query = self.query(asking).view(n, _HEADS, 1, e // _HEADS)
        keys, values = self.key_value(self.norm(tokens)).chunk(2, dim=-1)
        keys, values = (x.view(n, m, _HEADS, -1).transpose(1, 2) for x in (keys, values))
        scores = (query * keys).sum(-1) / (e // _HEADS) ** 0.5
        scores = scores.masked_fill(~valid[:, None], float("-inf"))
        weights = scores.softmax(dim=-1)
        return (weights[..., None] * values).sum(2).reshape(n, e)


class Projector(nn.Module):
    """Linear, batch normalisation, GELU, linear: lets the regulariser set mean and scale.

    Its running statistics are part of the checkpoint; acting and probing use evaluation mode.
    """

    def __init__(self, in_dim: int, width: int, out_dim: int) -> None:
        super().__init__()
        self.enter = nn.Linear(in_dim, width)
        self.norm = nn.BatchNorm1d(width)
        self.activation = nn.GELU()
        self.leave = nn.Linear(width, out_dim)
        # Unit variance from the start: the regulariser need not spend its first steps on scale.
        nn.init.normal_(self.leave.weight, std=(width * _GELU_POWER) ** -0.5)

    def forward(self, x: Float[Tensor, "n i"]) -> Float[Tensor, "n d"]:
        """Return the projection."""
        return self.leave(self.activation(self.norm(self.enter(x))))


class Encoder(nn.Module):
    """Encode frames.

    References:
        Maes et al. 2026, arXiv:2603.19312, section 3 (projector with batch normalisation).
    """

    def __init__(self, latent_dim: int, width: int) -> None:
        super().__init__()
        self.stem = Stem()
        side = INPUT_PX // math.prod(STRIDES)
        self.visual = nn.Linear(CHANNELS[-1] * side * side, TOKEN_DIM)
        self.ego = nn.Sequential(
            nn.Linear(EGO_FEATURES, TOKEN_DIM), nn.GELU(), nn.Linear(TOKEN_DIM, TOKEN_DIM)
        )
        self.appearance = nn.Linear(sum(CHANNELS[s] for s in _ROI_STAGES), APPEARANCE_DIM)
        self.object = nn.Sequential(
            nn.Linear(GEOMETRY_FEATURES + APPEARANCE_DIM, TOKEN_DIM),
            nn.GELU(),
            nn.Linear(TOKEN_DIM, TOKEN_DIM),
        )
        self.pool = AttentionPool()
        self.projector = Projector(3 * TOKEN_DIM, width, latent_dim)

    def forward(
        self,
        image: Float[Tensor, "n c h w"],
        ego: Float[Tensor, "n e"],
        geometry: Float[Tensor, "n k g"],
        valid: Bool[Tensor, "n k"],
    ) -> Encoded:
        """Return latents and object appearances."""
        maps = self.stem(image)
        visual, ego = self.visual(maps[-1].flatten(1)), self.ego(ego)
        boxes = geometry[..., :4]
        pooled = torch.cat([roi_mean(maps[s], boxes) for s in _ROI_STAGES], dim=-1)
        appearance = self.appearance(pooled)
        objects = self.object(torch.cat([geometry, appearance], dim=-1))
        tokens = torch.cat([visual[:, None], ego[:, None], objects], dim=1)
        always = valid.new_ones((len(valid), 2))
        asking = torch.cat([visual, ego], dim=-1)
        pool = self.pool(asking, tokens, torch.cat([always, valid], dim=1))
        return Encoded(self.projector(torch.cat([asking, pool], dim=-1)), appearance)

    def embed(self, crops: Float[Tensor, "n c s s"]) -> Float[Tensor, "n a"]:
        """Return unit vectors of crops, from the same features as the objects' appearance."""
        maps = self.stem(crops)
        pooled = torch.cat([maps[s].mean(dim=(1, 2)) for s in _ROI_STAGES], dim=-1)
        return functional.normalize(self.appearance(pooled), dim=-1)


def roi_mean(
    features: Float[Tensor, "n h w c"], boxes: Float[Tensor, "n k 4"]
) -> Float[Tensor, "n k c"]:
    """Return the mean of the features inside each box, cells weighted by how much is covered.

    Args:
        features: Dense map of the image.
        boxes: x0, y0, x1, y1 as fractions of width and height; an empty box gives zeros.
    """
    h, w = features.shape[1:3]
    across = _coverage(boxes[..., 0], boxes[..., 2], w)
    down = _coverage(boxes[..., 1], boxes[..., 3], h)
    weights = (down[..., :, None] * across[..., None, :]).flatten(2)
    total = weights.sum(-1, keepdim=True).clamp(min=1e-6)
    return torch.bmm(weights / total, features.flatten(1, 2))


def _coverage(
    low: Float[Tensor, "n k"], high: Float[Tensor, "n k"], cells: int
) -> Float[Tensor, "n k m"]:
    """Return the share of each of `cells` cells that [low, high] covers, in fractions of 1."""
    edges = torch.arange(cells + 1, dtype=low.dtype) / cells
    covered = torch.minimum(high[..., None], edges[1:]) - torch.maximum(low[..., None], edges[:-1])
    return covered.clamp(min=0) * cells
