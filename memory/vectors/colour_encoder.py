"""Search vectors before anything was learned: where in a crop which colours are."""

import numpy as np
from jaxtyping import Float32, UInt8

GRID = 3
"""The crop is cut into GRID x GRID tiles."""

LEVELS = 3
"""Levels per colour channel in the histogram of a tile."""


class ColourEncoder:
    """Colour histograms of tiles plus their mean colours. Satisfies `CropEncoder`."""

    @property
    def encoder_version(self) -> str:
        """Name of the vector space."""
        return "colour-1"

    def embed(self, crops: UInt8[np.ndarray, "n s s 3"]) -> Float32[np.ndarray, "n d"]:
        """Return unit vectors.

        Square roots of the histograms make the scalar product a Bhattacharyya coefficient.
        """
        num, side = len(crops), crops.shape[1]
        tile = np.minimum(np.arange(side) * GRID // side, GRID - 1)
        tiles = tile[:, None] * GRID + tile[None, :]
        level = np.minimum(crops.astype(np.int64) * LEVELS // 256, LEVELS - 1)
        colour = (level[..., 0] * LEVELS + level[..., 1]) * LEVELS + level[..., 2]
        num_colours, num_tiles = LEVELS**3, GRID * GRID
        cell = tiles[None] * num_colours + colour
        cell += np.arange(num)[:, None, None] * (num_tiles * num_colours)
        counts = np.bincount(cell.ravel(), minlength=num * num_tiles * num_colours)
        histogram = np.sqrt(counts.reshape(num, -1) / (side * side))
        flat = crops.reshape(num, side * side, 3) / 255.0
        weight = np.eye(num_tiles)[tiles.ravel()]
        means = np.einsum("npc,pt->ntc", flat, weight / weight.sum(axis=0)).reshape(num, -1)
        means -= means.mean(axis=1, keepdims=True)
        vectors = np.concatenate([histogram, means], axis=1)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        return vectors.astype(np.float32)
