"""Objects that a detector took for several: their pieces count as one sighting.

Axis letters: m detections.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int64

from memory.records import Detection, Observation


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
