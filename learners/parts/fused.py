"""The encoder of the daemon: visual, ego and object tokens in one latent; small convolutions.

Axis letters: n crops, c channels, s side, a appearance.
"""

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from learners.batch import Windows
from learners.encoder import Encoder
from learners.parts.kinds import Encoded, Options, PartKind, Shape


class FusedOptions(Options):
    """Settings."""

    width: int = Field(256, ge=32)
    """Hidden width of the projector."""


class FusedEncoder(nn.Module):
    """`learners.encoder.Encoder` on windows."""

    def __init__(self, options: FusedOptions, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.frames = Encoder(shape.latent_dim, options.width)

    def forward(self, windows: Windows) -> Encoded:
        """Return latents and object appearances."""
        b, t = windows.image.shape[:2]
        encoded = self.frames(
            windows.image.flatten(0, 1),
            windows.ego.flatten(0, 1),
            windows.geometry.flatten(0, 1),
            windows.valid.flatten(0, 1),
        )
        return Encoded(
            z=encoded.z.unflatten(0, (b, t)), appearance=encoded.appearance.unflatten(0, (b, t))
        )

    def embed(self, crops: Float[Tensor, "n c s s"]) -> Float[Tensor, "n a"]:
        """Return unit vectors of crops; see `learners.encoder.Encoder.embed`."""
        return self.frames.embed(crops)


FUSED = PartKind(
    options=FusedOptions,
    make=FusedEncoder,
    provides=frozenset({"latent", "appearance", "crops"}),
)
