"""Several views and the motions between them, gathered into one vector.

Axis letters: b batch, t time, s first views, v views, n sequences, d latent, a action features,
r stride.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from learners.parts.kinds import Options, PartKind, Shape


class AggregateOptions(Options):
    """Settings."""

    views: int = Field(3, ge=1)
    """Views that are gathered; 1 leaves nothing to gather."""
    stride: int = Field(2, ge=1)
    """Frames from one view to the next: neighbouring frames show too nearly the same."""
    action_dim: int = Field(32, ge=4)
    layers: int = Field(3, ge=1)
    heads: int = Field(4, ge=1)
    width: int = Field(256, ge=16)
    """Hidden width of what predicts the next view."""


class Gathered(NamedTuple):
    """Sequences of views that begin at successive frames.

    Attributes:
        z: The invariant output: one vector for all views of a sequence.
        next_z: Prediction of the per-view output at the frame that follows the sequence; entry s
            stands for frame `s + views * stride`.
    """

    z: Float[Tensor, "b s e"]
    next_z: Float[Tensor, "b s d"]


class Aggregate(nn.Module):
    """A transformer over views, each with the motion that leads on from it.

    References:
        Ghaemi et al. 2025, arXiv:2505.03176, section 3: a learned token that begins at zero,
        post-norm layers, actions normalised without scale and shift, no code for the order.
    """

    def __init__(self, options: AggregateOptions, shape: Shape) -> None:
        super().__init__()
        self.views, self.stride = options.views, options.stride
        width = shape.latent_dim + options.action_dim
        self.action = nn.Linear(2 * options.stride, options.action_dim)
        self.action_norm = nn.BatchNorm1d(options.action_dim, affine=False)
        self.token = nn.Parameter(torch.zeros(width))
        layer = nn.TransformerEncoderLayer(
            width, options.heads, 2 * width, dropout=0.0, batch_first=True, norm_first=False
        )
        self.layers = nn.TransformerEncoder(layer, options.layers, enable_nested_tensor=False)
        self.foresee = nn.Sequential(
            nn.Linear(width + options.action_dim, options.width),
            nn.GELU(),
            nn.Linear(options.width, shape.latent_dim),
        )

    @property
    def reach(self) -> int:
        """Frames from the first view to the one that is predicted."""
        return self.views * self.stride

    def forward(self, z: Float[Tensor, "b t d"], command: Float[Tensor, "b t 2"]) -> Gathered:
        """Gather every sequence of views whose next view lies in the windows.

        Raises:
            ValueError: If the windows are too short for one.
        """
        b, t = z.shape[:2]
        num_starts = t - self.reach
        if num_starts < 1:
            raise ValueError(
                f"windows of {t} frames hold no {self.views} views {self.stride} frames apart and "
                f"the next one: {self.reach + 1} frames are needed"
            )
        first = torch.arange(num_starts)[:, None]
        at = first + self.stride * torch.arange(self.views)
        steps = at[..., None] + torch.arange(self.stride)
        seen = z[:, at].flatten(0, 1)
        motions = self.action(command[:, steps].flatten(3).flatten(0, 1))
        motions = self.action_norm(motions.flatten(0, 1)).unflatten(0, motions.shape[:2])
        whole = self.gather(seen, motions[:, :-1])
        next_z = self.foresee(torch.cat([whole, motions[:, -1]], dim=-1))
        return Gathered(whole.unflatten(0, (b, -1)), next_z.unflatten(0, (b, -1)))

    def gather(
        self, seen: Float[Tensor, "n v d"], motions: Float[Tensor, "n m a"]
    ) -> Float[Tensor, "n e"]:
        """Return one vector per sequence.

        Args:
            seen: Latents of the views.
            motions: Codes of the motions between them, one fewer than views.
        """
        last = motions.new_zeros((len(seen), 1, self.action_norm.num_features))
        tokens = torch.cat([seen, torch.cat([motions, last], dim=1)], dim=-1)
        begin = self.token.expand(len(seen), 1, -1)
        gathered: Tensor = self.layers(torch.cat([begin, tokens], dim=1))
        return gathered[:, 0]


def _make(options: AggregateOptions, shape: Shape) -> Aggregate:
    width = shape.latent_dim + options.action_dim
    if width % options.heads:
        raise ValueError(
            f"latent_dim {shape.latent_dim} + action_dim {options.action_dim} is no multiple of "
            f"heads {options.heads}"
        )
    return Aggregate(options, shape)


AGGREGATE = PartKind(options=AggregateOptions, make=_make, needs=frozenset({"latent"}))
