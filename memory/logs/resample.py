"""From streams of their own rates to the steps of a body.

The images of the master stream are the clock: of each tick the one nearest to it is taken, by the
stamp of its header; depth is the nearest, the pose is interpolated, commands are averaged over
the tick. An image waits until what belongs to it must have been written.

Axis letters: h w image.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from memory.frames import egomotion_between
from memory.logs.ahead import Develops, DevelopsAhead
from memory.logs.buffers import SET_BACK_NS, Buffer, is_pressed, mean_command, pose_at
from memory.logs.config import ResampleConfig
from memory.logs.errors import ImageError
from memory.logs.report import LogReport
from memory.logs.samples import Bump, Command, Kind, Picture, Pose, Sample
from memory.logs.transforms import flat, matrix_of

_KEEP_NS = 5_000_000_000
"""Of each stream so much is kept before the image that is looked at."""
_CLOCKS_DIFFER_NS = 2_000_000_000
"""Recorder and headers that differ by more go by different clocks."""
_MOVES_M, _MOVES_RAD = 0.02, 0.03
"""What a body without a command may seem to move in a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Led:
    """What led to a tick from the one before.

    Attributes:
        v_mps: Mean forward speed that was commanded, or that was driven.
        w_radps: The same of turning.
        duration_s: Time between the two.
        derived: Whether it was derived from the motion.
    """

    v_mps: float
    w_radps: float
    duration_s: float
    derived: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One instant of the log at the control rate.

    Attributes:
        index: Number of the tick in the log; those whose images cannot be decoded are left out.
        stamp_ns: Time of its master image.
        logged_ns: When that was written.
        rgb: Colour of the body's size; None where a tick is only counted.
        depth_m: Depth of the body's size, NaN for no return.
        T_world_body: Pose in the life's world.
        led: What led here; None at the beginning of an episode.
        bumped: Whether something was touched since the tick before.
        cut: Why the episode before ended, "" where this one goes on.
    """

    index: int
    stamp_ns: int
    logged_ns: int
    rgb: UInt8[np.ndarray, "h w 3"] | None
    depth_m: Float32[np.ndarray, "h w"] | None
    T_world_body: Float64[np.ndarray, "4 4"]
    led: Led | None
    bumped: bool
    cut: str


@dataclass(frozen=True, slots=True)
class _Last:
    stamp_ns: int
    pose: Float64[np.ndarray, "3"]


class Resampler:
    """Makes ticks of samples.

    Args:
        config: How.
        tick_s: Time between two ticks.
        period_s: Mean time between two master images.
        kinds: What the log has streams of.
        lens: Makes the images.
        report: Counts what becomes of the samples.
    """

    def __init__(
        self,
        config: ResampleConfig,
        *,
        tick_s: float,
        period_s: float,
        kinds: set[Kind],
        lens: Develops,
        report: LogReport,
    ) -> None:
        self._config, self._kinds, self.report = config, kinds, report
        self._lens = DevelopsAhead(lens)
        self._master = Kind(config.master) if Kind(config.master) in kinds else Kind.COLOUR
        self._other = Kind.DEPTH if self._master is Kind.COLOUR else Kind.COLOUR
        self._tick_ns = round(tick_s * 1e9)
        self._slack_ns = round(min(period_s, tick_s) / 2 * 1e9)
        self._wait_ns = round(config.wait_s * 1e9)
        self._buffers: dict[Kind, Buffer] = {}
        self._written: dict[int, int] = {}
        self._offset_ns: int | None = None
        self._last: _Last | None = None
        self._due_ns: int | None = None
        self._set_back = False
        self._num_ticks = 0
        self._emitted_ns: int | None = None

    def ticks(self, samples: Iterable[Sample], first: int = 0) -> Iterator[Tick]:
        """Yield ticks.

        Args:
            samples: In the order in which they were written.
            first: Ticks before this one are yielded without images.
        """
        newest_ns = 0
        try:
            for sample in samples:
                newest_ns = max(newest_ns, sample.logged_ns)
                if self._is_set_back(sample):
                    yield from self._settle(None, first)
                    self._begin_anew()
                    self.report.stream(sample.topic).set_back += 1
                self._take(sample)
                if sample.kind in (Kind.COLOUR, Kind.DEPTH):
                    self._foresee(first)
                yield from self._settle(newest_ns - self._wait_ns, first)
            yield from self._settle(None, first)
        finally:
            self._lens.close()

    # ------------------------------------------------------------------ in
    def _stamp_ns(self, sample: Sample) -> int:
        """Return when a sample was sensed; without a stamp, when it was written, by that clock."""
        if self._config.clock == "log":
            return sample.logged_ns
        if sample.stamp_ns is not None:
            return sample.stamp_ns
        offset = self._offset_ns or 0
        return sample.logged_ns - (offset if abs(offset) > _CLOCKS_DIFFER_NS else 0)

    def _is_set_back(self, sample: Sample) -> bool:
        """Tell whether a stream's clock goes back with a sample: then all do, sooner or later."""
        newest = self._buffer(sample).newest_ns
        return newest is not None and self._stamp_ns(sample) < newest - SET_BACK_NS

    def _begin_anew(self) -> None:
        for buffer in self._buffers.values():
            buffer.clear()
        self._written.clear()
        self._lens.forget()
        self._due_ns = self._emitted_ns = None
        self._set_back = True

    def _take(self, sample: Sample) -> None:
        report = self.report.stream(sample.topic)
        report.received += 1
        if sample.stamp_ns is None and sample.kind not in (Kind.COMMAND, Kind.BUMP):
            report.no_stamp += 1
        elif sample.stamp_ns is not None and sample.kind is self._master:
            offset = sample.logged_ns - sample.stamp_ns
            known = self._offset_ns
            self._offset_ns = offset if known is None else min(known, offset)
        stamp_ns = self._stamp_ns(sample)
        if self._emitted_ns is not None and sample.kind is self._master:
            if stamp_ns < self._emitted_ns:
                report.out_of_order += 1
                self.report.dropped["it came after a later one was taken"] += 1
                return
            if stamp_ns == self._emitted_ns:
                report.duplicates += 1
                self.report.dropped["its stamp is that of the one before"] += 1
                return
        value = sample.value.pressed if isinstance(sample.value, Bump) else sample.value
        duplicates = report.duplicates
        self._buffer(sample).put(stamp_ns, value)
        if sample.kind is self._master:
            self._written.setdefault(stamp_ns, sample.logged_ns)
            if report.duplicates > duplicates:
                self.report.dropped["its stamp is that of the one before"] += 1

    def _buffer(self, sample: Sample) -> Buffer:
        if sample.kind not in self._buffers:
            self._buffers[sample.kind] = Buffer(self.report.stream(sample.topic))
        return self._buffers[sample.kind]

    def _foresee(self, first: int) -> None:
        """Have the images made that the waiting ones will most likely be asked for."""
        masters: Buffer[Picture] | None = self._buffers.get(self._master)
        others: Buffer[Picture] | None = self._buffers.get(self._other)
        if masters is None:
            return
        due_ns, index = self._due_ns, self._num_ticks
        for stamp_ns, picture in zip(masters.stamps, masters.values, strict=True):
            if self._is_early(stamp_ns, due_ns):
                continue
            other = None
            if self._other in self._kinds:
                found = None if others is None else others.nearest(stamp_ns)
                if found is None or others is None or others.stamps[-1] < stamp_ns:
                    return  # a nearer one may follow
                other = found[1]
            if index >= first:
                colour, depth = self._by_kind(picture, other)
                if colour is not None:
                    self._lens.begin(colour, depth)
            due_ns, index = self._due_after(stamp_ns, due_ns), index + 1

    # ------------------------------------------------------------------ out
    def _settle(self, written_ns: int | None, first: int) -> Iterator[Tick]:
        """Yield ticks of the master images that were written before a time; None: of all."""
        masters: Buffer[Picture] | None = self._buffers.get(self._master)
        while masters is not None and masters.stamps:
            stamp_ns = masters.stamps[0]
            logged_ns = self._written[stamp_ns]
            if written_ns is not None and logged_ns > written_ns:
                return
            del masters.stamps[0]
            picture = masters.values.pop(0)
            del self._written[stamp_ns]
            self._emitted_ns = stamp_ns
            if self._is_early(stamp_ns, self._due_ns):
                self.report.between_ticks += 1
                continue
            tick = self._tick(stamp_ns, logged_ns, picture, first)
            if tick is not None:
                yield tick
            for kind, buffer in self._buffers.items():
                if kind is not self._master:
                    buffer.forget_before(stamp_ns - _KEEP_NS)

    def _tick(self, stamp_ns: int, logged_ns: int, master: Picture, first: int) -> Tick | None:
        other = self._other_image(stamp_ns)
        if other is None and self._other in self._kinds:
            return None
        pose = self._pose(stamp_ns)
        if pose is None:
            return None
        self._due_ns = self._due_after(stamp_ns, self._due_ns)
        index, self._num_ticks = self._num_ticks, self._num_ticks + 1
        rgb = depth_m = None
        if index >= first:
            colour, depth = self._by_kind(master, other)
            assert colour is not None
            try:
                rgb, depth_m = self._lens.develop(colour, depth)
            except ImageError as error:
                self.report.dropped[str(error)] += 1
                return None
        planar = np.array([pose[0, 3], pose[1, 3], np.arctan2(pose[1, 0], pose[0, 0])])
        cut, led = self._led(stamp_ns, planar)
        bumped = led is not None and self._bumped(stamp_ns)
        self._last = _Last(stamp_ns, planar)
        self._set_back = False
        self._count(led, cut, bumped)
        return Tick(
            index=index,
            stamp_ns=stamp_ns,
            logged_ns=logged_ns,
            rgb=rgb,
            depth_m=depth_m,
            T_world_body=pose,
            led=led,
            bumped=bumped,
            cut=cut,
        )

    def _is_early(self, stamp_ns: int, due_ns: int | None) -> bool:
        """Tell whether an image lies between two ticks."""
        return due_ns is not None and stamp_ns < due_ns - self._slack_ns

    def _due_after(self, stamp_ns: int, due_ns: int | None) -> int:
        """Return when the next tick is due, after one at a time that was due then."""
        due_ns = due_ns or stamp_ns
        return (stamp_ns if stamp_ns > due_ns + self._slack_ns else due_ns) + self._tick_ns

    def _by_kind(
        self, master: Picture, other: Picture | None
    ) -> tuple[Picture | None, Picture | None]:
        """Return colour and depth."""
        return (master, other) if self._master is Kind.COLOUR else (other, master)

    def _other_image(self, stamp_ns: int) -> Picture | None:
        images: Buffer[Picture] | None = self._buffers.get(self._other)
        found = images.nearest(stamp_ns) if images is not None else None
        if found is None:
            if self._other in self._kinds:
                self.report.dropped[f"no {self._other} image was written around it"] += 1
            return None
        off_s = (found[0] - stamp_ns) / 1e9
        if abs(off_s) > self._config.depth_s:
            why = f"the nearest {self._other} image is {_about(off_s)} away"
            limit = f"limit {self._config.depth_s:g} s, resample.depth_s"
            self.report.dropped[f"{why} ({limit})"] += 1
            return None
        self.report.depth_off_s.append(off_s)
        return found[1]

    def _pose(self, stamp_ns: int) -> Float64[np.ndarray, "4 4"] | None:
        """Return `T_world_body` in the life's world at a time, None where it is not known."""
        poses: Buffer[Pose] | None = self._buffers.get(Kind.POSE)
        limit_ns = round(self._config.pose_s * 1e9)
        if poses is None:
            self.report.dropped["no pose was written around it"] += 1
            return None
        pose, off_ns = pose_at(poses, stamp_ns, limit_ns)
        if pose is None:
            off = "" if off_ns is None else f" ({_about(off_ns / 1e9)} away)"
            limit = f"limit {self._config.pose_s:g} s, resample.pose_s"
            self.report.dropped[f"the nearest pose is too far away in time{off} ({limit})"] += 1
            return None
        T = matrix_of(flat(pose) if self._config.planar else pose)
        x, y, yaw = self._config.origin
        if x or y or yaw:
            origin = np.eye(4)
            origin[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
            origin[:2, 3] = x, y
            T = origin @ T
        return T

    def _led(self, stamp_ns: int, pose: Float64[np.ndarray, "3"]) -> tuple[str, Led | None]:
        """Return why the episode is cut before a tick, "" if it is not, and what led to it."""
        last = self._last
        if last is None:
            return "", None
        if self._set_back:
            return "the clock was set back", None
        seconds = (stamp_ns - last.stamp_ns) / 1e9
        if seconds > self._config.gap_s:
            return f"a gap (limit {self._config.gap_s:g} s, resample.gap_s)", None
        dx, dy, dyaw = egomotion_between(last.pose, pose).tolist()
        if np.hypot(dx, dy) / seconds > self._config.jump_mps:
            return f"the pose jumped (limit {self._config.jump_mps:g} m/s, resample.jump_mps)", None
        if Kind.COMMAND not in self._kinds:
            led = Led(v_mps=dx / seconds, w_radps=dyaw / seconds, duration_s=seconds, derived=True)
            return "", led
        commands: Buffer[Command] | None = self._buffers.get(Kind.COMMAND)
        v = w = 0.0
        if commands is not None:
            limit_ns = round(self._config.command_s * 1e9)
            v, w = mean_command(commands, last.stamp_ns, stamp_ns, limit_ns)
        moves = np.hypot(dx, dy) > _MOVES_M or abs(dyaw) > _MOVES_RAD
        self.report.moved_without_command += bool(v == w == 0 and moves)
        return "", Led(v_mps=v, w_radps=w, duration_s=seconds, derived=False)

    def _bumped(self, stamp_ns: int) -> bool:
        bumps: Buffer[bool] | None = self._buffers.get(Kind.BUMP)
        assert self._last is not None
        return bumps is not None and is_pressed(bumps, self._last.stamp_ns, stamp_ns)

    def _count(self, led: Led | None, cut: str, bumped: bool) -> None:
        report = self.report
        report.steps += 1
        report.bumps += bumped
        if cut:
            report.cuts[cut] += 1
        if led is not None and led.derived:
            report.derived += 1
        elif led is not None:
            report.commanded += 1


def _about(off_s: float) -> str:
    """Return a time in rough steps, so that few reasons differ."""
    size = abs(off_s)
    for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 60, 3600):
        if size <= step:
            return f"up to {step:g} s"
    return "more than an hour"
