"""Which rows of a life are exported, and their reading, whether the life runs or not.

A span is fixed when it is chosen: rows that come later are not in it. Rows never change, so that
every batch may be read from the newest version of the table, which no clean-up removes.
"""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float64, Int64

from memory.care.access import TableReader, open_reader, require_readable
from memory.errors import DamagedTableError, NotEnoughDataError
from memory.frames import inverse
from memory.records import BodySpec, Transition
from memory.replay.row_index import column_values
from memory.replay.rows import RowShape, decode
from memory.schema import TRANSITIONS

_CALENDAR_COLUMNS = ("step", "episode_id", "stamp_ns")
_BATCH_BYTES = 2**25
"""Decoded frames that are held at once."""
_MOST_ROWS = 256
_POSE_ROWS = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """When the rows of a life, or of a span of it, were; in the order of steps.

    Attributes:
        step: Steps, growing.
        episode_id: Their episodes.
        stamp_ns: The body's clock. It may have been set back between two episodes.
    """

    step: Int64[np.ndarray, "n"]
    episode_id: Int64[np.ndarray, "n"]
    stamp_ns: Int64[np.ndarray, "n"]

    def __len__(self) -> int:
        return len(self.step)

    @property
    def first_step(self) -> int:
        """Step of the first row."""
        return int(self.step[0])

    @property
    def last_step(self) -> int:
        """Step of the last row."""
        return int(self.step[-1])

    @property
    def newest_ns(self) -> int:
        """Stamp of the last row."""
        return int(self.stamp_ns[-1])

    def part(
        self,
        *,
        first_step: int | None = None,
        last_step: int | None = None,
        from_ns: int | None = None,
        to_ns: int | None = None,
        episode_id: int | None = None,
    ) -> "Calendar":
        """Return the rows that fulfil all conditions, ends included.

        Raises:
            NotEnoughDataError: If there are none; says what there is.
        """
        chosen = np.ones(len(self), dtype=bool)
        if first_step is not None:
            chosen &= self.step >= first_step
        if last_step is not None:
            chosen &= self.step <= last_step
        if from_ns is not None:
            chosen &= self.stamp_ns >= from_ns
        if to_ns is not None:
            chosen &= self.stamp_ns <= to_ns
        if episode_id is not None:
            chosen &= self.episode_id == episode_id
        if not chosen.any():
            raise NotEnoughDataError(f"no step of the life lies in that span: it has {self.told()}")
        return self._only(chosen)

    def _only(self, chosen: Bool[np.ndarray, "n"]) -> "Calendar":
        return Calendar(
            step=self.step[chosen],
            episode_id=self.episode_id[chosen],
            stamp_ns=self.stamp_ns[chosen],
        )

    def told(self) -> str:
        """Return what it holds, for people."""
        return (
            f"steps {self.first_step} to {self.last_step}, episodes {int(self.episode_id[0])} to "
            f"{int(self.episode_id[-1])}, {_time(self.stamp_ns[0])} to {_time(self.stamp_ns[-1])}"
        )


def read_calendar(folder: Path) -> Calendar:
    """Return when all stored rows of a life were.

    Args:
        folder: Folder of the life's tables; nothing in it is made or changed.

    Raises:
        NotEnoughDataError: If nothing was stored yet.
        NewerFormatError: If a newer program wrote the folder.
        DamagedTableError: If the table cannot be read.
    """
    reader = _transitions(folder)
    rows = reader.to_arrow(columns=_CALENDAR_COLUMNS)
    if rows.num_rows == 0:
        raise NotEnoughDataError(f"no step is stored in {folder} yet")
    order = np.argsort(rows["step"].to_numpy(), kind="stable")
    step, episode_id, stamp_ns = (rows[name].to_numpy()[order] for name in _CALENDAR_COLUMNS)
    return Calendar(step=step, episode_id=episode_id, stamp_ns=stamp_ns)


def read_shape(folder: Path) -> RowShape:
    """Return the shapes that all rows share.

    Raises:
        NotEnoughDataError: If nothing was stored yet.
        DamagedTableError: If the table cannot be read.
    """
    return RowShape.of_schema(_transitions(folder).schema)


def read_rows(folder: Path, span: Calendar) -> Iterator[list[Transition]]:
    """Yield the rows of a span in batches, in the order of steps.

    Rows that retention drops meanwhile are left out.

    Raises:
        DamagedTableError: If rows cannot be read.
    """
    num_bytes = 2 * read_shape(folder).batch_bytes
    for steps in _batches(span, min(max(_BATCH_BYTES // num_bytes, 1), _MOST_ROWS)):
        reader, rows = _rows_of(folder, steps, None)
        wanted = set(steps.tolist())
        found = [row for row in decode(rows, RowShape.of_schema(reader.schema))]
        yield sorted((row for row in found if row.step in wanted), key=lambda row: row.step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Poses:
    """Where camera and body were, row by row, in the order of steps.

    Attributes:
        stamp_ns: The body's clock.
        T_world_camera: As the body localised itself.
    """

    stamp_ns: Int64[np.ndarray, "n"]
    T_world_camera: Float64[np.ndarray, "n 4 4"]

    def T_world_body(self, spec: BodySpec) -> Float64[np.ndarray, "n 4 4"]:
        """Return where the body was."""
        found: Float64[np.ndarray, "n 4 4"] = self.T_world_camera @ inverse(spec.T_body_camera)
        return found


def read_poses(folder: Path, span: Calendar) -> Iterator[Poses]:
    """Yield the poses of a span in batches; no pixels are read.

    Raises:
        DamagedTableError: If rows cannot be read.
    """
    columns = ("step", "stamp_ns", "T_world_camera")
    for steps in _batches(span, _POSE_ROWS):
        _, rows = _rows_of(folder, steps, columns)
        step = rows["step"].to_numpy()
        order = np.argsort(step, kind="stable")
        order = order[np.isin(step[order], steps)]
        yield Poses(
            stamp_ns=rows["stamp_ns"].to_numpy()[order],
            T_world_camera=column_values(rows["T_world_camera"].combine_chunks())[order].reshape(
                -1, 4, 4
            ),
        )


def _batches(span: Calendar, num_rows: int) -> Iterator[Int64[np.ndarray, "m"]]:
    for first in range(0, len(span), num_rows):
        yield span.step[first : first + num_rows]


def _rows_of(
    folder: Path, steps: Int64[np.ndarray, "m"], columns: tuple[str, ...] | None
) -> tuple[TableReader, pa.Table]:
    """Return the rows between the ends of growing steps, from the newest version."""
    where = f"step >= {int(steps[0])} AND step <= {int(steps[-1])}"
    try:
        reader = _transitions(folder)
        return reader, reader.to_arrow(columns=columns, where=where)
    except DamagedTableError:
        # Between the look at the table and the read a merge may have moved the rows, and a
        # clean-up removed the old files: the second look tells that from real damage.
        reader = _transitions(folder)
        return reader, reader.to_arrow(columns=columns, where=where)


def _transitions(folder: Path) -> TableReader:
    reader = open_reader(folder, TRANSITIONS) if require_readable(folder) else None
    if reader is None:
        raise NotEnoughDataError(f"no step is stored in {folder} yet")
    return reader


def _time(stamp_ns: int) -> str:
    when = datetime.datetime.fromtimestamp(int(stamp_ns) / 1e9).astimezone()
    return when.isoformat(timespec="seconds")
