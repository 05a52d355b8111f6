"""Draw items by weight and change weights, both in the logarithm of their number.

Axis letters: k items to change, q draws.
"""

import numpy as np
from jaxtyping import Float64, Int64


class SumTree:
    """Weights of numbered items; every inner node is the sum of its two children.

    A node is always computed from its children, so the tree depends on the weights alone and not
    on the order in which they were set: two processes that hold the same weights draw the same.
    """

    def __init__(self) -> None:
        self._size = 1024
        self._nodes = np.zeros(2 * self._size)

    @property
    def total(self) -> float:
        """Sum of all weights."""
        return float(self._nodes[1])

    def set(self, items: Int64[np.ndarray, "k"], weights: Float64[np.ndarray, "k"]) -> None:
        """Set weights, each >= 0; items that were never set weigh nothing."""
        if len(items) == 0:
            return
        while items.max() >= self._size:
            self._double()
        self._nodes[items + self._size] = weights
        at = np.unique((items + self._size) // 2)
        while at[-1] >= 1:
            self._nodes[at] = self._nodes[2 * at] + self._nodes[2 * at + 1]
            at = np.unique(at // 2)

    def draw(self, count: int, rng: np.random.Generator) -> Int64[np.ndarray, "q"]:
        """Return items, each with a chance in proportion to its weight. The total must be > 0."""
        left_over = rng.random(count) * self.total
        at = np.ones(count, dtype=np.int64)
        while at[0] < self._size:
            left, right = self._nodes[2 * at], self._nodes[2 * at + 1]
            # Rounding may leave more than the left child has where the right one has nothing.
            go_right = (left_over >= left) & (right > 0)
            left_over -= np.where(go_right, left, 0.0)
            at = 2 * at + go_right
        return at - self._size

    def _double(self) -> None:
        weights = self._nodes[self._size :]
        self._size *= 2
        self._nodes = np.zeros(2 * self._size)
        self._nodes[self._size : self._size + len(weights)] = weights
        level = self._size // 2
        while level >= 1:
            at = np.arange(level, 2 * level)
            self._nodes[at] = self._nodes[2 * at] + self._nodes[2 * at + 1]
            level //= 2
