"""What was believed of the objects at every step of a span, from the log of changes.

The log holds where a slot was and in which state when that changed; the rows hold which slots were
in view. How sure the memory was (the log-odds of existence) is kept for the present alone.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memory.objects.changes import Change, ChangeKind
from memory.objects.timeline import PastSlot, Timeline, read_changes, take_in
from memory.records import SlotState, Transition
from memory.search.home import list_slots

TOLD = (SlotState.CONFIRMED, SlotState.SUSPECT)
"""States that are told: what was seen a little may be nothing, what is archived is gone."""

Extent = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Believed:
    """A slot as it was believed to be at one step.

    Attributes:
        slot: What the log says.
        last_seen_ns: Newest sighting until then; None if it lies before the span and is not known.
        existence: Log-odds that it is there; None in the past.
        extent_m: Its size as it is known today, None if it is not.
    """

    slot: PastSlot
    last_seen_ns: int | None
    existence: float | None
    extent_m: Extent | None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        slot = self.slot
        return {
            "slot_id": slot.slot_id,
            "now_id": slot.now_id,
            "label": slot.label,
            "state": slot.state.value,
            "xyz_m": [round(float(v), 4) for v in slot.xyz_m],
            "extent_m": None if self.extent_m is None else [round(v, 4) for v in self.extent_m],
            "existence": self.existence,
            "probability": None if self.existence is None else _probability(self.existence),
            "first_seen_ns": slot.created_ns,
            "last_seen_ns": self.last_seen_ns,
            "since_ns": slot.since_ns,
        }


class BeliefTrack:
    """The belief, moved forward step by step.

    Args:
        changes: Entries of the log.
        today: Slots as they are remembered now, as plain rows.
    """

    def __init__(self, changes: Iterable[Change], today: Sequence[dict[str, Any]]) -> None:
        self._changes = sorted(changes, key=lambda change: change.event_id)
        self._timeline = Timeline(self._changes)
        self._today = {int(slot["slot_id"]): slot for slot in today}
        self._known: dict[int, PastSlot] = {}
        self._seen_ns: dict[int, int] = {}
        self._next = 0

    def advance(self, step: int) -> bool:
        """Take in what was noticed until a step; return whether anything was."""
        first = self._next
        while self._next < len(self._changes) and self._changes[self._next].step <= step:
            self._take(self._changes[self._next])
            self._next += 1
        return self._next > first

    def see(self, row: Transition) -> None:
        """Take note of which slots a row has in view."""
        for slot_id in row.object_slots.tolist():
            if slot_id:
                self._seen_ns[slot_id] = row.observation.stamp_ns

    def now(self, stamp_ns: int, *, is_newest: bool = False) -> list[Believed]:
        """Return what is believed, by id.

        Args:
            stamp_ns: Time of the newest step taken in.
            is_newest: Whether that step is the life's newest: its certainty is known then.
        """
        told = (slot for _, slot in sorted(self._known.items()) if slot.state in TOLD)
        return [self._believed(slot, stamp_ns, is_newest=is_newest) for slot in told]

    def _believed(self, slot: PastSlot, stamp_ns: int, *, is_newest: bool) -> Believed:
        # An id that was merged or moved since lives on under another one.
        row = self._today.get(slot.slot_id) or self._today.get(slot.now_id or 0)
        seen_ns = self._seen_ns.get(slot.slot_id)
        if seen_ns is None and row is not None and row["last_seen_ns"] <= stamp_ns:
            seen_ns = int(row["last_seen_ns"])
        extent = None if row is None else tuple(float(v) for v in row["extent_m"])
        return Believed(
            slot=slot,
            last_seen_ns=seen_ns,
            existence=float(row["existence"]) if is_newest and row is not None else None,
            extent_m=None if extent is None else (extent[0], extent[1], extent[2]),
        )

    def _take(self, change: Change) -> None:
        take_in(self._known, change, self._timeline.now_id)
        # Sightings under an id that ends now were sightings of the one that goes on.
        if change.kind is ChangeKind.MERGED and change.other_id is not None:
            self._pass_on(change.slot_id, change.other_id)
        elif change.kind is ChangeKind.MOVED and change.other_id is not None:
            self._pass_on(change.other_id, change.slot_id)

    def _pass_on(self, ended_id: int, heir_id: int) -> None:
        seen_ns = self._seen_ns.pop(ended_id, None)
        if seen_ns is not None:
            self._seen_ns[heir_id] = max(seen_ns, self._seen_ns.get(heir_id, seen_ns))


def read_belief(folder: Path) -> BeliefTrack:
    """Return the belief of a life before its first step.

    Raises:
        DamagedTableError: If a table cannot be read.
    """
    return BeliefTrack(read_changes(folder), list_slots(folder))


def _probability(log_odds: float) -> float:
    return round(1 / (1 + math.exp(-max(min(log_odds, 50.0), -50.0))), 4)
