"""Where things were: the log of changes, played until a time.

Answers come from the log alone, not from table versions: the log is only ever appended to, and
compaction, which drops old versions, keeps every entry. Positions are those of the entries:
where a slot was when it was created, confirmed, doubted, given up, or found elsewhere.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from memory.objects.changes import Change, ChangeKind
from memory.objects.rows import change_from_row
from memory.records import SlotState
from memory.schema import EVENTS
from memory.search.query import SlotQuery, matches
from memory.tables import naming, open_table

_STATE_AFTER = {
    ChangeKind.CREATED: SlotState.TENTATIVE,
    ChangeKind.CONFIRMED: SlotState.CONFIRMED,
    ChangeKind.SUSPECT: SlotState.SUSPECT,
    ChangeKind.ARCHIVED: SlotState.ARCHIVED,
    ChangeKind.MOVED: SlotState.CONFIRMED,
}
_ENDS = (ChangeKind.MERGED, ChangeKind.DROPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastSlot:
    """A slot at a time.

    Attributes:
        slot_id: Its id then.
        now_id: Under which id it goes on today, after merges and moves; None if it was dropped.
        label: Its label then.
        xyz_m: Where it was, world frame.
        state: Its state then.
        since_ns: Since when it had this state and position.
        created_ns: When it was seen first.
    """

    slot_id: int
    now_id: int | None
    label: str
    xyz_m: Float64[np.ndarray, "3"]
    state: SlotState
    since_ns: int
    created_ns: int


class Timeline:
    """The log of changes.

    Args:
        changes: Its entries.
    """

    def __init__(self, changes: Iterable[Change]) -> None:
        self._changes = sorted(changes, key=lambda change: change.event_id)
        self._heir: dict[int, int | None] = {}
        for change in self._changes:
            if change.kind in _ENDS:
                self._heir[change.slot_id] = change.other_id
            elif change.kind is ChangeKind.MOVED and change.other_id is not None:
                self._heir[change.other_id] = change.slot_id

    def now_id(self, slot_id: int) -> int | None:
        """Return the id under which a slot goes on today, None if it was dropped."""
        current: int | None = slot_id
        while current is not None and current in self._heir:
            current = self._heir[current]
        return current

    def state_at(self, slot_id: int, stamp_ns: int) -> PastSlot | None:
        """Return what was known of an object at a time, None if nothing was.

        An object that was known under another id then, because its slot was merged into this one or
        turned out to be this one after a move, is found, too.
        """
        known = self._at(stamp_ns)
        if slot_id in known:
            return known[slot_id]
        same = [past for past in known.values() if past.now_id == slot_id]
        return max(same, key=lambda past: past.since_ns, default=None)

    def slots_at(self, stamp_ns: int, query: SlotQuery | None = None) -> list[PastSlot]:
        """Return what was known at a time and fulfils a query, by id.

        Raises:
            ValueError: If the query asks for what the log does not hold: a vector, a room, or when
                something was seen.
        """
        query = query or SlotQuery()
        if query.like is not None or query.room is not None:
            raise ValueError("the past is asked by name, place and state: not by looks, nor room")
        if (query.last_seen_ns, query.first_seen_ns) != ((None, None), (None, None)):
            raise ValueError("the past is asked at one time: not within a time span as well")
        found = [past for past in self._at(stamp_ns).values() if _fulfils(past, query)]
        return found[: query.limit]

    def _at(self, stamp_ns: int) -> dict[int, PastSlot]:
        known: dict[int, PastSlot] = {}
        for change in self._changes:
            if change.stamp_ns <= stamp_ns:
                take_in(known, change, self.now_id)
        return dict(sorted(known.items()))


def take_in(
    known: dict[int, PastSlot], change: Change, now_id: Callable[[int], int | None]
) -> None:
    """Bring what was known up to date with the next entry of the log.

    Args:
        known: Slots by id; changed.
        change: The entry.
        now_id: Returns the id under which a slot goes on today.
    """
    if change.kind is ChangeKind.FAILED:
        return
    if change.kind in _ENDS:
        known.pop(change.slot_id, None)
        return
    if change.kind is ChangeKind.MOVED and change.other_id is not None:
        known.pop(change.other_id, None)
    before = known.get(change.slot_id)
    known[change.slot_id] = PastSlot(
        slot_id=change.slot_id,
        now_id=now_id(change.slot_id),
        label=change.label,
        xyz_m=change.xyz_m,
        state=_STATE_AFTER[change.kind],
        since_ns=change.stamp_ns,
        created_ns=change.stamp_ns if before is None else before.created_ns,
    )


def read_changes(folder: Path) -> list[Change]:
    """Return the log of a life in no order, empty if there is none.

    Raises:
        DamagedTableError: If it cannot be read.
    """
    table = open_table(folder, EVENTS)
    if table is None:
        return []
    with naming(folder, EVENTS):
        rows: list[dict[str, Any]] = table.search().to_arrow().to_pylist()
        return [change_from_row(row) for row in rows]


def read_timeline(folder: Path) -> Timeline:
    """Return the log of a life, empty if there is none.

    Raises:
        DamagedTableError: If it cannot be read.
    """
    return Timeline(read_changes(folder))


def _fulfils(past: PastSlot, query: SlotQuery) -> bool:
    if query.text is not None and not matches(query.text, past.label):
        return False
    if query.label is not None and past.label != query.label:
        return False
    if query.states is not None and past.state not in query.states:
        return False
    if query.near_xy_m is None or query.radius_m is None:
        return True
    return float(np.linalg.norm(past.xyz_m[:2] - np.array(query.near_xy_m))) <= query.radius_m
