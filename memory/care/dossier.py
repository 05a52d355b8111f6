"""One remembered object, or the log of all, as the tables tell it."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from memory.care.access import open_reader, open_tables, quoted, require_readable
from memory.errors import DamagedTableError
from memory.objects.changes import ChangeKind
from memory.objects.views import direction_bin
from memory.schema import EVENTS, SLOTS, VIEWS
from memory.vectors.encoders import vector_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """Everything about one slot.

    Attributes:
        slot: Its row as plain values, with `sigma_m` and `votes`.
        views: Its crops, the largest first: plain values without pixels, with `side` (number of
            `views.direction_bin`) and `bearing_deg` (from the object to the eye, 0 along x).
        crops: Pixels by view id.
        changes: Its log, oldest first.
        encoders: Encoder versions that have vectors of its views, with how many.
    """

    slot: dict[str, Any]
    views: list[dict[str, Any]]
    crops: dict[int, UInt8[np.ndarray, "s s 3"]]
    changes: list[dict[str, Any]]
    encoders: dict[str, int]


def read_dossier(folder: Path, slot_id: int) -> Dossier | None:
    """Return what is known about a slot; None if no such slot is stored.

    A slot that was merged or dropped has no row any more, but its log tells what became of it:
    see `read_changes`.

    Raises:
        NewerFormatError: If a newer program wrote the folder.
        DamagedTableError: If a table cannot be read.
    """
    slots = open_reader(folder, SLOTS) if require_readable(folder) else None
    found = slots.rows(where=f"slot_id = {slot_id}") if slots is not None else []
    if not found:
        return None
    slot = found[0]
    table = open_reader(folder, VIEWS)
    rows = table.rows(where=f"slot_id = {slot_id}") if table is not None else []
    rows.sort(key=lambda row: (-row["num_px"], row["view_id"]))
    centre = np.array(slot["xyz_m"])
    crops = {row["view_id"]: _pixels(row, folder) for row in rows}
    for row in rows:
        eye = np.array(row["pose"])
        row["side"] = direction_bin(centre, eye)
        row["bearing_deg"] = round(math.degrees(math.atan2(*(eye[:2] - centre[:2])[::-1])))
        row["bytes"] = len(row.pop("crop"))
    return Dossier(
        slot=_slot_facts(slot),
        views=rows,
        crops=crops,
        changes=read_changes(folder, slot_id=slot_id),
        encoders=_encoders(folder, [row["view_id"] for row in rows]),
    )


def read_changes(
    folder: Path,
    *,
    since_ns: int | None = None,
    label: str | None = None,
    kind: ChangeKind | None = None,
    slot_id: int | None = None,
) -> list[dict[str, Any]]:
    """Return log entries as plain values, newest last.

    Args:
        folder: Folder of the tables.
        since_ns: Only those whose observation is as young as this stamp.
        label: Only of objects of this label.
        kind: Only of this kind.
        slot_id: Only of this slot.

    Raises:
        NewerFormatError: If a newer program wrote the folder.
        DamagedTableError: If the table cannot be read.
    """
    table = open_reader(folder, EVENTS) if require_readable(folder) else None
    if table is None:
        return []
    conditions = {
        f"stamp_ns >= {since_ns}": since_ns is not None,
        f"label = {quoted(label or '')}": label is not None,
        f"kind = {quoted(str(kind))}": kind is not None,
        f"slot_id = {slot_id}": slot_id is not None,
    }
    wanted = [condition for condition, is_asked in conditions.items() if is_asked]
    rows = table.rows(where=" AND ".join(wanted) or None)
    return sorted(rows, key=lambda row: row["event_id"])


def _slot_facts(row: dict[str, Any]) -> dict[str, Any]:
    variance_m2 = np.reshape(row["cov_m2"], (3, 3)).diagonal()
    left_out = {"vote_labels", "vote_scores", "points_m", "scatter_m2", "cov_m2"}
    return {
        **{name: value for name, value in row.items() if name not in left_out},
        "votes": dict(zip(row["vote_labels"], row["vote_scores"], strict=True)),
        "sigma_m": np.sqrt(np.maximum(variance_m2, 0)).tolist(),
    }


def _pixels(row: dict[str, Any], folder: Path) -> UInt8[np.ndarray, "s s 3"]:
    side, crop = row["crop_px"], row["crop"]
    if len(crop) != side * side * 3:
        raise DamagedTableError(
            f"table {VIEWS!r} in {folder}: view {row['view_id']} has {len(crop)} bytes of pixels, "
            f"{side} x {side} x 3 = {side * side * 3} were expected"
        )
    return np.frombuffer(crop, dtype=np.uint8).reshape(side, side, 3)


def _encoders(folder: Path, view_ids: list[int]) -> dict[str, int]:
    wanted = set(view_ids)
    counts = {
        version: len(wanted.intersection(rows.view_ids()))
        for version, rows in vector_rows(open_tables(folder)).items()
    }
    return {version: count for version, count in counts.items() if count}
