"""A small vision transformer on clips: tokens of tubelets that look at the whole clip.

Axis letters: b batch, t time, u tubelets, m patches of a frame, e patch features, n kept tokens,
d latent.
"""

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from learners.batch import IMAGE_CHANNELS, INPUT_PX, Windows
from learners.parts.kinds import Encoded, PartKind, Shape
from learners.parts.pixels import Standardised
from learners.parts.positions import grid_positions
from learners.parts.vit import Layer, PatchViTOptions, check_mean, check_vit


class ClipViTOptions(PatchViTOptions):
    """Settings."""

    tubelet: int = Field(2, ge=1)
    """Frames that one token spans."""


class ClipViTEncoder(nn.Module):
    """Encode a clip as a whole. Satisfies `MaskableEncoder`.

    Frames of one tubelet share their latent, the mean of its tokens. A clip that ends within a
    tubelet is filled up with its last frame.

    References:
        Bardes et al. 2024, arXiv:2404.08471, section 3 (tubelets, fixed positions).
    """

    def __init__(self, options: ClipViTOptions, shape: Shape) -> None:
        super().__init__()
        self.tubelet = options.tubelet
        self.shape = Shape(
            latent_dim=shape.latent_dim,
            patch_dim=options.width,
            side=INPUT_PX // options.patch_px,
            frames_per_token=options.tubelet,
            num_levels=len(options.levels),
        )
        self.pixels = Standardised(options.pixel_mean, options.pixel_spread)
        block = (options.tubelet, options.patch_px, options.patch_px)
        self.patches = nn.Conv3d(IMAGE_CHANNELS, options.width, block, stride=block)
        self.layers = nn.ModuleList(
            Layer(options.width, options.heads) for _ in range(options.layers)
        )
        self.norm = nn.LayerNorm(options.width)
        self.level_numbers = options.levels

    def forward(self, windows: Windows) -> Encoded:
        """Return latents, patch tokens and those of the chosen layers."""
        x = self._embed(windows)
        u, m = x.shape[1:3]
        *levels, dense = (y.unflatten(1, (u, m)) for y in self._levels(x.flatten(1, 2)))
        latents = dense.mean(2).repeat_interleave(self.tubelet, dim=1)
        return Encoded(z=latents[:, : windows.image.shape[1]], dense=dense, levels=tuple(levels))

    def visible(
        self, windows: Windows, keep: Int[Tensor, "b n"]
    ) -> tuple[Float[Tensor, "b n e"], ...]:
        """Return the tokens of kept patches; they see each other, over the whole clip."""
        x = self._embed(windows).flatten(1, 2)
        return self._levels(x.gather(1, keep[..., None].expand(-1, -1, x.shape[-1])))

    def _levels(self, x: Float[Tensor, "b n e"]) -> tuple[Float[Tensor, "b n e"], ...]:
        """Return the tokens after the chosen layers and, normalised, after the last."""
        levels = []
        for number, layer in enumerate(self.layers, start=1):
            x = layer(x)
            if number in self.level_numbers:
                levels.append(x)
        return (*levels, self.norm(x))

    def _embed(self, windows: Windows) -> Float[Tensor, "b u m e"]:
        image = self.pixels(windows.image)
        if missing := -image.shape[1] % self.tubelet:
            image = torch.cat([image, image[:, -1:].expand(-1, missing, -1, -1, -1)], dim=1)
        x = self.patches(image.transpose(1, 2)).flatten(3).permute(0, 2, 3, 1)
        return x + grid_positions(x.shape[1], self.shape.side, x.shape[-1])


def _make(options: ClipViTOptions, shape: Shape) -> ClipViTEncoder:
    check_vit(options.patch_px, options.width, options.heads, options.layers, options.levels)
    check_mean(options.width, shape)
    return ClipViTEncoder(options, shape)


CLIP_VIT = PartKind(
    options=ClipViTOptions,
    make=_make,
    provides=frozenset({"latent", "dense", "maskable", "levels"}),
)
