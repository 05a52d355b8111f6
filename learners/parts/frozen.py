"""Encoders that are never trained: patch tokens of every frame alone, and the body's state.

Axis letters: b batch, t time, m patches, e patch features, d latent.
"""

import math
from pathlib import Path

from jaxtyping import Float
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from learners.batch import EGO_FEATURES, INPUT_PX, Windows
from learners.parts.frame_tokens import Layout
from learners.parts.kinds import Encoded, Options, PartKind, Shape
from learners.parts.pixels import NO_MEAN, NO_SPREAD, Channels
from learners.parts.vit import VIT

_PREFIX = "encoder."
PROVIDES = frozenset({"latent", "dense", "frame_tokens"})


class GridOptions(Options):
    """Settings of all frozen encoders."""

    grid: int = Field(4, ge=1)
    """Tokens along each side of a frame; finer patches are averaged to this many."""


class FrozenOptions(GridOptions):
    """Settings of our own vision transformer as a frozen encoder."""

    patch_px: int = Field(8, ge=2, le=INPUT_PX)
    width: int = Field(64, ge=16)
    layers: int = Field(2, ge=1)
    heads: int = Field(4, ge=1)
    pixel_mean: Channels = NO_MEAN
    pixel_spread: Channels = NO_SPREAD
    weights: str = ""
    """A safetensors file with a trained encoder of kind `vit` and these sizes, or with a whole
    model that has one. Empty: drawn at random, as the model's other weights are."""


class FrozenEncoder(nn.Module):
    """Patch tokens, averaged to a grid and normalised without affine map, then the ego features.

    The statistics of a frozen network do not depend on what is learned from them, so predictors
    may regress them without anything against collapse.

    Args:
        patches: Maps windows to tokens (b t m e), m a square number.
        shape: Holds the size of the latent that the recipe names.
        width: Features of a token.
        side: Patches along each side of a frame.
        grid: Tokens along each side that are kept.

    Raises:
        ValueError: If the sizes do not fit together.

    References:
        Assran et al. 2025, arXiv:2506.09985, section 3.1 (frames encoded one by one, normalised).
    """

    def __init__(
        self, patches: nn.Module, shape: Shape, *, width: int, side: int, grid: int
    ) -> None:
        super().__init__()
        if side % grid:
            raise ValueError(f"grid {grid} does not divide the {side} patches of a side")
        self.patches = patches.requires_grad_(requires_grad=False).eval()
        self.layout = Layout(grid * grid, width, EGO_FEATURES)
        if shape.latent_dim != self.layout.latent_dim:
            raise ValueError(
                f"latent_dim {shape.latent_dim} is not the {self.layout.latent_dim} of "
                f"{grid} x {grid} tokens of {width} features and {EGO_FEATURES} of the body's state"
            )
        self.shape = Shape(
            latent_dim=shape.latent_dim, patch_dim=width, side=grid, state_dim=EGO_FEATURES
        )

    def train(self, mode: bool = True) -> "FrozenEncoder":
        """Set the mode of everything but the frozen network, which knows none but evaluation."""
        super().train(mode)
        self.patches.eval()
        return self

    def forward(self, windows: Windows) -> Encoded:
        """Return latents and patch tokens, both without gradient."""
        tokens: Float[Tensor, "b t m e"] = self.patches(windows)
        b, t, m, e = tokens.shape
        side, grid = math.isqrt(m), self.shape.side
        if side != grid:
            image = tokens.reshape(b * t, side, side, e).permute(0, 3, 1, 2)
            pooled = functional.avg_pool2d(image, side // grid)
            tokens = pooled.flatten(2).transpose(1, 2).unflatten(0, (b, t))
        dense = functional.layer_norm(tokens, (e,)).detach()
        return Encoded(z=self.layout.join(dense, windows.ego), dense=dense)


class _Patches(nn.Module):
    """The patch tokens of our own vision transformer."""

    def __init__(self, vit: nn.Module) -> None:
        super().__init__()
        self.vit = vit

    def forward(self, windows: Windows) -> Tensor:
        dense = self.vit(windows).dense
        assert isinstance(dense, Tensor)
        return dense


def _make(options: FrozenOptions, shape: Shape) -> FrozenEncoder:
    sizes = options.model_dump(exclude={"grid", "weights"})
    vit = VIT.make(VIT.options.model_validate(sizes), Shape(latent_dim=8))
    if options.weights:
        _load(vit, Path(options.weights))
    side = INPUT_PX // options.patch_px
    return FrozenEncoder(_Patches(vit), shape, width=options.width, side=side, grid=options.grid)


def _load(vit: nn.Module, file: Path) -> None:
    """Load the patch tokens' weights; a projector to a latent is neither needed nor looked at."""
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"weights {str(file)!r} cannot be read as safetensors: {error}") from error
    own = {n.removeprefix(_PREFIX): v for n, v in tensors.items() if n.startswith(_PREFIX)}
    found = own or tensors
    state = {n: v for n, v in vit.state_dict().items() if not n.startswith("projector.")}
    if missing := sorted(state.keys() - found.keys()):
        raise ValueError(f"weights {str(file)!r} hold no {missing[0]!r}: not an encoder 'vit'")
    for name, value in state.items():
        if found[name].shape != value.shape:
            raise ValueError(
                f"weights {str(file)!r}: {name!r} is {tuple(found[name].shape)}, and these "
                f"settings make it {tuple(value.shape)}"
            )
    vit.load_state_dict({name: found[name] for name in state}, strict=False)


FROZEN = PartKind(options=FrozenOptions, make=_make, provides=PROVIDES)
