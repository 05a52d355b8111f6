"""Compaction in a process of its own: `python -m memory.compact FOLDER`.

Merging the files of a long life reads and rewrites all of it. Out of the agent's process that costs
the control loop neither time nor memory; LanceDB lets appends and reads go on meanwhile.
"""

import os
import sys
from pathlib import Path

from memory.config import ReplayConfig
from memory.errors import StoreError
from memory.object_tables import compact_objects
from memory.places import read_places, write_places
from memory.replay import LanceReplay
from memory.vector_index import refresh_indexes

NICE = 15
"""The control loop and the learner go first."""


def main(arguments: list[str]) -> int:
    """Compact the tables of a memory folder, index its vectors, keep its places.

    Returns:
        0, or 1 with the reason on stderr.
    """
    (folder,) = arguments
    os.nice(NICE)
    try:
        replay = LanceReplay(Path(folder), ReplayConfig())
        replay.compact()
        replay.close()
        compact_objects(Path(folder))
        refresh_indexes(Path(folder))
        write_places(Path(folder), read_places(Path(folder)))
    except StoreError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
