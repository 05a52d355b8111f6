"""Is a remembered object still there? A log-odds filter and the states that follow from it.

A sighting adds log(p_detect / p_false). A miss adds log((1 - p_detect) / (1 - p_false)), and counts
only if the object would have been seen had it been there; `memory.objects.visibility` decides that.
Where the camera looks through the place, it adds log(p_through / (1 - p_through)) instead.

    tentative --seen often enough--> confirmed <--> suspect --> archived
        `--missed--> dropped                            ^----seen again--'

References:
    Rosen et al. 2016 (ICRA), "Towards lifelong feature-based mapping in semi-static environments",
    Eq. (10): the recursive filter, here with a fixed clip instead of a survival prior.
"""

import math

import numpy as np
from jaxtyping import Bool, Float64, Int8, Int64

from memory.config import ObjectConfig
from memory.records import SlotState

STATES = (SlotState.TENTATIVE, SlotState.CONFIRMED, SlotState.SUSPECT, SlotState.ARCHIVED)
"""States by their code in the arrays."""

TENTATIVE, CONFIRMED, SUSPECT, ARCHIVED = range(len(STATES))

DROPPED = -1
"""Code of a tentative slot that turned out to be nothing."""

CONFIRM_ABOVE = 2.0
"""Log-odds above which an object is trusted."""

DOUBT_BELOW = 0.0
"""Log-odds below which it is doubted, and a tentative one dropped."""

ARCHIVE_BELOW = -2.0
"""Log-odds below which it counts as gone."""


SURE_SCORE = 0.98
"""Mean score of a detector that is sure."""


class ExistenceFilter:
    """Log-odds of existence, for arrays of slots.

    Args:
        config: Detection and false alarm rates, clip and hits to confirm.
    """

    def __init__(self, config: ObjectConfig) -> None:
        self._hit = math.log(config.p_detect / config.p_false)
        self._miss = math.log((1 - config.p_detect) / (1 - config.p_false))
        self._through = math.log(config.p_through / (1 - config.p_through))
        self._clip = config.existence_clip
        self._p_through = config.p_through
        self._confirm_hits, self._confirm_ns = config.confirm_hits, config.confirm_s * 1e9
        self._unsure_hits = config.unsure_hits

    def seen(
        self, existence: Float64[np.ndarray, "n"], state: Int8[np.ndarray, "n"]
    ) -> Float64[np.ndarray, "n"]:
        """Return the log-odds after a sighting; an archived object starts from doubt."""
        raised = np.minimum(existence + self._hit, self._clip)
        return np.where(state == ARCHIVED, DOUBT_BELOW, raised)

    def missed(self, existence: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
        """Return the log-odds after the object was not where it should have been seen."""
        return np.maximum(existence + self._miss, -self._clip)

    def looked_through(self, existence: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
        """Return the log-odds after the camera looked through where the object should be."""
        return np.maximum(existence + self._through, -self._clip)

    def through_nats(self, existence: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
        """Return minus the log of the probability of looking through a place, before it is done."""
        there, gone = self._p_through, 1 - self._p_through
        belief = 1 / (1 + np.exp(-existence))
        nats: Float64[np.ndarray, "n"] = -np.log(belief * there + (1 - belief) * gone)
        return nats

    def is_settled(
        self, state: Int8[np.ndarray, "n"], existence: Float64[np.ndarray, "n"]
    ) -> Bool[np.ndarray, "n"]:
        """Return which slots are confirmed and trusted, so that no other state follows."""
        settled: Bool[np.ndarray, "n"] = (state == CONFIRMED) & (existence > CONFIRM_ABOVE)
        return settled

    def is_proven(
        self,
        num_hits: Int64[np.ndarray, "n"],
        score: Float64[np.ndarray, "n"],
        seen_ns: Int64[np.ndarray, "n"],
    ) -> Bool[np.ndarray, "n"]:
        """Return which slots were seen often enough to be confirmed.

        Sightings by a detector that is not sure must be more and lie apart in time: its errors
        last, so that the next frames repeat them, and the same error may come back.

        Args:
            num_hits: Sightings.
            score: Sum of the scores for the slot's label; `num_hits` of a detector that is sure.
            seen_ns: Time from the first to the last sighting.
        """
        sure = score >= SURE_SCORE * num_hits
        lasting = (num_hits >= self._unsure_hits) & (seen_ns >= self._confirm_ns)
        proven: Bool[np.ndarray, "n"] = (num_hits >= self._confirm_hits) & (sure | lasting)
        return proven

    def next_state(
        self,
        state: Int8[np.ndarray, "n"],
        existence: Float64[np.ndarray, "n"],
        proven: Bool[np.ndarray, "n"],
    ) -> Int8[np.ndarray, "n"]:
        """Return the state codes that follow, `DROPPED` for tentative slots to be forgotten.

        Args:
            state: State codes.
            existence: Log-odds.
            proven: See `is_proven`.
        """
        trusted: Bool[np.ndarray, "n"] = existence > CONFIRM_ABOVE
        doubted, gone = existence < DOUBT_BELOW, existence < ARCHIVE_BELOW
        young = state == TENTATIVE
        after = state.copy()
        after[young & trusted & proven] = CONFIRMED
        after[young & doubted] = DROPPED
        after[(state == ARCHIVED) & ~gone] = SUSPECT
        known = (state == CONFIRMED) | (state == SUSPECT)
        after[known & trusted] = CONFIRMED
        after[known & doubted] = SUSPECT
        after[known & gone] = ARCHIVED
        return after
