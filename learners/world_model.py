"""The world model: encode, predict, roll out. It computes; losses judge elsewhere.

Axis letters: b batch, t time, n frames, d latent, k objects, a appearance.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from learners.batch import Windows
from learners.config import ModelConfig
from learners.encoder import Encoder
from learners.heads import InverseDynamics, Motion, ObjectHead
from learners.predictor import Predictor
from learners.quasidistance import QuasiDistance


class EncodedWindows(NamedTuple):
    """Latents and object appearances of windows."""

    z: Float[Tensor, "b t d"]
    appearance: Float[Tensor, "b t k a"]


class WorldModel(nn.Module):
    """Encoder, predictor and heads, with the frozen subspaces of their regulariser."""

    subspaces: Tensor

    def __init__(self, config: ModelConfig, seed: int) -> None:
        """Draw fresh weights.

        Args:
            config: Shape.
            seed: Draws the weights and, once for the whole lineage, the subspaces.
        """
        super().__init__()
        self.config = config
        d, width = config.latent_dim, config.width
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = Encoder(d, width)
            self.predictor = Predictor(d, width, config.predictor_blocks)
            self.inverse_dynamics = InverseDynamics(d, width // 2)
            self.motion = Motion(d, width // 2)
            self.objects = ObjectHead(d, width // 2)
            self.quasi_distance = QuasiDistance(
                d, width // 2, config.iqe_components, config.iqe_intervals
            )
            # A buffer: new subspaces would be a new prior and would drag every latent along.
            self.register_buffer("subspaces", draw_subspaces(d, config.subspace_dim))
        self.initial: dict[str, Tensor] = {}
        """Weights that `l2_init` pulls towards, by name; not part of the state."""

    @property
    def planes(self) -> Float[Tensor, "k s d"]:
        """The frozen subspaces."""
        return self.subspaces

    def encode(self, windows: Windows) -> EncodedWindows:
        """Return the latents of all frames."""
        b, t = windows.image.shape[:2]
        encoded = self.encoder(
            windows.image.flatten(0, 1),
            windows.ego.flatten(0, 1),
            windows.geometry.flatten(0, 1),
            windows.valid.flatten(0, 1),
        )
        return EncodedWindows(
            encoded.z.unflatten(0, (b, t)), encoded.appearance.unflatten(0, (b, t))
        )

    def predict(
        self, z: Float[Tensor, "b t d"], action: Float[Tensor, "b t 2"]
    ) -> Float[Tensor, "b t d"]:
        """Return for each latent the one after its action."""
        b, t = z.shape[:2]
        return self.predictor(z.flatten(0, 1), action.flatten(0, 1)).unflatten(0, (b, t))

    def rollout(
        self, z: Float[Tensor, "n d"], actions: Float[Tensor, "n t 2"]
    ) -> Float[Tensor, "n t d"]:
        """Return the latents after each action, each predicted from the one before."""
        return self.predictor.rollout(z, actions)


def draw_subspaces(latent_dim: int, subspace_dim: int) -> Float[Tensor, "k s d"]:
    """Return latent_dim / subspace_dim independent planes with orthonormal rows.

    References:
        Sub-JEPA 2026, arXiv:2605.09241, section 3 (random frozen subspaces).
    """
    count = max(latent_dim // subspace_dim, 1)
    gaussian = torch.randn(count, latent_dim, subspace_dim)
    basis, _ = torch.linalg.qr(gaussian)
    return basis.transpose(1, 2).contiguous()
