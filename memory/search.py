"""Asking the object memory from another process, whether its life runs or not."""

from pathlib import Path
from typing import Any

from memory.records import SlotState
from memory.schema import FORMAT_FILE, SLOTS, VIEWS, prepare_folder
from memory.tables import naming, open_table

_COLUMNS = (
    *("slot_id", "label", "xyz_m", "extent_m", "state", "existence", "num_hits"),
    *("first_seen_step", "last_seen_step", "last_seen_ns"),
)


def matches(text: str, label: str) -> bool:
    """Return whether a text asks for a label: any part of it, case and plural aside."""
    wanted, name = _plain(text), _plain(label)
    return bool(wanted) and (wanted in name or wanted.removesuffix("s") in name)


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
    if not (memory_folder / FORMAT_FILE).exists() and not any(memory_folder.glob("*.lance")):
        return []
    prepare_folder(memory_folder)
    table = open_table(memory_folder, SLOTS)
    if table is None:
        return []
    with naming(memory_folder, SLOTS):
        slots = table.search().select(list(_COLUMNS)).to_arrow().to_pylist()
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


def search_home(memory_folder: Path, text: str, limit: int) -> list[dict[str, Any]]:
    """Return at most `limit` slots whose label matches a text, the surest first.

    Raises:
        NewerFormatError: If a newer program wrote the folder.
        DamagedTableError: If a table cannot be read.
    """
    return [slot for slot in list_slots(memory_folder) if matches(text, slot["label"])][:limit]


def _plain(text: str) -> str:
    return text.strip().lower().replace("_", " ").replace("-", " ")
