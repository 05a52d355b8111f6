"""The tables of the object memory: slots, views, embeddings and the log of changes.

They are written in the order changes, embeddings, views, slots, so that a process killed in
between leaves at most crops and log entries of slots that are not there; reading skips those.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float16, Float32, Int64
from lancedb.table import Table

from memory.changes import Change, ChangeKind
from memory.embedding_tables import EmbeddingTables
from memory.errors import DamagedTableError, StoreError
from memory.existence import STATES
from memory.files import write_atomic
from memory.records import SlotState, View
from memory.schema import (
    EVENTS,
    SLOTS,
    VIEWS,
    events_schema,
    prepare_folder,
    slots_schema,
    views_schema,
)
from memory.slot_arrays import SlotArrays
from memory.tables import KEEP_VERSIONS, create_table, naming, open_table

COUNTERS_FILE = "objects.json"
"""Next ids and the active encoder."""

COMPACT_EVERY = 100
"""Writes of a table between two compactions: these tables are small and change often."""

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
    """What to write; rows as in the schemas."""

    counters: Counters
    slots: list[dict[str, Any]] = field(default_factory=list)
    removed_slots: list[int] = field(default_factory=list)
    views: list[View] = field(default_factory=list)
    removed_views: list[int] = field(default_factory=list)
    vectors: dict[int, Float32[np.ndarray, "d"]] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What was read."""

    counters: Counters | None
    arrays: SlotArrays
    views: list[View]
    vector_ids: Int64[np.ndarray, "n"]
    vectors: Float16[np.ndarray, "n d"]
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
        self._num_writes = dict.fromkeys(_SCHEMAS, 0)
        self._written_counters: Counters | None = None

    def load(self, num_changes: int) -> Stored:
        """Return everything, with the newest `num_changes` of the log.

        Raises:
            DamagedTableError: If a table or the counters cannot be read.
        """
        counters = read_counters(self._folder)
        slots = self._rows(SLOTS)
        with naming(self._folder, SLOTS):
            arrays = arrays_from_rows(slots)
        with naming(self._folder, VIEWS):
            views = [
                v for v in map(_to_view, self._rows(VIEWS)) if arrays.row(v.slot_id) is not None
            ]
        vector_ids, vectors = self.embeddings.read(counters.encoder_version if counters else "")
        has_view = np.isin(vector_ids, [view.view_id for view in views])
        first = counters.next_event_id - num_changes if counters else 0
        changes = [change_from_row(row) for row in self._rows(EVENTS, f"event_id >= {first}")]
        changes.sort(key=lambda change: change.event_id)
        if arrays.slot_id.size and counters is None:
            raise DamagedTableError(
                f"{self._folder / COUNTERS_FILE} is missing but table {SLOTS!r} holds rows"
            )
        return Stored(
            counters=counters,
            arrays=arrays,
            views=views,
            vector_ids=vector_ids[has_view],
            vectors=vectors[has_view],
            changes=changes,
        )

    def write(self, snapshot: Snapshot) -> int:
        """Write what changed; return the number of rows written or removed.

        Raises:
            StoreError: If a table cannot be written or compacted; names it.
        """
        if snapshot.counters != self._written_counters:
            self.write_counters(snapshot.counters)
        events = [_from_change(change) for change in snapshot.changes]
        if events:
            with naming(self._folder, EVENTS, "appended to"):
                self._table(EVENTS).add(pa.Table.from_pylist(events, schema=_SCHEMAS[EVENTS]))
            self._count_write(EVENTS)
        version = snapshot.counters.encoder_version
        self.embeddings.remove(version, snapshot.removed_views)
        self.embeddings.put(version, snapshot.vectors)
        self._delete(VIEWS, "view_id", snapshot.removed_views)
        views = [_from_view(view) for view in snapshot.views]
        self._upsert(VIEWS, ["view_id"], views)
        self._delete(SLOTS, "slot_id", snapshot.removed_slots)
        self._upsert(SLOTS, ["slot_id"], snapshot.slots)
        removed = len(snapshot.removed_views) + len(snapshot.removed_slots)
        return len(events) + len(snapshot.vectors) + len(views) + len(snapshot.slots) + removed

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

    def _rows(self, name: str, where: str = "true") -> list[dict[str, Any]]:
        table = open_table(self._folder, name)
        if table is None:
            return []
        with naming(self._folder, name):
            found: list[dict[str, Any]] = table.search().where(where).to_arrow().to_pylist()
        return found

    def _upsert(self, name: str, keys: list[str], rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        with naming(self._folder, name, "written"):
            data = pa.Table.from_pylist(rows, schema=_SCHEMAS[name])
            merge = self._table(name).merge_insert(keys)
            merge.when_matched_update_all().when_not_matched_insert_all().execute(data)
        self._count_write(name)

    def _delete(self, name: str, key: str, ids: Sequence[int]) -> None:
        if not ids:
            return
        with naming(self._folder, name, "pruned"):
            self._table(name).delete(f"{key} IN ({', '.join(str(i) for i in ids)})")

    def _count_write(self, name: str) -> None:
        self._num_writes[name] += 1
        if self._num_writes[name] % COMPACT_EVERY:
            return
        try:
            self._table(name).optimize(cleanup_older_than=KEEP_VERSIONS)
        except Exception as error:
            raise StoreError(
                f"table {name!r} in {self._folder} cannot be compacted: {error}"
            ) from error


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


def slot_row(arrays: SlotArrays, row: int) -> dict[str, Any]:
    """Return a slot as a row of its table."""
    slot = arrays.record(row)
    return {
        "slot_id": slot.slot_id,
        "label": slot.label,
        "vote_labels": list(slot.votes),
        "vote_scores": list(slot.votes.values()),
        "xyz_m": slot.xyz_m.tolist(),
        "cov_m2": slot.cov_m2.ravel().tolist(),
        "extent_m": slot.extent_m.tolist(),
        "existence": slot.existence,
        "state": slot.state.value,
        "num_hits": slot.num_hits,
        "first_seen_ns": slot.first_seen_ns,
        "last_seen_ns": slot.last_seen_ns,
        "first_seen_step": slot.first_seen_step,
        "last_seen_step": slot.last_seen_step,
        "mean_seen_m": arrays.mean_seen_m[row].tolist(),
        "scatter_m2": arrays.scatter_m2[row].ravel().tolist(),
        "area_px_m2": float(arrays.area_px_m2[row]),
        "points_m": arrays.points_m[row].tobytes(),
        "seen_beside": sorted(arrays.seen_beside[row]),
    }


def arrays_from_rows(rows: Sequence[dict[str, Any]]) -> SlotArrays:
    """Return slots from rows of their table."""
    arrays = SlotArrays()
    rows = sorted(rows, key=lambda row: row["slot_id"])
    at = arrays.add([row["slot_id"] for row in rows])
    for i, row in zip(at, rows, strict=True):
        arrays.state[i] = STATES.index(SlotState(row["state"]))
        for name in ("existence", "num_hits", "area_px_m2", "mean_seen_m"):
            getattr(arrays, name)[i] = row[name]
        for name in ("first_seen_ns", "last_seen_ns", "first_seen_step", "last_seen_step"):
            getattr(arrays, name)[i] = row[name]
        arrays.scatter_m2[i] = np.reshape(row["scatter_m2"], (3, 3))
        points = np.frombuffer(row["points_m"], dtype=np.float32)
        arrays.points_m[i] = points.reshape(arrays.points_m.shape[1:])
        arrays.seen_beside[i] = set(row["seen_beside"])
        for label, score in zip(row["vote_labels"], row["vote_scores"], strict=True):
            arrays.vote(int(i), label, score)
    arrays.fit_boxes(at)
    return arrays


def _from_view(view: View) -> dict[str, Any]:
    return {
        "view_id": view.view_id,
        "slot_id": view.slot_id,
        "crop": view.crop.tobytes(),
        "crop_px": view.crop.shape[0],
        "pose": view.pose.tolist(),
        "range_m": view.range_m,
        "num_px": view.num_px,
        "stamp_ns": view.stamp_ns,
    }


def _to_view(row: dict[str, Any]) -> View:
    side = row["crop_px"]
    return View(
        view_id=row["view_id"],
        slot_id=row["slot_id"],
        crop=np.frombuffer(row["crop"], dtype=np.uint8).reshape(side, side, 3),
        pose=np.array(row["pose"], dtype=np.float32),
        range_m=row["range_m"],
        num_px=row["num_px"],
        stamp_ns=row["stamp_ns"],
    )


def _from_change(change: Change) -> dict[str, Any]:
    return {
        "event_id": change.event_id,
        "step": change.step,
        "stamp_ns": change.stamp_ns,
        "kind": change.kind.value,
        "slot_id": change.slot_id,
        "label": change.label,
        "xyz_m": change.xyz_m.tolist(),
        "from_xyz_m": None if change.from_xyz_m is None else change.from_xyz_m.tolist(),
        "other_id": change.other_id,
    }


def change_from_row(row: dict[str, Any]) -> Change:
    """Return an entry of the log from a row of its table."""
    was = row["from_xyz_m"]
    return Change(
        event_id=row["event_id"],
        step=row["step"],
        stamp_ns=row["stamp_ns"],
        kind=ChangeKind(row["kind"]),
        slot_id=row["slot_id"],
        label=row["label"],
        xyz_m=np.array(row["xyz_m"]),
        from_xyz_m=None if was is None else np.array(was),
        other_id=row["other_id"],
    )
