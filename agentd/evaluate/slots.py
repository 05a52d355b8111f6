"""How well remembered objects match the ones that are really there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from agentd.worlds.oracle import TrueObject
from memory.records import Slot

MATCH_M = 0.5
"""A slot matches an object of its label whose centroid is at most this far away."""


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
    """

    num_slots: int
    num_objects: int
    num_matched: int
    precision: float
    recall: float
    f1: float
    centroid_error_m: float


def score_slots(
    slots: Sequence[Slot], objects: Sequence[TrueObject], *, match_m: float = MATCH_M
) -> SlotScore:
    """Match slots to objects (Hungarian, same label, centroids within `match_m`) and count."""
    errors_m = _matched_errors_m(slots, objects, match_m)
    num_matched = len(errors_m)
    total = len(slots) + len(objects)
    return SlotScore(
        num_slots=len(slots),
        num_objects=len(objects),
        num_matched=num_matched,
        precision=num_matched / len(slots) if slots else math.nan,
        recall=num_matched / len(objects) if objects else math.nan,
        f1=2 * num_matched / total if total else math.nan,
        centroid_error_m=float(np.median(errors_m)) if errors_m else math.nan,
    )


def _matched_errors_m(
    slots: Sequence[Slot], objects: Sequence[TrueObject], match_m: float
) -> list[float]:
    if not slots or not objects:
        return []
    distance_m = np.linalg.norm(
        np.stack([slot.xyz_m for slot in slots])[:, None]
        - np.stack([thing.xyz_m for thing in objects])[None],
        axis=-1,
    )
    same_label = np.array([[slot.label == thing.label for thing in objects] for slot in slots])
    allowed = same_label & (distance_m <= match_m)
    # A forbidden pair costs more than all allowed ones together, so it never displaces a match.
    forbidden = 1.0 + match_m * min(len(slots), len(objects))
    rows, columns = linear_sum_assignment(np.where(allowed, distance_m, forbidden))
    return [float(distance_m[i, j]) for i, j in zip(rows, columns, strict=True) if allowed[i, j]]
