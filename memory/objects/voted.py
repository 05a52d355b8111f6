"""Slots that were also called something else: for goals, when detectors disagree with themselves.

Axis letters: n slots.
"""

import numpy as np
from jaxtyping import Int64

from memory.objects.existence import ARCHIVED
from memory.objects.slot_arrays import SlotArrays


def other_voted(arrays: SlotArrays, label: str) -> list[tuple[int, float]]:
    """Return rows whose label is another, with the share of their votes that this one got.

    Archived slots are left out; the largest share first.
    """
    if label not in arrays.labels():
        return []
    rows, codes = arrays.voted()
    rows = np.unique(rows[codes == arrays.code(label)])
    other: Int64[np.ndarray, "n"] = rows[
        (arrays.label_code[rows] != arrays.code(label)) & (arrays.state[rows] != ARCHIVED)
    ]
    shares = []
    for row in other.tolist():
        votes = arrays.votes(row)
        total = sum(votes.values())
        if total > 0:
            shares.append((row, votes.get(label, 0.0) / total))
    return sorted(shares, key=lambda item: -item[1])
