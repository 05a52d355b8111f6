"""Merging the files of a table beside whoever writes it, without changing the order of its rows.

Lance keeps the files of a table in the order of their numbers, and gives merged files new numbers
when the merge is committed. An append that was committed meanwhile has a lower number: the merged
rows land behind it, and every row changes its offset. (Measured: 8 of 12 lives of 15 appends beside
merges ended out of order.) The replay table is read by offset, so its merges give each merged file
the number of one that it replaces. That is allowed only without search indices, which hold
addresses made of these numbers; the other tables are not read in order and merge as Lance does it.
"""

import time
from typing import Any

from memory.care.access import TableReader
from memory.place import place_of
from memory.schema import TRANSITIONS
from memory.tables import KEEP_VERSIONS, naming, open_lance, sync_table

ATTEMPTS = 5
"""A commit of the life that comes in between wins; the merge is tried again."""

FILE_ROWS = 65_536
"""Rows of a file that merges leave alone: half a gigabyte of 64 x 64 frames."""

BATCH_ROWS = 256
"""Rows in memory at once."""


def merge_files(reader: TableReader) -> None:
    """Merge small files, leave deleted rows out, and drop versions older than `KEEP_VERSIONS`.

    Raises:
        DamagedTableError: If that failed, or the table was written to all the time.
    """
    merge = _merge_in_place if reader.name == TRANSITIONS else _merge_anywhere
    with naming(reader.folder, reader.name, "compacted"):
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return merge(reader)
            except Exception as error:
                is_conflict = "commit conflict" in str(error).lower()
                if not is_conflict or attempt == ATTEMPTS:
                    raise


def _merge_anywhere(reader: TableReader) -> None:
    reader.table.checkout_latest()
    reader.table.optimize(cleanup_older_than=KEEP_VERSIONS)


def _merge_in_place(reader: TableReader) -> None:
    from lance.optimize import Compaction, CompactionOptions

    dataset = open_lance(reader.folder, reader.name)
    # First, so that a merge that fails for lack of space does not keep space from being freed.
    dataset.cleanup_old_versions(older_than=KEEP_VERSIONS)
    started_ns = time.time_ns() - 1_000_000_000
    options = CompactionOptions(
        target_rows_per_fragment=FILE_ROWS, num_threads=1, batch_size=BATCH_ROWS
    )
    merged = [task.execute(dataset) for task in Compaction.plan(dataset, options).tasks]
    sync_table(reader.folder, reader.name, started_ns)
    place = place_of(reader.folder)
    if commit_in_place(dataset, merged, None if place is None else place.options()):
        sync_table(reader.folder, reader.name, started_ns)


def commit_in_place(dataset: Any, merged: list[Any], options: dict[str, str] | None = None) -> int:
    """Commit merged files in the places of those that they replace; return the files replaced.

    Args:
        dataset: Lance dataset without search indices, at the version that was merged.
        merged: What the tasks of a `lance.optimize.Compaction` plan returned.
        options: How to reach a dataset that lies elsewhere.

    Raises:
        OSError: If another merge or deletion was committed meanwhile; appends do no harm.
    """
    import lance

    groups = []
    for result in merged:
        old, new = list(result.original_fragments), list(result.new_fragments)
        kept = old[len(old) - len(new) :]
        # The number 0 means "not numbered yet" to a commit: such a file waits for a neighbour.
        if len(new) > len(old) or any(replaced.id == 0 for replaced in kept):
            continue
        for fresh, replaced in zip(new, kept, strict=True):
            fresh.id = replaced.id
        groups.append(lance.LanceOperation.RewriteGroup(old_fragments=old, new_fragments=new))
    if not groups:
        return 0
    operation = lance.LanceOperation.Rewrite(groups=groups, rewritten_indices=[])
    lance.LanceDataset.commit(
        dataset.uri, operation, read_version=dataset.version, storage_options=options
    )
    return sum(len(list(group.old_fragments)) for group in groups)
