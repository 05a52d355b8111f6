"""Slots, views and changes as rows of their tables, many at once.

Axis letters: n rows.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int64, Shaped, UInt8

from memory.objects.changes import Change, ChangeKind
from memory.objects.existence import STATES
from memory.objects.slot_arrays import NUM_POINTS, SlotArrays
from memory.objects.slot_extract import SlotExtract
from memory.objects.views import StoredViews, ViewMeta
from memory.records import SlotState
from memory.schema import events_schema, slots_schema, views_schema

VIEW_MEASURES = ("view_id", "slot_id", "pose", "range_m", "num_px", "stamp_ns")
"""Columns of a view but for its pixels."""

_PLAIN = (
    *("slot_id", "existence", "num_hits", "area_px_m2"),
    *("first_seen_ns", "last_seen_ns", "first_seen_step", "last_seen_step"),
)


def slots_to_arrow(slots: SlotExtract) -> pa.Table:
    """Return rows of the table of slots."""
    columns, votes = slots.columns, slots.votes()
    values = {name: columns[name] for name in _PLAIN} | {
        "label": slots.label_names(),
        "vote_labels": [list(vote) for vote in votes],
        "vote_scores": [list(vote.values()) for vote in votes],
        "xyz_m": _lists(slots.centre_m()),
        "cov_m2": _lists(slots.covariance_m2()),
        "extent_m": _lists(columns["high_m"] - columns["low_m"]),
        "state": [STATES[code].value for code in columns["state"].tolist()],
        "mean_seen_m": _lists(columns["mean_seen_m"]),
        "scatter_m2": _lists(columns["scatter_m2"]),
        "points_m": [points.tobytes() for points in columns["points_m"]],
        "seen_beside": [slots.beside.get(i, []) for i in columns["slot_id"].tolist()],
    }
    return _table(values, slots_schema())


def slots_from_arrow(rows: pa.Table) -> SlotExtract:
    """Return slots from rows of their table; of rows with the same id the one seen last.

    Raises:
        ValueError: If a state is unknown or the points of a row have another size.
    """
    order = np.lexsort((_numbers(rows, "last_seen_step"), _numbers(rows, "slot_id")))
    ids = _numbers(rows, "slot_id")[order]
    # Column by column: a copy of all rows in order would cost as much memory as the slots do.
    kept = order[ids != np.append(ids[1:], -1)]
    n = len(kept)
    columns: dict[str, np.ndarray] = {
        name: np.zeros((n, *size), kind) for name, (size, kind) in SlotArrays.COLUMNS.items()
    }
    for name in _PLAIN:
        columns[name] = _numbers(rows, name)[kept]
    columns["mean_seen_m"] = _matrix(rows, "mean_seen_m")[kept]
    columns["scatter_m2"] = _matrix(rows, "scatter_m2")[kept].reshape(n, 3, 3)
    points = _joined(rows, "points_m", NUM_POINTS * 3 * 4).view(np.float32)
    columns["points_m"] = points.reshape(-1, NUM_POINTS, 3)[kept]
    state, states = _encoded(rows, "state")
    code = np.array([STATES.index(SlotState(name)) for name in states], dtype=np.int8)
    columns["state"] = code[state[kept]]
    label, labels = _encoded(rows, "label")
    columns["label_code"] = label[kept].astype(np.int64)
    names, first, last = _ragged(rows, "vote_labels", kept)
    scores, *_ = _ragged(rows, "vote_scores", kept)
    single = last - first == 1
    columns["vote_score"][single] = scores.to_numpy()[first[single]]
    ids = columns["slot_id"]
    ballots = {
        slot_id: dict(zip(names[a:b].to_pylist(), scores[a:b].to_pylist(), strict=True))
        for slot_id, a, b in _spans(ids, first, last, ~single)
    }
    others, first, last = _ragged(rows, "seen_beside", kept)
    beside = {
        slot_id: others[a:b].to_pylist() for slot_id, a, b in _spans(ids, first, last, last > first)
    }
    return SlotExtract(columns=columns, labels=tuple(labels), ballots=ballots, beside=beside)


def views_to_arrow(
    views: Sequence[ViewMeta], crops: Sequence[UInt8[np.ndarray, "s s 3"]]
) -> pa.Table:
    """Return rows of the table of views."""
    values = {
        name: [getattr(view, name) for view in views]
        for name in ("view_id", "slot_id", "range_m", "num_px", "stamp_ns")
    } | {
        "crop": [crop.tobytes() for crop in crops],
        "crop_px": [len(crop) for crop in crops],
        "pose": _lists(np.array([view.pose for view in views], dtype=np.float32)),
    }
    return _table(values, views_schema())


def views_from_arrow(rows: pa.Table) -> StoredViews:
    """Return views from `VIEW_MEASURES` of their table; of rows with the same id the newest."""
    ids = _numbers(rows, "view_id")
    _, newest = np.unique(ids[::-1], return_index=True)
    stored = StoredViews(
        view_id=ids,
        slot_id=_numbers(rows, "slot_id"),
        pose=_matrix(rows, "pose"),
        range_m=_numbers(rows, "range_m"),
        num_px=_numbers(rows, "num_px"),
        stamp_ns=_numbers(rows, "stamp_ns"),
    )
    return stored.only(len(ids) - 1 - newest)


def crops_from_arrow(rows: pa.Table) -> dict[int, UInt8[np.ndarray, "s s 3"]]:
    """Return the crops in rows of the table of views, by view."""
    columns = (rows[name].to_pylist() for name in ("view_id", "crop", "crop_px"))
    return {
        view_id: np.frombuffer(pixels, dtype=np.uint8).reshape(side, side, 3)
        for view_id, pixels, side in zip(*columns, strict=True)
    }


def changes_to_arrow(changes: Sequence[Change]) -> pa.Table:
    """Return rows of the log."""
    rows = [
        {
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
        for change in changes
    ]
    return pa.Table.from_pylist(rows, schema=events_schema())


def changes_from_arrow(rows: pa.Table) -> list[Change]:
    """Return the entries of rows of the log, the oldest first."""
    return [change_from_row(row) for row in rows.sort_by("event_id").to_pylist()]


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


def _table(values: dict[str, object], schema: pa.Schema) -> pa.Table:
    return pa.table([pa.array(values[f.name], type=f.type) for f in schema], schema=schema)


def _lists(values: Shaped[np.ndarray, "n ..."]) -> pa.Array:
    flat = np.ascontiguousarray(values).reshape(-1)
    width = int(np.prod(values.shape[1:]))
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), width)


def _numbers(rows: pa.Table, name: str) -> Shaped[np.ndarray, "n"]:
    numbers: Shaped[np.ndarray, "n"] = rows[name].to_numpy()
    return numbers


def _matrix(rows: pa.Table, name: str) -> Shaped[np.ndarray, "n k"]:
    column = rows[name].combine_chunks()
    flat: np.ndarray = column.flatten().to_numpy()
    return flat.reshape(len(rows), column.type.list_size)


def _ragged(
    rows: pa.Table, name: str, kept: Int64[np.ndarray, "n"]
) -> tuple[pa.Array, Int64[np.ndarray, "n"], Int64[np.ndarray, "n"]]:
    """Return all values of a column of lists, and where those of some rows start and end."""
    column = rows[name].combine_chunks()
    offsets = column.offsets.to_numpy().astype(np.int64)
    return column.values, offsets[:-1][kept], offsets[1:][kept]


def _spans(
    ids: Int64[np.ndarray, "n"],
    first: Int64[np.ndarray, "n"],
    last: Int64[np.ndarray, "n"],
    chosen: Bool[np.ndarray, "n"],
) -> Iterator[tuple[int, int, int]]:
    """Return id, start and end of the chosen rows as plain numbers."""
    some = (values[chosen].tolist() for values in (ids, first, last))
    return zip(*some, strict=True)


def _joined(rows: pa.Table, name: str, size: int) -> UInt8[np.ndarray, "m"]:
    """Return binary values of one size behind each other."""
    values = rows[name].combine_chunks()
    offsets = np.frombuffer(values.buffers()[1], dtype=np.int32)
    offsets = offsets[values.offset : values.offset + len(values) + 1]
    if len(values) and (np.diff(offsets) != size).any():
        raise ValueError(f"column {name!r} holds a value that has not {size} bytes")
    if len(values) == 0:
        return np.empty(0, dtype=np.uint8)
    data = np.frombuffer(values.buffers()[2], dtype=np.uint8)
    return data[offsets[0] : offsets[-1]].copy()


def _encoded(rows: pa.Table, name: str) -> tuple[Int64[np.ndarray, "n"], list[str]]:
    """Return the strings of a column as numbers, and what each number stands for."""
    encoded = rows[name].combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy(), encoded.dictionary.to_pylist()
