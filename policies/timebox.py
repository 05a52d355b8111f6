"""Stopping in time: after every round a search asks whether another one would end in time."""

import time
from collections.abc import Callable


class TimeBox:
    """Time that a search may take, judged by its longest round so far.

    A round is never cut short, so the first one has to fit.

    Args:
        budget_s: Seconds from now; `math.inf` for no bound.
        clock: Seconds that only grow.
    """

    def __init__(self, budget_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked_s = clock()
        self._end_s = self._asked_s + budget_s
        self._longest_s = 0.0

    def __call__(self) -> bool:
        """Return whether another round would end in time; call it once after every round."""
        now_s = self._clock()
        self._longest_s = max(self._longest_s, now_s - self._asked_s)
        self._asked_s = now_s
        return now_s + self._longest_s <= self._end_s
