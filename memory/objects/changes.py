"""The log of what happened to remembered objects, and of goals that failed."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float64


class ChangeKind(StrEnum):
    """What happened to a slot, or that a goal failed."""

    CREATED = "created"
    CONFIRMED = "confirmed"
    SUSPECT = "suspect"
    ARCHIVED = "archived"
    MOVED = "moved"
    MERGED = "merged"
    DROPPED = "dropped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One entry.

    Attributes:
        event_id: From 1, increasing over the life.
        step: Step at which it was noticed.
        stamp_ns: Stamp of the observation that showed it.
        kind: What happened.
        slot_id: To which slot; for a merge, the slot that ceased to exist; 0 for a failed goal.
        label: Its label then; of a failed goal, what was looked for.
        xyz_m: Its position then, world frame; of a failed goal, where the body was.
        from_xyz_m: Where it was before, for a move.
        other_id: For a merge, the slot that goes on; for a move, the slot as which it was found
            again and that ceased to exist.
    """

    event_id: int
    step: int
    stamp_ns: int
    kind: ChangeKind
    slot_id: int
    label: str
    xyz_m: Float64[np.ndarray, "3"]
    from_xyz_m: Float64[np.ndarray, "3"] | None = None
    other_id: int | None = None
