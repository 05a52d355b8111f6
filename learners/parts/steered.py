"""The predictor of the daemon: one latent and one action in, the next latent out."""

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from learners.parts.kinds import Options, PartKind, Shape
from learners.predictor import Predictor


class SteeredOptions(Options):
    """Settings."""

    width: int = Field(256, ge=16)
    blocks: int = Field(3, ge=1)


class SteeredPredictor(nn.Module):
    """`learners.predictor.Predictor` on sequences; looks at the last latent alone."""

    def __init__(self, options: SteeredOptions, shape: Shape) -> None:
        super().__init__()
        self.steps = Predictor(shape.latent_dim, options.width, options.blocks)

    def forward(
        self, z: Float[Tensor, "b t d"], command: Float[Tensor, "b t 2"]
    ) -> Float[Tensor, "b t d"]:
        """Return for each latent the one after its command."""
        b, t = z.shape[:2]
        return self.steps(z.flatten(0, 1), command.flatten(0, 1)).unflatten(0, (b, t))

    def rollout(
        self, z: Float[Tensor, "n d"], commands: Float[Tensor, "n t 2"]
    ) -> Float[Tensor, "n t d"]:
        """Return the latents after each command, each predicted from the one before."""
        return self.steps.rollout(z, commands)


STEERED = PartKind(
    options=SteeredOptions,
    make=SteeredPredictor,
    provides=frozenset({"predictor"}),
    needs=frozenset({"latent"}),
)
