"""Objects that were found elsewhere get their old identity back.

A doubted or archived slot and a younger confirmed one of the same label are the same object if they
look alike and neither looks as much like any other candidate: of several equal chairs nobody can
tell which one moved. Only slots whose state or views changed since the last look are asked about,
so that the cost does not grow with the life; how long ago a slot was archived does not matter.

Axis letters: r rivals, k views of each, d features.
"""

import threading
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from memory.objects.existence import ARCHIVED, CONFIRMED, SUSPECT
from memory.objects.tracking import SlotTracker
from memory.vectors.embeddings import EmbeddingBook

UNAMBIGUOUS = 0.02
"""Similarity by which the best candidate for a moved object must beat the next."""


def reunite_moved(tracker: SlotTracker, book: EmbeddingBook, lock: threading.RLock) -> int:
    """Give objects that were found elsewhere their old identity; return how many.

    Looks are compared outside of the lock, which the control loop waits for.
    """
    if len(book) == 0:
        return 0
    with lock:
        asked = sorted(tracker.reunion)
        tracker.reunion.clear()
    pairs: set[tuple[int, int]] = set()
    for slot_id in asked:
        with lock:
            rivals = _rivals(tracker, slot_id)
        if len(rivals.slot_ids) and not any(i in book for i in rivals.own_views):
            with lock:
                tracker.reunion.add(slot_id)
            continue
        best = _best(rivals, book)
        if best is None:
            continue
        with lock:
            back = _rivals(tracker, best)
        if _best(back, book) == slot_id:
            pairs.add((best, slot_id) if rivals.is_new else (slot_id, best))
    num_moved = 0
    for old_id, new_id in sorted(pairs):
        with lock:
            num_moved += tracker.move(old_id, new_id)
    return num_moved


def unambiguous_best(likeness: Float32[np.ndarray, "r"], threshold: float) -> int | None:
    """Return the index of the largest if it reaches a threshold and beats all others clearly."""
    if len(likeness) == 0:
        return None
    best = int(np.argmax(likeness))
    others = np.delete(likeness, best)
    clear = likeness[best] - others.max(initial=-1.0) >= UNAMBIGUOUS
    return best if likeness[best] >= threshold and clear else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rivals:
    """Slots that one slot may be the same object as, and the ids of all views; 0 is none."""

    is_new: bool
    own_views: list[int]
    slot_ids: Int64[np.ndarray, "r"]
    views: Int64[np.ndarray, "r k"]


def _rivals(tracker: SlotTracker, slot_id: int) -> _Rivals:
    arrays = tracker.arrays
    row = arrays.row(slot_id)
    state = -1 if row is None else int(arrays.state[row])
    rows: Int64[np.ndarray, "r"] = np.empty(0, dtype=np.int64)
    if row is not None and state in (CONFIRMED, SUSPECT, ARCHIVED):
        rows = arrays.with_label(arrays.label(row))
        states = arrays.state[rows]
        if state == CONFIRMED:
            gone = (states == SUSPECT) | (states == ARCHIVED)
            rows = rows[gone & (arrays.last_seen_step[rows] < arrays.first_seen_step[row])]
        else:
            later = arrays.first_seen_step[rows] > arrays.last_seen_step[row]
            rows = rows[(states == CONFIRMED) & later]
    others = arrays.slot_id[rows]
    return _Rivals(
        is_new=state == CONFIRMED,
        own_views=[view.view_id for view in tracker.views.of_slot(slot_id)],
        slot_ids=others,
        views=tracker.views.ids_of(others.tolist()),
    )


def _best(rivals: _Rivals, book: EmbeddingBook) -> int | None:
    """Return the rival that clearly looks most like a slot, None if there is none."""
    own = [book[i] for i in rivals.own_views if i in book]
    if not own or len(rivals.slot_ids) == 0:
        return None
    which, vectors = [], []
    for i, ids in enumerate(rivals.views.tolist()):
        known = [book[j] for j in ids if j and j in book]
        vectors += known
        which += [i] * len(known)
    likeness = np.full(len(rivals.slot_ids), -1.0, dtype=np.float32)
    if vectors:
        np.maximum.at(likeness, which, (np.stack(vectors) @ np.stack(own).T).max(axis=1))
    best = unambiguous_best(likeness, book.same_object)
    return None if best is None else int(rivals.slot_ids[best])
