"""What a memory knows of a category beyond what is there now: where it stood, and beside what.

Both are learned from this one memory; without any history they say nothing.

Axis letters: f places.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float64

from memory.objects.changes import ChangeKind
from memory.records import SlotState
from policies.goals import Candidate
from policies.protocols import PastSource, SlotSource

SAME_PLACE_M = 0.5
"""Two entries this close are one place."""
MAX_PLACES = 4
"""Old places that are looked at for one goal; more cost longer than a frontier."""
SIDE_M = 0.4
"""Side of a box of which only the middle is known."""
BACK_CHANCE = 0.2
"""That a thing is back at a place that it left once; each further time there adds as much of the
rest. Objects that people carry about have habits, but mostly the place is empty."""
NEAR_M = 2.5
"""Things this close stand together."""
MAX_KNOWN = 32
"""Places of a category from which its company is learned."""

_STOOD = (ChangeKind.CONFIRMED, ChangeKind.ARCHIVED, ChangeKind.MOVED)


def past_places(
    slots: SlotSource,
    names: Sequence[str],
    stamp_ns: int,
    tick_s: float,
    is_here: Callable[[Float64[np.ndarray, "2"]], bool] = lambda xy_m: True,
) -> list[Candidate]:
    """Return where things of a category stood and are not known to stand now, likeliest first.

    Args:
        slots: Memory; its log of changes is read where it has one, for things that it still knows.
        names: Labels of the category.
        stamp_ns: Now.
        tick_s: Duration of a step.
        is_here: Tells which places can be driven to; those of other homes cannot.
    """
    stood: list[tuple[np.ndarray, np.ndarray, int]] = []
    there: list[np.ndarray] = []
    known: set[int] = set()
    for slot in (s for name in names for s in slots.slots(name, archived=True)):
        known.add(slot.slot_id)
        if slot.state is SlotState.ARCHIVED:
            stood.append((slot.xyz_m[:2], slot.extent_m[:2], slot.last_seen_ns))
        else:
            there.append(slot.xyz_m[:2])
    if isinstance(slots, PastSource):
        box = np.full(2, SIDE_M)
        for change in slots.changes():
            if change.slot_id in known and change.kind in _STOOD:
                left = change.from_xyz_m if change.kind is ChangeKind.MOVED else change.xyz_m
                if left is not None:
                    stood.append((left[:2], box, change.stamp_ns))
    found: list[tuple[np.ndarray, np.ndarray, int, int]] = []
    there_m = np.array(there).reshape(-1, 2)
    for middle, extent, seen_ns in stood:
        # There may be thousands in other homes.
        if not is_here(middle) or (np.hypot(*(there_m - middle).T) < SAME_PLACE_M).any():
            continue
        at = next((i for i, f in enumerate(found) if np.hypot(*(middle - f[0])) < SAME_PLACE_M), -1)
        if at < 0:
            found.append((middle, extent, seen_ns, 1))
        else:
            first, size, last_ns, times = found[at]
            found[at] = (first, size, max(last_ns, seen_ns), times + 1)
    # An archived slot has an entry in the log of when it came and one of when it went.
    found.sort(key=lambda f: (-f[3], -f[2]))
    return [
        Candidate(
            label=names[0],
            slot_id=None,
            low_m=middle - extent / 2,
            high_m=middle + extent / 2,
            chance=1.0 - (1.0 - BACK_CHANCE) ** max(1, times // 2),
            steps_ago=round(max(0, stamp_ns - seen_ns) / 1e9 / tick_s),
            state="past",
            age_s=max(0, stamp_ns - seen_ns) / 1e9,
        )
        for middle, extent, seen_ns, times in found[:MAX_PLACES]
    ]


class Company:
    """What things of a category stand beside, and how much of it is near other places.

    For each label l: share(l) = places of the category with an l within `NEAR_M`, over all known
    places of the category. The value of a place is the sum of share(l) over the labels near it,
    as a fraction of the sum over all labels: 0 to 1. Without a known place it is 0 everywhere: a
    category that was never seen has no prior.

    Args:
        source: Memory.
        names: Labels of the category.
        places_m: Where such things stand or stood.
    """

    def __init__(
        self, source: PastSource, names: Sequence[str], places_m: Sequence[Float64[np.ndarray, "2"]]
    ) -> None:
        self._source, self._names = source, set(names)
        beside: Counter[str] = Counter()
        for place in places_m[:MAX_KNOWN]:
            beside.update(self._labels_near(place))
        num = max(1, len(places_m[:MAX_KNOWN]))
        self.share = {label: count / num for label, count in beside.items()}
        self.used = 0
        """Choices in which it told frontiers apart."""

    def values(self, xy_m: Float64[np.ndarray, "f 2"]) -> Float64[np.ndarray, "f"]:
        """Return the value of each place, 0 to 1."""
        total = sum(self.share.values())
        if total == 0.0:
            return np.zeros(len(xy_m))
        return np.array(
            [sum(self.share.get(n, 0.0) for n in self._labels_near(xy)) / total for xy in xy_m]
        )

    def _labels_near(self, xy_m: Float64[np.ndarray, "2"]) -> set[str]:
        near = self._source.near((float(xy_m[0]), float(xy_m[1])), NEAR_M)
        return {slot.label for slot in near} - self._names
