"""The format of a memory folder, and how an older one is brought to today's.

Formats are numbers; each step from one to the next is a named migration that is begun again if it
was interrupted.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from memory.errors import DamagedTableError, NewerFormatError
from memory.files import write_atomic
from memory.schema import EMBEDDINGS, EVENTS
from memory.tables import drop_table, naming, open_table
from memory.vectors.tables import EmbeddingTables

FORMAT_VERSION = 4
"""Version of the folder's layout; raised together with an entry in `MIGRATIONS`."""

FORMAT_FILE = "format.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step from a format to the next.

    Attributes:
        name: What it changes, for the log.
        from_format: Format that it reads; it leaves `from_format + 1`.
        apply: Rewrites the folder; called again from the start if it was interrupted.
    """

    name: str
    from_format: int
    apply: Callable[[Path], None]


def split_by_encoder(folder: Path) -> None:
    """Give each encoder a table of its own, from the one table of format 1.

    Raises:
        DamagedTableError: If that table cannot be read; it stays.
    """
    table = open_table(folder, EMBEDDINGS)
    if table is None:
        return
    with naming(folder, EMBEDDINGS):
        rows = table.search().select(["view_id", "encoder_version", "vector"]).to_arrow()
    tables = EmbeddingTables(folder)
    for version in rows["encoder_version"].unique().to_pylist():
        own = rows.filter(pc.equal(rows["encoder_version"], version))
        vectors = np.array(own["vector"].to_pylist(), dtype=np.float16)
        ids = own["view_id"].to_numpy().astype(np.int64)
        new = ~np.isin(ids, tables.ids(version))
        tables.add(version, ids[new], vectors[new])
        tables.sync(version)
    drop_table(folder, EMBEDDINGS)


def add_other_slot(folder: Path) -> None:
    """Let entries of the log name the other slot of a merge or move; older ones do not know it.

    Raises:
        DamagedTableError: If the log cannot be changed.
    """
    table = open_table(folder, EVENTS)
    if table is None or "other_id" in table.schema.names:
        return
    with naming(folder, EVENTS, "extended"):
        table.add_columns(pa.field("other_id", pa.int64()))


def _keep_plain_frames(_: Path) -> None:
    """Change nothing: a table without a `pixels` note in its schema holds plain frames.

    It is read and appended to as it is. The new number keeps programs that know plain frames only
    away from the filtered ones.
    """


def _keep_codecs(_: Path) -> None:
    """Change nothing: a table keeps the codec that its schema names.

    The new number keeps programs away that know fewer codecs.
    """


def _split_embeddings_and_extend_events(folder: Path) -> None:
    split_by_encoder(folder)
    add_other_slot(folder)


MIGRATIONS: tuple[Migration, ...] = (
    Migration(name="filtered frames in new tables", from_format=1, apply=_keep_plain_frames),
    Migration(
        name="one table of vectors per encoder; merges and moves name the other slot",
        from_format=2,
        apply=_split_embeddings_and_extend_events,
    ),
    Migration(name="frames packed with LZ4 in new tables", from_format=3, apply=_keep_codecs),
)
"""In order, one per format after the first."""


def _write_format(path: Path, version: int) -> None:
    write_atomic(path, json.dumps({"format": version}).encode())


def prepare_folder(folder: Path, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Create the folder, or bring an older one to today's format.

    Raises:
        NewerFormatError: If a newer program wrote the folder; nothing is changed.
        DamagedTableError: If the format file cannot be read; nothing is changed.
    """
    newest = 1 + len(migrations)
    path = folder / FORMAT_FILE
    if not path.exists():
        if folder.exists() and any(folder.glob("*.lance")):
            raise DamagedTableError(f"{path} is missing but {folder} holds tables: restore it")
        folder.mkdir(parents=True, exist_ok=True)
        _write_format(path, newest)
        return
    found = read_format(folder)
    if found > newest:
        raise NewerFormatError(
            f"{folder} has format {found} and this program knows formats up to {newest}: "
            "use the program that wrote it, or a newer one"
        )
    for migration in migrations:
        if migration.from_format >= found:
            migration.apply(folder)
            _write_format(path, migration.from_format + 1)


def read_format(folder: Path) -> int:
    """Return the format version of a folder.

    Raises:
        DamagedTableError: If its format file is missing or damaged.
    """
    path = folder / FORMAT_FILE
    try:
        found = json.loads(path.read_text(encoding="ascii"))["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedTableError(f"{path} cannot be read as a format file: {error!r}") from error
    if not isinstance(found, int) or found < 1:
        raise DamagedTableError(f"{path} holds format {found!r}, expected a number from 1")
    return found
