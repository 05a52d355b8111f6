"""Merging the files of a table beside whoever writes it."""

from memory.access import TableReader
from memory.tables import KEEP_VERSIONS, naming

ATTEMPTS = 5
"""A commit of the life that comes in between wins; the merge is tried again."""


def merge_files(reader: TableReader) -> None:
    """Merge small files, leave deleted rows out, and drop versions older than `KEEP_VERSIONS`.

    Raises:
        DamagedTableError: If that failed, or the table was written to all the time.
    """
    with naming(reader.folder, reader.name, "compacted"):
        for attempt in range(1, ATTEMPTS + 1):
            try:
                reader.table.checkout_latest()
                reader.table.optimize(cleanup_older_than=KEEP_VERSIONS)
                return
            except Exception as error:
                if "Retryable commit conflict" not in str(error) or attempt == ATTEMPTS:
                    raise
