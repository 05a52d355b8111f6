"""Objects that a detector took for several: pieces in one frame, and slots that are parts of one.

Axis letters: m detections, g grown slots.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int64

from memory.objects.association import INSIDE_OVERLAP, MARGIN_M, box_overlap, is_one_thing
from memory.objects.existence import SUSPECT
from memory.objects.slot_arrays import SlotArrays
from memory.records import Detection, Observation

MERGE_OVERLAP = 0.5
"""Share of the smaller box inside the larger one at which two slots of a kind are one object."""


def largest_pieces(
    detections: Sequence[Detection], slots: Int64[np.ndarray, "m"]
) -> Bool[np.ndarray, "m"]:
    """Return which detections are the largest of those that were matched with their slot."""
    whole: Bool[np.ndarray, "m"] = slots < 0
    matched = slots[~whole].tolist()
    if len(set(matched)) == len(matched):
        return np.ones(len(slots), dtype=np.bool_)
    largest = sorted(range(len(slots)), key=lambda i: -detections[i].num_px)
    _, first = np.unique(slots[largest], return_index=True)
    whole[np.array(largest, dtype=np.int64)[first]] = True
    return whole


def rejoin(
    observation: Observation,
    detections: Sequence[Detection],
    slots: Int64[np.ndarray, "m"],
    whole: Bool[np.ndarray, "m"],
) -> Observation:
    """Return the observation with the mask of every piece given to the largest one."""
    if observation.instances is None:
        return observation
    instances = observation.instances.copy()
    for piece in np.flatnonzero(~whole).tolist():
        main = int(np.flatnonzero(whole & (slots == slots[piece]))[0])
        instances[instances == detections[piece].instance] = detections[main].instance
    return replace(observation, instances=instances)


def overlapping(arrays: SlotArrays, grown: Int64[np.ndarray, "g"]) -> list[tuple[int, int, bool]]:
    """Return the ids of slots that may be one, and whether they are even if seen side by side.

    Slots of a kind may be one if their boxes overlap, others if they fill the same box: a detector
    may call a thing by another name.

    Args:
        arrays: All slots.
        grown: Rows; at least one of each pair is among them.
    """
    reach = 2 * MARGIN_M
    near = arrays.rows(arrays.near(arrays.low_m[grown] - reach, arrays.high_m[grown] + reach))
    overlap, over_union = box_overlap(
        arrays.low_m[grown], arrays.high_m[grown], arrays.low_m[near], arrays.high_m[near]
    )
    alike = arrays.label_code[grown][:, None] == arrays.label_code[near]
    same_box = is_one_thing(overlap, over_union)
    # What stands where a doubted thing stood is not that thing under another name.
    there_a, there_b = ((arrays.state[rows] < SUSPECT) for rows in (grown, near))
    same_box &= there_a[:, None] & there_b
    first, second = np.nonzero(np.where(alike, overlap >= MERGE_OVERLAP, same_box))
    ids = arrays.slot_id[grown][first], arrays.slot_id[near][second]
    inside = (alike & (overlap >= INSIDE_OVERLAP))[first, second].tolist()
    pairs = zip(np.minimum(*ids).tolist(), np.maximum(*ids).tolist(), inside, strict=True)
    return sorted({pair for pair in pairs if pair[0] != pair[1]})
