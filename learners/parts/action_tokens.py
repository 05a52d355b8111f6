"""A block-causal predictor over [action, state, patches] of every frame.

Axis letters: n sequences, t time, d latent, m patches, e features, l tokens.
"""

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from learners.parts.kinds import Options, PartKind, Shape
from learners.parts.token_predictor import (
    RotaryAttention,
    TokenPredictor,
    block_causal,
    check_heads,
    frame_places,
    rotary_turns,
)

_BEFORE = 2
"""The action token and the state token."""


class ActionTokenOptions(Options):
    """Settings."""

    width: int = Field(96, ge=16)
    layers: int = Field(3, ge=1)
    heads: int = Field(4, ge=1)
    history: int = Field(8, ge=1)
    """Frames that a prediction may look at."""


class _Layer(nn.Module):
    """Pre-norm attention and perceptron."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attend_norm, self.attend = nn.LayerNorm(width), RotaryAttention(width, heads)
        self.norm = nn.LayerNorm(width)
        self.perceptron = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(
        self, x: Float[Tensor, "n l e"], turns: Tensor, may_see: Bool[Tensor, "l l"]
    ) -> Float[Tensor, "n l e"]:
        """Return the tokens after one layer."""
        x = x + self.attend(self.attend_norm(x), turns, may_see)
        return x + self.perceptron(self.norm(x))


class ActionTokenPredictor(TokenPredictor):
    """Predict the next frame's patch tokens, layer-normalised, from all tokens so far.

    What is learned is the change of the patches: the source predicts the patches themselves, and
    learns from far more updates. The next state is not learned: it is what an ideal body would do
    at the command (the bend of the arc within one tick left out).

    References:
        Assran et al. 2025, arXiv:2506.09985, section 3.1, Eq. (2) to (4).
    """

    def __init__(self, options: ActionTokenOptions, shape: Shape) -> None:
        super().__init__(shape, options.history)
        width = options.width
        check_heads(width, options.heads)
        self.enter = nn.Linear(self.layout.features, width)
        self.enter_state = nn.Linear(self.layout.state, width)
        self.enter_action = nn.Linear(2, width)
        self.layers = nn.ModuleList(_Layer(width, options.heads) for _ in range(options.layers))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, self.layout.features)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)
        self.head_dim = width // options.heads

    def after(
        self, z: Float[Tensor, "n t d"], command: Float[Tensor, "n t 2"]
    ) -> Float[Tensor, "n t d"]:
        """Return what follows each frame."""
        t = z.shape[1]
        patches, state = self.layout.split(z)
        x = torch.cat(
            [
                self.enter_action(command)[:, :, None],
                self.enter_state(state)[:, :, None],
                self.enter(patches),
            ],
            dim=2,
        ).flatten(1, 2)
        place = frame_places(t, self.side, _BEFORE)
        turns, may_see = rotary_turns(place, self.head_dim), block_causal(place)
        for layer in self.layers:
            x = layer(x, turns, may_see)
        out = self.leave(self.norm(x.unflatten(1, (t, -1))[:, :, _BEFORE:]))
        out = functional.layer_norm(patches + out, out.shape[-1:])
        return self.layout.join(out, _ideal_state(command, self.layout.state))

    def energy(self, z: Float[Tensor, "*s d"], goal: Float[Tensor, "*s d"]) -> Float[Tensor, "*s"]:
        """Return the mean absolute difference of patch tokens."""
        patches, wanted = self.layout.split(z)[0], self.layout.split(goal)[0]
        return (patches - wanted).abs().mean(dim=(-2, -1))


def _ideal_state(command: Float[Tensor, "*s 2"], size: int) -> Float[Tensor, "*s p"]:
    """Return (dx, dy, dyaw, bumped) of a body that moves as told, in units of one tick."""
    state = command.new_zeros((*command.shape[:-1], size))
    state[..., 0], state[..., 2] = command[..., 0], command[..., 1]
    return state


ACTION_TOKENS = PartKind(
    options=ActionTokenOptions,
    make=ActionTokenPredictor,
    provides=frozenset({"predictor", "token_predictor"}),
    needs=frozenset({"frame_tokens"}),
)
