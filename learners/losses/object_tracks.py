"""Objects whose history was hidden, and the future of all of them and of the body.

    L = |S^ - S|^2 over hidden objects' seen history, but for the first sighting
      + |S^ - S|^2 over objects seen in the future
      + |p^ - p|^2 over the body's future motion

each a mean over tokens. S holds geometry and appearance; the error is the mean over the features of
either, added. Appearances are detached as input and as target, as from a frozen slot encoder: one
that could be moved here would shrink to what is easy to foresee.

References:
    C-JEPA 2026, arXiv:2602.11389, section 3. The slots here are the memory's tracks.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learners.batch import GEOMETRY_FEATURES
from learners.losses.across import ALONE, Across, mine
from learners.losses.forward import Forward
from learners.parts.tracks import Tracks, TrackWorld, tracks


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """What is expected of windows, and what was there.

    Attributes:
        found: The objects.
        hidden: Objects whose history was not looked at.
        expected: Tokens of all objects in all frames.
        ego: Expected motion that leads to each frame.
    """

    found: Tracks
    hidden: Bool[Tensor, "b n"]
    expected: Float[Tensor, "b t n f"]
    ego: Float[Tensor, "b t 4"]


def foresee(fwd: Forward, *, hide: bool = True) -> Foreseen:
    """Return what the model expects.

    Args:
        fwd: The pass.
        hide: Whether the recipe's masks hide objects, as in training.

    Raises:
        ValueError: If the windows have no future.
    """
    world: TrackWorld = fwd.model.tracks
    windows = fwd.windows
    num_frames = windows.slots.shape[1]
    if num_frames <= world.history:
        raise ValueError(
            f"windows of {num_frames} frames have no future beyond a history of {world.history}"
        )
    token = torch.cat([windows.geometry, fwd.appearance.detach()], dim=-1)
    found = tracks(windows.slots, token, world.history, world.num_tracks)
    present = found.seen.any(1)
    hidden = torch.zeros_like(present)
    if hide:
        everywhere = fwd.across.whole(present.float()) > 0
        hidden = mine(fwd.across, fwd.model.masks.draw(everywhere, fwd.generator))
    expected, ego = world(found, windows.ego, windows.command, hidden)
    return Foreseen(found=found, hidden=hidden, expected=expected, ego=ego)


def object_tracks(fwd: Forward) -> Float[Tensor, ""]:
    """Return the sum of the three errors; those of objects are zero where none was seen."""
    made = foresee(fwd)
    history = fwd.model.tracks.history
    error = track_error(made)
    first = made.found.seen.int().cumsum(1) == 1
    past = made.found.seen & ~first & made.hidden[:, None]
    total = mean_where(error[:, :history], past[:, :history], fwd.across)
    total = total + mean_where(error[:, history:], made.found.seen[:, history:], fwd.across)
    return total + (made.ego - fwd.windows.ego)[:, history:].square().mean()


def track_error(made: Foreseen) -> Float[Tensor, "b t n"]:
    """Return the error of each object in each frame, geometry and appearance weighing the same."""
    square = (made.expected - made.found.token).square()
    return square[..., :GEOMETRY_FEATURES].mean(-1) + square[..., GEOMETRY_FEATURES:].mean(-1)


def mean_where(
    error: Float[Tensor, "*s"], chosen: Bool[Tensor, "*s"], across: Across = ALONE
) -> Float[Tensor, ""]:
    """Return the mean of the chosen errors of all processes, zero if there is none."""
    count = across.total(chosen.sum().to(error.dtype))
    return across.total((error * chosen).sum()) / count.clamp(min=1)
