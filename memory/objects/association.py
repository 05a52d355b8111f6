"""Which detection is which remembered object.

Both are boxes that hold the points seen so far, so either may be a part of the object: a table's
end seen from the door must match the table seen whole. Distance is therefore measured between
boxes, not centres, and overlap is relative to the smaller box. Two objects of a kind that stand
side by side have boxes that touch at most, and never match on that alone.

Axis letters: m detections, n slots.
"""

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.optimize import linear_sum_assignment

MARGIN_M = 0.04
"""Boxes are grown by this much on each side, so that flat ones have a volume."""

LABEL_WEIGHT = 0.6
"""Weight of an equal label; the rest is geometry. 0.6 to 0.4 as in the design."""

ACCEPT_SCORE = 0.72
"""Smallest score of a match: an equal label and three tenths of the geometry."""

PART_OVERLAP = 0.5
"""Share of the smaller box inside the larger one that makes it a part, however far the centres."""

INSIDE_OVERLAP = 0.85
"""Share of the smaller box inside the larger one at which even what was seen as two is one."""

OTHER_LABEL_IOU = 0.5
"""A detection with another label matches only a slot that fills the same box."""

TOUCHING_OVERLAP = 0.1
"""Share of the smaller box inside the larger one that two neighbours may have."""

OTHER_LABEL_PART_IOU = 0.2
"""Or one that fills it so far and holds it, or lies in it: a part of the thing, misnamed."""

HELD_OVERLAP = 0.7
"""Share of a detection's box inside a trusted thing's box that makes it that thing, misnamed, where
the frame shows some of the thing and it is not detected."""


def box_overlap(
    low_a: Float64[np.ndarray, "m 3"],
    high_a: Float64[np.ndarray, "m 3"],
    low_b: Float64[np.ndarray, "n 3"],
    high_b: Float64[np.ndarray, "n 3"],
) -> tuple[Float64[np.ndarray, "m n"], Float64[np.ndarray, "m n"]]:
    """Return the shared volume over the smaller box's, and over the union's."""
    low_a, high_a = low_a - MARGIN_M, high_a + MARGIN_M
    low_b, high_b = low_b - MARGIN_M, high_b + MARGIN_M
    sides = np.minimum(high_a[:, None], high_b[None]) - np.maximum(low_a[:, None], low_b[None])
    np.maximum(sides, 0, out=sides)
    shared = sides[..., 0] * sides[..., 1] * sides[..., 2]
    volume_a = np.multiply.reduce(high_a - low_a, axis=1)[:, None]
    volume_b = np.multiply.reduce(high_b - low_b, axis=1)[None]
    over_smaller = shared / np.minimum(volume_a, volume_b)
    return over_smaller, shared / (volume_a + volume_b - shared)


def is_one_thing(
    over_smaller: Float64[np.ndarray, "m n"], over_union: Float64[np.ndarray, "m n"]
) -> Bool[np.ndarray, "m n"]:
    """Return which boxes are of one thing, whatever it is called; see `box_overlap`."""
    inside = (over_smaller >= INSIDE_OVERLAP) & (over_union >= OTHER_LABEL_PART_IOU)
    same: Bool[np.ndarray, "m n"] = (over_union >= OTHER_LABEL_IOU) | inside
    return same


def taken_together(
    low_m: Float64[np.ndarray, "m 3"],
    high_m: Float64[np.ndarray, "m 3"],
    slot_low_m: Float64[np.ndarray, "n 3"],
    slot_high_m: Float64[np.ndarray, "n 3"],
    same_label: Bool[np.ndarray, "m n"],
) -> Bool[np.ndarray, "m n"]:
    """Return which slots a detection took for one: those of its label that overlap it, two or more.

    Args:
        low_m: Smallest corner of each detection's box, world frame.
        high_m: Largest corner.
        slot_low_m: Smallest corner of the box of each trusted slot.
        slot_high_m: Largest corner.
        same_label: Whether the labels agree.
    """
    over_smaller, over_union = box_overlap(low_m, high_m, slot_low_m, slot_high_m)
    inside: Bool[np.ndarray, "m n"] = same_label & (over_smaller >= PART_OVERLAP)
    inside &= over_union < OTHER_LABEL_IOU
    inside &= inside.sum(axis=1)[:, None] >= 2
    return inside


def inside_others(
    low_m: Float64[np.ndarray, "m 3"],
    high_m: Float64[np.ndarray, "m 3"],
    slot_low_m: Float64[np.ndarray, "n 3"],
    slot_high_m: Float64[np.ndarray, "n 3"],
    other_label: Bool[np.ndarray, "m n"],
) -> Bool[np.ndarray, "m n"]:
    """Return which detections lie in which larger slots of another name.

    Args:
        low_m: Smallest corner of each detection's box, world frame.
        high_m: Largest corner.
        slot_low_m: Smallest corner of each slot's box.
        slot_high_m: Largest corner.
        other_label: Whether the labels differ.
    """
    over_smaller, _ = box_overlap(low_m, high_m, slot_low_m, slot_high_m)
    is_smaller = _volume(low_m, high_m)[:, None] <= _volume(slot_low_m, slot_high_m)
    inside: Bool[np.ndarray, "m n"] = other_label & is_smaller & (over_smaller >= HELD_OVERLAP)
    return inside


def _volume(
    low_m: Float64[np.ndarray, "n 3"], high_m: Float64[np.ndarray, "n 3"]
) -> Float64[np.ndarray, "n"]:
    return np.multiply.reduce(high_m - low_m + 2 * MARGIN_M, axis=1)


def associate(
    low_m: Float64[np.ndarray, "m 3"],
    high_m: Float64[np.ndarray, "m 3"],
    slot_low_m: Float64[np.ndarray, "n 3"],
    slot_high_m: Float64[np.ndarray, "n 3"],
    same_label: Bool[np.ndarray, "m n"],
    present: Bool[np.ndarray, "n"],
    doubted: Bool[np.ndarray, "n"],
    gate_m: float,
) -> Int64[np.ndarray, "m"]:
    """Return the slot row of each detection, -1 for none.

    A slot is matched with one detection, and with those left over that lie inside its box: an
    object that was detected in pieces.

    Args:
        low_m: Smallest corner of each detection's box, world frame.
        high_m: Largest corner.
        slot_low_m: Smallest corner of each slot's box.
        slot_high_m: Largest corner.
        same_label: Whether the labels agree.
        present: Whether a slot counts as being there; others match only what no such slot does.
        doubted: Whether a slot that counts as being there is doubted. Nothing of another name is
            taken for one that is doubted or gone: it may stand where that stood.
        gate_m: Distance of centres, beyond what the boxes' sizes explain, that is still believed.
    """
    rows = np.full(len(low_m), -1, dtype=np.int64)
    if len(low_m) == 0 or len(slot_low_m) == 0:
        return rows
    over_smaller, over_union = box_overlap(low_m, high_m, slot_low_m, slot_high_m)
    centre, slot_centre = (low_m + high_m) / 2, (slot_low_m + slot_high_m) / 2
    apart = np.abs(centre[:, None] - slot_centre[None])
    half = np.abs((high_m - low_m)[:, None] - (slot_high_m - slot_low_m)[None]) / 2
    beyond = np.maximum(apart - half, 0)
    distance = np.sqrt(np.einsum("mni,mni->mn", beyond, beyond))
    near = np.exp(-0.5 * (distance / (gate_m / 2)) ** 2)
    score = LABEL_WEIGHT * same_label + (1 - LABEL_WEIGHT) * (0.5 * near + 0.5 * over_smaller)
    reached = (distance <= gate_m) | (over_smaller >= PART_OVERLAP)
    allowed = same_label & reached & (score >= ACCEPT_SCORE)
    # What fills the box of one thing is not the thing of its name that stands beside it.
    fills = (~same_label & present & (over_union >= OTHER_LABEL_IOU)).any(axis=1)
    allowed &= ~fills[:, None] | (over_smaller >= TOUCHING_OVERLAP)
    allowed |= ~same_label & present & ~doubted & is_one_thing(over_smaller, over_union)
    detections, slots = linear_sum_assignment(np.where(allowed, -1.0 - score - present, 0.0))
    kept = allowed[detections, slots]
    rows[detections[kept]] = slots[kept]
    left, matched = np.flatnonzero(rows < 0), rows[rows >= 0]
    if len(left) and len(matched):
        at = np.ix_(left, matched)
        inside = np.where(same_label[at], over_smaller[at], 0.0)
        whole = inside.argmax(axis=1)
        piece = inside[np.arange(len(left)), whole] >= INSIDE_OVERLAP
        rows[left[piece]] = matched[whole[piece]]
    return rows
