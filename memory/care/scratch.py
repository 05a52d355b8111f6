"""Temporary files of the upkeep: in the memory's folder, so that those of a killed process go.

Lance writes an index, and what it sorts for one, into a temporary folder that it removes itself,
unless it is killed. In the system's folder that would be a leak that nobody empties.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memory.care.merging import care_turn

SCRATCH_FOLDER = "scratch"


@contextmanager
def scratch(folder: Path) -> Iterator[None]:
    """Keep temporary files of this process inside a memory folder, after emptying the place.

    Lance looks at `TMPDIR` whenever it makes a folder. Only who has the turn writes there, so what
    is found in one's own turn was left by a process that was killed.

    Args:
        folder: Folder of the tables; must exist.

    Raises:
        OSError: If the place cannot be made.
    """
    place = folder.absolute() / SCRATCH_FOLDER
    with care_turn(folder):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(exist_ok=True)
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(place)
    try:
        yield
    finally:
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before
