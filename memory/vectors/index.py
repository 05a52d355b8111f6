"""Finding what looks alike among many vectors on disk: exactly among a few, else by an index.

Rows that the index does not hold yet are looked at one by one by LanceDB, so what was written a
moment ago is found; a job takes them into the index in the background.

IVF_RQ (partitions with random-rotation quantised residuals, re-ranked on the stored vectors) was
chosen by measurement on 100 000 vectors of 128 features, one core: built in 4 s against 140 s of
IVF_PQ and 114 s of IVF_HNSW_SQ, at the same or better recall and time per question.

Axis letters: n views, m wanted slots, d features.

References:
    Gao and Long 2024, "RaBitQ: Quantizing High-Dimensional Vectors with a Theoretical Error Bound
    for Approximate Nearest Neighbor Search", SIGMOD: the quantiser.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float16, Float32, Int64
from lancedb.index import BTree, IvfRq
from lancedb.table import Table

from memory.tables import naming
from memory.vectors.exact import ExactLook
from memory.vectors.flat import refresh_flat
from memory.vectors.tables import open_vectors, ordered_vectors, vector_tables, version_of

INDEX_FROM = 20_000
"""Vectors from which an index pays: below, LanceDB compares all of them in some 10 ms."""

PARTITION_ROWS = 8192
"""Vectors per partition of the index."""

MAX_PARTITIONS = 256
"""Building takes time in proportion to them."""

PROBES = 16
"""Partitions that are looked at."""

NUM_BITS = 5
"""Bits per feature in the index. With one bit, a thousand vectors must be read to re-rank for the
recall that two per wanted one give with five: twice the time per question."""

REFINE = 2
"""So many times the wanted vectors are read to be re-ranked."""

VIEWS_PER_SLOT = 5
"""Views asked for per wanted slot: several of one slot come before the next slot."""

STALE_SHARE = 0.3
"""Share of vectors added since at which the index is built anew instead of extended."""

EXACT_VIEWS = 25_000
"""Wanted views up to which all are compared, from the file of `memory.vectors.flat`. More are
picked from `FIRST_ROWS` of what looks most alike, and all are compared only where too few are among
these, as with a kind of object that looks like nothing that was asked for."""

RARE_SHARE, RARE_VIEWS = 0.03, 80_000
"""Share of all views, and number of them, up to which all are compared even so: among so few the
index hardly finds enough (22 ms of a core at most, where looking first took 80)."""

FIRST_ROWS = 1000

FEW_VIEWS = 4000
"""Without that file, which small memories have not: wanted views up to which their ids are named to
LanceDB, which then looks at no others. More are picked from what looks most alike: first from
`FIRST_ROWS`, then from four times as many."""

SIDES = 8
"""Views of one slot at most; so many times the wanted slots hold the best of each."""

VECTOR_INDEX, ID_INDEX = "vector_idx", "view_id_idx"


class VectorSearch:
    """Looks for similar vectors in the table of one encoder.

    Args:
        folder: Folder of the tables, for messages.
        table: The table.
    """

    def __init__(self, folder: Path, table: Table) -> None:
        self._folder, self._table = folder, table
        self.version, self._size = version_of(table)
        self._width = table.schema.field("vector").type.list_size
        self._exact = ExactLook(folder, table, self.vectors_of, FEW_VIEWS)

    def best_slots(
        self,
        vector: Float32[np.ndarray, "d"],
        view_ids: Int64[np.ndarray, "n"],
        view_slots: Int64[np.ndarray, "n"],
        slot_ids: Int64[np.ndarray, "m"],
        limit: int,
    ) -> dict[int, float]:
        """Return the slots with the views most like a vector, the best first, with their cosine.

        Args:
            vector: Unit vector.
            view_ids: Ids of all views, sorted.
            view_slots: The slot of each.
            slot_ids: Slots to choose from.
            limit: At most so many slots.

        Raises:
            ValueError: If the vector has another length than the table's.
        """
        if vector.shape != (self._size,):
            raise ValueError(
                f"the search vector has shape {vector.shape}, encoder {self.version!r} makes "
                f"vectors of shape {(self._size,)}"
            )
        with naming(self._folder, self._table.name):
            self._table.checkout_latest()
        views = _Views(view_ids=view_ids, slots=view_slots, asked=_table_of(slot_ids))
        if len(slot_ids) == 0 or len(view_ids) == 0:
            return {}
        best = None
        if self._exact.look(view_ids, view_slots):
            best = self._from_file_or_index(vector, views, slot_ids, limit)
        return self._from_table(vector, views, limit) if best is None else best

    def _from_file_or_index(
        self,
        vector: Float32[np.ndarray, "d"],
        views: "_Views",
        slot_ids: Int64[np.ndarray, "m"],
        limit: int,
    ) -> dict[int, float] | None:
        """Return the best slots, None if the file lacks too many of their views."""
        # An estimate: counting the views of 10^6 slots takes longer than the search.
        num_wanted = max(len(views.view_ids) * len(slot_ids) // self._exact.num_slots, 1)
        rare = min(RARE_SHARE * len(views.view_ids), RARE_VIEWS)
        if num_wanted <= max(EXACT_VIEWS, rare):
            return self._compare(vector, views, slot_ids, limit)
        count = VIEWS_PER_SLOT * limit
        count = max(count, min(count * len(views.view_ids) // num_wanted, FIRST_ROWS))
        while True:
            best = views.best(*self._ask(vector, count, None), limit)
            if len(best) >= limit:
                return best
            if count >= max(FIRST_ROWS, SIDES * limit):
                return self._compare(vector, views, slot_ids, limit)
            count *= 4

    def _compare(
        self,
        vector: Float32[np.ndarray, "d"],
        views: "_Views",
        slot_ids: Int64[np.ndarray, "m"],
        limit: int,
    ) -> dict[int, float] | None:
        at = self._exact.views_of(slot_ids)
        cosines = self._exact.cosines(vector, at)
        if cosines is None:
            return None
        many = SIDES * limit
        top = np.argpartition(-cosines, many)[:many] if many < len(at) else np.arange(len(at))
        top = top[np.isfinite(cosines[top])]
        top = top[np.argsort(-cosines[top], kind="stable")]
        return views.best(views.view_ids[at[top]], cosines[top], limit)

    def _from_table(
        self, vector: Float32[np.ndarray, "d"], views: "_Views", limit: int
    ) -> dict[int, float]:
        wanted, num_views = views.wanted(), len(views.view_ids)
        num_wanted = int(wanted.sum())
        if num_wanted == 0:
            return {}
        if num_wanted <= FEW_VIEWS and num_wanted < num_views:
            count = min(num_wanted, VIEWS_PER_SLOT * limit * 2)
            return views.best(*self._ask(vector, count, views.view_ids[wanted]), limit)
        count = VIEWS_PER_SLOT * limit
        count = max(count, min(count * num_views // num_wanted, FIRST_ROWS))
        while True:
            count = min(count, num_views)
            best = views.best(*self._ask(vector, count, None), limit)
            if len(best) >= limit or count >= num_views:
                return best
            count *= 4

    def vectors_of(
        self, view_ids: Int64[np.ndarray, "m"]
    ) -> tuple[Int64[np.ndarray, "n"], Float16[np.ndarray, "n d"]]:
        """Return the vectors of some views, and the ids of those that have one."""
        if len(view_ids) == 0:
            return view_ids, np.empty((0, self._size), dtype=np.float16)
        with naming(self._folder, self._table.name):
            self._table.checkout_latest()
            asked = self._table.search().where(_is_one_of(view_ids))
            return ordered_vectors(asked.select(["view_id", "vector"]).to_arrow(), self._size)

    def _ask(
        self,
        vector: Float32[np.ndarray, "d"],
        count: int,
        view_ids: Int64[np.ndarray, "m"] | None,
    ) -> tuple[Int64[np.ndarray, "k"], Float32[np.ndarray, "k"]]:
        """Return views and their cosine, the best first; only those of `view_ids` if given."""
        padded = np.zeros(self._width, dtype=np.float16)
        padded[: self._size] = vector
        asked: Any = self._table.search(padded, vector_column_name="vector")
        asked = asked.distance_type("dot")
        if view_ids is not None:
            asked = asked.where(_is_one_of(view_ids), prefilter=True)
        probes = PROBES if view_ids is None else MAX_PARTITIONS
        asked = asked.nprobes(probes).refine_factor(REFINE).limit(count)
        with naming(self._folder, self._table.name, "searched"):
            found = asked.select(["view_id", "_distance"]).to_arrow()
        return found["view_id"].to_numpy(), 1 - found["_distance"].to_numpy()


def refresh_indexes(folder: Path) -> list[str]:
    """Build or extend the indexes of all tables of vectors; return the encoders it was done for.

    For a background process: building takes about 20 s per million vectors on one core.

    Raises:
        DamagedTableError: If a table cannot be read or indexed; names it.
    """
    return [version for version in vector_tables(folder) if _refresh(folder, version)]


def _refresh(folder: Path, version: str) -> bool:
    table = open_vectors(folder, version)
    if table is None:
        return False
    num_rows = table.count_rows()
    with naming(folder, table.name, "indexed"):
        if num_rows < INDEX_FROM:
            return False
        is_written = refresh_flat(folder, table, version_of(table)[1])
        stats = table.index_stats(VECTOR_INDEX)
        if stats is not None and stats.num_unindexed_rows == 0:
            return is_written
        if stats is not None and stats.num_unindexed_rows < STALE_SHARE * num_rows:
            table.optimize()
            return True
        partitions = min(max(num_rows // PARTITION_ROWS, 1), MAX_PARTITIONS)
        table.create_index(
            "vector",
            config=IvfRq(distance_type="dot", num_partitions=partitions, num_bits=NUM_BITS),
            replace=True,
            name=VECTOR_INDEX,
        )
        table.create_index("view_id", config=BTree(), replace=True, name=ID_INDEX)
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Views:
    """All views, and which slots are asked for.

    Attributes:
        view_ids: Sorted.
        slots: The slot of each.
        asked: Whether a slot is asked for, by its id.
    """

    view_ids: Int64[np.ndarray, "n"]
    slots: Int64[np.ndarray, "n"]
    asked: Bool[np.ndarray, "s"]

    def wanted(self, at: Int64[np.ndarray, "k"] | None = None) -> Bool[np.ndarray, "k"]:
        """Return which views, of all or of some, belong to slots that are asked for."""
        slots = self.slots if at is None else self.slots[at]
        known = slots < len(self.asked)
        return known & self.asked[np.where(known, slots, 0)]

    def best(
        self, ids: Int64[np.ndarray, "k"], cosines: Float32[np.ndarray, "k"], limit: int
    ) -> dict[int, float]:
        """Return the largest cosine of each slot that is asked for, the best first.

        Args:
            ids: Views, the most alike first.
            cosines: Of each.
            limit: At most so many slots.
        """
        at = np.minimum(np.searchsorted(self.view_ids, ids), len(self.view_ids) - 1)
        kept = (self.view_ids[at] == ids) & self.wanted(at)
        slots, cosines = self.slots[at[kept]], cosines[kept]
        _, first = np.unique(slots, return_index=True)
        order = np.sort(first)[:limit]
        return {int(slots[i]): float(cosines[i]) for i in order}


def _table_of(slot_ids: Int64[np.ndarray, "m"]) -> Bool[np.ndarray, "s"]:
    """Return whether a slot is one of some, by its id: faster than sorting."""
    asked = np.zeros(int(slot_ids.max(initial=0)) + 1, dtype=np.bool_)
    asked[slot_ids] = True
    return asked


def _is_one_of(view_ids: Int64[np.ndarray, "m"]) -> str:
    return f"view_id IN ({', '.join(map(str, view_ids.tolist()))})"
