"""Samples of one stream around the time that is looked at, in the order of their stamps."""

import bisect
from typing import Generic, TypeVar

from memory.logs.report import StreamReport
from memory.logs.samples import Command, Pose
from memory.logs.transforms import between

Value = TypeVar("Value")

SET_BACK_NS = 1_000_000_000
"""A stamp this far before the one before says that the clock was set back."""


class Buffer(Generic[Value]):
    """Values by their stamps; what comes out of order is sorted in.

    Args:
        report: Counts what is wrong with the stamps.
    """

    def __init__(self, report: StreamReport) -> None:
        self._report = report
        self.newest_ns: int | None = None
        self.stamps: list[int] = []
        self.values: list[Value] = []

    def put(self, stamp_ns: int, value: Value) -> bool:
        """Take in a value; return whether the clock was set back before it."""
        newest, self.newest_ns = self.newest_ns, stamp_ns
        if newest is not None and stamp_ns < newest - SET_BACK_NS:
            self._report.set_back += 1
            self.clear()
            self.newest_ns = stamp_ns
            self._insert(len(self.stamps), stamp_ns, value)
            return True
        if newest is not None and stamp_ns < newest:
            self._report.out_of_order += 1
            self.newest_ns = newest
        i = bisect.bisect_left(self.stamps, stamp_ns)
        if (i < len(self.stamps) and self.stamps[i] == stamp_ns) or stamp_ns == newest:
            self._report.duplicates += 1
            return False
        self._insert(i, stamp_ns, value)
        return False

    def _insert(self, i: int, stamp_ns: int, value: Value) -> None:
        self.stamps.insert(i, stamp_ns)
        self.values.insert(i, value)

    def clear(self) -> None:
        """Forget everything."""
        self.stamps.clear()
        self.values.clear()
        self.newest_ns = None

    def forget_before(self, stamp_ns: int) -> None:
        """Drop what is older, but the newest of it."""
        i = bisect.bisect_right(self.stamps, stamp_ns) - 1
        if i > 0:
            del self.stamps[:i], self.values[:i]

    def nearest(self, stamp_ns: int) -> tuple[int, Value] | None:
        """Return the stamp and value nearest to a time, None if there is none."""
        if not self.stamps:
            return None
        i = bisect.bisect_left(self.stamps, stamp_ns)
        near = range(max(0, i - 1), min(i + 1, len(self.stamps)))
        best = min(near, key=lambda k: abs(self.stamps[k] - stamp_ns))
        return self.stamps[best], self.values[best]


def pose_at(poses: Buffer[Pose], stamp_ns: int, limit_ns: int) -> tuple[Pose | None, int | None]:
    """Return the pose at a time, and how far away the nearest recorded one is.

    It is interpolated between neighbours at most twice the limit apart, else the nearest is taken
    within the limit. None: there is none.
    """
    found = poses.nearest(stamp_ns)
    if found is None:
        return None, None
    off_ns = abs(found[0] - stamp_ns)
    i = bisect.bisect_right(poses.stamps, stamp_ns)
    if 0 < i < len(poses.stamps):
        before, after = poses.stamps[i - 1], poses.stamps[i]
        if after - before <= 2 * limit_ns:
            share = (stamp_ns - before) / (after - before)
            return between(poses.values[i - 1], poses.values[i], share), off_ns
    return (found[1] if off_ns <= limit_ns else None), off_ns


def mean_command(
    commands: Buffer[Command], from_ns: int, to_ns: int, limit_ns: int
) -> tuple[float, float]:
    """Return the mean commanded velocity of a span: each holds until the next, or the limit."""
    v = w = 0.0
    i = max(0, bisect.bisect_right(commands.stamps, from_ns) - 1)
    for k in range(i, len(commands.stamps)):
        begin = commands.stamps[k]
        if begin >= to_ns:
            break
        end = commands.stamps[k + 1] if k + 1 < len(commands.stamps) else begin + limit_ns
        held_ns = min(end, begin + limit_ns, to_ns) - max(begin, from_ns)
        if held_ns > 0:
            v += commands.values[k].v_mps * held_ns
            w += commands.values[k].w_radps * held_ns
    return v / (to_ns - from_ns), w / (to_ns - from_ns)


def is_pressed(bumps: Buffer[bool], from_ns: int, to_ns: int) -> bool:
    """Tell whether something was touched in a span, its end included."""
    i = max(0, bisect.bisect_right(bumps.stamps, from_ns) - 1)
    return any(
        pressed
        for stamp_ns, pressed in zip(bumps.stamps[i:], bumps.values[i:], strict=True)
        if stamp_ns <= to_ns
    )
