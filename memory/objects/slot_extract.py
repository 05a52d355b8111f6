"""Some slots, copied out of the columns of all.

Axis letters: n slots.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from memory.objects.existence import STATES
from memory.records import Slot

MIN_VARIANCE_M2 = 1e-4
"""Floor of the position's variance: a centimetre."""

_PLAIN = (
    *("slot_id", "existence", "num_hits"),
    *("first_seen_ns", "last_seen_ns", "first_seen_step", "last_seen_step"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotExtract:
    """A copy of some slots.

    Attributes:
        columns: As in `SlotArrays`, one row per copied slot.
        labels: Label of each code.
        ballots: Votes of slots that were given several labels, by id.
        beside: Ids of the slots seen beside each, by id, if that was asked for.
    """

    columns: dict[str, np.ndarray]
    labels: tuple[str, ...]
    ballots: dict[int, dict[str, float]]
    beside: dict[int, list[int]]

    def votes(self) -> list[dict[str, float]]:
        """Return the votes of each slot."""
        names = self.label_names()
        ids, scores = self.columns["slot_id"].tolist(), self.columns["vote_score"].tolist()
        return [
            self.ballots.get(slot_id) or {name: score}
            for slot_id, name, score in zip(ids, names, scores, strict=True)
        ]

    def label_names(self) -> list[str]:
        """Return the label of each slot."""
        return [self.labels[code] for code in self.columns["label_code"].tolist()]

    def centre_m(self) -> Float64[np.ndarray, "n 3"]:
        """Return the middle of each box."""
        middle: Float64[np.ndarray, "n 3"] = (self.columns["low_m"] + self.columns["high_m"]) / 2
        return middle

    def covariance_m2(self) -> Float64[np.ndarray, "n 3 3"]:
        """Return how uncertain each position is."""
        hits = np.maximum(self.columns["num_hits"], 1)[:, None, None]
        spread: Float64[np.ndarray, "n 3 3"] = self.columns["scatter_m2"] / hits / hits
        return spread + MIN_VARIANCE_M2 * np.eye(3)

    def records(self) -> list[Slot]:
        """Return the slots as records."""
        plain = [self.columns[name].tolist() for name in _PLAIN]
        states = [STATES[code] for code in self.columns["state"].tolist()]
        extent = self.columns["high_m"] - self.columns["low_m"]
        return [
            Slot(
                **dict(zip(_PLAIN, values, strict=True)),
                label=label,
                votes=votes,
                state=state,
                xyz_m=centre,
                cov_m2=covariance,
                extent_m=size,
            )
            for values, label, votes, state, centre, covariance, size in zip(
                zip(*plain, strict=True),
                self.label_names(),
                self.votes(),
                states,
                self.centre_m(),
                self.covariance_m2(),
                extent,
                strict=True,
            )
        ]
