"""Copying tables into files that other tools open: Parquet, Arrow, CSV, JSON lines."""

import csv
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from memory.care.access import open_reader, plain, require_readable
from memory.errors import NotEnoughDataError
from memory.replay.codecs import of_column
from memory.replay.pixels import unpack_depth, unpack_instances, unpack_rgb
from memory.replay.rows import RowShape
from memory.schema import EVENTS, SLOTS, TRANSITIONS

TABLES = {"slots": SLOTS, "changes": EVENTS, "transitions": TRANSITIONS}
"""What can be exported, and the table that holds it."""

ENDINGS = (".parquet", ".arrow", ".csv", ".jsonl")
"""Formats, chosen by the file's ending."""


class Writer(Protocol):
    """Takes rows one batch at a time."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch."""
        ...


class _TextWriter:
    """CSV and JSON lines; vectors become JSON, pixels their hexadecimal digits."""

    def __init__(self, file: IO[str], names: list[str], *, is_csv: bool) -> None:
        self._file = file
        self._csv = csv.writer(file) if is_csv else None
        if self._csv is not None:
            self._csv.writerow(names)

    def write(self, batch: pa.RecordBatch) -> None:
        for row in batch.to_pylist():
            if self._csv is None:
                self._file.write(json.dumps(_texts(row), allow_nan=False) + "\n")
            else:
                self._csv.writerow([_csv_cell(value) for value in row.values()])


def export_table(
    folder: Path,
    what: str,
    target: Path,
    *,
    pixels: bool = False,
    where: str | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Copy a table into a file, in batches; return the rows written.

    The file appears under its name when it is complete. Pixels are written as arrays lie in
    memory: rgb as uint8 h w 3, depth_mm and instances as little-endian uint16 h w.

    Args:
        folder: Folder of the tables.
        what: One of `TABLES`.
        target: File to write; its ending, one of `ENDINGS`, chooses the format.
        pixels: Whether to write images and other large values, too.
        where: Condition in SQL.
        on_progress: Called with rows done and rows in all after every batch.

    Raises:
        ValueError: If `what` or the ending is unknown.
        FileExistsError: If the file is there already.
        NotEnoughDataError: If nothing of that kind was stored yet.
        DamagedTableError: If the table cannot be read.
    """
    if what not in TABLES:
        raise ValueError(f"cannot export {what!r}: expected one of {', '.join(TABLES)}")
    if target.suffix not in ENDINGS:
        raise ValueError(
            f"cannot tell the format of {target}: its name must end in one of {', '.join(ENDINGS)}"
        )
    if target.exists():
        raise FileExistsError(f"{target} exists already: name another file, or move it away")
    table = open_reader(folder, TABLES[what]) if require_readable(folder) else None
    if table is None:
        raise NotEnoughDataError(f"there are no {what} in {folder} yet")
    total = table.num_rows(where)
    columns = table.schema.names if pixels else table.small_columns()
    done = 0
    reader = table.reader(columns=columns, where=where)
    with _complete_or_absent(target) as partial, _writer(partial, target, reader.schema) as writer:
        for batch in reader:
            writer.write(_plain_frames(batch, table.schema))
            done += batch.num_rows
            on_progress(done, total)
    return done


def _plain_frames(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return rows of the replay table with frames as their arrays lie in memory; others as is."""
    if "rgb" not in batch.schema.names or batch.num_rows == 0:
        return batch
    shape = RowShape.of_schema(schema)
    size = (shape.codec, shape.height_px, shape.width_px)
    num_px = shape.height_px * shape.width_px
    rgb = of_column(batch["rgb"], shape.codec, 3 * num_px)
    depth_mm = of_column(batch["depth_mm"], shape.codec, 2 * num_px)
    plain = {
        "rgb": [frame.tobytes() for frame in unpack_rgb(rgb, *size)],
        "depth_mm": [frame.tobytes() for frame in unpack_depth(depth_mm, *size)],
        "instances": [
            None if packed is None else unpack_instances(packed, *size[1:]).astype("<u2").tobytes()
            for packed in batch["instances"].to_pylist()
        ],
    }
    columns = [
        pa.array(plain[field.name], field.type) if field.name in plain else batch[field.name]
        for field in batch.schema
    ]
    return pa.record_batch(columns, schema=batch.schema)


@contextmanager
def _complete_or_absent(target: Path) -> Iterator[Path]:
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _writer(partial: Path, target: Path, schema: pa.Schema) -> Iterator[Writer]:
    if target.suffix == ".parquet":
        with pq.ParquetWriter(partial, schema, compression="zstd") as parquet:
            yield parquet
    elif target.suffix == ".arrow":
        with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, schema) as arrow:
            yield arrow
    else:
        with partial.open("w", encoding="utf-8", newline="") as file:
            yield _TextWriter(file, schema.names, is_csv=target.suffix == ".csv")


def _texts(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {name: _texts(item) for name, item in value.items()}
    return plain(value)


def _csv_cell(value: Any) -> Any:
    value = _texts(value)
    return json.dumps(value) if isinstance(value, list | dict) else value
