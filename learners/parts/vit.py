"""A small vision transformer on single frames: patch tokens, and a latent from their mean.

Axis letters: b batch, t time, f = b * t frames, m patches, e patch features, n kept patches,
d latent, h heads.
"""

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from learners.batch import IMAGE_CHANNELS, INPUT_PX, Windows
from learners.encoder import Projector
from learners.parts.kinds import Encoded, Options, PartKind, Shape
from learners.parts.pixels import NO_MEAN, NO_SPREAD, Channels, Standardised


class PatchViTOptions(Options):
    """Settings of a transformer whose latent is the mean of its patch tokens."""

    patch_px: int = Field(8, ge=2, le=INPUT_PX)
    width: int = Field(128, ge=16)
    layers: int = Field(4, ge=1)
    heads: int = Field(4, ge=1)
    levels: tuple[int, ...] = ()
    """Layers, from 1, whose tokens are returned too, for deep supervision."""
    pixel_mean: Channels = NO_MEAN
    """Taken off the channels of the image."""
    pixel_spread: Channels = NO_SPREAD
    """What the channels are divided by; see `learners.parts.pixels`."""


class ViTOptions(PatchViTOptions):
    """Settings of a transformer with a projector between the mean and the latent."""

    projector_width: int = Field(256, ge=32)


class Attention(nn.Module):
    """Self-attention; `may_see` restricts who sees whom."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.leave = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "f m e"], may_see: Tensor | None = None
    ) -> Float[Tensor, "f m e"]:
        """Return the mixed tokens; `may_see` is true where the row may look at the column."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = mix(q, k, v, may_see)
        return self.leave(mixed.transpose(1, 2).flatten(2))


def mix(
    q: Float[Tensor, "f h m e"],
    k: Float[Tensor, "f h m e"],
    v: Float[Tensor, "f h m e"],
    may_see: Tensor | None = None,
) -> Float[Tensor, "f h m e"]:
    """Return the values that each token attends to; `may_see` as in `Attention`."""
    if q.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=may_see)
    # In few bits the fused kernel's backward pass takes five times as long as plain products.
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if may_see is not None:
        scores = scores.masked_fill(~may_see, float("-inf"))
    return scores.softmax(dim=-1) @ v


class Layer(nn.Module):
    """Pre-norm attention and perceptron.

    References:
        Dosovitskiy et al. 2021, arXiv:2010.11929, Eq. (2) and (3).
    """

    def __init__(self, width: int, heads: int, expand: int = 4) -> None:
        super().__init__()
        self.attend_norm, self.attend = nn.LayerNorm(width), Attention(width, heads)
        self.norm = nn.LayerNorm(width)
        self.perceptron = nn.Sequential(
            nn.Linear(width, expand * width), nn.GELU(), nn.Linear(expand * width, width)
        )

    def forward(
        self, x: Float[Tensor, "f m e"], may_see: Tensor | None = None
    ) -> Float[Tensor, "f m e"]:
        """Return the tokens after one layer."""
        x = x + self.attend(self.attend_norm(x), may_see)
        return x + self.perceptron(self.norm(x))


class ViTEncoder(nn.Module):
    """Encode every frame alone. Satisfies `MaskableEncoder`.

    Args:
        options: Settings.
        shape: Holds the latent's size.
        projector: From the mean of the patch tokens to the latent.
    """

    def __init__(self, options: PatchViTOptions, shape: Shape, projector: nn.Module) -> None:
        super().__init__()
        side = INPUT_PX // options.patch_px
        self.shape = Shape(
            latent_dim=shape.latent_dim,
            patch_dim=options.width,
            side=side,
            num_levels=len(options.levels),
        )
        self.pixels = Standardised(options.pixel_mean, options.pixel_spread)
        self.patches = nn.Conv2d(
            IMAGE_CHANNELS, options.width, options.patch_px, stride=options.patch_px
        )
        self.place = nn.Parameter(0.02 * torch.randn(side * side, options.width))
        self.layers = nn.ModuleList(
            Layer(options.width, options.heads) for _ in range(options.layers)
        )
        self.norm = nn.LayerNorm(options.width)
        self.level_numbers = options.levels
        self.projector = projector

    def forward(self, windows: Windows) -> Encoded:
        """Return latents, patch tokens and those of the chosen layers."""
        b, t = windows.image.shape[:2]
        x = self._embed(windows).flatten(0, 1)
        levels = []
        for number, layer in enumerate(self.layers, start=1):
            x = layer(x)
            if number in self.level_numbers:
                levels.append(x.unflatten(0, (b, t)))
        dense = self.norm(x)
        return Encoded(
            z=self.projector(dense.mean(1)).unflatten(0, (b, t)),
            dense=dense.unflatten(0, (b, t)),
            levels=tuple(levels),
        )

    def visible(
        self, windows: Windows, keep: Int[Tensor, "b n"]
    ) -> tuple[Float[Tensor, "b n e"], ...]:
        """Return the tokens of kept patches; patches of other frames are not seen."""
        num_patches = self.shape.side**2
        x = self._embed(windows).flatten(1, 2)
        x = x.gather(1, keep[..., None].expand(-1, -1, x.shape[-1]))
        frame = keep // num_patches
        alone = windows.image.shape[1] == 1
        may_see = None if alone else (frame[:, :, None] == frame[:, None, :])[:, None]
        levels = []
        for number, layer in enumerate(self.layers, start=1):
            x = layer(x, may_see)
            if number in self.level_numbers:
                levels.append(x)
        return (*levels, self.norm(x))

    def _embed(self, windows: Windows) -> Float[Tensor, "b t m e"]:
        b, t = windows.image.shape[:2]
        x = as_patches(self.pixels(windows.image).flatten(0, 1), self.patches)
        return (x + self.place).unflatten(0, (b, t))


def as_patches(image: Float[Tensor, "f c h w"], convolution: nn.Conv2d) -> Float[Tensor, "f m e"]:
    """Return the patch tokens of a convolution whose steps are as long as its kernel is wide.

    As one product it takes a third of the time, and images need no gradient.
    """
    size = convolution.kernel_size[0]
    cells = image.permute(0, 2, 3, 1).unflatten(2, (-1, size)).unflatten(1, (-1, size))
    flat = cells.transpose(2, 3).flatten(3).flatten(1, 2)
    weight = convolution.weight.permute(0, 2, 3, 1).flatten(1)
    return functional.linear(flat, weight, convolution.bias)


def _make(options: ViTOptions, shape: Shape) -> ViTEncoder:
    check_vit(options.patch_px, options.width, options.heads, options.layers, options.levels)
    projector = Projector(options.width, options.projector_width, shape.latent_dim)
    return ViTEncoder(options, shape, projector)


def _make_patch(options: PatchViTOptions, shape: Shape) -> ViTEncoder:
    check_vit(options.patch_px, options.width, options.heads, options.layers, options.levels)
    check_mean(options.width, shape)
    return ViTEncoder(options, shape, nn.Identity())


def check_vit(patch_px: int, width: int, heads: int, layers: int, levels: tuple[int, ...]) -> None:
    """Check settings that depend on each other.

    Raises:
        ValueError: Names the setting, its value and what would be accepted.
    """
    if INPUT_PX % patch_px:
        raise ValueError(f"patch_px {patch_px} does not divide the {INPUT_PX} px of a side")
    if width % heads:
        raise ValueError(f"width {width} is no multiple of heads {heads}")
    if odd := [number for number in levels if not 1 <= number <= layers]:
        raise ValueError(f"levels {odd} are not among the layers 1 to {layers}")


def check_mean(width: int, shape: Shape) -> None:
    """Check that the latent can be the mean of tokens.

    Raises:
        ValueError: If its size is another.
    """
    if width != shape.latent_dim:
        raise ValueError(
            f"width {width} is not latent_dim {shape.latent_dim}, and the latent is a mean of "
            "tokens: make them equal"
        )


_PROVIDES = frozenset({"latent", "dense", "maskable", "levels"})

VIT = PartKind(options=ViTOptions, make=_make, provides=_PROVIDES)
PATCH_VIT = PartKind(options=PatchViTOptions, make=_make_patch, provides=_PROVIDES)
