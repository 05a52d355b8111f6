"""The vectors of the kept views: new ones, a change of the encoder, and what looks alike.

One encoder is active. Another one is prepared beside it, from pixels, while the memory goes on
answering in the old space and taking in views; then the active encoder is changed in one step,
which on disk is the replacement of one small file.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float16, Float32, Int64

from memory.config import EmbeddingConfig
from memory.errors import EncoderVersionMismatchError, StoreError, WorseRetrievalError
from memory.objects.tracking import SlotTracker
from memory.objects.views import ViewMeta
from memory.protocols import CropEncoder
from memory.records import Embedding, View
from memory.vectors.backfill import (
    BackfillReport,
    CropSource,
    RamCrops,
    TableCrops,
    backfill,
    embed_missing,
    held_out,
    recall_at_1,
)
from memory.vectors.colour_encoder import ColourEncoder
from memory.vectors.embeddings import (
    CALIBRATE_VIEWS,
    EmbeddingBook,
    embed_views,
    same_object_threshold,
)
from memory.vectors.layered import LayeredRows
from memory.vectors.rows import VectorRows
from memory.vectors.tables import EmbeddingTables

CALIBRATE_GROWTH = 1.25
"""The similarity of the same object is measured again when there are this many times more views."""

PORTION = 256
"""Views without a vector that one flush embeds beside those that are new: it holds up the writing
of everything else. What is left over has no vector in the table either, so that a process that
was killed meanwhile goes on where it stopped."""


class StoredViews(NamedTuple):
    """Views as a table holds them at one moment."""

    view_ids: Int64[np.ndarray, "n"]
    """Sorted."""
    slot_ids: Int64[np.ndarray, "n"]
    source: CropSource | None
    """Their pixels; None where RAM holds them."""


class ViewVectors:
    """Vectors of the views of a tracker.

    Args:
        tracker: Owner of the views.
        lock: Guards the tracker and what is active here.
        tables: Where vectors are kept, None for RAM only.
        with_pixels: Adds the pixels to views, from RAM or disk.
        config: Margin and batch size.
    """

    def __init__(
        self,
        tracker: SlotTracker,
        lock: threading.RLock,
        tables: EmbeddingTables | None,
        with_pixels: Callable[[Sequence[ViewMeta]], list[View]],
        config: EmbeddingConfig,
    ) -> None:
        self._tracker, self._lock, self._tables, self._config = tracker, lock, tables, config
        self._with_pixels = with_pixels
        self.encoder: CropEncoder | None = ColourEncoder()
        self.book = EmbeddingBook(self.encoder.encoder_version)
        self.previous = ""
        self._calibrated_views = 0
        self._todo: list[int] = []
        self._unwritten: set[int] = set()
        self._prepared: dict[str, VectorRows] = {}

    def restore(
        self,
        version: str,
        previous: str,
        same_object: float,
        rows: LayeredRows,
    ) -> None:
        """Take in what an earlier process left."""
        if version != self.book.version:
            self.encoder = None
        self.book.flip(version, rows)
        self.book.same_object = same_object
        self.previous = previous
        self._calibrated_views = len(rows)
        view_ids, _ = self._tracker.views.ids_and_slots()
        self._todo = np.setdiff1d(view_ids, rows.ids(), assume_unique=True).tolist()

    def attach(self, encoder: CropEncoder) -> None:
        """Embed new views with the active encoder, after a restart.

        Raises:
            EncoderVersionMismatchError: If it is not the active one.
        """
        with self._lock:
            if encoder.encoder_version != self.book.version:
                raise EncoderVersionMismatchError(
                    f"encoder {encoder.encoder_version!r} is not the active one, "
                    f"{self.book.version!r}: re-embed all views with it first"
                )
            self.encoder = encoder

    def embed_new(self) -> None:
        """Embed new views and a portion of older ones without a vector, outside the lock."""
        with self._lock:
            encoder, version = self.encoder, self.book.version
            new = sorted(i for i in self._tracker.unwritten.views if i not in self.book)
            self._todo += new
            left = len(self._todo) - max(PORTION, len(new))
            todo = (self._tracker.views.get(i) for i in set(self._todo[max(left, 0) :]))
            views = [v for v in todo if v is not None and v.view_id not in self.book]
        if encoder is None:
            return
        views.sort(key=lambda view: view.view_id)
        vectors: dict[int, Float32[np.ndarray, "d"]] = {}
        for first in range(0, len(views), PORTION):
            some = self._with_pixels(views[first : first + PORTION])
            vectors |= embed_views(encoder, some)
        with self._lock:
            kept = {i: v for i, v in vectors.items() if self._tracker.views.get(i) is not None}
            self.book.add(version, kept)
            del self._todo[max(left, 0) :]
            self._unwritten |= set(kept)
            if len(self.book) > CALIBRATE_GROWTH * self._calibrated_views:
                self.book.calibrate(self._newest())
                self._calibrated_views = len(self.book)

    def take_unwritten(self) -> dict[int, Float32[np.ndarray, "d"]]:
        """Return vectors that no table holds yet, by view; they count as written from now on."""
        vectors = {i: self.book[i] for i in self._unwritten if i in self.book}
        self._unwritten = set()
        return vectors

    def put_back(self, view_ids: set[int]) -> None:
        """Note that vectors were not written after all."""
        self._unwritten |= view_ids

    def clear(self) -> None:
        """Forget all vectors of the active encoder."""
        self.book.flip(self.book.version, LayeredRows())

    def stored(self) -> StoredViews:
        """Return the views whose pixels are written, and where from; for whoever holds up writing.

        What is seen meanwhile waits to be written and is embedded with all that is new.
        """
        with self._lock:
            view_ids, slot_ids = self._tracker.views.ids_and_slots()
            waiting = np.fromiter(self._tracker.unwritten.views, dtype=np.int64)
        if self._tables is None:
            return StoredViews(view_ids, slot_ids, None)
        there = ~np.isin(view_ids, waiting)
        return StoredViews(view_ids[there], slot_ids[there], TableCrops(self._tables.folder))

    def prepare(self, encoder: CropEncoder, stored: StoredViews) -> BackfillReport:
        """Give every view a vector of an encoder, and compare it with the active one.

        The active encoder stays. A backfill that a killed process began goes on.

        Args:
            encoder: The encoder.
            stored: What `stored` returned.

        Raises:
            StoreError: If not every view got a vector.
            WorseRetrievalError: If retrieval is worse than now by more than
                `EmbeddingConfig.worse_margin`, and `refuse_worse` is set.
        """
        version = encoder.encoder_version
        embedded = self._fill(encoder, stored)
        report = self._compare(version, embedded, stored.view_ids, stored.slot_ids)
        if self._config.refuse_worse and report.is_worse(self._config.worse_margin):
            raise WorseRetrievalError(
                f"encoder {version!r} finds the same object in {report.recall_after:.3f} of the "
                f"views, {self.book.version!r} in {report.recall_before:.3f}: more than "
                f"memory.objects.embeddings.worse_margin = {self._config.worse_margin} worse, "
                f"{self.book.version!r} stays active"
            )
        return report

    def activate(
        self, encoder: CropEncoder, report: BackfillReport, commit: Callable[[], None]
    ) -> BackfillReport:
        """Make a prepared encoder the active one; return the report with the views since then.

        For whoever holds up writing.

        Args:
            encoder: The encoder.
            report: What `prepare` returned.
            commit: Called once, to make the change last. Until it returns, the next process begins
                with the old encoder.

        Raises:
            StoreError: If not every view that arrived since got a vector; nothing changes then.
        """
        version = encoder.encoder_version
        stored = self.stored()
        embedded = self._fill(encoder, stored)
        ids, vectors = self._vectors(version)
        if self._tables is not None:
            self._tables.sync(version)
        with self._lock:
            if self.book.version != version:
                self.previous = self.book.version
            self.book.flip(version, LayeredRows(ids, vectors))
            self.book.same_object = report.same_object
            self.encoder = encoder
            self._calibrated_views = len(ids)
            self._unwritten.clear()
        commit()
        kept = [version, self.previous]
        self._prepared = {v: rows for v, rows in self._prepared.items() if v in kept}
        if self._tables is not None:
            self._tables.keep(kept)
        embedded += report.embedded
        return replace(report, expected=len(stored.view_ids), written=len(ids), embedded=embedded)

    def nearest(
        self, vector: Embedding, k: int, slot_ids: Int64[np.ndarray, "m"] | None = None
    ) -> dict[int, float]:
        """Return the k slots with the views most like a vector, the best first, with their cosine.

        Args:
            vector: Unit vector.
            k: At most so many slots.
            slot_ids: Slots to choose from, None for all.

        Raises:
            EncoderVersionMismatchError: If another encoder made the vector.
        """
        views = self._tracker.views
        among = None
        if slot_ids is not None:
            own = [view.view_id for i in slot_ids for view in views.of_slot(int(i))]
            among = np.array(own, dtype=np.int64)
        view_ids, cosines = self.book.likeness(vector, among)
        best: dict[int, float] = {}
        for i in np.argsort(-cosines, kind="stable"):
            view = views.get(int(view_ids[i]))
            if view is not None:
                best.setdefault(view.slot_id, float(cosines[i]))
            if len(best) == k:
                break
        return best

    def _newest(self) -> list[ViewMeta]:
        views = (self._tracker.views.get(int(i)) for i in self.book.ids()[-CALIBRATE_VIEWS:])
        return [view for view in views if view is not None]

    def _fill(self, encoder: CropEncoder, stored: StoredViews) -> int:
        """Give every stored view a vector; return how many had none."""
        if self._tables is None or stored.source is None:
            return self._fill_in_ram(encoder, stored.view_ids)
        batch = self._config.batch
        return backfill(self._tables, stored.source, encoder, stored.view_ids, batch=batch)

    def _fill_in_ram(self, encoder: CropEncoder, view_ids: Int64[np.ndarray, "n"]) -> int:
        rows = self._prepared.setdefault(encoder.encoder_version, VectorRows())
        with self._lock:
            pixels = {int(i): self._tracker.views.crop(int(i)) for i in view_ids}
        crops = {view_id: crop for view_id, crop in pixels.items() if crop is not None}
        source: CropSource = RamCrops(crops)
        missing = np.setdiff1d(view_ids, rows.ids())
        for ids, vectors in embed_missing(source, encoder, missing, batch=self._config.batch):
            rows.put(ids, vectors)
        for view_id in np.setdiff1d(rows.ids(), view_ids):
            rows.discard(int(view_id))
        if len(rows) != len(view_ids):
            raise StoreError(
                f"encoder {encoder.encoder_version!r}: {len(rows)} of {len(view_ids)} views have "
                "a vector"
            )
        return len(missing)

    def _vectors(self, version: str) -> tuple[Int64[np.ndarray, "n"], Float16[np.ndarray, "n d"]]:
        if self._tables is not None:
            return self._tables.read(version)
        return self._prepared.get(version, VectorRows()).all()

    def _compare(
        self,
        version: str,
        embedded: int,
        view_ids: Int64[np.ndarray, "n"],
        slot_ids: Int64[np.ndarray, "n"],
    ) -> BackfillReport:
        ids, vectors = self._vectors(version)
        slot_of = slot_ids[np.searchsorted(view_ids, ids)]
        asked = held_out(slot_of)
        with self._lock:
            asked = asked[np.array([int(i) in self.book for i in ids[asked]], dtype=np.bool_)]
            before = np.array([self.book[int(i)] for i in ids[asked]], dtype=np.float32)
        after, newest = vectors[asked].astype(np.float32), vectors[-CALIBRATE_VIEWS:]
        return BackfillReport(
            encoder_version=version,
            expected=len(view_ids),
            written=len(ids),
            embedded=embedded,
            recall_before=recall_at_1(before, slot_of[asked]),
            recall_after=recall_at_1(after, slot_of[asked]),
            same_object=same_object_threshold(
                newest.astype(np.float32), slot_of[-CALIBRATE_VIEWS:]
            ),
        )
