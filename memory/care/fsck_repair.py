"""Repairing a memory without losing anything that is readable.

What a repair replaces or removes is kept in a dated folder, `fsck-...`, beside the tables.
"""

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from lancedb.table import Table

from memory.care.access import open_reader, open_tables
from memory.care.fsck import check_memory
from memory.care.fsck_objects import highest_ids, read_counters
from memory.care.fsck_types import Finding, Repair
from memory.errors import DamagedTableError, StoreError
from memory.files import write_atomic
from memory.format import FORMAT_FILE, FORMAT_VERSION
from memory.objects.tables import COUNTERS_FILE, Counters
from memory.place import require_local
from memory.tables import connect, naming, table_names, table_path
from memory.vectors.encoders import vector_rows

ROUNDS = 4
"""Checks after which it is given up: an opened table may show what its damage hid."""

SALVAGE_ROWS = 256
"""Rows copied at once; where that fails, halves of them, down to single rows."""


class Repairer:
    """Carries out repairs in a memory folder that nobody writes.

    Args:
        folder: Folder of the tables.
        stamp: Name of the moment, for the folder that keeps what is replaced.
    """

    def __init__(self, folder: Path, stamp: str) -> None:
        self._folder = folder
        self.kept = folder / f"fsck-{stamp}"
        self._kinds: dict[str, Callable[[str, Repair], str]] = {
            "restore": self._restore,
            "salvage": self._salvage,
            "drop_rows": self._drop_rows,
            "counters": self._write_counters,
            "format": self._write_format,
            "set_aside": self._set_aside,
        }

    def carry_out(self, finding: Finding) -> str:
        """Do what a finding asks for; return what was done.

        Raises:
            StoreError: If it cannot be done; nothing was lost.
            OSError: If the disk is full or cannot be written.
        """
        assert finding.repair is not None
        return self._kinds[finding.repair.kind](finding.table, finding.repair)

    def _restore(self, name: str, repair: Repair) -> str:
        """Move manifests away, newest first, until the table opens."""
        require_local(self._folder, f"going back to an older version of table {name!r}")
        path = table_path(self._folder, name)
        moved: list[Path] = []
        for manifest in sorted((path / "_versions").glob("*.manifest"), key=_age):
            if _opens(self._folder, name):
                break
            moved.append(self._keep(manifest))
        if not _opens(self._folder, name):
            for kept in moved:
                kept.replace(self._folder / kept.relative_to(self.kept))
            raise StoreError(f"table {name!r} in {self._folder} has no version that can be opened")
        reader = open_reader(self._folder, name)
        assert reader is not None
        return (
            f"went back {len(moved)} versions of table {name!r}: it holds {reader.num_rows()} rows"
        )

    def _salvage(self, name: str, repair: Repair) -> str:
        require_local(self._folder, f"rebuilding table {name!r}")
        reader = open_reader(self._folder, name)
        assert reader is not None
        fresh = self.kept / "rebuilt"
        fresh.mkdir(parents=True, exist_ok=True)
        with naming(fresh, name, "rebuilt"):
            rebuilt = connect(fresh).create_table(name, schema=reader.schema, mode="overwrite")
            for rows in _readable_rows(reader.table, 0, reader.num_rows()):
                rebuilt.add(rows)
            saved = rebuilt.count_rows()
        path = table_path(self._folder, name)
        self._keep(path)
        table_path(fresh, name).replace(path)
        return f"copied {saved} of {reader.num_rows()} rows of table {name!r} into a new one"

    def _drop_rows(self, name: str, repair: Repair) -> str:
        reader = open_reader(self._folder, name)
        assert reader is not None
        rows = reader.to_arrow(where=repair.where)
        self.kept.mkdir(exist_ok=True)
        number = len(list(self.kept.glob(f"{name}-*.arrow")))
        target = self.kept / f"{name}-{number}.arrow"
        with pa.OSFile(str(target), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as file:
            file.write(rows)
        with naming(self._folder, name, "pruned"):
            reader.table.delete(repair.where)
        return f"removed {rows.num_rows} rows of table {name!r}; they are in {target}"

    def _write_counters(self, name: str, repair: Repair) -> str:
        tables = open_tables(self._folder)
        counters: dict[str, Any] = {}
        try:
            counters = read_counters(self._folder) or {}
        except DamagedTableError:
            self._keep(self._folder / COUNTERS_FILE)
        lowest = highest_ids(tables)
        if not counters:
            fresh = Counters()
            counters = {field: getattr(fresh, field) for field in Counters.__slots__}
            held = Counter({v: len(rows.view_ids()) for v, rows in vector_rows(tables).items()})
            counters["encoder_version"] = held.most_common(1)[0][0] if held else ""
        counters |= {field: max(counters[field], least) for field, least in lowest.items()}
        write_atomic(self._folder / COUNTERS_FILE, json.dumps(counters, indent=1).encode())
        return f"wrote {COUNTERS_FILE}: {', '.join(f'{k} {counters[k]}' for k in lowest)}"

    def _write_format(self, name: str, repair: Repair) -> str:
        broken = [name for name in table_names(self._folder) if not _opens(self._folder, name)]
        if broken:
            raise StoreError(f"tables {', '.join(broken)} do not open: their format is not known")
        if (self._folder / FORMAT_FILE).exists():
            self._keep(self._folder / FORMAT_FILE)
        write_atomic(self._folder / FORMAT_FILE, json.dumps({"format": FORMAT_VERSION}).encode())
        return f"wrote format {FORMAT_VERSION} into {FORMAT_FILE}"

    def _set_aside(self, name: str, repair: Repair) -> str:
        return f"moved {repair.path} to {self._keep(self._folder / repair.path)}"

    def _keep(self, path: Path) -> Path:
        """Move a file or folder into the dated folder, under its own path."""
        target = self.kept / path.relative_to(self._folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
        return target


def repair_memory(
    folder: Path, *, deep: bool = False, on_step: Callable[[str], None] = lambda text: None
) -> tuple[list[str], list[Finding]]:
    """Check and repair until nothing more can be done.

    The life must not run: its lock has to be held by the caller.

    Args:
        folder: Folder of the tables.
        deep: Also read every pixel and vector.
        on_step: Called with what is done next.

    Returns:
        What was done, and what is still wrong.

    Raises:
        NewerFormatError: If a newer program wrote the folder.
        OSError: If the disk is full or cannot be written.
    """
    repairer = Repairer(folder, time.strftime("%Y%m%d-%H%M%S"))
    done: list[str] = []
    failed: set[tuple[str, str]] = set()
    for _ in range(ROUNDS):
        findings = check_memory(folder, deep=deep, on_table=on_step)
        # Rows are judged only when all tables open: what they refer to may still come back.
        todo = [f for f in findings if f.repair and (f.table, f.key) not in failed]
        first = [f for f in todo if f.repair and f.repair.kind in ("restore", "salvage")]
        if not todo:
            break
        for finding in first or todo:
            try:
                done.append(repairer.carry_out(finding))
            except StoreError as error:
                failed.add((finding.table, finding.key))
                done.append(f"could not be done: {error}")
    return done, check_memory(folder, deep=deep, on_table=on_step)


def _readable_rows(table: Table, first: int, count: int) -> Iterator[pa.Table]:
    """Yield the rows of a stretch that can be read, in order."""
    for start in range(first, first + count, SALVAGE_ROWS):
        yield from _halved(table, start, min(SALVAGE_ROWS, first + count - start))


def _halved(table: Table, first: int, count: int) -> Iterator[pa.Table]:
    try:
        found = table.take_offsets(list(range(first, first + count))).to_arrow()
    except Exception:
        half = count // 2
        for start, size in ((first, half), (first + half, count - half)) if half else ():
            yield from _halved(table, start, size)
    else:
        yield found


def _opens(folder: Path, name: str) -> bool:
    try:
        return open_reader(folder, name) is not None
    except DamagedTableError:
        return False


def _age(manifest: Path) -> int:
    """Return a number that grows with the age of a version: names count down from 2^64."""
    return int(manifest.stem) if manifest.stem.isdecimal() else 0
