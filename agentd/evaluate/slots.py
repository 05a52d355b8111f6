"""How well remembered objects match the ones that are really there, at one moment.

What happens over time (identity, belief, changes) is scored in `slot_tracks` and `slot_changes`.

Axis letters: s slots, k objects.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from scipy.optimize import linear_sum_assignment

from agentd.worlds.oracle import TrueObject
from memory.records import Slot

MATCH_M = 0.5
"""A slot matches an object of its label whose centroid is at most this far away."""

ON_M = 0.1
"""A point lies on an object (or in a slot) if its box, grown by this much, holds the point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotScore:
    """Result of matching slots to true objects one to one.

    Attributes:
        num_slots: Slots that were scored.
        num_objects: Objects that are there.
        num_matched: Pairs.
        precision: Share of slots that match; NaN without slots.
        recall: Share of objects that are matched; NaN without objects.
        f1: Their harmonic mean; 0 when nothing matches.
        centroid_error_m: Median distance of the pairs; NaN without any.
        fragmentation: Slots per object that has any: the matched one and those that are left over
            and lie on the object, whatever their label; 1 is best, NaN without any.
        merge_rate: Share of objects without a slot of their own whose centre lies in the slot that
            a neighbour of their label was matched with; NaN without objects.
    """

    num_slots: int
    num_objects: int
    num_matched: int
    precision: float
    recall: float
    f1: float
    centroid_error_m: float
    fragmentation: float
    merge_rate: float


def score_slots(
    slots: Sequence[Slot], objects: Sequence[TrueObject], *, match_m: float = MATCH_M
) -> SlotScore:
    """Match slots to objects (Hungarian, same label, centroids within `match_m`) and count."""
    distance_m, same_label = compare(slots, objects)
    pairs = _match(distance_m, same_label, match_m)
    num_matched = len(pairs)
    total = len(slots) + len(objects)
    errors_m = [distance_m[i, j] for i, j in pairs]
    return SlotScore(
        num_slots=len(slots),
        num_objects=len(objects),
        num_matched=num_matched,
        precision=num_matched / len(slots) if slots else math.nan,
        recall=num_matched / len(objects) if objects else math.nan,
        f1=2 * num_matched / total if total else math.nan,
        centroid_error_m=float(np.median(errors_m)) if errors_m else math.nan,
        fragmentation=_fragmentation(slots, objects, pairs, match_m),
        merge_rate=_num_swallowed(slots, objects, pairs) / len(objects) if objects else math.nan,
    )


def compare(
    slots: Sequence[Slot], objects: Sequence[TrueObject]
) -> tuple[Float64[np.ndarray, "s k"], Bool[np.ndarray, "s k"]]:
    """Return the distances of centroids in metres, and whether the labels agree."""
    slot_xyz = np.array([slot.xyz_m for slot in slots]).reshape(-1, 1, 3)
    object_xyz = np.array([thing.xyz_m for thing in objects]).reshape(1, -1, 3)
    same = np.array([[slot.label == thing.label for thing in objects] for slot in slots])
    shape = (len(slots), len(objects))
    return np.linalg.norm(slot_xyz - object_xyz, axis=-1), same.reshape(shape).astype(bool)


def stands_for(
    slots: Sequence[Slot], objects: Sequence[TrueObject], *, match_m: float = MATCH_M
) -> Bool[np.ndarray, "s k"]:
    """Return which objects a slot may stand for: of its label, and near it or around its centre."""
    distance_m, same_label = compare(slots, objects)
    return same_label & ((distance_m <= match_m) | _centre_inside(slots, objects))


def _match(
    distance_m: Float64[np.ndarray, "s k"], same_label: Bool[np.ndarray, "s k"], match_m: float
) -> list[tuple[int, int]]:
    if distance_m.size == 0:
        return []
    allowed = same_label & (distance_m <= match_m)
    # A forbidden pair costs more than all allowed ones together, so it never displaces a match.
    forbidden = 1.0 + match_m * min(distance_m.shape)
    rows, columns = linear_sum_assignment(np.where(allowed, distance_m, forbidden))
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if allowed[i, j]]


def _fragmentation(
    slots: Sequence[Slot],
    objects: Sequence[TrueObject],
    pairs: Sequence[tuple[int, int]],
    match_m: float,
) -> float:
    counts = np.zeros(len(objects), dtype=np.int64)
    for _, j in pairs:
        counts[j] += 1
    matched = {i for i, _ in pairs}
    left = [slot for i, slot in enumerate(slots) if i not in matched]
    if left and objects:
        distance_m, _ = compare(left, objects)
        on = stands_for(left, objects, match_m=match_m) | _centre_inside(left, objects)
        nearest = np.where(on, distance_m, np.inf)
        for row in np.flatnonzero(on.any(axis=1)):
            counts[nearest[row].argmin()] += 1
    return float(counts[counts > 0].mean()) if counts.any() else math.nan


def _num_swallowed(
    slots: Sequence[Slot], objects: Sequence[TrueObject], pairs: Sequence[tuple[int, int]]
) -> int:
    matched = {j for _, j in pairs}
    taken = [slots[i] for i, _ in pairs]
    return sum(
        any(
            slot.label == thing.label
            and bool((np.abs(thing.xyz_m - slot.xyz_m) <= slot.extent_m / 2 + ON_M).all())
            for slot in taken
        )
        for j, thing in enumerate(objects)
        if j not in matched
    )


def _centre_inside(slots: Sequence[Slot], objects: Sequence[TrueObject]) -> Bool[np.ndarray, "s k"]:
    slot_xyz = np.array([slot.xyz_m for slot in slots]).reshape(-1, 1, 3)
    object_xyz = np.array([thing.xyz_m for thing in objects]).reshape(1, -1, 3)
    half = np.array([thing.extent_m for thing in objects]).reshape(1, -1, 3) / 2 + ON_M
    inside: Bool[np.ndarray, "s k"] = (np.abs(slot_xyz - object_xyz) <= half).all(axis=2)
    return inside
