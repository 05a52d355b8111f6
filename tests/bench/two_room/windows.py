"""Batches of windows, the same for every learner: frames, and the actions of the blocks between.

Axis letters: b batch, t time.
"""

from dataclasses import dataclass

import numpy as np
import torch
from bench.two_room.episodes import BLOCK, WINDOW, Episodes
from torch import Tensor

from learners.batch import EGO_FEATURES, GEOMETRY_FEATURES, IMAGE_CHANNELS, Windows, tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A batch.

    Attributes:
        image: Frames (b t c h w): colour in [-1, 1]; depth and its mask are zero.
        blocks: Actions (b t BLOCK 2) that follow each frame; not of use after the last.
    """

    image: Tensor
    blocks: Tensor


class Drawer:
    """Draws windows of any phase; the n-th batch of a seed is the same for all learners."""

    def __init__(self, episodes: Episodes, batch_size: int, seed: int) -> None:
        self._episodes, self._batch_size = episodes, batch_size
        self._starts = episodes.window_starts()
        self._rng = np.random.default_rng(seed)

    def draw(self) -> Drawn:
        """Return the next batch."""
        first = self._rng.choice(self._starts, self._batch_size)
        at = first[:, None] + BLOCK * np.arange(WINDOW)
        # The block after the last frame may leave the episode: it is held at its last index.
        last = len(self._episodes.actions) - BLOCK
        return Drawn(
            image=images(self._episodes.frames[at.ravel()]).unflatten(0, at.shape),
            blocks=torch.from_numpy(self._episodes.blocks(np.minimum(at, last))),
        )


def images(frames: np.ndarray) -> Tensor:
    """Return the encoder's input of pictures (n h w 3)."""
    n, h, w = frames.shape[:3]
    out = torch.zeros(n, h, w, IMAGE_CHANNELS)
    out[..., :3] = tensor(frames).float() * (2 / 255) - 1
    return out.permute(0, 3, 1, 2)


def windows(drawn: Drawn) -> Windows:
    """Return what our learners read: the mean action of a block, and nothing but pixels besides."""
    b, t = drawn.image.shape[:2]
    action = drawn.blocks.mean(dim=2)
    return Windows(
        image=drawn.image,
        ego=torch.zeros(b, t, EGO_FEATURES),
        action=action,
        command=action,
        geometry=torch.zeros(b, t, 1, GEOMETRY_FEATURES),
        valid=torch.zeros(b, t, 1, dtype=torch.bool),
        slots=torch.zeros(b, t, 1, dtype=torch.int64),
    )
