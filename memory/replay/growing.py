"""An array that grows at its end without copying all of it each time."""

import numpy as np
from jaxtyping import Shaped


class Growing:
    """Values in one block of memory that is enlarged by half when it is full.

    Args:
        kind: Type of the values.
    """

    def __init__(self, kind: np.typing.DTypeLike) -> None:
        self._block = np.empty(1024, dtype=kind)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def values(self) -> Shaped[np.ndarray, "n"]:
        """The values; a view that a later `extend` may leave behind."""
        return self._block[: self._size]

    def extend(self, values: Shaped[np.ndarray, "m"]) -> None:
        """Add values at the end."""
        end = self._size + len(values)
        if end > len(self._block):
            block = np.empty(max(end, len(self._block) * 3 // 2), dtype=self._block.dtype)
            block[: self._size] = self.values
            self._block = block
        self._block[self._size : end] = values
        self._size = end

    def resize(self, size: int) -> None:
        """Cut the end off, or fill up with zeros."""
        if size > self._size:
            self.extend(np.zeros(size - self._size, dtype=self._block.dtype))
        self._size = size
