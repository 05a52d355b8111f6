"""A log as a world: it shows what was recorded, whatever it is asked to do.

A policy can so be watched deciding on a real robot's data; nothing it decides has an effect, and
the actions that it is told were applied are those of the recording.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from agentd.worlds.base import StepResult, WorldClosedError, WorldEndedError
from agentd.worlds.recorded.spec import Recorded, describe, known_spec
from agentd.worlds.recorded.state import pack_state, unpack_state
from configs.bodies.recorded import RecordedConfig
from memory.frames import body_pose, egomotion_between
from memory.logs.errors import LogError
from memory.logs.open import open_log
from memory.logs.prefetch import Prefetched
from memory.logs.report import LogReport
from memory.logs.resample import Resampler, Tick
from memory.logs.samples import Kind, LogReader
from memory.records import Action, ActionSource, BodySpec, Observation

_STILL = np.zeros(3, dtype=np.float32)


class RecordedWorld:
    """Plays a log. Satisfies `World` and `Resumable`.

    Args:
        config: Which log, and how it is read. Without a log the settings have to say all about
            the body, and the world has ended before it begins.
        reader: The log, if it is open already; it is closed with the world.

    Raises:
        LogError: If the log cannot be read as steps.

    Attributes:
        report: What became of the log so far.
        tick: Number of the tick in the log that was seen last.
        logged_ns: When that was written, by the log.
    """

    def __init__(self, config: RecordedConfig, reader: LogReader | None = None) -> None:
        self._config = config
        self.report = LogReport()
        self._reader = reader
        self._recorded: Recorded | None = None
        if reader is None and config.log:
            self._reader = open_log(Path(config.log).expanduser(), config.streams, config.resample)
        if self._reader is not None:
            self._recorded = describe(config, self._reader)
        spec = known_spec(config) if self._recorded is None else self._recorded.spec
        if spec is None:
            raise LogError("no log is set: name one with world.recorded.log")
        self._spec: BodySpec = spec
        self._ticks: Prefetched[Tick] | None = None
        self._now: Observation | None = None
        self._ahead: Tick | None = None
        self._shift_ns = 0
        self._is_over = self._is_closed = False
        self.tick = -1
        self.logged_ns = 0

    @property
    def spec(self) -> BodySpec:
        """Constant description of the body."""
        return self._spec

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed about the log."""
        return () if self._recorded is None else self._recorded.notes

    def reset(self, seed: int | None = None) -> Observation:
        """Begin the log again; without a seed the body stays where it is.

        Raises:
            LogError: If the log makes no step; says why.
        """
        self._check_open()
        if self._reader is None:
            return self._nothing()
        if seed is None and self._now is not None:
            self._now = replace(
                self._now,
                stamp_ns=self._now.stamp_ns + 1,
                egomotion=_STILL.copy(),
                bumped=False,
            )
            return self._now
        return self.seek(0)

    @property
    def is_over(self) -> bool:
        """Whether all that was recorded was shown."""
        return self._is_over

    @property
    def shift_ns(self) -> int:
        """What is added to the log's times, so that they always grow."""
        return self._shift_ns

    def seek(self, tick: int, shift_ns: int | None = None) -> Observation:
        """Go to a tick of the log and show it.

        Args:
            tick: Its number.
            shift_ns: What to add to the log's times; None: what is added now.

        Raises:
            LogError: If there is none.
        """
        self._check_open()
        self._shift_ns = self._shift_ns if shift_ns is None else shift_ns
        self._begin(tick)
        found = next(self._next_ticks(), None)
        if found is None:
            raise LogError(self._why_nothing())
        self._now = self._observation(found, None)
        self._ahead = None
        self._is_over = False
        return self._now

    def step(self, action: Action) -> StepResult:
        """Show the next tick; what was asked for changes nothing.

        Raises:
            WorldEndedError: If the log is over.
            WorldClosedError: If the world was closed.
        """
        self._check_open()
        if self._is_over or self._ticks is None or self._now is None:
            raise WorldEndedError("the log is over: nothing more was recorded")
        before = self._now
        tick = next(self._next_ticks(), None)
        if tick is None:
            return self._end(before)
        applied, cut = self._applied(tick)
        self._now = self._observation(tick, None if cut else before)
        events = (f"log: {tick.cut}: another episode begins",) if tick.cut else ()
        return StepResult(observation=self._now, applied=applied, events=events, is_first=cut)

    def close(self) -> None:
        """Release the log; quiet when called twice."""
        self._is_closed = True
        if self._ticks is not None:
            self._ticks.close()
        if self._reader is not None:
            self._reader.close()

    def save_state(self) -> bytes:
        """Return where in the log it is, and what is seen there."""
        self._check_open()
        return pack_state(self._now, tick=self.tick, shift_ns=self._shift_ns, over=self._is_over)

    def load_state(self, state: bytes) -> Observation:
        """Go on where a state was saved. One at the end of a log needs no log.

        Raises:
            ValueError: If the state is damaged or of another body.
        """
        self._check_open()
        shape = (self._spec.height_px, self._spec.width_px)
        saved = unpack_state(state, shape)
        if saved.over or self._reader is None:
            self._now, self._is_over, self.tick = saved.observation, True, saved.tick
            return self._now
        self.seek(saved.tick, saved.shift_ns)
        self._now = saved.observation
        return self._now

    # ------------------------------------------------------------------ ticks
    def _begin(self, tick: int) -> None:
        """Read from the beginning; ticks before one are passed over undecoded."""
        assert self._reader is not None
        assert self._recorded is not None
        if self._ticks is not None:
            self._ticks.close()
        last = self._now
        summary = self._reader.summary
        kinds = {kind for kind in Kind if summary.role(kind)} | {Kind.POSE}
        self.report = LogReport()
        resampler = Resampler(
            self._config.resample,
            tick_s=self._spec.tick_s,
            period_s=summary.period_s,
            kinds=kinds,
            lens=self._recorded.lens,
            report=self.report,
        )
        ticks = resampler.ticks(self._reader.samples(kinds), tick)
        self._ticks = Prefetched(_from(ticks, tick))
        self._after_ns = None if last is None else last.stamp_ns

    def _next_ticks(self) -> Iterator[Tick]:
        assert self._ticks is not None
        return self._ticks

    def _end(self, before: Observation) -> StepResult:
        """Show the last tick once more: its row has no successor."""
        if self._config.at_end == "again":
            result = StepResult(
                observation=self.seek(0),
                applied=self._still(),
                events=("the log is over: it begins again",),
                is_first=True,
            )
            return result
        assert self._reader is not None
        broken = self._reader.broken
        self.report.damaged.update(self._reader.undecodable)
        if broken:
            self.report.damaged[broken] += 1
        self._is_over = True
        self._now = replace(
            before, stamp_ns=before.stamp_ns + 1, egomotion=_STILL.copy(), bumped=False
        )
        return StepResult(
            observation=self._now,
            applied=self._still(),
            events=(f"the log is over{': ' if broken else ''}{broken}",),
            is_first=True,
        )

    def _observation(self, tick: Tick, before: Observation | None) -> Observation:
        self.tick, self.logged_ns = tick.index, tick.logged_ns
        stamp_ns = tick.stamp_ns + self._shift_ns
        if self._after_ns is not None:
            if stamp_ns <= self._after_ns:
                gap_ns = round(self._spec.tick_s * 1e9)
                self._shift_ns += self._after_ns + gap_ns - stamp_ns
                stamp_ns = self._after_ns + gap_ns
            self._after_ns = None
        elif self._now is not None and stamp_ns <= self._now.stamp_ns:
            # The clock was set back within the log: the life's goes on.
            self._shift_ns += self._now.stamp_ns + 1 - stamp_ns
            stamp_ns = self._now.stamp_ns + 1
        assert tick.rgb is not None
        assert tick.depth_m is not None
        T = tick.T_world_body @ self._spec.T_body_camera
        egomotion = _STILL.copy()
        if before is not None:
            a, b = (body_pose(T_, self._spec) for T_ in (before.T_world_camera, T))
            egomotion = egomotion_between(a.astype(np.float64), b.astype(np.float64))
        return Observation(
            stamp_ns=stamp_ns,
            rgb=tick.rgb,
            depth_m=tick.depth_m,
            instances=None,
            labels=(),
            T_world_camera=T,
            egomotion=egomotion,
            bumped=tick.bumped and before is not None,
        )

    def _applied(self, tick: Tick) -> tuple[Action, bool]:
        """Return the action that led to a tick, and whether the episode ends before it."""
        led = tick.led
        if led is None:
            return self._still(), True
        v = min(max(led.v_mps, -self._spec.v_max_mps), self._spec.v_max_mps)
        w = min(max(led.w_radps, -self._spec.w_max_radps), self._spec.w_max_radps)
        self.report.clipped += not (
            math.isclose(v, led.v_mps, abs_tol=1e-9) and math.isclose(w, led.w_radps, abs_tol=1e-9)
        )
        source: ActionSource = "none" if led.derived else "operator"
        return Action(v_mps=v, w_radps=w, duration_s=led.duration_s, source=source), False

    def _still(self) -> Action:
        return Action(v_mps=0.0, w_radps=0.0, duration_s=self._spec.tick_s, source="none")

    def _nothing(self) -> Observation:
        """Return what is seen without a log: nothing."""
        shape = (self._spec.height_px, self._spec.width_px)
        self._is_over = True
        stamp_ns = 1 if self._now is None else self._now.stamp_ns + 1
        self._now = Observation(
            stamp_ns=stamp_ns,
            rgb=np.zeros((*shape, 3), dtype=np.uint8),
            depth_m=np.full(shape, np.nan, dtype=np.float32),
            instances=None,
            labels=(),
            T_world_camera=self._spec.T_body_camera.copy(),
            egomotion=_STILL.copy(),
            bumped=False,
        )
        return self._now

    def _why_nothing(self) -> str:
        assert self._reader is not None
        why = "; ".join(self.report.lines()[1:]) or "it holds no image of the master stream"
        broken = f"; {self._reader.broken}" if self._reader.broken else ""
        return f"the log makes no step: {why}{broken}"

    def _check_open(self) -> None:
        if self._is_closed:
            raise WorldClosedError("this recorded world was closed")


def _from(ticks: Iterator[Tick], first: int) -> Iterator[Tick]:
    """Yield the ticks that have images; those before the first are only counted."""
    for tick in ticks:
        if tick.index >= first:
            yield tick
