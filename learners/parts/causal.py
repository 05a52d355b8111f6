"""A causal transformer over a short history of latents, steered by the actions.

Axis letters: b batch, t time, l tokens, d latent, n batch of rollouts.
"""

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from learners.encoder import Projector
from learners.parts.kinds import Options, PartKind, Shape
from learners.parts.vit import Attention


class CausalOptions(Options):
    """Settings."""

    width: int = Field(128, ge=16)
    layers: int = Field(3, ge=1)
    heads: int = Field(4, ge=1)
    history: int = Field(3, ge=1)
    """Latents that a prediction may look at."""
    projector_width: int = Field(256, ge=32)


class SteeredLayer(nn.Module):
    """Attention and perceptron whose scale, shift and gate come from the action.

    References:
        Peebles and Xie 2023, arXiv:2212.09748, section 3.2 (adaLN-Zero).
    """

    def __init__(self, width: int, attend: nn.Module) -> None:
        """Draw fresh weights.

        Args:
            width: Features of a token.
            attend: Mixes tokens; called with them and with what `forward` is given besides.
        """
        super().__init__()
        self.attend_norm = nn.LayerNorm(width, elementwise_affine=False)
        self.attend = attend
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.perceptron = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        last = nn.Linear(width, 6 * width)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.steer = nn.Sequential(nn.SiLU(), last)

    def forward(
        self, x: Float[Tensor, "b l e"], action: Float[Tensor, "b t e"], *around: Tensor
    ) -> Float[Tensor, "b l e"]:
        """Return the tokens after one layer; at initialisation they are unchanged.

        Each action steers the l / t tokens of its frame.
        """
        steer = self.steer(action).repeat_interleave(x.shape[1] // action.shape[1], dim=1)
        scale, shift, gate, scale_2, shift_2, gate_2 = steer.chunk(6, dim=-1)
        x = x + gate * self.attend(self.attend_norm(x) * (1 + scale) + shift, *around)
        return x + gate_2 * self.perceptron(self.norm(x) * (1 + scale_2) + shift_2)


class CausalPredictor(nn.Module):
    """Predict the next latent of every frame from the `history` frames up to it.

    References:
        Maes et al. 2026, arXiv:2603.19312, section 3 (causal, adaLN-Zero, its own projector).
    """

    def __init__(self, options: CausalOptions, shape: Shape) -> None:
        super().__init__()
        self.history = options.history
        self.enter = nn.Linear(shape.latent_dim, options.width)
        self.place = nn.Parameter(0.02 * torch.randn(options.history, options.width))
        self.action = nn.Sequential(
            nn.Linear(2, 4 * options.width), nn.SiLU(), nn.Linear(4 * options.width, options.width)
        )
        self.layers = nn.ModuleList(
            SteeredLayer(options.width, Attention(options.width, options.heads))
            for _ in range(options.layers)
        )
        self.norm = nn.LayerNorm(options.width)
        self.projector = Projector(options.width, options.projector_width, shape.latent_dim)

    def forward(
        self, z: Float[Tensor, "b t d"], command: Float[Tensor, "b t 2"]
    ) -> Float[Tensor, "b t d"]:
        """Return for each latent the one after its command."""
        b, t, d = z.shape
        h = min(self.history, t)
        # One short sequence per frame: every prediction sees the same length, as in a rollout.
        padded = torch.cat([z[:, :1].expand(-1, h - 1, -1), z], dim=1).unfold(1, h, 1)
        commands = torch.cat([command[:, :1].expand(-1, h - 1, -1), command], dim=1).unfold(1, h, 1)
        known = torch.arange(t)[:, None] - torch.arange(h - 1, -1, -1) >= 0
        out = self._last(
            padded.transpose(2, 3).reshape(b * t, h, d),
            commands.transpose(2, 3).reshape(b * t, h, 2),
            known.expand(b, -1, -1).reshape(b * t, h),
        )
        return out.unflatten(0, (b, t))

    def rollout(
        self, z: Float[Tensor, "n d"], commands: Float[Tensor, "n t 2"]
    ) -> Float[Tensor, "n t d"]:
        """Return the latents after each command; step k reads the prediction of step k - 1."""
        latents = [z]
        for step in range(commands.shape[1]):
            begin = max(step + 1 - self.history, 0)
            seen = torch.stack(latents[begin:], dim=1)
            done = commands[:, begin : step + 1]
            known = torch.ones(seen.shape[:2], dtype=torch.bool)
            latents.append(self._last(seen, done, known))
        return torch.stack(latents[1:], dim=1)

    def _last(self, z: Tensor, command: Tensor, known: Tensor) -> Float[Tensor, "n d"]:
        """Return what follows the last of a short sequence; unknown latents are not looked at."""
        h = z.shape[1]
        x = self.enter(z) + self.place[-h:]
        action = self.action(command)
        causal = torch.ones(h, h, dtype=torch.bool).tril()
        # A token always sees itself: a row without any would be undefined.
        may_see = (causal & known[:, None, :]) | torch.eye(h, dtype=torch.bool)
        for layer in self.layers:
            x = layer(x, action, may_see[:, None])
        return self.projector(self.norm(x[:, -1]))


CAUSAL = PartKind(
    options=CausalOptions,
    make=CausalPredictor,
    provides=frozenset({"predictor"}),
    needs=frozenset({"latent"}),
)
