"""Windows in which something happened that should not be drowned by ordinary life.

Axis letters: w windows, k windows of one kind, m changes, n rows, q draws.
"""

import numpy as np
from jaxtyping import Bool, Int64

from memory.replay.growing import Growing
from memory.replay.row_index import BUMPED, IS_TERMINAL, WindowIndex


class EventWindows:
    """Windows that hold an event, by kind of event; each kind counts up to a quota.

    Args:
        windows: The windows.
        change_steps: Steps at which a remembered object was found changed, sorted.
        surprise: Surprise from which a row is an event; an unknown one never is.
        quota: A kind with more windows than this counts no more than one with as many.
    """

    def __init__(
        self,
        windows: WindowIndex,
        change_steps: Int64[np.ndarray, "m"],
        surprise: float,
        quota: int,
    ) -> None:
        self._windows, self._change_steps = windows, change_steps
        self._surprise, self._quota = surprise, quota
        self._members = [Growing(np.int32) for _ in range(4)]
        self._known = 0

    def draw(self, count: int, rng: np.random.Generator) -> Int64[np.ndarray, "q"]:
        """Return window numbers, none if no window holds an event."""
        self._catch_up()
        sizes = np.array([len(kind) for kind in self._members])
        weight_to = np.cumsum(np.minimum(sizes, self._quota))
        if weight_to[-1] == 0:
            return np.zeros(0, dtype=np.int64)
        kind = np.searchsorted(weight_to, rng.integers(weight_to[-1], size=count), side="right")
        inside = rng.integers(sizes[kind])
        return np.array(
            [self._members[k].values[i] for k, i in zip(kind, inside, strict=True)], dtype=np.int64
        )

    def _catch_up(self) -> None:
        """Look through the windows that are new."""
        num_windows = len(self._windows)
        if num_windows == self._known:
            return
        new = np.arange(self._known, num_windows)
        self._known = num_windows
        first, horizon = self._windows.first[new].astype(np.int64), self._windows.horizon
        # One row more, to tell the first bump of a row of them from those that follow.
        rows, low = self._windows.rows, max(int(first[0]) - 1, 0)
        high = int(first[-1]) + horizon
        flags = rows.flags[low:high]
        step = self._windows.step(new)
        changed = np.searchsorted(self._change_steps, step) != np.searchsorted(
            self._change_steps, step + horizon
        )
        bumped = (flags & BUMPED) > 0
        # A body that leans on a wall bumps at every step: only the first tells anything.
        bumped[1:] &= (flags[:-1] & BUMPED) == 0
        for members, held in zip(
            self._members,
            (
                changed,
                _any(bumped, first - low, horizon),
                _any((flags & IS_TERMINAL) > 0, first - low, horizon),
                _any(rows.surprise[low:high] >= self._surprise, first - low, horizon),
            ),
            strict=True,
        ):
            members.extend(new[held])


def _any(
    row_holds: Bool[np.ndarray, "n"], first: Int64[np.ndarray, "w"], horizon: int
) -> Bool[np.ndarray, "w"]:
    """Return which windows have a row that holds."""
    num_before = np.concatenate(([0], np.cumsum(row_holds)))
    return np.asarray(num_before[first] != num_before[first + horizon])
