"""What predictors over patch tokens share: block-causal attention, rotary places, the rollout.

Axis letters: n sequences, b batch, t time, w past frames, k steps, d latent, m patches of a frame,
l tokens of a sequence, h heads, e features.
"""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from learners.parts.frame_tokens import Layout
from learners.parts.kinds import Shape

_BASE = 100.0
"""Longest wavelength of the rotary places over 2 pi: sequences and grids are short."""


class TokenPredictor(nn.Module, ABC):
    """Predict every frame's successor from the frames up to it; the base of such predictors.

    Args:
        shape: Of an encoder that provides `frame_tokens`.
        history: Frames that a prediction may look at, in training and in planning.
    """

    def __init__(self, shape: Shape, history: int) -> None:
        super().__init__()
        self.layout, self.side, self.history = Layout.of(shape), shape.side, history

    @abstractmethod
    def after(
        self, z: Float[Tensor, "n t d"], command: Float[Tensor, "n t 2"]
    ) -> Float[Tensor, "n t d"]:
        """Return what follows each of at most `history` frames, given those before it."""

    def forward(
        self, z: Float[Tensor, "b t d"], command: Float[Tensor, "b t 2"]
    ) -> Float[Tensor, "b t d"]:
        """Return for each latent the one after its command."""
        h = self.history
        first = self.after(z[:, :h], command[:, :h])
        if z.shape[1] <= h:
            return first
        # Later frames get sequences of their own: layers that each look back `history` frames
        # would together look back farther than a plan can.
        clips = z.unfold(1, h, 1)[:, 1:].transpose(2, 3)
        commands = command.unfold(1, h, 1)[:, 1:].transpose(2, 3)
        later = self.after(clips.flatten(0, 1), commands.flatten(0, 1))[:, -1]
        return torch.cat([first, later.unflatten(0, (len(z), -1))], dim=1)

    def rollout(
        self, z: Float[Tensor, "n d"], commands: Float[Tensor, "n k 2"]
    ) -> Float[Tensor, "n k d"]:
        """Return the latents after each command; step k reads the prediction of step k - 1."""
        return self.unroll(z[:, None], commands[:, :0], commands)

    def unroll(
        self,
        past: Float[Tensor, "n w d"],
        done: Float[Tensor, "n v 2"],
        commands: Float[Tensor, "n k 2"],
        *,
        states: Float[Tensor, "n k p"] | None = None,
        cut: bool = False,
    ) -> Float[Tensor, "n k d"]:
        """Return the latents after each command, each fed back for the next.

        Args:
            past: True latents, the last one now.
            done: The commands between them, one less.
            commands: What to do from now on.
            states: True states of the predicted frames, fed back instead of predicted ones.
            cut: Whether no gradient flows from a step into the one before.
        """
        seen, given, out = past, done, []
        for step in range(commands.shape[1]):
            given = torch.cat([given, commands[:, step : step + 1]], dim=1)[:, -self.history :]
            seen = seen[:, -self.history :]
            latent = self.after(seen, given)[:, -1]
            if states is not None:
                latent = self.layout.join(self.layout.split(latent)[0], states[:, step])
            out.append(latent)
            fed = latent.detach() if cut else latent
            seen = torch.cat([seen, fed[:, None]], dim=1)
        return torch.stack(out, dim=1)

    @abstractmethod
    def energy(self, z: Float[Tensor, "*s d"], goal: Float[Tensor, "*s d"]) -> Float[Tensor, "*s"]:
        """Return how far latents are from a goal's, as the predictor was trained to measure it."""


class RotaryAttention(nn.Module):
    """Self-attention whose queries and keys are turned by the token's frame, row and column.

    References:
        Su et al. 2021, arXiv:2104.09864, Eq. (34); three axes as in Assran et al. 2025,
        arXiv:2506.09985, section 2.1.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.leave = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "n l e"], turns: Tensor, may_see: Bool[Tensor, "l l"]
    ) -> Float[Tensor, "n l e"]:
        """Return the mixed tokens; `turns` are those of `rotary_turns` for each token."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(
            _turn(q, turns), _turn(k, turns), v, attn_mask=may_see
        )
        return self.leave(mixed.transpose(1, 2).flatten(2))


def rotary_turns(place: Int[Tensor, "l 3"], head_dim: int) -> Float[Tensor, "l r"]:
    """Return the angle of each pair of features: frame, row and column take turns."""
    pair = torch.arange(head_dim // 2)
    slots = -(-len(pair) // 3)
    frequency = _BASE ** (-(pair // 3) / slots)
    return place[:, pair % 3] * frequency


def _turn(x: Float[Tensor, "n h l e"], turns: Float[Tensor, "l r"]) -> Float[Tensor, "n h l e"]:
    cos, sin = turns.cos(), turns.sin()
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2)


def frame_places(num_frames: int, side: int, num_before: int = 0) -> Int[Tensor, "l 3"]:
    """Return frame, row and column of each token.

    The first `num_before` of a frame have no place in the image: their frame alone turns them.
    """
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    image = torch.stack([row.flatten(), column.flatten()], dim=1)
    image = torch.cat([image.new_zeros(num_before, 2), image])
    frame = torch.arange(num_frames).repeat_interleave(len(image))
    return torch.cat([frame[:, None], image.repeat(num_frames, 1)], dim=1)


def block_causal(place: Int[Tensor, "l 3"]) -> Bool[Tensor, "l l"]:
    """Return who may look at whom: all tokens of one's own frame and of those before."""
    return place[:, 0][:, None] >= place[:, 0]


def check_heads(width: int, heads: int) -> None:
    """Check that heads divide the width evenly.

    Raises:
        ValueError: If not.
    """
    if width % (2 * heads):
        raise ValueError(f"width {width} is no multiple of twice the heads {heads}")
