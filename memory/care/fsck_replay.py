"""Checking the replay table.

Axis letters: n rows.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from memory.care.access import TableReader
from memory.care.fsck_types import Finding, listed
from memory.care.retention_log import logged_drops
from memory.errors import DamagedTableError
from memory.replay.codecs import FrameCodec, of_column
from memory.replay.rows import RowShape
from memory.schema import TRANSITIONS

_COLUMNS = ("step", "episode_id", "stamp_ns", "pose")


def check_replay(folder: Path, table: TableReader) -> Iterator[Finding]:
    """Yield what is wrong with steps, episodes, poses and times, in the order of life.

    The order in which rows lie in the files means nothing: a merge may change it.

    Raises:
        DamagedTableError: If the table cannot be read.
    """
    rows = table.to_arrow(columns=_COLUMNS).sort_by("step")
    if rows.num_rows == 0:
        return
    step, episode_id = rows["step"].to_numpy(), rows["episode_id"].to_numpy()
    doubled = _repeated(step)
    if doubled:
        yield _error("step", f"more than one row has the same step: {listed(doubled)}")
    begins = np.append(True, np.diff(episode_id) != 0)
    again = _repeated(episode_id[begins])
    if again:
        yield _error("episode_id", f"rows of an episode lie apart: episodes {listed(again)}")
    yield from _holes(folder, step, episode_id)
    pose = rows["pose"].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, 3)
    lost = step[~np.isfinite(pose).all(axis=1)].tolist()
    if lost:
        yield _error("pose", f"{len(lost)} poses are not finite: steps {listed(lost)}")
    late = (np.diff(rows["stamp_ns"].to_numpy()) < 0) & (np.diff(episode_id) == 0)
    if late.any():
        yield _note("stamp_ns", f"time goes backwards at steps {listed(step[1:][late].tolist())}")


def check_pixels(table: TableReader) -> Iterator[Finding]:
    """Yield which frames have not the size that the table promises; reads all pixels.

    Raises:
        DamagedTableError: If the table cannot be read.
    """
    shape = RowShape.of_schema(table.schema)
    num_px = shape.height_px * shape.width_px
    sizes = {"rgb": 3 * num_px, "depth_mm": 2 * num_px}
    wrong: dict[str, list[int]] = {name: [] for name in (*sizes, "instances")}
    for batch in table.reader(columns=["step", *wrong], batch_rows=256):
        step = batch["step"].to_pylist()
        for name, num_bytes in sizes.items():
            if not _is_whole(batch[name], shape.codec, num_bytes):
                frames = (batch[name].slice(i, 1) for i in range(len(step)))
                bad = (not _is_whole(frame, shape.codec, num_bytes) for frame in frames)
                wrong[name] += itertools.compress(step, bad)
        length = pc.binary_length(batch["instances"]).to_pylist()
        bad = (found not in (None, num_px, 2 * num_px) for found in length)
        wrong["instances"] += itertools.compress(step, bad)
    wanted = {name: str(num_bytes) for name, num_bytes in sizes.items()}
    wanted["instances"] = f"{num_px} or {2 * num_px}"
    for name, steps in wrong.items():
        if steps:
            found = f"{len(steps)} frames are not {wanted[name]} bytes when unpacked"
            yield _error(name, f"{found}: steps {listed(steps)}")


def _is_whole(frames: pa.BinaryArray, codec: FrameCodec, num_bytes: int) -> bool:
    try:
        of_column(frames, codec, num_bytes)
    except DamagedTableError:
        return False
    return True


def _holes(
    folder: Path, step: Int64[np.ndarray, "n"], episode_id: Int64[np.ndarray, "n"]
) -> Iterator[Finding]:
    """Yield which steps are missing inside episodes though retention did not drop them."""
    at = np.flatnonzero((np.diff(step) > 1) & (np.diff(episode_id) == 0))
    if len(at) == 0:
        return
    dropped = logged_drops(folder)
    holes = [(int(step[i]) + 1, int(step[i + 1]) - 1) for i in at.tolist()]
    lost = [f"{first} to {last}" for first, last in holes if not _covered(first, last, dropped)]
    if lost:
        yield _note(
            "step",
            f"steps are missing inside episodes, and not because retention dropped them: "
            f"{listed(lost)} (refused when they came, or lost)",
        )


def _covered(first: int, last: int, ranges: list[tuple[int, int]]) -> bool:
    """Return whether sorted ranges hold every step of a run."""
    for low, high in ranges:
        if low <= first <= high:
            first = high + 1
    return first > last


def _repeated(values: Int64[np.ndarray, "n"]) -> list[int]:
    found, counts = np.unique(values, return_counts=True)
    repeated: list[int] = found[counts > 1].tolist()
    return repeated


def _error(key: str, found: str) -> Finding:
    return Finding(level="error", table=TRANSITIONS, key=key, found=found)


def _note(key: str, found: str) -> Finding:
    return Finding(level="note", table=TRANSITIONS, key=key, found=found)
