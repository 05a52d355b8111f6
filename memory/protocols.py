"""What the rest of the system may ask of the memory."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from memory.records import Batch, Detection, Observation, Slot, Transition, View

if TYPE_CHECKING:
    from memory.replay.samplers import Sampler


@runtime_checkable
class ReplayStore(Protocol):
    """Every step of a life, in order."""

    def append(self, transitions: Sequence[Transition]) -> int:
        """Commit rows durably and return the version that holds them: all of them or none.

        Raises:
            RefusedRowError: If a step does not increase, time goes backwards inside an episode, a
                shape differs from the table's, or a value is not finite; names the step.
        """
        ...

    def sample(
        self,
        batch_size: int,
        horizon: int,
        rng: np.random.Generator,
        *,
        sampler: "Sampler | None" = None,
        held_out: bool = False,
    ) -> Batch:
        """Draw windows of `horizon` frames that never cross an episode.

        Args:
            batch_size: Windows.
            horizon: Frames per window, >= 1.
            rng: Source of randomness; the same state and version give the same batch.
            sampler: Chooses the windows; None is uniform over life.
            held_out: Draw from the probe episodes instead of the training episodes. The two sets
                are disjoint, fixed by the episode's number.

        Raises:
            NotEnoughDataError: If no episode of the set has `horizon` frames, with the number that
                the longest has; or if none of the windows is to the sampler's taste.
        """
        ...

    def at_version(self, version: int) -> "ReplayStore":
        """Return a read-only view of the rows with steps below a version.

        It shows the same rows for good, whatever is appended or merged later.
        """
        ...

    @property
    def version(self) -> int:
        """One more than the newest committed step, 0 for an empty store."""
        ...

    def __len__(self) -> int: ...


@runtime_checkable
class ObjectMemory(Protocol):
    """Every object of a place. Answers come from a mirror in RAM; tables follow at `flush`."""

    def update(
        self, observation: Observation, detections: Sequence[Detection], step: int
    ) -> list[int]:
        """Associate the detections and update what was and was not seen.

        Returns:
            One slot id per detection, 0 where none was assigned.
        """
        ...

    def slots(self, label: str | None = None, *, archived: bool = False) -> list[Slot]:
        """Return the slots, those with the highest existence first."""
        ...

    def views(self, slot_id: int) -> list[View]:
        """Return the kept views of a slot."""
        ...

    def note_failure(self, label: str, xyz_m: Float64[np.ndarray, "3"]) -> None:
        """Log that a goal failed at the newest frame, where the body was there (world frame)."""
        ...

    def flush(self) -> int:
        """Write what changed to the tables; return the number of rows written."""
        ...


@runtime_checkable
class CropEncoder(Protocol):
    """Turns crops into search vectors; owned by the memory, satisfied by a learned model."""

    @property
    def encoder_version(self) -> str:
        """Name of the vector space."""
        ...

    def embed(self, crops: UInt8[np.ndarray, "n s s 3"]) -> Float32[np.ndarray, "n d"]:
        """Return unit vectors."""
        ...
