"""Vectors of a long life by id: most of them in a mapped file, what came since in RAM.

Read as a whole, 400 000 vectors take 216 MB that a control loop hardly ever looks at; mapped, they
take what is looked at. Axis letters: n vectors, d features, m chosen ids.
"""

import numpy as np
from jaxtyping import Bool, Float16, Float32, Int64

from memory.vectors.rows import VectorRows, products


class LayeredRows:
    """Vectors by id in two layers; an id is in one of them.

    Args:
        ids: Ids of the lower layer, sorted.
        vectors: Their vectors, mapped or not; never written to.
        is_held: Which of them are here; None for all.
    """

    def __init__(
        self,
        ids: Int64[np.ndarray, "n"] | None = None,
        vectors: Float16[np.ndarray, "n d"] | None = None,
        is_held: Bool[np.ndarray, "n"] | None = None,
    ) -> None:
        self._ids = np.empty(0, dtype=np.int64) if ids is None else ids
        self._vectors = np.empty((0, 0), dtype=np.float16) if vectors is None else vectors
        held = np.ones(len(self._ids), dtype=np.bool_) if is_held is None else is_held
        self._is_held, self._num_held = held, int(held.sum())
        self._upper = VectorRows()

    def __len__(self) -> int:
        return self._num_held + len(self._upper)

    def ids(self) -> Int64[np.ndarray, "n"]:
        """Return the ids, sorted."""
        lower, upper = self._ids[self._is_held], self._upper.ids()
        together = np.concatenate([lower, upper])
        is_sorted = len(lower) == 0 or len(upper) == 0 or upper[0] > lower[-1]
        return together if is_sorted else np.sort(together)

    def at(self, vector_id: int) -> Float16[np.ndarray, "d"] | None:
        """Return a vector, None if there is none of this id."""
        upper = self._upper.at(vector_id)
        if upper is not None:
            return upper
        row = self._row(vector_id)
        return None if row is None else self._vectors[row]

    def put(self, ids: Int64[np.ndarray, "n"], vectors: Float16[np.ndarray, "n d"]) -> None:
        """Add vectors, or replace those of the same ids.

        Raises:
            ValueError: If they have another length than those that are here.
        """
        if len(ids) and self._num_held and vectors.shape[1] != self._vectors.shape[1]:
            raise ValueError(
                f"vectors of length {vectors.shape[1]} among vectors of length "
                f"{self._vectors.shape[1]}: one encoder makes one length"
            )
        self._upper.put(ids, vectors)
        for vector_id in ids:
            self._leave(int(vector_id))

    def discard(self, vector_id: int) -> None:
        """Forget a vector, if there is one."""
        self._upper.discard(vector_id)
        self._leave(vector_id)

    def scores(
        self, query: Float32[np.ndarray, "d"], ids: Int64[np.ndarray, "m"] | None = None
    ) -> tuple[Int64[np.ndarray, "n"], Float32[np.ndarray, "n"]]:
        """Return ids and scalar products with a query: of all, or of those of `ids` that are here.

        Raises:
            ValueError: If the query has another length than the vectors.
        """
        if self._num_held == 0:
            return self._upper.scores(query, ids)
        if query.shape != (self._vectors.shape[1],):
            raise ValueError(
                f"the search vector has shape {query.shape}, this encoder makes vectors of shape "
                f"{(self._vectors.shape[1],)}"
            )
        rows = np.flatnonzero(self._is_held) if ids is None else self._rows_of(ids)
        lower = products(self._vectors, rows, query.astype(np.float32, copy=False))
        upper_ids, upper = self._upper.scores(query, ids)
        return np.concatenate([self._ids[rows], upper_ids]), np.concatenate([lower, upper])

    def _row(self, vector_id: int) -> int | None:
        row = int(np.searchsorted(self._ids, vector_id))
        found = row < len(self._ids) and self._ids[row] == vector_id and self._is_held[row]
        return row if found else None

    def _rows_of(self, ids: Int64[np.ndarray, "m"]) -> Int64[np.ndarray, "n"]:
        rows = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
        return rows[(self._ids[rows] == ids) & self._is_held[rows]]

    def _leave(self, vector_id: int) -> None:
        row = self._row(vector_id)
        if row is not None:
            self._is_held[row] = False
            self._num_held -= 1
