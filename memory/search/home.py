"""Asking the object memory from another process, whether its life runs or not."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float64, Int64
from lancedb.table import Table

from memory.errors import EncoderVersionMismatchError
from memory.format import FORMAT_FILE, prepare_folder
from memory.objects.places import PlaceGraph, read_places
from memory.objects.tables import read_counters
from memory.records import Embedding, SlotState
from memory.schema import SLOTS, VIEWS
from memory.search.query import SlotColumns, SlotQuery, in_order, select
from memory.search.slot_columns import SHOWN, columns_of_rows, shown_rows, view_slots
from memory.tables import naming, open_table
from memory.vectors.index import VectorSearch
from memory.vectors.tables import open_vectors


class SlotSearch:
    """Answers queries from the tables of a memory; looks for new rows at every question.

    Narrow columns of all slots are held in RAM and read again when the table has changed; vectors
    stay on disk.

    Args:
        folder: Folder of the life's tables.

    Raises:
        NewerFormatError: If a newer program wrote the folder.
        DamagedTableError: If a table cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tables: dict[str, Table] = {}
        self._seen: dict[str, int] = {}
        self._columns: SlotColumns | None = None
        self._shown = pa.table({name: [] for name in SHOWN})
        self._by_id = np.empty(0, dtype=np.int64)
        self._view_ids = self._view_slots = np.empty(0, dtype=np.int64)
        self._vectors: dict[str, VectorSearch] = {}
        self._places: PlaceGraph | None = None
        self.is_empty = not has_memory(folder)
        if not self.is_empty:
            prepare_folder(folder)

    def find(self, query: SlotQuery) -> list[dict[str, Any]]:
        """Return slots as plain values, those that look most alike, nearest or surest first.

        Each has `room`, and `cosine` where the query has a vector.

        Raises:
            EncoderVersionMismatchError: If another encoder than the active one made its vector.
            DamagedTableError: If a table cannot be read.
        """
        columns = self._slots()
        if columns is None:
            return []
        chosen = select(columns, query, self.rooms_of)
        if query.like is None:
            slot_ids = columns.slot_id[in_order(columns, query, chosen)]
            cosines: dict[int, float] = {}
        else:
            cosines = self._alike(query.like, columns.slot_id[chosen], query)
            slot_ids = np.array(list(cosines), dtype=np.int64)
        return self._rows(slot_ids, cosines)

    def vector_of(self, slot_id: int) -> Embedding | None:
        """Return the normalised mean of the vectors of a slot's views, None without any."""
        self._views()
        version = self.active_encoder()
        found = self._vector_search(version)
        if found is None:
            return None
        _, vectors = found.vectors_of(self._view_ids[self._view_slots == slot_id])
        if len(vectors) == 0:
            return None
        mean = vectors.astype(np.float32).mean(axis=0)
        norm = max(float(np.linalg.norm(mean)), 1e-12)
        return Embedding(encoder_version=version, vector=(mean / norm).astype(np.float32))

    def active_encoder(self) -> str:
        """Return the encoder whose vectors are compared, "" before the first view."""
        counters = read_counters(self._folder)
        return counters.encoder_version if counters else ""

    def labels(self) -> list[str]:
        """Return the labels of all slots, sorted."""
        columns = self._slots()
        return [] if columns is None else sorted({columns.labels[c] for c in columns.label_code})

    def rooms(self) -> list[int]:
        """Return the numbers of the rooms."""
        return self._graph().rooms()

    def rooms_of(self, xy_m: Float64[np.ndarray, "m 2"]) -> Int64[np.ndarray, "m"]:
        """Return the room of points on the floor, 0 for none."""
        return self._graph().rooms_of(xy_m)

    def _graph(self) -> PlaceGraph:
        if self._places is None:
            self._places = read_places(self._folder)
        return self._places

    def _alike(
        self, like: Embedding, slot_ids: Int64[np.ndarray, "m"], query: SlotQuery
    ) -> dict[int, float]:
        version = self.active_encoder()
        if like.encoder_version != version:
            raise EncoderVersionMismatchError(
                f"a vector of encoder {like.encoder_version!r} cannot be compared with vectors of "
                f"encoder {version!r}: embed it again"
            )
        found = self._vector_search(version)
        if found is None:
            return {}
        self._views()
        return found.best_slots(
            like.vector, self._view_ids, self._view_slots, slot_ids, query.limit
        )

    def _vector_search(self, version: str) -> VectorSearch | None:
        if version not in self._vectors:
            table = open_vectors(self._folder, version)
            if table is None:
                return None
            self._vectors = {version: VectorSearch(self._folder, table)}
        return self._vectors[version]

    def _slots(self) -> SlotColumns | None:
        table = self._newest(SLOTS)
        if table is not None and self._seen.get(SLOTS) != table.version:
            with naming(self._folder, SLOTS):
                self._shown = shown_rows(table)
                self._columns = columns_of_rows(self._shown)
                self._by_id = np.argsort(self._columns.slot_id)
            self._seen[SLOTS] = table.version
        return self._columns

    def _views(self) -> None:
        table = self._newest(VIEWS)
        if table is not None and self._seen.get(VIEWS) != table.version:
            with naming(self._folder, VIEWS):
                self._view_ids, self._view_slots = view_slots(table)
            self._seen[VIEWS] = table.version

    def _newest(self, name: str) -> Table | None:
        if self.is_empty:
            return None
        if name not in self._tables:
            table = open_table(self._folder, name)
            if table is None:
                return None
            self._tables[name] = table
        with naming(self._folder, name):
            self._tables[name].checkout_latest()
        return self._tables[name]

    def _rows(
        self, slot_ids: Int64[np.ndarray, "k"], cosines: dict[int, float]
    ) -> list[dict[str, Any]]:
        """Return slots in the order of their ids here."""
        if self._columns is None or len(slot_ids) == 0:
            return []
        at = np.searchsorted(self._columns.slot_id, slot_ids, sorter=self._by_id)
        chosen = self._by_id[at]
        rows: list[dict[str, Any]] = self._shown.select(list(SHOWN)).take(chosen).to_pylist()
        rooms = self.rooms_of(self._columns.xyz_m[chosen, :2])
        for row, room in zip(rows, rooms, strict=True):
            row["room"] = int(room)
            if row["slot_id"] in cosines:
                row["cosine"] = cosines[row["slot_id"]]
        return rows


def has_memory(memory_folder: Path) -> bool:
    """Return whether there are tables in a folder."""
    return (memory_folder / FORMAT_FILE).exists() or any(memory_folder.glob("*.lance"))


def rank(state: SlotState, existence: float) -> tuple[int, float]:
    """Return a sort key that puts the surest slot first."""
    order = (SlotState.CONFIRMED, SlotState.SUSPECT, SlotState.TENTATIVE, SlotState.ARCHIVED)
    return order.index(state), -existence


def list_slots(memory_folder: Path) -> list[dict[str, Any]]:
    """Return all slots as plain values, the surest first; empty if there is no memory yet.

    Raises:
        NewerFormatError: If a newer program wrote the folder.
        DamagedTableError: If a table cannot be read.
    """
    if not has_memory(memory_folder):
        return []
    prepare_folder(memory_folder)
    table = open_table(memory_folder, SLOTS)
    if table is None:
        return []
    with naming(memory_folder, SLOTS):
        slots = table.search().select(list(SHOWN)).to_arrow().to_pylist()
    counts: dict[int, int] = {}
    views = open_table(memory_folder, VIEWS)
    if views is not None:
        with naming(memory_folder, VIEWS):
            for slot_id in views.search().select(["slot_id"]).to_arrow()["slot_id"].to_pylist():
                counts[slot_id] = counts.get(slot_id, 0) + 1
    for slot in slots:
        slot["num_views"] = counts.get(slot["slot_id"], 0)
    slots.sort(
        key=lambda slot: (*rank(SlotState(slot["state"]), slot["existence"]), slot["slot_id"])
    )
    return list(slots)
