"""Compaction in a process of its own: `python -m memory.care.compact FOLDER`.

Every append makes a file; reads and commits slow down with their number. Files are merged in tiers:
once `FAN_IN` neighbours are smaller than a tier, they become files of that tier, and no file of the
last tier is ever read again. A row is therefore rewritten once per tier, about three times in its
life, however long the table is. (LanceDB's own `optimize` merges everything below a million rows
each time, so its cost per row grows with the life.)

Merged files are forced to disk before the table refers to them: a power cut loses no row that an
append had already reported. Appends and reads go on meanwhile. Out of the agent's process, niced
and on one thread, this costs the control loop neither time nor memory.
"""

import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from memory.errors import StoreError
from memory.format import prepare_folder
from memory.objects.places import read_places, write_places
from memory.objects.tables import compact_objects
from memory.schema import TRANSITIONS
from memory.tables import naming, open_lance, open_table, sync_table
from memory.vectors.index import refresh_indexes

if TYPE_CHECKING:
    import lance

NICE = 15
"""The control loop and the learner go first."""

TIERS_ROWS = (512, 8192, 65536)
"""Rows per file of each tier: half a gigabyte of 64 x 64 frames in the last."""

FAN_IN = 16
"""Files below a tier that make a merge worth it."""

KEEP_REPLACED = timedelta(minutes=10)
"""Age at which replaced files go: longer than any single read takes.

A pinned view needs no old files: it is a range of steps of the newest table.
"""

_BATCH_ROWS = 256
"""Rows in memory at once."""


def compact_table(folder: Path, name: str) -> int:
    """Merge the small files of a table where that is worth it and remove what was replaced.

    Args:
        folder: Folder of the tables.
        name: Table; one that does not exist is left at that.

    Returns:
        Files merged.

    Raises:
        StoreError: If it failed; names the table. Disk use grows until it succeeds.
    """
    if open_table(folder, name) is None:
        return 0
    with naming(folder, name, "compacted"):
        dataset = open_lance(folder, name)
        # First, so that a merge that fails for lack of space does not keep space from being freed.
        dataset.cleanup_old_versions(older_than=KEEP_REPLACED)
        return sum(_merge_below(dataset, tier_rows, folder, name) for tier_rows in TIERS_ROWS)


def _merge_below(dataset: "lance.LanceDataset", tier_rows: int, folder: Path, name: str) -> int:
    """Merge files smaller than a tier if there are enough; return how many."""
    from lance.optimize import Compaction, CompactionOptions

    small = [f for f in dataset.get_fragments() if f.physical_rows < tier_rows]
    if len(small) < FAN_IN:
        return 0
    started_ns = time.time_ns() - 1_000_000_000
    options = CompactionOptions(
        target_rows_per_fragment=tier_rows, num_threads=1, batch_size=_BATCH_ROWS
    )
    plan = Compaction.plan(dataset, options)
    merged = [task.execute(dataset) for task in plan.tasks]
    sync_table(folder, name, started_ns)
    metrics = Compaction.commit(dataset, merged)
    sync_table(folder, name, started_ns)
    return int(metrics.fragments_removed)


def main(arguments: list[str]) -> int:
    """Compact the tables of a memory folder, index its vectors, keep its places.

    Returns:
        0, or 1 with the reason on stderr.
    """
    (folder,) = arguments
    os.nice(NICE)
    os.environ.setdefault("LANCE_CPU_THREADS", "1")
    try:
        prepare_folder(Path(folder))
        compact_table(Path(folder), TRANSITIONS)
        compact_objects(Path(folder))
        refresh_indexes(Path(folder))
        write_places(Path(folder), read_places(Path(folder)))
    except StoreError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
