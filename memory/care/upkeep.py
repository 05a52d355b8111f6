"""Keeping a memory small, in a process of its own: `python -m memory.care.upkeep FOLDER SETTINGS`.

Merging the files of a long life reads and rewrites much of it, and so does dropping what is over
its budget. Out of the agent's process, niced and on one thread, that costs the control loop neither
time nor memory; appends and reads go on meanwhile.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from memory.care.access import open_tables, require_readable, table_names
from memory.care.merging import care_turn, merge_all, merge_tiers
from memory.care.retention import Plan
from memory.care.retention_apply import apply_plan, plan_for
from memory.care.scratch import scratch
from memory.care.stats import table_stats
from memory.config import MemoryConfig
from memory.errors import StoreError
from memory.format import prepare_folder
from memory.giving_way import give_way
from memory.objects.places import read_places, write_places
from memory.tables import table_bytes
from memory.vectors.index import refresh_indexes

NICE = 15
"""The control loop and the learner go first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compaction:
    """What became of one table."""

    name: str
    fragments_before: int
    fragments: int
    disk_bytes_before: int
    disk_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def compact_tables(
    folder: Path, on_table: Callable[[str], None] = lambda name: None
) -> list[Compaction]:
    """Merge the files of every table and drop old versions, whether a life runs or not.

    Args:
        folder: Folder of the tables.
        on_table: Called with the name of each table before it is its turn.

    Raises:
        DamagedTableError: If a table cannot be read or compacted; the others before it are done.
    """
    if not require_readable(folder):
        return []
    done = []
    with scratch(folder):
        for name, reader in sorted(open_tables(folder).items()):
            on_table(name)
            before = table_stats(reader)
            merge_all(folder, name)
            after = table_stats(open_tables(folder)[name])
            done.append(
                Compaction(
                    name=name,
                    fragments_before=before.fragments,
                    fragments=after.fragments,
                    disk_bytes_before=before.disk_bytes,
                    disk_bytes=table_bytes(folder, name),
                )
            )
    return done


def keep_small(folder: Path, config: MemoryConfig) -> Plan:
    """Keep the memory within its budget; return what was dropped.

    Raises:
        StoreError: If a table cannot be read or pruned.
        OSError: If the log of drops cannot be written.
    """
    plan = plan_for(folder, config)
    if not plan.is_empty:
        apply_plan(folder, plan)
    return plan


def keep_quick(folder: Path) -> None:
    """Merge files where that is worth it, index the vectors, keep the places.

    Raises:
        StoreError: If a table cannot be read, merged or indexed; names it.
    """
    for name in table_names(folder):
        merge_tiers(folder, name)
    with care_turn(folder):
        refresh_indexes(folder)
    write_places(folder, read_places(folder))


def main(arguments: list[str]) -> int:
    """Keep a memory folder quick and in its budget; return 0, or 1 with the reason on stderr.

    Args:
        arguments: The folder, and `MemoryConfig` as JSON.
    """
    folder, settings = arguments
    try:
        config = MemoryConfig.model_validate_json(settings)
        prepare_folder(Path(folder))
        with scratch(Path(folder)):
            keep_quick(Path(folder))
            keep_small(Path(folder), config)
    except (StoreError, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    give_way(NICE, session_nice=NICE if os.getsid(0) == os.getpid() else 0)
    os.environ.setdefault("LANCE_CPU_THREADS", "1")
    sys.exit(main(sys.argv[1:]))
