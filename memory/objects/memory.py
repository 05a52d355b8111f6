"""Object memory: every object that was ever seen, where it is, and what became of it.

`update` runs in the control loop; see `memory.objects.tracking`. `flush` runs in the recorder's
thread: it embeds new crops, finds objects that moved, and writes what changed. Answers come from
RAM; the tables follow.
"""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from memory.config import ObjectConfig
from memory.heap import release_unused
from memory.objects.changes import Change, ChangeKind
from memory.objects.existence import ARCHIVED, STATES
from memory.objects.listing import RankedSlots, Rect, rank_of
from memory.objects.news import News
from memory.objects.places import PlaceGraph
from memory.objects.reunion import reunite_moved
from memory.objects.tables import Counters, ObjectTables, Snapshot
from memory.objects.tracking import KEPT_CHANGES, SlotTracker
from memory.objects.unwritten import Unwritten
from memory.objects.views import ViewMeta
from memory.objects.voted import other_voted
from memory.protocols import CropEncoder
from memory.records import BodySpec, Detection, Embedding, Observation, Slot, SlotState, View
from memory.search.home import rank
from memory.search.query import SlotColumns, SlotQuery, in_order, matches, select
from memory.vectors.backfill import BackfillReport
from memory.vectors.view_vectors import ViewVectors


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
        # Activating drops the tables of other encoders, so none is prepared meanwhile.
        self._changing = threading.Lock()
        self._tracker = SlotTracker(config, spec)
        self._records: dict[int, Slot] = {}
        self._listings: dict[str, RankedSlots] = {}
        self._tables = None if folder is None else ObjectTables(folder)
        vector_tables = None if self._tables is None else self._tables.embeddings
        self._vectors = ViewVectors(
            self._tracker, self._lock, vector_tables, self._with_pixels, config.embeddings
        )
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

    @property
    def news(self) -> News:
        """What the newest frame said against what was remembered."""
        with self._lock:
            return self._tracker.news

    def slots(self, label: str | None = None, *, archived: bool = False) -> list[Slot]:
        """Return the slots, those with the highest existence first.

        Asking for what is there of one label is what the control loop does: its first answer is
        put together, the others follow the changes.

        Args:
            label: Only slots of this label.
            archived: Whether to return what counts as gone, too.
        """
        with self._lock:
            if label is not None and not archived:
                return self._listing(label).slots()
            arrays = self._tracker.arrays
            rows = np.arange(len(arrays)) if label is None else arrays.with_label(label)
            if not archived:
                rows = rows[arrays.state[rows] != ARCHIVED]
            found = arrays.extract(rows)
        return sorted(found.records(), key=rank_of)

    def labels(self) -> tuple[str, ...]:
        """Return every label that anything was ever called, the oldest first."""
        with self._lock:
            return self._tracker.arrays.labels()

    def voted(self, label: str) -> list[tuple[Slot, float]]:
        """Return slots of other labels with the share of their votes that this one got."""
        with self._lock:
            found = other_voted(self._tracker.arrays, label)
            return [(self._record(row), share) for row, share in found]

    def slots_within(self, label: str, rect_m: Rect) -> list[Slot]:
        """Return what is there of a label in a rectangle; what lies elsewhere costs nothing."""
        with self._lock:
            return self._listing(label).within(rect_m)

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

    def note_failure(self, label: str, xyz_m: Float64[np.ndarray, "3"]) -> None:
        """Log that a goal for a label failed at a place; the replay draws from there."""
        with self._lock:
            self._tracker.enter(ChangeKind.FAILED, 0, label, np.asarray(xyz_m, dtype=np.float64))

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
        """Return the k slots with the views most like a vector, with the cosine; archived ones too.

        Raises:
            EncoderVersionMismatchError: If another encoder made the vector.
        """
        with self._lock:
            best = self._vectors.nearest(vector, k)
            rows = ((self._tracker.arrays.row(slot_id), best[slot_id]) for slot_id in best)
            return [(self._record(row), cosine) for row, cosine in rows if row is not None]

    def find(self, query: SlotQuery, places: PlaceGraph | None = None) -> list[Slot]:
        """Return the slots that fulfil a query: most alike, nearest or surest first.

        Args:
            query: The query.
            places: Rooms, for a query that names one.

        Raises:
            EncoderVersionMismatchError: If another encoder made the query's vector.
        """
        rooms = places or PlaceGraph()
        with self._lock:
            columns = SlotColumns.of_arrays(self._tracker.arrays)
            chosen = select(columns, query, rooms.rooms_of)
            if query.like is None:
                rows = in_order(columns, query, chosen)
            else:
                among = columns.slot_id[chosen]
                alike = self._vectors.nearest(query.like, query.limit, among)
                known = (self._tracker.arrays.row(slot_id) for slot_id in alike)
                rows = np.array([row for row in known if row is not None], dtype=np.int64)
            return [self._record(int(row)) for row in rows]

    @property
    def active_encoder(self) -> str:
        """Version of the encoder whose vectors are compared."""
        return self._vectors.book.version

    def set_views_encoder(self, encoder: CropEncoder) -> None:
        """Attach the encoder that embeds new views, after a restart.

        Raises:
            EncoderVersionMismatchError: If it is not the active one; `reembed` changes that.
        """
        self._vectors.attach(encoder)

    def prepare_encoder(self, encoder: CropEncoder) -> BackfillReport:
        """Embed all views with an encoder; the active one stays.

        Meanwhile the memory answers in the old space, takes in frames and writes. What a killed
        process had embedded is not embedded again.

        Raises:
            StoreError: If not every view got a vector.
            WorseRetrievalError: See `ViewVectors.prepare`.
        """
        with self._changing:
            with self._flushing:
                self._write_changes()
                stored = self._vectors.stored()
            return self._vectors.prepare(encoder, stored)

    def activate_encoder(self, encoder: CropEncoder, report: BackfillReport) -> BackfillReport:
        """Make a prepared encoder the active one, in one step; embed what came since first.

        Vectors of the encoder before are kept for a roll back.

        Args:
            encoder: The encoder.
            report: What `prepare_encoder` returned.

        Raises:
            StoreError: If not every view got a vector; the old encoder stays active.
        """
        with self._changing, self._flushing:
            self._write_changes()
            return self._vectors.activate(encoder, report, self._commit_encoder)

    def reembed(self, encoder: CropEncoder) -> BackfillReport:
        """Embed all views with an encoder and make it the active one.

        Raises:
            StoreError: If not every view got a vector; the old encoder stays active.
            WorseRetrievalError: See `ViewVectors.prepare`; the old encoder stays active.
        """
        return self.activate_encoder(encoder, self.prepare_encoder(encoder))

    def flush(self) -> int:
        """Embed new views, reunite moved objects and write what changed; return the rows.

        Raises:
            StoreError: If a table cannot be written; the changes are kept for the next flush.
        """
        with self._flushing:
            return self._write_changes()

    def _write_changes(self) -> int:
        self._vectors.embed_new()
        reunite_moved(self._tracker, self._vectors.book, self._lock)
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
                self._vectors.put_back(set(snapshot.vectors))
            raise
        with self._lock:
            self._tracker.views.forget_crops(view.view_id for view in snapshot.views)
        return written

    def _commit_encoder(self) -> None:
        if self._tables is not None:
            with self._lock:
                counters = self._counters()
            self._tables.write_counters(counters)

    def clear(self) -> None:
        """Forget every object; the log of changes stays, and ids are not used again."""
        with self._lock:
            self._tracker.clear()
            self._records.clear()
            self._listings.clear()
            self._vectors.clear()
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
        self._vectors.restore(
            counters.encoder_version,
            counters.previous_encoder,
            counters.same_object,
            stored.vectors,
        )

    def _snapshot(self) -> tuple[Snapshot, Unwritten]:
        """Return the rows to write, and what they came from in case that fails."""
        tracker = self._tracker
        taken, tracker.unwritten = tracker.unwritten, Unwritten()
        for view_id in taken.removed_views:
            self._vectors.book.discard(view_id)
        vectors = self._vectors.take_unwritten()
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
            encoder_version=self._vectors.book.version,
            previous_encoder=self._vectors.previous,
            same_object=self._vectors.book.same_object,
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
