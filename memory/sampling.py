"""Which rows make a batch: runs of consecutive steps, windows inside them, and how to draw."""

import numpy as np
from jaxtyping import Bool, Int64

from memory.errors import NotEnoughDataError


def is_held_out(episode_id: Int64[np.ndarray, "*n"], probe_every: int) -> Bool[np.ndarray, "*n"]:
    """Return whether episodes are kept for probes: every `probe_every`-th, from episode 1.

    Fixed by the number alone, so that no round ever trains on what another probes; episode 1 is
    held out so that a young life has a probe set early.
    """
    return np.asarray(episode_id % probe_every == 1, dtype=bool)


class RowIndex:
    """Step and episode of every row of a store, in the order of the table.

    24 bytes per row; the rows themselves stay on disk.
    """

    def __init__(self, probe_every: int) -> None:
        self._probe_every = probe_every
        self._columns = np.empty((3, 1024), dtype=np.int64)
        self._num_rows = 0
        self._runs: tuple[int, Int64[np.ndarray, "r"], Int64[np.ndarray, "r"]] | None = None

    def __len__(self) -> int:
        return self._num_rows

    @property
    def step(self) -> Int64[np.ndarray, "n"]:
        """Step of every row."""
        return self._columns[0, : self._num_rows]

    @property
    def episode_id(self) -> Int64[np.ndarray, "n"]:
        """Episode of every row."""
        return self._columns[1, : self._num_rows]

    def last_step(self) -> int:
        """Return the newest step, -1 if there is none."""
        return int(self.step[-1]) if self._num_rows else -1

    def last_episode(self) -> int:
        """Return the newest episode, -1 if there is none."""
        return int(self.episode_id[-1]) if self._num_rows else -1

    def extend(
        self,
        step: Int64[np.ndarray, "n"],
        episode_id: Int64[np.ndarray, "n"],
        base_version: Int64[np.ndarray, "n"],
    ) -> None:
        """Add the rows of an append.

        Args:
            step: Their steps.
            episode_id: Their episodes.
            base_version: Table version that the append of each row followed.
        """
        end = self._num_rows + len(step)
        if end > self._columns.shape[1]:
            grown = np.empty((3, max(end, 2 * self._columns.shape[1])), dtype=np.int64)
            grown[:, : self._num_rows] = self._columns[:, : self._num_rows]
            self._columns = grown
        self._columns[:, self._num_rows : end] = (step, episode_id, base_version)
        self._num_rows = end

    def num_training_rows(self, since_version: int) -> int:
        """Return how many rows of training episodes were appended after a table version."""
        fresh = self._columns[2, : self._num_rows] >= since_version
        return int(np.sum(fresh & ~is_held_out(self.episode_id, self._probe_every)))

    def draw(
        self,
        batch_size: int,
        horizon: int,
        rng: np.random.Generator,
        *,
        recent: float,
        held_out: bool,
    ) -> Int64[np.ndarray, "b t"]:
        """Return row offsets of windows; see `ReplayStore.sample`.

        Windows are numbered in the order of life. A uniform draw gives each the same chance, a
        recent draw a chance proportional to its number (the larger of two uniform draws).

        Raises:
            NotEnoughDataError: If no episode of the set is long enough.
        """
        if batch_size < 1 or horizon < 1 or not 0 <= recent <= 1:
            raise ValueError(
                f"batch_size and horizon must be >= 1 and recent in [0, 1], "
                f"got {batch_size}, {horizon} and {recent}"
            )
        starts, lengths = self._episode_runs(held_out)
        windows = np.maximum(lengths - horizon + 1, 0)
        total = int(windows.sum())
        if total == 0:
            kind = "held-out" if held_out else "training"
            raise NotEnoughDataError(
                f"no {kind} episode has {horizon} frames in a row: "
                f"the longest has {int(lengths.max(initial=0))}"
            )
        num_recent = round(batch_size * recent)
        number = rng.integers(total, size=batch_size)
        again = rng.integers(total, size=num_recent)
        number[:num_recent] = np.maximum(number[:num_recent], again)
        ends = np.cumsum(windows)
        run = np.searchsorted(ends, number, side="right")
        first = starts[run] + number - (ends[run] - windows[run])
        return first[:, None] + np.arange(horizon, dtype=np.int64)[None, :]

    def _episode_runs(self, held_out: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return starts and lengths of the runs of consecutive steps inside one episode."""
        if self._runs is None or self._runs[0] != self._num_rows:
            breaks = (np.diff(self.step) != 1) | (np.diff(self.episode_id) != 0)
            starts = np.concatenate(([0], np.flatnonzero(breaks) + 1))[: self._num_rows]
            lengths = np.diff(np.append(starts, self._num_rows))
            self._runs = (self._num_rows, starts.astype(np.int64), lengths.astype(np.int64))
        _, starts, lengths = self._runs
        chosen = is_held_out(self.episode_id[starts], self._probe_every) == held_out
        return starts[chosen], lengths[chosen]
