"""The tables of search vectors: one per encoder version.

A table each, not a column or a key: vectors of two encoders have two lengths, an index over both
would mix two spaces, and an encoder that is no longer kept goes by dropping its table.

Vectors are fixed-size lists in half precision, padded with zeros to a multiple of 8 features, which
the index asks for and which changes no scalar product.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float16, Float32, Int64
from lancedb.table import Table

from memory.errors import DamagedTableError, EncoderVersionMismatchError
from memory.schema import EMBEDDINGS, embeddings_schema
from memory.tables import (
    READ_ROWS,
    create_table,
    drop_table,
    naming,
    open_table,
    sync_table,
    table_names,
)
from memory.vectors.flat import open_flat
from memory.vectors.layered import LayeredRows

PAD_TO = 8
"""Vectors are padded to a multiple of this many features."""

VERSION_KEY, SIZE_KEY = b"encoder_version", b"num_features"


def table_name(version: str) -> str:
    """Return the name of the table of an encoder: readable, and one per version."""
    readable = re.sub(r"[^A-Za-z0-9-]+", "-", version)[:40].strip("-")
    return f"{EMBEDDINGS}_{readable}_{hashlib.sha256(version.encode()).hexdigest()[:8]}"


def version_of(table: Table) -> tuple[str, int]:
    """Return the encoder of a table and the features of its vectors without padding."""
    metadata = table.schema.metadata or {}
    if VERSION_KEY not in metadata or SIZE_KEY not in metadata:
        raise DamagedTableError(f"table {table.name!r} does not say which encoder it belongs to")
    return metadata[VERSION_KEY].decode(), int(metadata[SIZE_KEY])


def vector_tables(folder: Path) -> dict[str, str]:
    """Return the names of the tables in a folder by encoder version.

    Raises:
        DamagedTableError: If one of them cannot be opened.
    """
    found = {}
    for name in table_names(folder):
        table = open_table(folder, name) if name.startswith(f"{EMBEDDINGS}_") else None
        if table is not None:
            found[version_of(table)[0]] = name
    return found


def open_vectors(folder: Path, version: str) -> Table | None:
    """Return the table of an encoder, None if it has none."""
    return open_table(folder, table_name(version))


class EmbeddingTables:
    """Vectors by view for every kept encoder; one process writes.

    Args:
        folder: Folder of the life's tables.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tables: dict[str, Table] = {}

    def versions(self) -> list[str]:
        """Return the encoders that have vectors here."""
        return sorted(vector_tables(self.folder))

    def ids(self, version: str) -> Int64[np.ndarray, "n"]:
        """Return the views that have a vector of an encoder, sorted."""
        table = self._open(version)
        if table is None:
            return np.empty(0, dtype=np.int64)
        with naming(self.folder, table.name):
            found = table.search().select(["view_id"]).to_arrow()["view_id"]
            return np.sort(found.to_numpy().astype(np.int64))

    def read(self, version: str) -> tuple[Int64[np.ndarray, "n"], Float16[np.ndarray, "n d"]]:
        """Return all vectors of an encoder, ordered by view."""
        table = self._open(version)
        if table is None:
            return np.empty(0, dtype=np.int64), np.empty((0, 0), dtype=np.float16)
        with naming(self.folder, table.name):
            batches = table.search().select(["view_id", "vector"]).to_batches(READ_ROWS)
            return _joined_in_order(batches, table.count_rows(), version_of(table)[1])

    def layered(self, version: str, view_ids: Int64[np.ndarray, "n"]) -> LayeredRows:
        """Return the vectors that views have: from the mapped file those that it holds.

        Args:
            version: The encoder.
            view_ids: The views; what belongs to others is left out.

        Raises:
            DamagedTableError: If the table cannot be read.
        """
        table = self._open(version)
        flat = None if table is None else open_flat(self.folder, table)
        if table is None or flat is None:
            ids, vectors = self.read(version)
            return LayeredRows(ids, vectors, np.isin(ids, view_ids))
        with naming(self.folder, table.name):
            found = table.search().select(["view_id"]).to_batches(READ_ROWS).read_all()["view_id"]
            stored = found.to_numpy().astype(np.int64)
            wanted = np.isin(stored, view_ids)
            rows = LayeredRows(flat.view_ids, flat.vectors, np.isin(flat.view_ids, stored[wanted]))
            newer = np.flatnonzero(wanted & (flat.rows_of(stored) < 0))
            if len(newer):
                taken = table.take_offsets(newer.tolist()).select(["view_id", "vector"])
                rows.put(*ordered_vectors(taken.to_arrow(), version_of(table)[1]))
        return rows

    def add(
        self,
        version: str,
        view_ids: Int64[np.ndarray, "n"],
        vectors: Float16[np.ndarray, "n d"],
    ) -> None:
        """Append vectors of views that have none of this encoder yet: all of them, or none.

        Raises:
            StoreError: If the table cannot be written, or its vectors have another length.
        """
        if len(view_ids) == 0:
            return
        table = self._open(version)
        if table is None:
            table = self._create(version, vectors.shape[1])
        size = version_of(table)[1]
        if vectors.shape[1] != size:
            raise EncoderVersionMismatchError(
                f"encoder {version!r} made vectors of length {vectors.shape[1]}, its table in "
                f"{self.folder} holds vectors of length {size}: two encoders share this name"
            )
        padded = np.zeros((len(vectors), _padded(size)), dtype=np.float16)
        padded[:, :size] = vectors
        flat = pa.FixedSizeListArray.from_arrays(pa.array(padded.ravel()), padded.shape[1])
        with naming(self.folder, table.name, "appended to"):
            table.add(pa.table([pa.array(view_ids), flat], schema=table.schema))

    def put(self, version: str, vectors: dict[int, Float32[np.ndarray, "d"]]) -> None:
        """Append vectors of views, those left out that have one already.

        Raises:
            StoreError: If the table cannot be written, or its vectors have another length.
        """
        ids = np.fromiter(vectors, dtype=np.int64, count=len(vectors))
        ids = np.setdiff1d(ids, self.ids(version)) if len(ids) else ids
        if len(ids):
            self.add(version, ids, np.stack([vectors[int(i)] for i in ids]).astype(np.float16))

    def remove(self, version: str, view_ids: Sequence[int]) -> None:
        """Remove the vectors of views that are not kept any more."""
        table = self._open(version) if len(view_ids) else None
        if table is None:
            return
        with naming(self.folder, table.name, "pruned"):
            table.delete(f"view_id IN ({', '.join(str(int(i)) for i in view_ids)})")

    def keep(self, versions: Sequence[str]) -> list[str]:
        """Drop the tables of all other encoders; return those encoders."""
        dropped = []
        for version, name in vector_tables(self.folder).items():
            if version not in versions:
                self._tables.pop(version, None)
                drop_table(self.folder, name)
                dropped.append(version)
        return dropped

    def sync(self, version: str) -> None:
        """Force a table to disk, so that a power cut after a flip to it finds it whole."""
        sync_table(self.folder, table_name(version))

    def _open(self, version: str) -> Table | None:
        if version not in self._tables:
            table = open_vectors(self.folder, version)
            if table is None:
                return None
            self._tables[version] = table
        return self._tables[version]

    def _create(self, version: str, size: int) -> Table:
        schema = embeddings_schema(_padded(size)).with_metadata(
            {VERSION_KEY: version.encode(), SIZE_KEY: str(size).encode()}
        )
        self._tables[version] = create_table(self.folder, table_name(version), schema)
        return self._tables[version]


def ordered_vectors(
    rows: pa.Table, size: int
) -> tuple[Int64[np.ndarray, "n"], Float16[np.ndarray, "n d"]]:
    """Return view ids, sorted, and vectors without padding, from rows of a table."""
    ids = rows["view_id"].to_numpy().astype(np.int64)
    width = rows.schema.field("vector").type.list_size
    flat = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in rows["vector"].chunks]
    vectors = np.concatenate(flat).reshape(-1, width) if flat else np.empty((0, width), np.float16)
    order = np.argsort(ids, kind="stable")
    return ids[order], vectors[order, :size].astype(np.float16, copy=False)


def _joined_in_order(
    batches: Iterable[pa.RecordBatch], num_rows: int, size: int
) -> tuple[Int64[np.ndarray, "n"], Float16[np.ndarray, "n d"]]:
    """Return what `ordered_vectors` does, of rows that are never in memory twice."""
    ids = np.empty(num_rows, dtype=np.int64)
    vectors = np.empty((num_rows, size), dtype=np.float16)
    used = 0
    for batch in batches:
        flat = batch.column("vector").flatten().to_numpy(zero_copy_only=False)
        some = slice(used, used + len(batch))
        ids[some] = batch.column("view_id").to_numpy()
        vectors[some] = flat.reshape(len(batch), -1)[:, :size]
        used += len(batch)
    if (ids[1:] > ids[:-1]).all():
        return ids, vectors
    order = np.argsort(ids, kind="stable")
    return ids[order], vectors[order]


def _padded(size: int) -> int:
    return -(-size // PAD_TO) * PAD_TO
