"""The tables of the object memory: slots, views, embeddings and the log of changes.

They are written in the order counters, changes, embeddings, views, slots, and only then is removed
what was removed. A process killed in between leaves at most crops and log entries of slots that are
not there, which reading skips, or a slot that was merged into another beside that one.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, UInt8
from lancedb.table import Table

from memory.errors import DamagedTableError
from memory.files import write_atomic
from memory.format import prepare_folder
from memory.objects.changes import Change
from memory.objects.rows import (
    VIEW_MEASURES,
    changes_from_arrow,
    changes_to_arrow,
    crops_from_arrow,
    slots_from_arrow,
    slots_to_arrow,
    views_from_arrow,
    views_to_arrow,
)
from memory.objects.slot_extract import SlotExtract
from memory.objects.views import StoredViews, ViewMeta
from memory.schema import EVENTS, SLOTS, VIEWS, events_schema, slots_schema, views_schema
from memory.tables import READ_ROWS, create_table, naming, open_table, require_reach
from memory.vectors.layered import LayeredRows
from memory.vectors.tables import EmbeddingTables

COUNTERS_FILE = "objects.json"
"""Next ids and the active encoder."""

_SCHEMAS = {
    SLOTS: slots_schema(),
    VIEWS: views_schema(),
    EVENTS: events_schema(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What must outlive the rows: ids are never used twice."""

    next_slot_id: int = 1
    next_view_id: int = 1
    next_event_id: int = 1
    encoder_version: str = ""
    previous_encoder: str = ""
    same_object: float = 0.0


@dataclass(slots=True, kw_only=True)
class Snapshot:
    """What to write.

    Attributes:
        views: Views that no table holds yet, with their `crops`.
        moved_views: Ids of views that other slots took over, by slot.
    """

    counters: Counters
    slots: SlotExtract | None = None
    removed_slots: list[int] = field(default_factory=list)
    views: list[ViewMeta] = field(default_factory=list)
    crops: list[UInt8[np.ndarray, "s s 3"]] = field(default_factory=list)
    moved_views: dict[int, list[int]] = field(default_factory=dict)
    removed_views: list[int] = field(default_factory=list)
    vectors: dict[int, Float32[np.ndarray, "d"]] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What was read."""

    counters: Counters | None
    slots: SlotExtract
    views: StoredViews
    vectors: LayeredRows
    changes: list[Change]


class ObjectTables:
    """Tables in a folder; one process writes.

    Args:
        folder: Folder of the life's tables; made if it does not exist.

    Raises:
        NewerFormatError: If a newer program wrote the folder.
    """

    def __init__(self, folder: Path) -> None:
        prepare_folder(folder)
        self.embeddings = EmbeddingTables(folder)
        self._folder = folder
        self._tables: dict[str, Table] = {}
        self._is_sure = True
        self._written_counters: Counters | None = None

    def load(self, num_changes: int) -> Stored:
        """Return everything, with the newest `num_changes` of the log.

        Raises:
            DamagedTableError: If a table or the counters cannot be read.
        """
        counters = read_counters(self._folder)
        with naming(self._folder, SLOTS):
            slots = slots_from_arrow(self._rows(SLOTS))
        with naming(self._folder, VIEWS):
            views = views_from_arrow(self._rows(VIEWS, columns=VIEW_MEASURES))
        views = views.only(np.isin(views.slot_id, slots.columns["slot_id"]))
        version = counters.encoder_version if counters else ""
        vectors = self.embeddings.layered(version, views.view_id)
        first = counters.next_event_id - num_changes if counters else 0
        changes = changes_from_arrow(self._rows(EVENTS, f"event_id >= {first}"))
        if len(slots.columns["slot_id"]) and counters is None:
            raise DamagedTableError(
                f"{self._folder / COUNTERS_FILE} is missing but table {SLOTS!r} holds rows"
            )
        return Stored(
            counters=counters,
            slots=slots,
            views=views,
            vectors=vectors,
            changes=changes,
        )

    def write(self, snapshot: Snapshot) -> int:
        """Write what changed; return the number of rows written or removed.

        Raises:
            StoreError: If a table cannot be written; names it, or the place that is away.
        """
        require_reach(self._folder)
        if snapshot.counters != self._written_counters:
            self.write_counters(snapshot.counters)
        # A write that failed may have left rows behind: those of the next are matched by id.
        fresh, self._is_sure = self._is_sure, False
        if snapshot.changes:
            events = changes_to_arrow(snapshot.changes)
            self._add(EVENTS, "event_id", events, fresh=fresh)
        version = snapshot.counters.encoder_version
        self.embeddings.remove(version, snapshot.removed_views)
        self.embeddings.put(version, snapshot.vectors)
        if snapshot.views:
            views = views_to_arrow(snapshot.views, snapshot.crops)
            self._add(VIEWS, "view_id", views, fresh=fresh)
        for slot_id, view_ids in snapshot.moved_views.items():
            with naming(self._folder, VIEWS, "written"):
                where = _among("view_id", view_ids)
                self._table(VIEWS).update(where=where, values={"slot_id": slot_id})
        num_slots = 0
        if snapshot.slots is not None:
            rows = slots_to_arrow(snapshot.slots)
            num_slots = len(rows)
            self._upsert(SLOTS, ["slot_id"], rows)
        # What is new goes in before what it replaces goes: in between are both, never neither.
        self._delete(VIEWS, "view_id", snapshot.removed_views)
        self._delete(SLOTS, "slot_id", snapshot.removed_slots)
        self._is_sure = True
        moved = sum(map(len, snapshot.moved_views.values()))
        removed = len(snapshot.removed_views) + len(snapshot.removed_slots)
        written = len(snapshot.changes) + len(snapshot.vectors) + len(snapshot.views) + num_slots
        return written + moved + removed

    def crops(self, view_ids: Sequence[int]) -> dict[int, UInt8[np.ndarray, "s s 3"]]:
        """Return the pixels of views, of those that the table holds.

        Raises:
            DamagedTableError: If they cannot be read.
        """
        if not view_ids:
            return {}
        where = _among("view_id", view_ids)
        rows = self._rows(VIEWS, where, columns=("view_id", "crop", "crop_px"))
        with naming(self._folder, VIEWS):
            return crops_from_arrow(rows)

    def write_counters(self, counters: Counters) -> None:
        """Replace the next ids and the active encoder in one step."""
        content = {name: getattr(counters, name) for name in Counters.__slots__}
        write_atomic(self._folder / COUNTERS_FILE, json.dumps(content, indent=1).encode())
        self._written_counters = counters

    def _table(self, name: str) -> Table:
        if name not in self._tables:
            table = open_table(self._folder, name)
            self._tables[name] = table or create_table(self._folder, name, _SCHEMAS[name])
        return self._tables[name]

    def _rows(
        self, name: str, where: str | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table:
        table = open_table(self._folder, name)
        if table is None:
            empty = _SCHEMAS[name].empty_table()
            return empty if columns is None else empty.select(list(columns))
        with naming(self._folder, name):
            query = table.search() if where is None else table.search().where(where)
            chosen = query if columns is None else query.select(list(columns))
            return chosen.to_batches(READ_ROWS).read_all()

    def _add(self, name: str, key: str, rows: pa.Table, *, fresh: bool) -> None:
        if not fresh:
            self._upsert(name, [key], rows)
            return
        with naming(self._folder, name, "appended to"):
            self._table(name).add(rows)

    def _upsert(self, name: str, keys: list[str], rows: pa.Table) -> None:
        with naming(self._folder, name, "written"):
            merge = self._table(name).merge_insert(keys)
            merge.when_matched_update_all().when_not_matched_insert_all().execute(rows)

    def _delete(self, name: str, key: str, ids: Sequence[int]) -> None:
        if not ids:
            return
        with naming(self._folder, name, "pruned"):
            self._table(name).delete(_among(key, ids))


def read_counters(folder: Path) -> Counters | None:
    """Return the next ids and the active encoder, None before they were written first.

    Raises:
        DamagedTableError: If they cannot be read.
    """
    path = folder / COUNTERS_FILE
    if not path.exists():
        return None
    try:
        return Counters(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DamagedTableError(f"{path} cannot be read: {error}") from error


def _among(key: str, ids: Sequence[int]) -> str:
    return f"{key} IN ({', '.join(map(str, ids))})"
