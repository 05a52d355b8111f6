"""What is known in RAM of every row, and which windows lie in them.

Axis letters: n rows, m new rows, w windows, b batch, t time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Int64, Shaped, UInt8

from memory.errors import NotEnoughDataError
from memory.records import Transition
from memory.replay.growing import Growing

_FLAG_COLUMNS = ("bumped", "is_first", "is_last", "is_terminal")

INDEX_COLUMNS = (
    *("step", "episode_id", "pose", "surprise", "action_source"),
    *_FLAG_COLUMNS,
)
"""Columns of the table that the index is made of."""

BUMPED, IS_LAST, IS_TERMINAL, IS_FIRST = np.uint8(1), np.uint8(2), np.uint8(4), np.uint8(8)
IS_PLANNED = np.uint8(16)
"""Bits of `RowIndex.flags`."""


def is_held_out(episode_id: Int64[np.ndarray, "*n"], probe_every: int) -> Bool[np.ndarray, "*n"]:
    """Return whether episodes are kept for probes: every `probe_every`-th, from episode 1.

    Fixed by the number alone, so that no round ever trains on what another probes; episode 1 is
    held out so that a young life has a probe set early.
    """
    return np.asarray(episode_id % probe_every == 1, dtype=bool)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRows:
    """New rows for the index; see `RowIndex` for the meaning of the arrays."""

    step: Int64[np.ndarray, "m"]
    episode_id: Int64[np.ndarray, "m"]
    x_m: Float32[np.ndarray, "m"]
    y_m: Float32[np.ndarray, "m"]
    yaw_rad: Float32[np.ndarray, "m"]
    surprise: Float32[np.ndarray, "m"]
    flags: UInt8[np.ndarray, "m"]

    @classmethod
    def of_transitions(cls, rows: Sequence[Transition]) -> "IndexRows":
        """Return what the index keeps of rows."""
        pose = np.array([row.pose for row in rows], dtype=np.float32).reshape(-1, 3)
        return cls(
            step=np.array([row.step for row in rows], dtype=np.int64),
            episode_id=np.array([row.episode_id for row in rows], dtype=np.int64),
            x_m=pose[:, 0],
            y_m=pose[:, 1],
            yaw_rad=pose[:, 2],
            surprise=np.array([row.surprise for row in rows], dtype=np.float32),
            flags=_flags(
                np.array([row.observation.bumped for row in rows], dtype=bool),
                np.array([row.is_first for row in rows], dtype=bool),
                np.array([row.is_last for row in rows], dtype=bool),
                np.array([row.is_terminal for row in rows], dtype=bool),
                np.array([row.action.source == "planner" for row in rows], dtype=bool),
            ),
        )

    @classmethod
    def of_columns(cls, columns: Mapping[str, np.ndarray]) -> "IndexRows":
        """Return what the index keeps of table rows, from their `INDEX_COLUMNS` as arrays."""
        return cls(
            step=columns["step"],
            episode_id=columns["episode_id"],
            x_m=columns["pose"][:, 0],
            y_m=columns["pose"][:, 1],
            yaw_rad=columns["pose"][:, 2],
            surprise=columns["surprise"].astype(np.float32),
            flags=_flags(
                bumped=columns["bumped"],
                is_first=columns["is_first"],
                is_last=columns["is_last"],
                is_terminal=columns["is_terminal"],
                is_planned=np.asarray(columns["action_source"] == "planner", dtype=bool),
            ),
        )


class RowIndex:
    """What the samplers ask of every row of a store, in the order of the table.

    33 bytes per row; the rows themselves stay on disk.

    Args:
        probe_every: One episode in this many is held out.
    """

    def __init__(self, probe_every: int) -> None:
        self._probe_every = probe_every
        self._step, self._episode_id = Growing(np.int64), Growing(np.int64)
        self._x_m, self._y_m = Growing(np.float32), Growing(np.float32)
        self._yaw_rad = Growing(np.float32)
        self._surprise, self._flags = Growing(np.float32), Growing(np.uint8)
        self._windows: dict[tuple[int, bool], WindowIndex] = {}

    def __len__(self) -> int:
        return len(self._step)

    @property
    def step(self) -> Int64[np.ndarray, "n"]:
        """Step of every row; increases."""
        return self._step.values

    @property
    def episode_id(self) -> Int64[np.ndarray, "n"]:
        """Episode of every row."""
        return self._episode_id.values

    @property
    def x_m(self) -> Float32[np.ndarray, "n"]:
        """Where the body was, world frame."""
        return self._x_m.values

    @property
    def y_m(self) -> Float32[np.ndarray, "n"]:
        """Where the body was, world frame."""
        return self._y_m.values

    @property
    def surprise(self) -> Float32[np.ndarray, "n"]:
        """Surprise of every row, NaN where it is unknown."""
        return self._surprise.values

    @property
    def flags(self) -> UInt8[np.ndarray, "n"]:
        """Bits `BUMPED`, `IS_FIRST`, `IS_LAST`, `IS_TERMINAL`, `IS_PLANNED` of every row."""
        return self._flags.values

    def batch_columns(self, rows: Int64[np.ndarray, "m"]) -> dict[str, np.ndarray]:
        """Return what a batch needs of rows and the index knows."""
        flags = self.flags[rows]
        return {
            "episode_id": self.episode_id[rows],
            "pose": np.stack([self.x_m[rows], self.y_m[rows], self._yaw_rad.values[rows]], axis=-1),
            "bumped": (flags & BUMPED) != 0,
            "is_first": (flags & IS_FIRST) != 0,
            "is_planned": (flags & IS_PLANNED) != 0,
        }

    def last_step(self) -> int:
        """Return the newest step, -1 if there is none."""
        return int(self.step[-1]) if len(self) else -1

    def last_episode(self) -> int:
        """Return the newest episode, -1 if there is none."""
        return int(self.episode_id[-1]) if len(self) else -1

    def extend(self, rows: IndexRows) -> None:
        """Add the rows of an append."""
        self._step.extend(rows.step)
        self._episode_id.extend(rows.episode_id)
        self._x_m.extend(rows.x_m)
        self._y_m.extend(rows.y_m)
        self._yaw_rad.extend(rows.yaw_rad)
        self._surprise.extend(rows.surprise)
        self._flags.extend(rows.flags)

    def num_training_rows(self, since_version: int) -> int:
        """Return how many rows of training episodes have this step or a later one."""
        fresh = self.step >= since_version
        return int(np.sum(fresh & ~is_held_out(self.episode_id, self._probe_every)))

    def windows(self, horizon: int, *, held_out: bool) -> "WindowIndex":
        """Return the windows of a length, those of the newest rows included.

        Raises:
            NotEnoughDataError: If there is none; tells how many frames the longest run has.
        """
        key = (horizon, held_out)
        if key not in self._windows:
            self._windows[key] = WindowIndex(self, horizon, held_out, self._probe_every)
        windows = self._windows[key]
        windows.catch_up()
        if len(windows) == 0:
            kind = "held-out" if held_out else "training"
            raise NotEnoughDataError(
                f"no {kind} episode has {horizon} frames in a row: "
                f"the longest has {self._longest_run(held_out)}"
            )
        return windows

    def _longest_run(self, held_out: bool) -> int:
        runs = _run_numbers(self.step, self.episode_id)
        chosen = is_held_out(self.episode_id, self._probe_every) == held_out
        return int(np.bincount(runs[chosen]).max(initial=0))


class WindowIndex:
    """The windows of one length: `horizon` consecutive steps of one episode.

    They are numbered in the order of life. A window keeps its number for ever, and an append only
    adds windows, so whoever follows looks at the new ones alone.

    Args:
        rows: The rows.
        horizon: Frames per window.
        held_out: Windows of the probe episodes instead of the training episodes.
        probe_every: See `is_held_out`.
    """

    def __init__(self, rows: RowIndex, horizon: int, held_out: bool, probe_every: int) -> None:
        self.rows, self.horizon = rows, horizon
        self._held_out, self._probe_every = held_out, probe_every
        self._first = Growing(np.int32)
        self._next_row = 0

    def __len__(self) -> int:
        return len(self._first)

    @property
    def first(self) -> Int64[np.ndarray, "w"]:
        """Row of the first frame of every window; increases (held as 32-bit numbers)."""
        return self._first.values

    def step(self, numbers: Int64[np.ndarray, "*b"]) -> Int64[np.ndarray, "*b"]:
        """Return the first step of windows."""
        return self.rows.step[self.first[numbers]]

    def episode_id(self, numbers: Int64[np.ndarray, "*b"]) -> Int64[np.ndarray, "*b"]:
        """Return the episode of windows."""
        return self.rows.episode_id[self.first[numbers]]

    def offsets(self, numbers: Int64[np.ndarray, "b"]) -> Int64[np.ndarray, "b t"]:
        """Return the rows of windows."""
        first = self.first[numbers].astype(np.int64)
        return first[:, None] + np.arange(self.horizon, dtype=np.int64)

    def catch_up(self) -> None:
        """Add the windows that end in rows which came since the last call."""
        begin, end = self._next_row, len(self.rows) - self.horizon + 1
        if end <= begin:
            return
        episode_id = self.rows.episode_id[begin:]
        runs = _run_numbers(self.rows.step[begin:], episode_id)
        inside = runs[: end - begin] == runs[self.horizon - 1 :]
        wanted = is_held_out(episode_id[: end - begin], self._probe_every) == self._held_out
        self._first.extend(begin + np.flatnonzero(inside & wanted))
        self._next_row = end


def column_values(column: pa.Array) -> Shaped[np.ndarray, "m *k"]:
    """Return a column as an array; a list of fixed size becomes a second axis."""
    if pa.types.is_string(column.type):
        # A few words a million times: as many references, not as many copies.
        words = column.dictionary_encode()
        return np.array(words.dictionary.to_pylist(), dtype=object)[words.indices.to_numpy()]
    if pa.types.is_fixed_size_list(column.type):
        return np.asarray(column.flatten().to_numpy()).reshape(-1, column.type.list_size)
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _flags(
    bumped: Bool[np.ndarray, "m"],
    is_first: Bool[np.ndarray, "m"],
    is_last: Bool[np.ndarray, "m"],
    is_terminal: Bool[np.ndarray, "m"],
    is_planned: Bool[np.ndarray, "m"],
) -> UInt8[np.ndarray, "m"]:
    ends = is_first * IS_FIRST | is_last * IS_LAST | is_terminal * IS_TERMINAL
    return bumped * BUMPED | ends | is_planned * IS_PLANNED


def _run_numbers(
    step: Int64[np.ndarray, "n"], episode_id: Int64[np.ndarray, "n"]
) -> Int64[np.ndarray, "n"]:
    """Number the runs of consecutive steps inside one episode, from 0."""
    runs = np.zeros(len(step), dtype=np.int64)
    np.cumsum((np.diff(step) != 1) | (np.diff(episode_id) != 0), out=runs[1:])
    return runs
