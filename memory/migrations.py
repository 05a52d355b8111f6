"""What older folders need to be read by this program; begun again if interrupted."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from memory.schema import EMBEDDINGS, EVENTS
from memory.tables import naming, open_table, table_path
from memory.vectors.tables import EmbeddingTables


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
    shutil.rmtree(table_path(folder, EMBEDDINGS))


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
