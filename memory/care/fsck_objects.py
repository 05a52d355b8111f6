"""Checking slots, views, vectors, the log and the counters against one another."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from memory.care.access import TableReader
from memory.care.fsck_types import Finding, Repair, any_of, listed
from memory.errors import DamagedTableError
from memory.objects.changes import ChangeKind
from memory.objects.tables import COUNTERS_FILE
from memory.records import SlotState
from memory.schema import EVENTS, SLOTS, VIEWS
from memory.tables import table_names
from memory.vectors.encoders import VectorRows, vector_rows

COUNTED = {
    "next_slot_id": ((SLOTS, "slot_id"), (EVENTS, "slot_id"), (VIEWS, "slot_id")),
    "next_view_id": ((VIEWS, "view_id"),),
    "next_event_id": ((EVENTS, "event_id"),),
}
"""Counters, and the columns whose values they must be above."""


def check_objects(folder: Path, tables: dict[str, TableReader], *, deep: bool) -> Iterator[Finding]:
    """Yield what is wrong with the object memory.

    Raises:
        DamagedTableError: If a table cannot be read.
    """
    if SLOTS in tables:
        yield from _check_slots(tables[SLOTS])
    if VIEWS in tables:
        yield from _check_views(tables, deep)
    for version, rows in vector_rows(tables).items():
        yield from _check_vectors(tables, version, rows)
        if deep:
            yield from _check_numbers(version, rows)
    if EVENTS in tables:
        yield from _unique(tables[EVENTS], "event_id")
        yield from _known(tables[EVENTS], "kind", [kind.value for kind in ChangeKind], "event_id")
    yield from _check_counters(folder, tables)


def highest_ids(tables: dict[str, TableReader]) -> dict[str, int]:
    """Return the lowest value that each counter may have."""
    return {
        name: 1 + max((max(_ids(tables, *column), default=0) for column in columns), default=0)
        for name, columns in COUNTED.items()
    }


def read_counters(folder: Path) -> dict[str, Any] | None:
    """Return the counters as they are in their file, None without one.

    Raises:
        DamagedTableError: If the file cannot be read.
    """
    path = folder / COUNTERS_FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DamagedTableError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(found.get(n), int) for n in COUNTED):
        raise DamagedTableError(f"{path} holds no numbers {', '.join(COUNTED)}")
    return found


def _check_slots(table: TableReader) -> Iterator[Finding]:
    yield from _unique(table, "slot_id")
    yield from _known(table, "state", [state.value for state in SlotState], "slot_id")
    names = ["slot_id", "existence", "xyz_m", "cov_m2", "extent_m"]
    rows = table.to_arrow(columns=names)
    for name in names[1:]:
        values = _matrix(rows[name])
        wrong = rows["slot_id"].to_numpy()[~np.isfinite(values).all(axis=1)].tolist()
        if wrong:
            yield _error(SLOTS, f"slot_id {listed(wrong)}", f"{name} is not finite")


def _check_views(tables: dict[str, TableReader], deep: bool) -> Iterator[Finding]:
    table = tables[VIEWS]
    yield from _unique(table, "view_id")
    rows = table.to_arrow(columns=["view_id", "slot_id"])
    owners = zip(rows["view_id"].to_pylist(), rows["slot_id"].to_pylist(), strict=True)
    yield from _owned(table, tables, SLOTS, dict(owners))
    wrong: list[int] = []
    for batch in table.reader(columns=["view_id", "crop", "crop_px"]) if deep else ():
        side = batch["crop_px"].to_numpy()
        length = pc.fill_null(pc.binary_length(batch["crop"]), -1).to_numpy()
        wrong += batch["view_id"].to_numpy()[length != 3 * side * side].tolist()
    if wrong:
        yield Finding(
            level="error",
            table=VIEWS,
            key=f"view_id {listed(wrong)}",
            found="pixels are missing or of another size than crop_px x crop_px x 3",
            repair=_drop("view_id", wrong),
        )


def _check_vectors(
    tables: dict[str, TableReader], version: str, rows: VectorRows
) -> Iterator[Finding]:
    ids, counts = np.unique(np.array(rows.view_ids(), dtype=np.int64), return_counts=True)
    doubled = ids[counts > 1].tolist()
    if doubled:
        found = f"more than one vector of encoder {version!r}"
        yield _error(rows.table.name, f"view_id {listed(doubled)}", found)
    yield from _owned(rows.table, tables, VIEWS, {view_id: view_id for view_id in ids.tolist()})


def _check_numbers(version: str, rows: VectorRows) -> Iterator[Finding]:
    """Yield vectors of another length than the others, or with values that are not finite."""
    sizes: set[int] = set()
    wrong: list[int] = []
    for batch in rows.table.reader(columns=["view_id", "vector"], where=rows.where):
        vectors = batch["vector"]
        length = pc.list_value_length(vectors).to_numpy()
        sizes |= set(length.tolist())
        is_finite = np.isfinite(vectors.flatten().to_numpy(zero_copy_only=False))
        per_row = np.split(is_finite, np.cumsum(length)[:-1])
        at = [row for row, values in enumerate(per_row) if not values.all()]
        wrong += batch["view_id"].to_numpy()[at].tolist()
    if len(sizes) > 1:
        found = f"vectors of encoder {version!r} have {len(sizes)} lengths: {listed(sorted(sizes))}"
        yield _error(rows.table.name, "vector", found)
    if wrong:
        yield Finding(
            level="error",
            table=rows.table.name,
            key=f"view_id {listed(wrong)}",
            found=f"vectors of encoder {version!r} are not finite",
            repair=_drop("view_id", wrong),
        )


def _check_counters(folder: Path, tables: dict[str, TableReader]) -> Iterator[Finding]:
    repair = Repair(kind="counters", text="write it anew, above every id in the tables")
    try:
        counters = read_counters(folder)
    except DamagedTableError as error:
        yield Finding(level="error", table=COUNTERS_FILE, key="", found=str(error), repair=repair)
        return
    lowest = highest_ids(tables)
    if counters is None:
        if SLOTS in tables and tables[SLOTS].num_rows():
            found = "it is missing, but there are slots"
            yield Finding(level="error", table=COUNTERS_FILE, key="", found=found, repair=repair)
        return
    for name, least in lowest.items():
        if counters[name] < least:
            yield Finding(
                level="error",
                table=COUNTERS_FILE,
                key=name,
                found=f"{counters[name]} would be given again: the tables hold {least - 1}",
                repair=repair,
            )


def _ids(tables: dict[str, TableReader], name: str, column: str) -> set[int]:
    if name not in tables:
        return set()
    return set(tables[name].to_arrow(columns=[column])[column].to_pylist())


def _unique(table: TableReader, key: str) -> Iterator[Finding]:
    values, counts = np.unique(table.to_arrow(columns=[key])[key].to_numpy(), return_counts=True)
    doubled = values[counts > 1].tolist()
    if doubled:
        yield _error(table.name, f"{key} {listed(doubled)}", "more than one row has this id")


def _known(table: TableReader, column: str, known: list[str], key: str) -> Iterator[Finding]:
    rows = table.to_arrow(columns=[key, column])
    strange = pc.invert(pc.is_in(rows[column], value_set=pa.array(known)))
    ids = pc.filter(rows[key], strange).to_pylist()
    if ids:
        yield _error(table.name, f"{key} {listed(ids)}", f"{column} is none of {', '.join(known)}")


def _matrix(column: pa.ChunkedArray) -> np.ndarray:
    values = column.combine_chunks()
    if pa.types.is_fixed_size_list(values.type):
        flat = values.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(-1, values.type.list_size)
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(-1, 1)


def _drop(key: str, ids: list[int]) -> Repair:
    text = f"remove {len(ids)} rows from the table, a copy of them is kept"
    return Repair(kind="drop_rows", text=text, where=any_of(key, ids))


def _owned(
    table: TableReader, tables: dict[str, TableReader], owner: str, owner_of: dict[int, int]
) -> Iterator[Finding]:
    """Yield views or vectors whose owner is gone; nothing is known of them if its table is."""
    if owner not in tables:
        if owner_of and owner not in table_names(table.folder):
            found = f"it is missing, but table {table.name!r} holds {len(owner_of)} rows"
            yield _error(owner, "", found)
        return
    owners = _ids(tables, owner, "slot_id" if owner == SLOTS else "view_id")
    orphans = sorted(view_id for view_id, own in owner_of.items() if own not in owners)
    if orphans:
        yield Finding(
            level="note",
            table=table.name,
            key=f"view_id {listed(orphans)}",
            found=f"not in table {owner!r} any more: a kill came between two writes",
            repair=_drop("view_id", orphans),
        )


def _error(table: str, key: str, found: str) -> Finding:
    return Finding(level="error", table=table, key=key, found=found)
