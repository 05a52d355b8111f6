"""A model composed of a recipe's parts.

Axis letters: b batch, t time, n batch of rollouts, d latent.
"""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from learners.batch import Windows
from learners.parts.kinds import Encoded


class ComposedModel(nn.Module):
    """The parts of a recipe under their names: `encoder`, `target`, `predictor`, `masks`, heads.

    Losses and probes ask for a part by its name; `has` says whether it is there.

    Args:
        parts: By section, heads by their own name.
    """

    encoder: Any
    target: Any
    predictor: Any
    subspaces: Any
    motion: Any
    quasi_distance: Any
    multiplier: Any
    reactive: Any
    tracks: Any
    masks: Any
    aggregate: Any

    def __init__(self, parts: dict[str, nn.Module]) -> None:
        super().__init__()
        self.names = tuple(parts)
        for name, part in parts.items():
            self.add_module(name, part)

    def has(self, name: str) -> bool:
        """Return whether there is such a part."""
        return name in self.names

    @property
    def planes(self) -> Float[Tensor, "k s d"]:
        """The frozen subspaces of a recipe that has them."""
        planes: Tensor = self.subspaces.planes
        return planes

    def encode(self, windows: Windows) -> Encoded:
        """Return the tokens of all frames."""
        encoded: Encoded = self.encoder(windows)
        return encoded

    def predict(
        self, z: Float[Tensor, "b t d"], command: Float[Tensor, "b t 2"]
    ) -> Float[Tensor, "b t d"]:
        """Return for each latent the one after its command."""
        predicted: Tensor = self.predictor(z, command)
        return predicted

    def rollout(
        self, z: Float[Tensor, "n d"], commands: Float[Tensor, "n t 2"]
    ) -> Float[Tensor, "n t d"]:
        """Return the latents after each command, each predicted from the one before."""
        rolled: Tensor = self.predictor.rollout(z, commands)
        return rolled

    def after_step(self, progress: float) -> None:
        """Let the target follow the encoder.

        Args:
            progress: Share of the planned updates already taken, 0 to 1.
        """
        self.target.follow(self.encoder, progress)
