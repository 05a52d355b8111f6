"""What retention gave up, written before it goes.

A hole in an episode is a loss only if it is not in this log.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

LOG_FILE = "retention.jsonl"


def log_drop(folder: Path, ranges: Sequence[tuple[int, int]], stamp_ns: int) -> None:
    """Append one entry, on the disk when this returns.

    Args:
        folder: Folder of the tables.
        ranges: First and last step of every run of rows that goes.
        stamp_ns: Time of the clock.

    Raises:
        OSError: If it cannot be written; nothing may be dropped then.
    """
    line = json.dumps({"dropped_ns": stamp_ns, "ranges": [list(pair) for pair in ranges]})
    handle = os.open(folder / LOG_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        # A line that was cut off by a kill must not swallow this one.
        os.write(handle, f"\n{line}\n".encode())
        os.fsync(handle)
    finally:
        os.close(handle)


def logged_drops(folder: Path) -> list[tuple[int, int]]:
    """Return first and last step of every run of rows that may be gone, sorted.

    A line that a kill cut off is skipped: nothing was dropped on its account.
    """
    path = folder / LOG_FILE
    if not path.exists():
        return []
    found: list[tuple[int, int]] = []
    for line in path.read_text(encoding="ascii", errors="replace").splitlines():
        try:
            found += [(int(first), int(last)) for first, last in json.loads(line)["ranges"]]
        except (ValueError, KeyError, TypeError):
            continue
    return sorted(found)
