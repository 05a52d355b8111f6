"""Whether remembered objects keep their identity, and whether the belief in them is honest.

Identity: an object that is seen again should get the slot that it had. Another one is an identity
switch, unless the memory announced that both are the same (a merge or a move).
Belief: the existence of a slot, as a probability, against whether its object is there (Brier 1950,
Monthly Weather Review 78, Eq. (2), one class: mean squared difference; 0 is best, 0.25 says
nothing).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agentd.evaluate.slots import stands_for
from agentd.worlds.oracle import TrueObject
from memory.objects.association import box_overlap
from memory.objects.changes import Change, ChangeKind
from memory.records import Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackScore:
    """Identity and belief over a run.

    Attributes:
        num_reobservations: Detections of an object that had a slot already.
        num_switches: Of those, with another slot that was never announced to be the same.
        num_online_switches: Of those, with another slot at that moment, announced later or not.
        switches_per_100: `num_switches` per 100 re-observations; NaN without any.
        num_beliefs: Pairs of slot and time.
        brier: Mean squared error of existence over those pairs; NaN without any.
    """

    num_reobservations: int
    num_switches: int
    num_online_switches: int
    switches_per_100: float
    num_beliefs: int
    brier: float


class TrackScorer:
    """Collects what a memory said, frame by frame, beside the truth."""

    def __init__(self) -> None:
        self._last: dict[int, int] = {}
        self._switches: list[tuple[int, int]] = []
        self._num_reobservations = 0
        self._heir: dict[int, int] = {}
        self._squares: list[float] = []

    def note_sightings(self, object_ids: Sequence[int | None], slot_ids: Sequence[int]) -> None:
        """Take in the answer to one frame.

        Args:
            object_ids: True object of each detection; None for a phantom or for several in one.
            slot_ids: Slot of each detection; 0 if the memory dropped it at once.
        """
        now: dict[int, list[int]] = {}
        for object_id, slot_id in zip(object_ids, slot_ids, strict=True):
            if object_id is not None and slot_id > 0:
                now.setdefault(object_id, []).append(slot_id)
        for object_id, ids in now.items():
            # Seen in pieces, the object is as well known as the best of them.
            last = self._last.get(object_id)
            if last is not None:
                self._num_reobservations += 1
                if last in ids:
                    continue
                self._switches.append((last, ids[0]))
            self._last[object_id] = ids[0]

    def note_same(self, gone_id: int, heir_id: int) -> None:
        """Take in that the memory announced two slots to be one; the first ceased to exist."""
        gone, heir = self.resolve(gone_id), self.resolve(heir_id)
        if gone != heir:
            self._heir[gone] = heir

    def note_beliefs(self, slots: Sequence[Slot], objects: Sequence[TrueObject]) -> None:
        """Take in what is believed at one time; `slots` with the archived ones.

        Args:
            slots: All slots.
            objects: All objects that are present, seen or not.
        """
        candidates = stands_for(slots, objects)
        for slot, mine in zip(slots, candidates, strict=True):
            believed = 1 / (1 + math.exp(-slot.existence))
            self._squares.append((believed - float(mine.any())) ** 2)

    def resolve(self, slot_id: int) -> int:
        """Return the slot that a slot has become by what was announced, itself if nothing was."""
        while slot_id in self._heir:
            slot_id = self._heir[slot_id]
        return slot_id

    def last_slot(self, object_id: int) -> int | None:
        """Return the slot that an object was last seen as, as it is known now; None if never."""
        last = self._last.get(object_id)
        return None if last is None else self.resolve(last)

    def score(self) -> TrackScore:
        """Return the figures so far."""
        kept = [pair for pair in self._switches if self.resolve(pair[0]) != self.resolve(pair[1])]
        num = self._num_reobservations
        return TrackScore(
            num_reobservations=num,
            num_switches=len(kept),
            num_online_switches=len(self._switches),
            switches_per_100=100 * len(kept) / num if num else math.nan,
            num_beliefs=len(self._squares),
            brier=float(np.mean(self._squares)) if self._squares else math.nan,
        )


def announced_same(
    before: Mapping[int, Slot], after: Mapping[int, Slot], changes: Sequence[Change]
) -> list[tuple[int, int]]:
    """Return pairs of a slot that ceased to exist and its heir, as a log of changes tells.

    A move names the heir, which stands where the vanished slot stood; a merge names the vanished
    slot, whose heir is the slot of its label that covers it best.

    Args:
        before: Slots before the changes, with archived ones, by id.
        after: Slots after them.
        changes: What was announced in between.
    """
    explained = {c.slot_id for c in changes if c.kind in (ChangeKind.MERGED, ChangeKind.DROPPED)}
    vanished = [slot for slot_id, slot in before.items() if slot_id not in after]
    pairs = []
    for change in changes:
        if change.kind is ChangeKind.MOVED:
            pairs += [
                (slot.slot_id, change.slot_id)
                for slot in vanished
                if slot.slot_id not in explained and np.allclose(slot.xyz_m, change.xyz_m)
            ]
        elif change.kind is ChangeKind.MERGED and change.slot_id in before:
            heir = _covering(before[change.slot_id], list(after.values()))
            if heir is not None:
                pairs.append((change.slot_id, heir))
    return pairs


def _covering(gone: Slot, slots: Sequence[Slot]) -> int | None:
    """Return the slot of the same label that covers most of a slot, None if none touches it."""
    alike = [slot for slot in slots if slot.label == gone.label]
    if not alike:
        return None
    low = np.stack([slot.xyz_m - slot.extent_m / 2 for slot in alike])
    high = np.stack([slot.xyz_m + slot.extent_m / 2 for slot in alike])
    own_low, own_high = gone.xyz_m - gone.extent_m / 2, gone.xyz_m + gone.extent_m / 2
    share = box_overlap(own_low[None], own_high[None], low, high)[0][0]
    return alike[int(share.argmax())].slot_id if share.max() > 0 else None
