"""The mask of a frame, as its detections have it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from memory.records import Detection, Observation


def with_masks(observation: Observation, detections: Sequence[Detection]) -> Observation:
    """Return the observation with the masks that its detections bring, if any does.

    Where two detections claim a pixel, the later one has it: detections come the largest first,
    and what is smaller stands in front or upon.
    """
    if all(d.pixels is None for d in detections):
        return observation
    blank = observation.instances is None or all(d.pixels is not None for d in detections)
    mask = np.zeros(observation.depth_m.shape, dtype=np.int32)
    if not blank:
        assert observation.instances is not None
        mask[:] = observation.instances
    flat = mask.reshape(-1)
    for d in detections:
        if d.pixels is not None:
            flat[d.pixels] = d.instance
    return replace(observation, instances=mask)
