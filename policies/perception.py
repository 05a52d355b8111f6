"""From detections to the rows that a model reads.

Axis letters: k object rows, f features.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from memory.records import NUM_OBJECTS, OBJECT_FEATURES, BodySpec, Detection


def object_rows(detections: Sequence[Detection], spec: BodySpec) -> Float32[np.ndarray, "k f"]:
    """Return one row of `OBJECT_FEATURES` per detection, in their order; zero rows at the end.

    Args:
        detections: The largest first; those after the first `NUM_OBJECTS` are left out.
        spec: Body, for the number of pixels of an image.
    """
    rows = np.zeros((NUM_OBJECTS, len(OBJECT_FEATURES)), dtype=np.float32)
    num_px = spec.width_px * spec.height_px
    for row, d in zip(rows, detections, strict=False):
        row[:] = (1.0, *d.box, *d.xyz_body_m, *d.extent_m, d.num_px / num_px)
    return rows
