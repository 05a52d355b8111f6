"""Small convolutions on single frames: one latent each, from pixels alone.

Axis letters: b batch, t time, n = b * t frames, c channels, h w image, e features, d latent.
"""

import math

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from learners.batch import INPUT_PX, Windows
from learners.encoder import CHANNELS, STRIDES, TOKEN_DIM, Projector, Stem
from learners.parts.kinds import Encoded, Options, PartKind, Shape


class ConvOptions(Options):
    """Settings."""

    projector_width: int = Field(256, ge=32)


class ConvEncoder(nn.Module):
    """The daemon's convolutions without odometry and objects.

    Attributes:
        trunk: From images (n c h w) to features (n `TOKEN_DIM`).
    """

    def __init__(self, options: ConvOptions, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.trunk = Trunk()
        self.projector = Projector(TOKEN_DIM, options.projector_width, shape.latent_dim)

    def forward(self, windows: Windows) -> Encoded:
        """Return latents."""
        b, t = windows.image.shape[:2]
        return Encoded(z=self.latents(windows.image.flatten(0, 1)).unflatten(0, (b, t)))

    def latents(self, image: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """Return the latents of images."""
        z: Tensor = self.projector(self.trunk(image))
        return z


class Trunk(nn.Module):
    """Convolutions whose last map is read cell by cell: places in the image are kept apart."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Stem()
        side = INPUT_PX // math.prod(STRIDES)
        self.leave = nn.Linear(CHANNELS[-1] * side * side, TOKEN_DIM)

    def forward(self, image: Float[Tensor, "n c h w"]) -> Float[Tensor, "n e"]:
        """Return features of frames."""
        features: Tensor = self.leave(self.stem(image)[-1].flatten(1))
        return features


CONV = PartKind(options=ConvOptions, make=ConvEncoder, provides=frozenset({"latent"}))
