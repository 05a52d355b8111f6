"""From a latent and an action to the next latent: residual blocks steered by the action.

Axis letters: n batch, t time, d latent.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

_CONDITION_DIM = 64


class Block(nn.Module):
    """Residual perceptron whose scale, shift and gate come from the action.

    References:
        Peebles and Xie 2023, arXiv:2212.09748, section 3.2 (adaLN-Zero).
    """

    def __init__(self, latent_dim: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(latent_dim, elementwise_affine=False)
        self.enter = nn.Linear(latent_dim, width)
        self.leave = nn.Linear(width, latent_dim)
        self.activation = nn.ReLU()

    def forward(self, z: Float[Tensor, "n d"], steer: Float[Tensor, "n e"]) -> Float[Tensor, "n d"]:
        """Return the latent plus a gated change; `steer` holds scale, shift and gate."""
        scale, shift, gate = steer.chunk(3, dim=-1)
        x = self.norm(z) * (1 + scale) + shift
        return z + gate * self.leave(self.activation(self.enter(x)))


class Predictor(nn.Module):
    """Predict the next latent. At initialisation it copies, whatever the action."""

    def __init__(self, latent_dim: int, width: int, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(latent_dim, width) for _ in range(blocks))
        self.condition = nn.Sequential(
            nn.Linear(2, _CONDITION_DIM),
            nn.GELU(),
            nn.Linear(_CONDITION_DIM, _CONDITION_DIM),
            nn.GELU(),
        )
        self.steer = nn.Linear(_CONDITION_DIM, 3 * latent_dim * blocks)
        nn.init.zeros_(self.steer.weight)
        nn.init.zeros_(self.steer.bias)

    def forward(
        self, z: Float[Tensor, "n d"], action: Float[Tensor, "n 2"]
    ) -> Float[Tensor, "n d"]:
        """Return the next latents.

        Args:
            z: Latents now.
            action: In units of `learners.batch.Scale`.
        """
        return self._advance(z, self.steer(self.condition(action)))

    def rollout(
        self, z: Float[Tensor, "n d"], actions: Float[Tensor, "n t 2"]
    ) -> Float[Tensor, "n t d"]:
        """Return the latents after each action; step k starts from the prediction of step k - 1."""
        # The actions are all known: steer them in one product, only the latents are sequential.
        steers = self.steer(self.condition(actions.transpose(0, 1)))
        latents = []
        for steer in steers:
            z = self._advance(z, steer)
            latents.append(z)
        return torch.stack(latents, dim=1)

    def _advance(
        self, z: Float[Tensor, "n d"], steer: Float[Tensor, "n e"]
    ) -> Float[Tensor, "n d"]:
        for block, part in zip(self.blocks, steer.chunk(len(self.blocks), dim=-1), strict=True):
            z = block(z, part)
        return z
