"""Search vectors of views, one vector space at a time.

A vector belongs to the encoder that made it. Vectors of two encoders are never compared: asking
for it raises. The similarity above which two views show the same object belongs to the encoder
too, and is measured from the stored views whenever the encoder changes.

Axis letters: n views, q queries, d features.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int64

from memory.errors import EncoderVersionMismatchError, StoreError
from memory.objects.views import ViewMeta
from memory.protocols import CropEncoder
from memory.records import Embedding, View
from memory.vectors.layered import LayeredRows

DEFAULT_SAME_OBJECT = 0.92
"""Similarity that counts as the same object while there are too few views to measure it."""

MIN_PAIRS = 50
"""Pairs of views of different objects needed to measure it."""

FALSE_ALARMS = 0.05
"""Share of those pairs that may pass as the same object."""

CALIBRATE_VIEWS = 400
"""The latest views, on which it is measured."""

EMBED_BATCH = 256
"""Crops encoded at once."""


def cosine(a: Embedding, b: Embedding) -> float:
    """Return the cosine of two search vectors.

    Raises:
        EncoderVersionMismatchError: If two encoders made them.
    """
    require_version(a, b.encoder_version)
    norm = float(np.linalg.norm(a.vector) * np.linalg.norm(b.vector))
    return float(a.vector @ b.vector) / max(norm, 1e-12)


def require_version(embedding: Embedding, version: str) -> None:
    """Check that a vector belongs to a vector space.

    Raises:
        EncoderVersionMismatchError: If it does not; names both.
    """
    if embedding.encoder_version != version:
        raise EncoderVersionMismatchError(
            f"a vector of encoder {embedding.encoder_version!r} cannot be compared with vectors "
            f"of encoder {version!r}: embed it again"
        )


def embed_crops(encoder: CropEncoder, crops: np.ndarray) -> Float32[np.ndarray, "n d"]:
    """Return the vector of every crop (n s s 3 uint8), checked.

    Raises:
        StoreError: If the encoder returns another number of vectors than there are crops, or one
            that is not finite.
    """
    made = encoder.embed(crops)
    if len(made) != len(crops) or not np.isfinite(made).all():
        raise StoreError(
            f"encoder {encoder.encoder_version!r} made {len(made)} vectors for {len(crops)} "
            "crops, or some that are not finite"
        )
    return np.asarray(made, dtype=np.float32)


def embed_views(encoder: CropEncoder, views: Sequence[View]) -> dict[int, Float32[np.ndarray, "d"]]:
    """Return the vector of every view; crops of several sizes may be mixed.

    Raises:
        StoreError: If the encoder returns another number of vectors than there are views, or one
            that is not finite.
    """
    vectors: dict[int, Float32[np.ndarray, "d"]] = {}
    by_side: dict[int, list[View]] = {}
    for view in views:
        by_side.setdefault(len(view.crop), []).append(view)
    for alike in by_side.values():
        for first in range(0, len(alike), EMBED_BATCH):
            some = alike[first : first + EMBED_BATCH]
            made = embed_crops(encoder, np.stack([view.crop for view in some]))
            vectors.update(zip((view.view_id for view in some), made, strict=True))
    return vectors


def same_object_threshold(
    vectors: Float32[np.ndarray, "n d"], slot_ids: Int64[np.ndarray, "n"]
) -> float:
    """Return the similarity that few views of different objects reach.

    Measured on pairs of the last `CALIBRATE_VIEWS`; falls back to `DEFAULT_SAME_OBJECT`.
    """
    vectors, slot_ids = vectors[-CALIBRATE_VIEWS:], slot_ids[-CALIBRATE_VIEWS:]
    different = np.triu(slot_ids[:, None] != slot_ids[None], k=1)
    similarity = (vectors @ vectors.T)[different]
    if len(similarity) < MIN_PAIRS:
        return DEFAULT_SAME_OBJECT
    return float(np.quantile(similarity, 1 - FALSE_ALARMS))


class EmbeddingBook:
    """Vectors of the active encoder, by view; rounded to half precision as the tables hold them.

    Args:
        version: The active encoder.
    """

    def __init__(self, version: str) -> None:
        self.version = version
        self.same_object = DEFAULT_SAME_OBJECT
        self._rows = LayeredRows()

    def __contains__(self, view_id: int) -> bool:
        return self._rows.at(view_id) is not None

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, view_id: int) -> Float32[np.ndarray, "d"]:
        vector = self._rows.at(view_id)
        if vector is None:
            raise KeyError(f"view {view_id} has no vector of encoder {self.version!r}")
        return vector.astype(np.float32)

    def ids(self) -> Int64[np.ndarray, "n"]:
        """Return the views that have a vector, sorted."""
        return self._rows.ids()

    def add(self, version: str, vectors: dict[int, Float32[np.ndarray, "d"]]) -> None:
        """Take in vectors.

        Raises:
            EncoderVersionMismatchError: If they are of another encoder.
        """
        for vector in vectors.values():
            require_version(Embedding(encoder_version=version, vector=vector), self.version)
        if vectors:
            ids = np.fromiter(vectors, dtype=np.int64, count=len(vectors))
            self._rows.put(ids, np.stack(list(vectors.values())).astype(np.float16))

    def discard(self, view_id: int) -> None:
        """Forget the vector of a view, if there is one."""
        self._rows.discard(view_id)

    def flip(self, version: str, rows: LayeredRows) -> None:
        """Replace the vector space."""
        self.version, self._rows = version, rows

    def calibrate(self, views: Sequence[ViewMeta]) -> None:
        """Measure the similarity that counts as the same object."""
        known = [view for view in views if view.view_id in self]
        if known:
            stacked = np.stack([self[view.view_id] for view in known])
            self.same_object = same_object_threshold(
                stacked, np.array([view.slot_id for view in known], dtype=np.int64)
            )

    def of_slot(self, views: Sequence[ViewMeta]) -> Embedding | None:
        """Return the normalised mean over the embedded views of a slot, None without any."""
        known = [self[v.view_id] for v in views if v.view_id in self]
        if not known:
            return None
        mean = np.mean(known, axis=0)
        mean = (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)
        return Embedding(encoder_version=self.version, vector=mean)

    def likeness(
        self, vector: Embedding, view_ids: Int64[np.ndarray, "n"] | None = None
    ) -> tuple[Int64[np.ndarray, "n"], Float32[np.ndarray, "n"]]:
        """Return views and their cosine with a vector: all, or those of `view_ids` with a vector.

        Raises:
            EncoderVersionMismatchError: If another encoder made the vector.
            ValueError: If it has another length than the vectors of its encoder.
        """
        require_version(vector, self.version)
        return self._rows.scores(vector.vector, view_ids)
