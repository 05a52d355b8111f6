"""The map of what was lived: places of the latent space, and the steps that led between them.

Built from the same latents and recorded steps that the distance is learned from. It finds the long
way; the search in latent space goes for a place on it a few steps ahead.

Axis letters: n frames, m steps, k places, d latent.
"""

import numpy as np
import torch
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

_AT_ONCE = 4096


class LatentGraph:
    """Places far from each other, joined where a recorded step led from one to the other.

    Args:
        z: Latents of frames (n d).
        steps: Frames that were one step apart (m 2).
        num_places: How many frames become places.
        seed: Draws the first.
    """

    def __init__(self, z: Tensor, steps: np.ndarray, num_places: int, seed: int) -> None:
        self.places = z[_far_apart(z, num_places, seed)]
        place = self.place_of(z)
        here, after = place[steps[:, 0]], place[steps[:, 1]]
        moved = here != after
        size = len(self.places)
        joined = coo_matrix(
            (np.ones(int(moved.sum())), (here[moved], after[moved])), shape=(size, size)
        )
        self._back = csr_matrix(joined.T)

    def place_of(self, z: Tensor) -> np.ndarray:
        """Return the number of the nearest place of each latent."""
        parts = [torch.cdist(part, self.places).argmin(dim=1) for part in z.split(_AT_ONCE)]
        return torch.cat(parts).numpy()

    def way_to(self, goal: Tensor) -> "Way":
        """Return the shortest ways from everywhere to a goal (d)."""
        at = int(self.place_of(goal[None])[0])
        steps, after = dijkstra(self._back, unweighted=True, indices=at, return_predecessors=True)
        return Way(self, goal, steps, after)


class Way:
    """Shortest ways to one goal."""

    def __init__(
        self, graph: LatentGraph, goal: Tensor, steps: np.ndarray, after: np.ndarray
    ) -> None:
        self._graph, self._goal, self.steps, self._after = graph, goal, steps, after

    def ahead(self, z: Tensor, steps: int) -> Tensor:
        """Return the latent of the place so many steps ahead; the goal when it is no farther."""
        at = int(self._graph.place_of(z[None])[0])
        if not np.isfinite(self.steps[at]) or self.steps[at] <= steps:
            return self._goal
        for _ in range(steps):
            at = int(self._after[at])
        return self._graph.places[at]


def _far_apart(z: Tensor, count: int, seed: int) -> Tensor:
    """Return indices of frames, each the farthest from those before it."""
    first = int(np.random.default_rng(seed).integers(len(z)))
    chosen, gap = [first], (z - z[first]).square().sum(dim=1)
    for _ in range(count - 1):
        chosen.append(int(gap.argmax()))
        gap = torch.minimum(gap, (z - z[chosen[-1]]).square().sum(dim=1))
    return torch.tensor(chosen)
