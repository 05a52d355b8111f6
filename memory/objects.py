"""Object memory: every object that was ever seen, where it is, and what became of it.

`update` runs in the control loop; see `memory.tracking`. `flush` runs in the recorder's thread: it
embeds new crops, finds objects that moved, and writes what changed. Answers come from RAM; the
tables follow.
"""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from memory.changes import Change
from memory.colour_encoder import ColourEncoder
from memory.config import ObjectConfig
from memory.embeddings import EmbeddingBook, embed_views, require_version
from memory.errors import EncoderVersionMismatchError, StoreError
from memory.existence import ARCHIVED, STATES
from memory.heap import release_unused
from memory.listing import RankedSlots, rank_of
from memory.object_tables import Counters, ObjectTables, Snapshot
from memory.protocols import CropEncoder
from memory.records import BodySpec, Detection, Embedding, Observation, Slot, SlotState, View
from memory.reunion import reunite_moved
from memory.search import matches, rank
from memory.tracking import KEPT_CHANGES, SlotTracker, Unwritten
from memory.views import ViewMeta

CALIBRATE_GROWTH = 1.25
"""The similarity of the same object is measured again when there are this many times more views."""

PORTION = 1024
"""Views whose pixels are read at once."""


class SlotMemory:
    """Object memory. Satisfies `memory.protocols.ObjectMemory`.

    Args:
        folder: Folder of the life's tables, or None to keep everything in RAM.
        config: Settings.
        spec: Body that carries the camera.

    Raises:
        NewerFormatError: If a newer program wrote the folder.
        DamagedTableError: If a table cannot be read. Nothing is overwritten.
    """

    def __init__(self, folder: Path | None, config: ObjectConfig, spec: BodySpec) -> None:
        self._lock = threading.RLock()
        self._flushing = threading.Lock()
        self._tracker = SlotTracker(config, spec)
        self._encoder: CropEncoder | None = ColourEncoder()
        self._book = EmbeddingBook(self._encoder.encoder_version)
        self._calibrated_views = 0
        self._unwritten_vectors: set[int] = set()
        self._records: dict[int, Slot] = {}
        self._listings: dict[str, RankedSlots] = {}
        self._tables = None if folder is None else ObjectTables(folder)
        if self._tables is not None:
            self._restore(self._tables)
            release_unused()

    def update(
        self, observation: Observation, detections: Sequence[Detection], step: int
    ) -> list[int]:
        """Take in a frame; see `ObjectMemory.update`."""
        with self._lock:
            ids = self._tracker.take_in(observation, detections, step)
            self._forget_records()
            return ids

    def slots(self, label: str | None = None, *, archived: bool = False) -> list[Slot]:
        """Return the slots, those with the highest existence first.

        Asking for what is there of one label is what the control loop does: its first answer is
        put together, the others follow the changes.

        Args:
            label: Only slots of this label.
            archived: Whether to return what counts as gone, too.
        """
        if label is not None and not archived:
            with self._lock:
                return self._listing(label).slots()
        with self._lock:
            arrays = self._tracker.arrays
            rows = np.arange(len(arrays))
            if label is not None:
                rows = arrays.with_label(label)
            if not archived:
                rows = rows[arrays.state[rows] != ARCHIVED]
            found = arrays.extract(rows)
        return sorted(found.records(), key=rank_of)

    def num_by_state(self) -> dict[SlotState, int]:
        """Return how many slots are in each state."""
        with self._lock:
            counts = np.bincount(self._tracker.arrays.state, minlength=len(STATES))
        return dict(zip(STATES, counts.tolist(), strict=True))

    def num_refused(self) -> dict[str, int]:
        """Return how many detections were ignored since the start, by reason."""
        with self._lock:
            return dict(self._tracker.refused)

    def views(self, slot_id: int) -> list[View]:
        """Return the kept views of a slot with their pixels, oldest first.

        Raises:
            DamagedTableError: If the pixels cannot be read.
        """
        with self._lock:
            views = self._tracker.views.of_slot(slot_id)
        return self._with_pixels(views)

    def num_views(self, slot_id: int | None = None) -> int:
        """Return how many views are kept, of all slots or of one."""
        with self._lock:
            return self._tracker.views.num_views(slot_id)

    def changes(self, since: int = 0) -> list[Change]:
        """Return the newest log entries with an `event_id` above `since`."""
        with self._lock:
            return [change for change in self._tracker.changes if change.event_id > since]

    def search(self, label_text: str, limit: int) -> list[Slot]:
        """Return slots whose label matches a text, the surest first, archived ones last."""
        with self._lock:
            arrays = self._tracker.arrays
            wanted = [label for label in arrays.labels() if matches(label_text, label)]
            rows = [arrays.with_label(label) for label in wanted]
            found = arrays.extract(np.concatenate([np.empty(0, dtype=np.int64), *rows]))
        ordered = sorted(found.records(), key=rank_of)
        return sorted(ordered, key=lambda slot: rank(slot.state, slot.existence))[:limit]

    def near(self, xy_m: tuple[float, float], radius_m: float) -> list[Slot]:
        """Return the slots whose centre lies within a radius on the floor, the nearest first."""
        place = np.array(xy_m)
        with self._lock:
            arrays = self._tracker.arrays
            rows = arrays.rows(arrays.near(place[None] - radius_m, place[None] + radius_m))
            rows = rows[arrays.state[rows] != ARCHIVED]
            away = np.linalg.norm(arrays.centre_m(rows)[:, :2] - place, axis=1)
            order = np.argsort(away, kind="stable")
            return arrays.extract(rows[order[away[order] <= radius_m]]).records()

    def similar(self, vector: Embedding, k: int) -> list[tuple[Slot, float]]:
        """Return the k slots that look most like a vector, with their cosine; archived ones too.

        Raises:
            EncoderVersionMismatchError: If another encoder made the vector.
        """
        scored = []
        with self._lock:
            require_version(vector, self._book.version)
            for row in range(len(self._tracker.arrays)):
                slot = self._record(row)
                own = self._book.of_slot(self._tracker.views.of_slot(slot.slot_id))
                if own is not None:
                    scored.append((slot, float(own.vector @ vector.vector)))
        return sorted(scored, key=lambda pair: -pair[1])[:k]

    @property
    def active_encoder(self) -> str:
        """Version of the encoder whose vectors are compared."""
        return self._book.version

    def set_views_encoder(self, encoder: CropEncoder) -> None:
        """Attach the encoder that embeds new views, after a restart.

        Raises:
            EncoderVersionMismatchError: If it is not the active one; `reembed` changes that.
        """
        with self._lock:
            if encoder.encoder_version != self._book.version:
                raise EncoderVersionMismatchError(
                    f"encoder {encoder.encoder_version!r} is not the active one, "
                    f"{self._book.version!r}: re-embed all views with it first"
                )
            self._encoder = encoder

    def reembed(self, encoder: CropEncoder) -> int:
        """Embed all views again and make that encoder the active one; return the vectors made.

        The old vectors stay active until all new ones are written; those of the encoder before
        are kept for a roll back. Views that arrive meanwhile are embedded at the next flush.

        Raises:
            StoreError: If not every view got a vector; the old encoder stays active.
        """
        with self._flushing:
            with self._lock:
                view_ids = self._tracker.views.ids().tolist()
                before = self._book.version
            vectors: dict[int, np.ndarray] = {}
            for some in self._in_portions(view_ids):
                vectors |= embed_views(encoder, some)
            version = encoder.encoder_version
            written = len(vectors)
            if self._tables is not None:
                written = self._tables.write_vectors(version, vectors)
            if written != len(view_ids):
                raise StoreError(
                    f"encoder {version!r}: {written} of {len(view_ids)} views were embedded, "
                    f"{before!r} stays active"
                )
            with self._lock:
                views = self._tracker.views
                known = [v for i in view_ids if (v := views.get(i)) is not None]
                self._book.flip(version, {v.view_id: vectors[v.view_id] for v in known})
                self._encoder = encoder
                self._book.calibrate(known)
                counters = self._counters()
            if self._tables is not None:
                self._tables.write(Snapshot(counters=counters))
                self._tables.keep_encoders([before, version])
        return written

    def flush(self) -> int:
        """Embed new views, reunite moved objects and write what changed; return the rows.

        Raises:
            StoreError: If a table cannot be written; the changes are kept for the next flush.
        """
        with self._flushing:
            self._embed_new_views()
            reunite_moved(self._tracker, self._book, self._lock)
            with self._lock:
                self._forget_records()
                snapshot, taken = self._snapshot()
            if self._tables is None:
                return 0
            try:
                written = self._tables.write(snapshot)
            except Exception:
                with self._lock:
                    self._tracker.unwritten.put_back(taken)
                    self._unwritten_vectors |= set(snapshot.vectors)
                raise
            with self._lock:
                self._tracker.views.forget_crops(view.view_id for view in snapshot.views)
            return written

    def clear(self) -> None:
        """Forget every object; the log of changes stays, and ids are not used again."""
        with self._lock:
            self._tracker.clear()
            self._records.clear()
            self._listings.clear()
            self._book.flip(self._book.version, {})
        self.flush()

    def _restore(self, tables: ObjectTables) -> None:
        stored = tables.load(KEPT_CHANGES)
        tracker, counters = self._tracker, stored.counters
        if counters is None:
            return
        tracker.arrays.fill(stored.slots)
        centre_m = tracker.arrays.low_m / 2 + tracker.arrays.high_m / 2
        rows = np.searchsorted(tracker.arrays.slot_id, stored.views.slot_id)
        tracker.drop_views(tracker.views.fill(stored.views, centre_m[rows]))
        tracker.views.next_view_id = counters.next_view_id
        tracker.changes.extend(stored.changes)
        tracker.next_slot_id = counters.next_slot_id
        tracker.next_event_id = counters.next_event_id
        if counters.encoder_version != self._book.version:
            self._encoder = None
        self._book.flip(counters.encoder_version, stored.vectors)
        self._book.same_object = counters.same_object
        self._calibrated_views = len(stored.vectors)
        view_ids = tracker.views.ids()
        known = np.fromiter(stored.vectors, dtype=np.int64, count=len(stored.vectors))
        tracker.views.fresh = set(view_ids[~np.isin(view_ids, known)].tolist())

    def _embed_new_views(self) -> None:
        """Embed views without a vector, outside the lock."""
        with self._lock:
            encoder, version = self._encoder, self._book.version
            fresh = sorted(self._tracker.views.fresh)
        if encoder is None or not fresh:
            return
        views = [view for some in self._in_portions(fresh) for view in some]
        vectors = embed_views(encoder, views)
        with self._lock:
            book = self._tracker.views
            book.fresh -= set(vectors)
            kept = {i: v for i, v in vectors.items() if book.slot_of(i) is not None}
            self._book.add(version, kept)
            self._unwritten_vectors |= set(kept)
            if len(self._book) > CALIBRATE_GROWTH * self._calibrated_views:
                self._book.calibrate([v for i in book.ids()[-400:] if (v := book.get(int(i)))])
                self._calibrated_views = len(self._book)

    def _snapshot(self) -> tuple[Snapshot, Unwritten]:
        """Return the rows to write, and what they came from in case that fails."""
        tracker = self._tracker
        taken, tracker.unwritten = tracker.unwritten, Unwritten()
        for view_id in taken.removed_views:
            self._book.discard(view_id)
        vectors = {i: self._book[i] for i in self._unwritten_vectors if i in self._book}
        self._unwritten_vectors = set()
        rows = tracker.arrays.rows(taken.slots)
        pixels = {view_id: tracker.views.crop(view_id) for view_id in sorted(taken.views)}
        crops = {view_id: crop for view_id, crop in pixels.items() if crop is not None}
        views = [view for i in crops if (view := tracker.views.get(i)) is not None]
        moved: dict[int, list[int]] = {}
        for view_id in sorted(taken.moved_views):
            slot_id = tracker.views.slot_of(view_id)
            if slot_id is not None:
                moved.setdefault(slot_id, []).append(view_id)
        snapshot = Snapshot(
            counters=self._counters(),
            slots=tracker.arrays.extract(rows, neighbours=True) if len(rows) else None,
            removed_slots=sorted(taken.removed_slots),
            views=views,
            crops=list(crops.values()),
            moved_views=moved,
            removed_views=sorted(taken.removed_views),
            vectors=vectors,
            changes=list(taken.changes),
        )
        return snapshot, taken

    def _with_pixels(self, views: Sequence[ViewMeta]) -> list[View]:
        """Return views with pixels from RAM or the table; those removed meanwhile are left out."""
        with self._lock:
            in_ram = {view.view_id: self._tracker.views.crop(view.view_id) for view in views}
        crops = {view_id: crop for view_id, crop in in_ram.items() if crop is not None}
        missing = [view.view_id for view in views if view.view_id not in crops]
        if missing and self._tables is not None:
            crops |= self._tables.crops(missing)
        return [
            View(
                view_id=view.view_id,
                slot_id=view.slot_id,
                crop=crops[view.view_id],
                pose=view.pose,
                range_m=view.range_m,
                num_px=view.num_px,
                stamp_ns=view.stamp_ns,
            )
            for view in views
            if view.view_id in crops
        ]

    def _in_portions(self, view_ids: Sequence[int]) -> Iterator[list[View]]:
        """Yield the views that are still kept, some at a time, with their pixels."""
        for first in range(0, len(view_ids), PORTION):
            with self._lock:
                some = view_ids[first : first + PORTION]
                kept = [self._tracker.views.get(view_id) for view_id in some]
            yield self._with_pixels([view for view in kept if view is not None])

    def _listing(self, label: str) -> RankedSlots:
        if label not in self._listings:
            arrays = self._tracker.arrays
            rows = arrays.with_label(label)
            listing = RankedSlots()
            listing.fill(arrays.extract(rows[arrays.state[rows] != ARCHIVED]).records())
            self._listings[label] = listing
        return self._listings[label]

    def _counters(self) -> Counters:
        return Counters(
            next_slot_id=self._tracker.next_slot_id,
            next_view_id=self._tracker.views.next_view_id,
            next_event_id=self._tracker.next_event_id,
            encoder_version=self._book.version,
            same_object=self._book.same_object,
        )

    def _record(self, row: int) -> Slot:
        slot_id = int(self._tracker.arrays.slot_id[row])
        if slot_id not in self._records:
            self._records[slot_id] = self._tracker.arrays.record(row)
        return self._records[slot_id]

    def _forget_records(self) -> None:
        """Bring what was answered before up to date with what changed."""
        tracker = self._tracker
        for slot_id in tracker.stale_records:
            self._records.pop(slot_id, None)
        if self._listings:
            rows = tracker.arrays.rows(tracker.stale_records)
            there = {slot.slot_id: slot for slot in tracker.arrays.extract(rows).records()}
            for label, listing in self._listings.items():
                for slot_id in tracker.stale_records:
                    slot = there.get(slot_id)
                    if slot and slot.label == label and slot.state is not SlotState.ARCHIVED:
                        listing.put(slot)
                    else:
                        listing.discard(slot_id)
        tracker.stale_records.clear()
