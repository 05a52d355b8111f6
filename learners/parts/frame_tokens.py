"""Latents that are a frame's patch tokens in a row, followed by the body's state.

A planner, a probe or a loss that knows nothing of patches sees one vector per frame; predictors
over patches take it apart.

Axis letters: s leading axes, d latent, m patches, e patch features, p state.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from learners.parts.kinds import Shape


@dataclass(frozen=True, slots=True)
class Layout:
    """Where patches and state lie in a latent."""

    patches: int
    features: int
    state: int

    @classmethod
    def of(cls, shape: Shape) -> "Layout":
        """Return the layout of an encoder that provides `frame_tokens`."""
        return cls(shape.side**2, shape.patch_dim, shape.state_dim)

    @property
    def latent_dim(self) -> int:
        """Size of the latent."""
        return self.patches * self.features + self.state

    def split(self, z: Float[Tensor, "*s d"]) -> tuple[Tensor, Tensor]:
        """Return patches (*s m e) and state (*s p)."""
        flat, state = z.split([self.patches * self.features, self.state], dim=-1)
        return flat.unflatten(-1, (self.patches, self.features)), state

    def join(
        self, patches: Float[Tensor, "*s m e"], state: Float[Tensor, "*s p"]
    ) -> Float[Tensor, "*s d"]:
        """Return the latent."""
        return torch.cat([patches.flatten(-2), state], dim=-1)
