"""Merging the files of a table, beside whoever writes and reads it.

Every commit makes a file; reads and commits slow down with their number. Files are merged in tiers:
once `FAN_IN` neighbours are smaller than a tier, they become files of that tier, and no file of the
last tier is read again unless rows of it were deleted. A row is therefore rewritten once per tier,
about three times in its life, however long the table is. (LanceDB's own `optimize` merges
everything below a million rows each time, so its cost per row grows with the life.)

Merged files are forced to disk before the table refers to them: a power cut loses no row that an
append had already reported. A merge may change the order of the rows, which readers of the replay
table find out by themselves (`memory.replay.table_order`), and what it replaced stays for
`KEEP_VERSIONS`, longer than any reader holds a version.

Merges, deletions by retention and the building of indexes rewrite what the others rewrite, so one
lock lets one of them at a time into a folder, from whichever process. Appends never ask for it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from memory.tables import KEEP_VERSIONS, naming, open_table, sync_files, table_path
from memory.writer_lock import turn

if TYPE_CHECKING:
    import lance

TIERS_ROWS = (512, 8192, 65536)
"""Rows per file of each tier: half a gigabyte of 64 x 64 frames in the last."""

FAN_IN = 16
"""Files below a tier that make a merge worth it."""

DELETED_SHARE = 0.1
"""Share of deleted rows from which a file is written again without them."""

ATTEMPTS = 5
"""A commit that comes in between and changes the same files wins; the merge is tried again."""

LOCK_FILE = "care.lock"

_BATCH_ROWS = 256
"""Rows in memory at once."""


@contextmanager
def care_turn(folder: Path) -> Iterator[None]:
    """Wait until nobody else rewrites the tables of a folder, and keep others waiting."""
    with turn(folder / LOCK_FILE):
        yield


def merge_tiers(folder: Path, name: str) -> int:
    """Merge the small files of a table where that is worth it, and remove what was replaced.

    Args:
        folder: Folder of the tables.
        name: Table; one that does not exist is left at that.

    Returns:
        Files merged.

    Raises:
        StoreError: If it failed; names the table. Disk use grows until it succeeds.
    """
    return sum(_merge(folder, name, [(rows, FAN_IN) for rows in TIERS_ROWS], DELETED_SHARE))


def merge_all(folder: Path, name: str) -> int:
    """Merge all files below the last tier, leave out deleted rows, remove what was replaced.

    It reads and writes up to the last tier's rows each time: for a person who asks for it, and for
    retention, whose bytes are free only then.

    Args:
        folder: Folder of the tables.
        name: Table; one that does not exist is left at that.

    Returns:
        Files merged.

    Raises:
        StoreError: If it failed; names the table.
    """
    return sum(_merge(folder, name, [(TIERS_ROWS[-1], 2)], 0.0))


def _merge(folder: Path, name: str, tiers: list[tuple[int, int]], deleted: float) -> list[int]:
    """Return the files merged per tier; each is given by its rows and its fan-in."""
    with care_turn(folder):
        if open_table(folder, name) is None:
            return []
        # A second copy of Lance's engine that only the process of the upkeep should pay for.
        import lance

        with naming(folder, name, "compacted"):
            # First, so that a merge that fails for lack of space does not keep space from being
            # freed.
            lance.dataset(str(table_path(folder, name))).cleanup_old_versions(
                older_than=KEEP_VERSIONS
            )
            last = tiers[-1]
            return [
                _merge_below(table_path(folder, name), *tier, deleted if tier == last else None)
                for tier in tiers
            ]


def _merge_below(path: Path, tier_rows: int, fan_in: int, deleted: float | None) -> int:
    """Merge files smaller than a tier if there are enough; return how many.

    Args:
        path: The table.
        tier_rows: Rows of a full file.
        fan_in: Smaller files that make it worth it.
        deleted: Share of deleted rows above which a file is written again; None for no share.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _merge_once(path, tier_rows, fan_in, deleted)
        except OSError as error:
            if "commit conflict" not in str(error).lower() or attempt == ATTEMPTS:
                raise
    return 0


def _merge_once(path: Path, tier_rows: int, fan_in: int, deleted: float | None) -> int:
    import lance
    from lance.optimize import Compaction, CompactionOptions

    dataset = lance.dataset(str(path))
    files = dataset.get_fragments()
    num_small = sum(file.physical_rows < tier_rows for file in files)
    if num_small < fan_in and (deleted is None or not any(_has_holes(f, deleted) for f in files)):
        return 0
    started_ns = time.time_ns() - 1_000_000_000
    options = CompactionOptions(
        target_rows_per_fragment=tier_rows,
        materialize_deletions=deleted is not None,
        materialize_deletions_threshold=deleted or 0.0,
        num_threads=1,
        batch_size=_BATCH_ROWS,
    )
    merged = [task.execute(dataset) for task in Compaction.plan(dataset, options).tasks]
    sync_files(path, started_ns)
    metrics = Compaction.commit(dataset, merged)
    sync_files(path, started_ns)
    return int(metrics.fragments_removed)


def _has_holes(file: "lance.LanceFragment", share: float) -> bool:
    """Return whether more than a share of a full file's rows were deleted.

    Those of smaller files go when the files are merged.
    """
    full = share == 0.0 or file.physical_rows >= TIERS_ROWS[0]
    return full and file.num_deletions > share * file.physical_rows
