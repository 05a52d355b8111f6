"""A world of object tracks: where each object will be, told from all others, the body and its acts.

Axis letters: b batch, t time, k rows of a frame, n tracks, f features of a token, e width,
g geometry, a appearance.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from learners.batch import EGO_FEATURES, GEOMETRY_FEATURES
from learners.encoder import APPEARANCE_DIM
from learners.parts.kinds import Options, PartKind, Shape
from learners.parts.vit import Layer

TRACK_FEATURES = GEOMETRY_FEATURES + APPEARANCE_DIM


class TrackOptions(Options):
    """Settings."""

    history: int = Field(4, ge=2)
    """Frames that are seen; the rest of a window is the future."""
    num_tracks: int = Field(8, ge=2)
    """Objects per window; those longest in memory come first."""
    width: int = Field(96, ge=16)
    layers: int = Field(3, ge=1)
    heads: int = Field(4, ge=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracks:
    """Objects of windows, each with its own column in all frames.

    Attributes:
        token: Geometry and appearance; zero where not seen.
        seen: Where an object was seen.
    """

    token: Float[Tensor, "b t n f"]
    seen: Bool[Tensor, "b t n"]


def tracks(
    slots: Int[Tensor, "b t k"], token: Float[Tensor, "b t k f"], history: int, num_tracks: int
) -> Tracks:
    """Return the objects that are seen in the first `history` frames, matched by slot id.

    Args:
        slots: Slot id of each row, 0 for none.
        token: Of each row.
        history: Frames in which an object must appear.
        num_tracks: Columns; the lowest slot ids are kept, others stay empty.
    """
    known = slots[:, :history].flatten(1).sort(dim=1).values
    fresh = torch.ones_like(known, dtype=torch.bool)
    fresh[:, 1:] = known[:, 1:] != known[:, :-1]
    ids = known.masked_fill(~fresh | (known <= 0), torch.iinfo(known.dtype).max)
    ids = ids.sort(dim=1).values
    missing = max(num_tracks - ids.shape[1], 0)
    ids = functional.pad(ids, (0, missing), value=torch.iinfo(known.dtype).max)[:, :num_tracks]
    same = slots[:, :, None, :] == ids[:, None, :, None]
    seen = same.any(-1)
    row = same.float().argmax(-1)
    picked = token.gather(2, row[..., None].expand(-1, -1, -1, token.shape[-1]))
    return Tracks(token=picked * seen[..., None], seen=seen)


class TrackWorld(nn.Module):
    """A bidirectional transformer over objects, body and actions of several frames.

    A token that is hidden, not seen or of the future is replaced by a code of its frame plus the
    object's identity anchor, a map of the first token that was seen of it: without the anchor
    nothing would tell which object is asked for.

    References:
        C-JEPA 2026, arXiv:2602.11389, section 3 (identity anchor; separate entity tokens for action
        and body).
    """

    def __init__(self, options: TrackOptions, shape: Shape) -> None:
        super().__init__()
        self.history, self.num_tracks = options.history, options.num_tracks
        width = options.width
        self.object = nn.Linear(TRACK_FEATURES, width)
        self.anchor = nn.Linear(TRACK_FEATURES, width)
        self.ego, self.action = nn.Linear(EGO_FEATURES, width), nn.Linear(2, width)
        self.unseen = nn.Parameter(0.02 * torch.randn(2, width))
        self.kind = nn.Parameter(0.02 * torch.randn(3, width))
        self.when = nn.Linear(1, width)
        self.layers = nn.ModuleList(Layer(width, options.heads) for _ in range(options.layers))
        self.norm = nn.LayerNorm(width)
        self.read_object = nn.Linear(width, TRACK_FEATURES)
        self.read_ego = nn.Linear(width, EGO_FEATURES)
        for layer in (self.read_object, self.read_ego):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        found: Tracks,
        ego: Float[Tensor, "b t 4"],
        command: Float[Tensor, "b t 2"],
        hidden: Bool[Tensor, "b n"],
    ) -> tuple[Float[Tensor, "b t n f"], Float[Tensor, "b t 4"]]:
        """Return what is expected of every object and of the body in every frame.

        Args:
            found: Objects; what lies beyond `history` is not looked at.
            ego: Motion that led to each frame; likewise.
            command: Known for all frames.
            hidden: Objects whose history is not looked at but for the first sighting.
        """
        b, t, n = found.seen.shape
        first = found.seen[:, : self.history].float().argmax(1)
        is_first = torch.arange(t)[:, None] == first[:, None]
        known = found.seen & (~hidden[:, None] | is_first)
        known = known & (torch.arange(t) < self.history)[:, None]
        begun = found.token.gather(
            1, first[:, None, :, None].expand(-1, 1, -1, found.token.shape[-1])
        )
        objects = torch.where(
            known[..., None], self.object(found.token), self.anchor(begun) + self.unseen[0]
        )
        past = (torch.arange(t) < self.history)[:, None]
        body = torch.where(past, self.ego(ego), self.unseen[1])
        # Times count from the present: the same code for one step ahead whatever the length.
        when = self.when((torch.arange(t, dtype=ego.dtype) - self.history + 1)[:, None] / t)
        rows = [
            objects + self.kind[0],
            (body + self.kind[1])[:, :, None],
            (self.action(command) + self.kind[2])[:, :, None],
        ]
        x = (torch.cat(rows, dim=2) + when[:, None]).flatten(1, 2)
        present = found.seen[:, : self.history].any(1)
        real = torch.cat([present, present.new_ones((b, 2))], dim=1)
        may_see = real[:, None].expand(-1, t, -1).flatten(1)[:, None, None]
        for layer in self.layers:
            x = layer(x, may_see)
        x = self.norm(x).unflatten(1, (t, n + 2))
        # The first sighting is the first guess: what is learned is how it moves from there.
        return begun + self.read_object(x[:, :, :n]), self.read_ego(x[:, :, n])


def _make(options: TrackOptions, shape: Shape) -> TrackWorld:
    if options.width % options.heads:
        raise ValueError(f"width {options.width} is no multiple of heads {options.heads}")
    return TrackWorld(options, shape)


TRACKS = PartKind(options=TrackOptions, make=_make, needs=frozenset({"appearance", "object_masks"}))
