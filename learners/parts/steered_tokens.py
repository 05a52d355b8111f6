"""A frame-causal predictor over patch tokens that carry the body's state, steered by actions.

Axis letters: n sequences, t time, d latent, m patches, e features, l tokens.
"""

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from learners.parts.causal import SteeredLayer
from learners.parts.kinds import Options, PartKind, Shape
from learners.parts.token_predictor import (
    RotaryAttention,
    TokenPredictor,
    block_causal,
    check_heads,
    frame_places,
    rotary_turns,
)


class SteeredTokenOptions(Options):
    """Settings."""

    width: int = Field(96, ge=16)
    layers: int = Field(3, ge=1)
    heads: int = Field(4, ge=1)
    history: int = Field(3, ge=1)
    """Frames that a prediction may look at."""
    state_width: int = Field(16, ge=1)
    """Features that carry the body's state beside those of each patch."""


class SteeredTokenPredictor(TokenPredictor):
    """Predict the next frame's patch tokens and the next state.

    What is learned is the change of the patches, which takes fewer updates than the patches
    themselves would. The state enters each token as features of its own; its plain numbers are
    predicted, from the mean token: a learned embedding as the target could make itself easy.

    References:
        Terver et al. 2025, arXiv:2512.24497, section 3 and Table of design choices.
    """

    def __init__(self, options: SteeredTokenOptions, shape: Shape) -> None:
        super().__init__(shape, options.history)
        width, layout = options.width, self.layout
        check_heads(width, options.heads)
        self.embed_state = nn.Linear(layout.state, options.state_width)
        self.enter = nn.Linear(layout.features + options.state_width, width)
        self.action = nn.Sequential(nn.Linear(2, 4 * width), nn.SiLU(), nn.Linear(4 * width, width))
        self.layers = nn.ModuleList(
            SteeredLayer(width, RotaryAttention(width, options.heads))
            for _ in range(options.layers)
        )
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, layout.features)
        self.leave_state = nn.Linear(width, layout.state)
        self.head_dim = width // options.heads

    def after(
        self, z: Float[Tensor, "n t d"], command: Float[Tensor, "n t 2"]
    ) -> Float[Tensor, "n t d"]:
        """Return what follows each frame."""
        t = z.shape[1]
        patches, state = self.layout.split(z)
        carried = self.embed_state(state)[:, :, None].expand(-1, -1, self.layout.patches, -1)
        x = self.enter(torch.cat([patches, carried], dim=-1)).flatten(1, 2)
        action = self.action(command)
        place = frame_places(t, self.side)
        turns, may_see = rotary_turns(place, self.head_dim), block_causal(place)
        for layer in self.layers:
            x = layer(x, action, turns, may_see)
        x = self.norm(x).unflatten(1, (t, -1))
        return self.layout.join(patches + self.leave(x), self.leave_state(x.mean(dim=2)))

    def energy(self, z: Float[Tensor, "*s d"], goal: Float[Tensor, "*s d"]) -> Float[Tensor, "*s"]:
        """Return the mean squared gap of patch tokens.

        The source adds a tenth of the gap of the states, which are places there. Here they are the
        last tick's motion: how the body moved when the goal was seen is not part of the goal.
        """
        patches, wanted = self.layout.split(z)[0], self.layout.split(goal)[0]
        return (patches - wanted).square().mean(dim=(-2, -1))


STEERED_TOKENS = PartKind(
    options=SteeredTokenOptions,
    make=SteeredTokenPredictor,
    provides=frozenset({"predictor", "token_predictor"}),
    needs=frozenset({"frame_tokens"}),
)
