"""Detections that cannot be."""

import math
from collections import Counter
from collections.abc import Sequence

from memory.records import Detection, Observation

FARTHEST_M = 1e6
"""Places beyond this are no places."""


def fault_of(detection: Detection, image_px: int) -> str:
    """Return why a detection cannot be used, "" if it can.

    Args:
        detection: To be judged.
        image_px: Pixels of the image that it was found in.
    """
    if detection.num_px < 1:
        return "no pixels"
    pixels = detection.pixels
    if pixels is not None and len(pixels) and not 0 <= pixels.min() <= pixels.max() < image_px:
        return "pixels outside the image"
    x0, y0, x1, y1 = detection.box
    if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
        return "box outside the image"
    numbers = (*detection.xyz_m.tolist(), *detection.extent_m.tolist(), detection.range_m)
    if not all(abs(number) < FARTHEST_M for number in numbers):
        return "place that is not finite"
    return "" if math.isfinite(detection.score) else "score that is not finite"


def usable_of(
    observation: Observation, detections: Sequence[Detection], refused: Counter[str]
) -> list[bool]:
    """Return which detections can be believed, and count the others by reason.

    Args:
        observation: What they were found in.
        detections: To be judged.
        refused: How many were refused, by reason; changed in place.
    """
    numbers: set[int] = set()
    usable = []
    for detection in detections:
        reason = fault_of(detection, observation.depth_m.size)
        if not reason and (observation.instances is not None or detection.pixels is not None):
            reason = "instance number twice" if detection.instance in numbers else ""
            numbers.add(detection.instance)
        if reason:
            refused[reason] += 1
        usable.append(not reason)
    return usable
