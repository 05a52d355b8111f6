"""At which steps of life something changed or failed: what samplers and retention need of the log.

Axis letters: m changes.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Int64

from memory.objects.changes import ChangeKind
from memory.schema import EVENTS
from memory.tables import naming, open_table

CHANGES = (ChangeKind.SUSPECT, ChangeKind.ARCHIVED, ChangeKind.MOVED, ChangeKind.FAILED)
"""Kinds that tell of a change in the world, or of a goal that failed. A new slot is no change: most
come from looking at a place for the first time."""


def change_steps(
    folder: Path, last_event_id: int | None = None
) -> tuple[Int64[np.ndarray, "m"], int]:
    """Return the steps of changes and failures, and the newest event that was looked at.

    Entries are never altered, so the same `last_event_id` gives the same steps at any later time,
    whatever was appended or compacted meanwhile.

    Args:
        folder: Folder of the life's tables.
        last_event_id: Newest entry to look at; None is the newest there is.

    Raises:
        DamagedTableError: If the log cannot be read.
    """
    table = open_table(folder, EVENTS)
    if table is None:
        return np.zeros(0, dtype=np.int64), 0
    with naming(folder, EVENTS):
        rows = table.search().select(["event_id", "step", "kind"]).to_arrow()
    event_id = rows["event_id"].to_numpy()
    if last_event_id is None:
        last_event_id = int(event_id.max(initial=0))
    kinds = np.isin(rows["kind"].to_numpy(zero_copy_only=False), [kind.value for kind in CHANGES])
    steps = rows["step"].to_numpy()[(event_id <= last_event_id) & kinds]
    return np.unique(steps), last_event_id
