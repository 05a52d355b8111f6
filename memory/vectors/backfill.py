"""Embedding every kept view again with a new encoder, from its pixels.

A life has thousands of views when its model is replaced. They are embedded in batches; each batch
is appended to the encoder's own table in one commit, so that a process killed at any moment has
embedded whole batches and the next one goes on with the views that have no vector yet. Batches are
cut from the views in the order of their ids and padded to one size: what an encoder makes of a
view may depend, in the last bit, on the shape of the batch and on the place in it, and an
interrupted backfill must end with the same vectors as one that was not.

Axis letters: n views, s crop side, d features.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from jaxtyping import Float16, Float32, Int64, UInt8

from memory.errors import StoreError
from memory.protocols import CropEncoder
from memory.schema import VIEWS
from memory.tables import naming, open_table
from memory.vectors.embeddings import EMBED_BATCH, embed_crops
from memory.vectors.tables import EmbeddingTables

COMMIT_BATCHES = 16
"""Encoder batches per commit: a commit costs some 5 ms and a file."""

RECALL_VIEWS = 2000
"""Views among which retrieval is measured."""


class CropSource(Protocol):
    """Where the pixels of views are."""

    def crops(self, view_ids: Int64[np.ndarray, "n"]) -> list[UInt8[np.ndarray, "s s 3"]]:
        """Return the crop of each view, in the order asked for.

        Raises:
            StoreError: If a view has none.
        """
        ...


class TableCrops:
    """Crops of a table of views as it is now: what is written later is not looked at.

    Args:
        folder: Folder of the life's tables.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._table = open_table(folder, VIEWS)
        self._ids = self._rows = np.empty(0, dtype=np.int64)
        if self._table is None:
            return
        with naming(folder, VIEWS):
            # Pinned: row ids change when a compaction moves rows.
            self._table.checkout(self._table.version)
            found = self._table.search().select(["view_id"]).with_row_id(True).to_arrow()
        ids = found["view_id"].to_numpy()
        order = np.argsort(ids, kind="stable")
        self._ids, self._rows = ids[order], found["_rowid"].to_numpy()[order].astype(np.int64)

    def crops(self, view_ids: Int64[np.ndarray, "n"]) -> list[UInt8[np.ndarray, "s s 3"]]:
        """Return the crop of each view; see `CropSource`.

        Raises:
            StoreError: If the table does not hold a view.
            DamagedTableError: If it cannot be read.
        """
        at = np.searchsorted(self._ids, view_ids)
        known = at < len(self._ids)
        known[known] = self._ids[at[known]] == view_ids[known]
        if not known.all() or self._table is None:
            raise StoreError(
                f"table {VIEWS!r} in {self._folder} has no pixels of "
                f"{int((~known).sum())} views, view {int(view_ids[~known][0])} among them: they "
                "cannot be embedded"
            )
        with naming(self._folder, VIEWS):
            rows = self._table.take_row_ids(self._rows[at].tolist())
            found = rows.select(["view_id", "crop", "crop_px"]).to_arrow()
        return _crops_in_order(found, view_ids)


def _crops_in_order(
    found: pa.Table, view_ids: Int64[np.ndarray, "n"]
) -> list[UInt8[np.ndarray, "s s 3"]]:
    columns = (found[name].to_pylist() for name in ("view_id", "crop", "crop_px"))
    by_id = {
        view_id: np.frombuffer(pixels, dtype=np.uint8).reshape(side, side, 3)
        for view_id, pixels, side in zip(*columns, strict=True)
    }
    return [by_id[int(view_id)] for view_id in view_ids]


class RamCrops:
    """Crops of views that are in RAM.

    Args:
        crops: Crop by view.
    """

    def __init__(self, crops: dict[int, UInt8[np.ndarray, "s s 3"]]) -> None:
        self._crops = crops

    def crops(self, view_ids: Int64[np.ndarray, "n"]) -> list[UInt8[np.ndarray, "s s 3"]]:
        """Return the crop of each view; see `CropSource`."""
        return [self._crops[int(view_id)] for view_id in view_ids]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillReport:
    """What a backfill did, and how well views find views of the same object before and after.

    Attributes:
        encoder_version: The new encoder.
        expected: Views to hold a vector of it.
        written: Views that do; always the same.
        embedded: Of these, embedded by this call and not before it.
        recall_before: Recall@1 in the old space, NaN where too few views have a vector.
        recall_after: In the new one, of the same views.
        same_object: The new encoder's similarity of the same object.
    """

    encoder_version: str
    expected: int
    written: int
    embedded: int
    recall_before: float
    recall_after: float
    same_object: float

    def is_worse(self, margin: float) -> bool:
        """Return whether retrieval fell by more than a margin, 0 to 1."""
        return bool(self.recall_before - self.recall_after > margin)

    def text(self) -> str:
        """Return one line for the log."""
        done = f"{self.written} views have its vectors, {self.embedded} made now"
        if np.isnan(self.recall_before):
            return done
        return f"{done}, recall@1 {self.recall_after:.3f}, before {self.recall_before:.3f}"


def embed_missing(
    source: CropSource,
    encoder: CropEncoder,
    view_ids: Int64[np.ndarray, "n"],
    *,
    batch: int = EMBED_BATCH,
) -> Iterator[tuple[Int64[np.ndarray, "m"], Float16[np.ndarray, "m d"]]]:
    """Yield ids and vectors of `COMMIT_BATCHES` batches at a time, in the order of the ids.

    Raises:
        StoreError: If a view has no pixels, or the encoder loses a crop.
    """
    view_ids = np.sort(view_ids)
    for first in range(0, len(view_ids), batch * COMMIT_BATCHES):
        some = view_ids[first : first + batch * COMMIT_BATCHES]
        crops = source.crops(some)
        made = [
            _embed_padded(encoder, crops[i : i + batch], batch) for i in range(0, len(crops), batch)
        ]
        yield some, np.concatenate(made).astype(np.float16)


def backfill(
    tables: EmbeddingTables,
    source: CropSource,
    encoder: CropEncoder,
    view_ids: Int64[np.ndarray, "n"],
    *,
    batch: int = EMBED_BATCH,
) -> int:
    """Embed the views that have no vector of an encoder yet; return how many.

    Vectors of views that are not among `view_ids` are removed from the encoder's table.

    Raises:
        StoreError: If not every view has exactly one vector afterwards.
    """
    version = encoder.encoder_version
    there = tables.ids(version)
    tables.remove(version, np.setdiff1d(there, view_ids).tolist())
    missing = np.setdiff1d(view_ids, there)
    for ids, vectors in embed_missing(source, encoder, missing, batch=batch):
        tables.add(version, ids, vectors)
    written = tables.ids(version)
    if not np.array_equal(written, np.sort(view_ids)):
        raise StoreError(
            f"encoder {version!r}: {len(written)} of {len(view_ids)} views have a vector"
        )
    return len(missing)


def recall_at_1(vectors: Float32[np.ndarray, "n d"], slot_ids: Int64[np.ndarray, "n"]) -> float:
    """Return the share of views whose most similar other view shows the same object.

    Asked of views whose object has another view; NaN if none has.
    """
    _, which, count = np.unique(slot_ids, return_inverse=True, return_counts=True)
    asked = np.flatnonzero(count[which] > 1)
    if len(asked) == 0:
        return float("nan")
    likeness = vectors[asked] @ vectors.T
    likeness[np.arange(len(asked)), asked] = -np.inf
    return float(np.mean(slot_ids[likeness.argmax(axis=1)] == slot_ids[asked]))


def held_out(slot_ids: Int64[np.ndarray, "n"]) -> Int64[np.ndarray, "m"]:
    """Return which views to measure retrieval on: all of evenly spread objects, whole objects.

    Returns:
        Indices of at most about `RECALL_VIEWS` views.
    """
    slots = np.unique(slot_ids)
    share = max(1, -(-len(slot_ids) // RECALL_VIEWS))
    return np.flatnonzero(np.isin(slot_ids, slots[::share]))


def _embed_padded(
    encoder: CropEncoder, crops: list[UInt8[np.ndarray, "s s 3"]], batch: int
) -> Float32[np.ndarray, "n d"]:
    sides = np.array([len(crop) for crop in crops])
    made: np.ndarray | None = None
    for side in np.unique(sides):
        at = np.flatnonzero(sides == side)
        padded = np.stack([crops[i] for i in np.resize(at, batch)])
        vectors = embed_crops(encoder, padded)[: len(at)]
        if made is None:
            made = np.empty((len(crops), vectors.shape[1]), dtype=np.float32)
        made[at] = vectors
    assert made is not None
    return made
