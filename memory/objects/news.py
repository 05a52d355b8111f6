"""What a frame says against what is remembered: objects that vanished, and objects that are new.

Axis letters: m detections, p points, n slots.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64, Int64

from memory.objects.existence import ExistenceFilter

NEWS_FADE = 0.75
"""What telling of a vanished slot once more is worth of the time before."""


@dataclass(frozen=True, slots=True)
class News:
    """What the newest frame says against what is remembered.

    Attributes:
        missed_nats: How improbable it was not to see the slots that the camera looks through: the
            minus log of its probability given their existence, summed. Falls as they are doubted,
            and with every frame that told of the same slot.
        fresh_m: World points on each object that no slot stood for.
    """

    missed_nats: float = 0.0
    fresh_m: Float64[np.ndarray, "m p 3"] = field(default_factory=lambda: np.empty((0, 1, 3)))


class Told:
    """How often it was told that a slot vanished, since it was seen last.

    Args:
        beliefs: Says how improbable it is to look through a slot.
    """

    def __init__(self, beliefs: ExistenceFilter) -> None:
        self._beliefs = beliefs
        self._times: dict[int, int] = {}

    def nats(self, slot_ids: Int64[np.ndarray, "n"], existence: Float64[np.ndarray, "n"]) -> float:
        """Return how improbable it is that slots vanished; less each time it is told."""
        total = 0.0
        for slot_id, nats in zip(
            slot_ids.tolist(), self._beliefs.through_nats(existence).tolist(), strict=True
        ):
            times = self._times.get(slot_id, 0)
            self._times[slot_id] = times + 1
            total += nats * NEWS_FADE**times
        return total

    def forget(self, slot_id: int) -> None:
        """Begin anew: the slot was seen, or is no more."""
        self._times.pop(slot_id, None)

    def clear(self) -> None:
        """Begin anew with all."""
        self._times.clear()
