"""What is read from latents: motion, collisions, objects.

Axis letters: n batch, d latent, g geometry, a appearance.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from learners.batch import GEOMETRY_FEATURES
from learners.encoder import APPEARANCE_DIM


def _perceptron(in_dim: int, width: int, out_dim: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(in_dim, width), nn.LayerNorm(width), nn.GELU(), nn.Linear(width, out_dim)
    )


class InverseDynamics(nn.Module):
    """Which action led from one latent to the next; forces own motion into the code."""

    def __init__(self, latent_dim: int, width: int) -> None:
        super().__init__()
        self.layers = _perceptron(2 * latent_dim, width, 2)

    def forward(
        self, z: Float[Tensor, "n d"], z_next: Float[Tensor, "n d"]
    ) -> Float[Tensor, "n 2"]:
        """Return the action in units of `learners.batch.Scale`."""
        return self.layers(torch.cat([z, z_next], dim=-1))


class Motion(nn.Module):
    """Egomotion and the chance of a stop that an action will lead to."""

    def __init__(self, latent_dim: int, width: int) -> None:
        super().__init__()
        self.layers = _perceptron(latent_dim + 2, width, 4)
        for parameter in self.layers[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(
        self, z: Float[Tensor, "n d"], action: Float[Tensor, "n 2"]
    ) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n"]]:
        """Return egomotion in units of `learners.batch.Scale`, and collision logits."""
        out = self.layers(torch.cat([z, action], dim=-1))
        # The command itself is the first guess; what is learned is how the place bends it.
        guess = torch.stack([action[:, 0], torch.zeros_like(action[:, 0]), action[:, 1]], dim=-1)
        return guess + out[:, :3], out[:, 3]


class ObjectHead(nn.Module):
    """Where an object will be seen, and as what, when the latent has moved on."""

    def __init__(self, latent_dim: int, width: int) -> None:
        super().__init__()
        token = GEOMETRY_FEATURES + APPEARANCE_DIM
        self.layers = _perceptron(latent_dim + token, width, token)

    def forward(
        self,
        z_next: Float[Tensor, "n d"],
        geometry: Float[Tensor, "n g"],
        appearance: Float[Tensor, "n a"],
    ) -> tuple[Float[Tensor, "n g"], Float[Tensor, "n a"]]:
        """Return geometry and appearance after the step."""
        token = torch.cat([geometry, appearance], dim=-1)
        change = self.layers(torch.cat([z_next, token], dim=-1))
        out = token + change
        return out[:, :GEOMETRY_FEATURES], out[:, GEOMETRY_FEATURES:]
