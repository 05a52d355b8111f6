"""Checking a memory: does every table open, and do the rows fit together?

An `error` is something that was stored and cannot be used as it is. A `note` is harmless: the trace
of a process that was killed, or something that a person may want to know.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from memory.care.access import TableReader, open_reader
from memory.care.fsck_objects import check_objects
from memory.care.fsck_replay import check_pixels, check_replay
from memory.care.fsck_types import Finding, Repair
from memory.errors import DamagedTableError, NewerFormatError
from memory.format import FORMAT_FILE, FORMAT_VERSION, read_format
from memory.objects.tables import COUNTERS_FILE
from memory.schema import TRANSITIONS
from memory.tables import table_names

_HALF_WRITTEN = (f".{FORMAT_FILE}.*", f".{COUNTERS_FILE}.*", ".*.part", ".*.gone")


def check_memory(
    folder: Path, *, deep: bool = False, on_table: Callable[[str], None] = lambda name: None
) -> list[Finding]:
    """Return what is wrong with a memory, errors first; empty if nothing is.

    Reads only. Beside a running life it may note rows that the life is just about to complete.

    Args:
        folder: Folder of the tables.
        deep: Also read every pixel and vector, which takes as long as reading the whole disk.
        on_table: Called with the name of each table before it is its turn.

    Raises:
        NewerFormatError: If a newer program wrote the folder.
    """
    findings = list(_check_folder(folder))
    tables: dict[str, TableReader] = {}
    for name in table_names(folder):
        on_table(name)
        opened = _open_whole(folder, name, deep)
        if isinstance(opened, Finding):
            findings.append(opened)
        else:
            tables[name] = opened
    if TRANSITIONS in tables:
        findings += check_replay(folder, tables[TRANSITIONS])
        if deep:
            findings += check_pixels(tables[TRANSITIONS])
    findings += check_objects(folder, tables, deep=deep)
    return sorted(findings, key=lambda finding: finding.level != "error")


def _check_folder(folder: Path) -> Iterator[Finding]:
    if (folder / FORMAT_FILE).exists() or table_names(folder):
        try:
            found = read_format(folder)
        except DamagedTableError as error:
            repair = Repair(kind="format", text=f"write format {FORMAT_VERSION} into it")
            yield Finding(level="error", table=FORMAT_FILE, key="", found=str(error), repair=repair)
        else:
            if found > FORMAT_VERSION:
                raise NewerFormatError(
                    f"{folder} has format {found} and this program knows formats up to "
                    f"{FORMAT_VERSION}: use the program that wrote it, or a newer one"
                )
    for pattern in _HALF_WRITTEN:
        for path in sorted(folder.glob(pattern)):
            yield _left_behind(path, "a file that was never finished: a kill came while writing it")


def _open_whole(folder: Path, name: str, deep: bool) -> TableReader | Finding:
    """Return a table that can be read, or what is wrong with it."""
    try:
        reader = open_reader(folder, name)
    except DamagedTableError as error:
        repair = Repair(kind="restore", text="go back to the newest version that can be opened")
        return Finding(level="error", table=name, key="", found=str(error), repair=repair)
    if reader is None:
        path = folder / f"{name}.lance"
        return _left_behind(path, "a table without rows: a kill came while it was made")
    columns = reader.schema.names if deep else reader.small_columns()
    try:
        num_rows = sum(batch.num_rows for batch in reader.reader(columns=columns, batch_rows=256))
    except DamagedTableError as error:
        repair = Repair(kind="salvage", text="copy the rows that can be read into a new table")
        return Finding(level="error", table=name, key="", found=str(error), repair=repair)
    if num_rows != reader.num_rows():
        found = f"it says {reader.num_rows()} rows and holds {num_rows}"
        return Finding(level="error", table=name, key="", found=found)
    return reader


def _left_behind(path: Path, found: str) -> Finding:
    repair = Repair(kind="set_aside", text="move it away", path=path.name)
    return Finding(level="note", table=path.name, key="", found=found, repair=repair)
