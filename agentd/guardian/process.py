"""The guardian's own process: senses in, commands in, one command out, 20 times a second.

It owns the robot's command topic. The agent's process asks for motion over a socket; whether that
process thinks, hangs or is gone, this one goes on.
"""

import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from agentd.events import EventLog
from agentd.guardian.core import TICK_S, Guardian
from agentd.guardian.door import Client, Door
from agentd.guardian.keeping import Keeper, Kept, read_kept
from agentd.guardian.measure import SPEED_MPS, Measurement
from agentd.guardian.records import Cause, Command, Inputs, Odometry, Verdict, held_by
from agentd.guardian.selftest import Facts, problems
from agentd.guardian.wire import Question, WireError, pack, read
from configs.guardian import GuardianConfig

_STATE_EVERY_S = 0.25
_GOODBYE_ZEROS = 5
_MEASURE_SESSION = 1 << 62


class Body(Protocol):
    """The robot, as the guardian sees it. Nothing here may wait."""

    @property
    def problems(self) -> Mapping[str, str]:
        """Why a topic cannot be read or written, by topic."""
        ...

    def newest(self) -> Mapping[str, Any]:
        """Return the newest of each input, by its name in `Inputs`."""
        ...

    def send(self, v_mps: float, w_radps: float) -> None:
        """Publish one command."""
        ...

    def num_other_publishers(self) -> int | None:
        """Return how many others publish the command topic, None if nobody can tell."""
        ...

    def close(self) -> None:
        """Release the link; quiet when called twice."""
        ...


class Stop(Protocol):
    """Something that ends the process: `threading.Event`."""

    def is_set(self) -> bool: ...
    def wait(self, timeout: float) -> bool: ...


@dataclass(slots=True)
class Told:
    """What was last told, so that changes are told at once and the rest now and then."""

    causes: tuple[Cause, ...] = ()
    state: str = ""
    at_s: float = 0.0


class GuardianProcess:
    """Runs ticks until it is stopped.

    Args:
        config: Settings.
        radius_m: Footprint, None if nobody said: then it cannot be armed.
        body: The robot.
        door: Where the agent and the operator come in.
        kept_path: File of what outlives this process.
        events: Log of what was done.
        settings: Fingerprint of the settings, told to clients: they may have others.
        leave_s: End when nobody was connected for so long; None: never.
    """

    def __init__(
        self,
        config: GuardianConfig,
        radius_m: float | None,
        body: Body,
        door: Door,
        kept_path: Path,
        events: EventLog,
        *,
        settings: str = "",
        leave_s: float | None = None,
    ) -> None:
        self._config, self._radius_m = config, radius_m
        self._body, self._door, self._events = body, door, events
        self.guardian = Guardian(config, radius_m or 1.0)
        self._kept = read_kept(kept_path)
        if self._kept.is_estop:
            self.guardian.latch.estop(self._kept.reason)
        self._keeper = Keeper(kept_path)
        self._command: Command | None = None
        self._heartbeat_s: float | None = None
        self._measurement: Measurement | None = None
        self._told = Told()
        self._counts: Counter[str] = Counter()
        self._last = ""
        self._num_ticks = 0
        self._lateness_s: deque[float] = deque(maxlen=1200)
        self._inputs: Mapping[str, Any] = {}
        self._settings, self._leave_s = settings, leave_s
        self._visited_s = self._tried_s = time.monotonic()

    def run(self, stop: Stop) -> None:
        """Tick until `stop` is set, then send zeros and release the link."""
        self._say(f"guards at {1 / TICK_S:.0f} Hz, not armed")
        due_s = time.monotonic()
        try:
            while not stop.is_set():
                now_s = time.monotonic()
                if self._is_left(now_s):
                    break
                self._lateness_s.append(now_s - due_s)
                self.tick(now_s, time.time())
                due_s += TICK_S
                wait_s = due_s - time.monotonic()
                if wait_s > 0:
                    stop.wait(wait_s)
                else:  # what was missed is not made up for
                    due_s += -(wait_s // TICK_S) * TICK_S - TICK_S
        finally:
            self._end()

    def tick(self, now_s: float, clock_s: float) -> Verdict:
        """Hear, judge, send, tell."""
        num_bad = self._hear(now_s)
        self._inputs = self._body.newest()
        self._measure_unasked(now_s)
        inputs = Inputs(
            clock_s=clock_s,
            command=self._measuring_command(now_s) or self._command,
            num_bad_commands=num_bad,
            is_ready=self._config.arm.auto == "unattended" and not self._problems(clock_s),
            **{"heartbeat_s": self._heartbeat_s, **self._inputs},
        )
        verdict = self.guardian.step(inputs, now_s)
        self._measure(verdict, now_s)
        is_silent = self._measurement is not None and self._measurement.is_silent
        if verdict.publish and not is_silent:
            self._body.send(verdict.v_mps, verdict.w_radps)
        self._keep_estop()
        self._tell(verdict, now_s)
        self._num_ticks += 1
        return verdict

    def _is_left(self, now_s: float) -> bool:
        if self._door.clients or self._leave_s is None:
            self._visited_s = now_s
            return False
        return now_s - self._visited_s > self._leave_s

    def _end(self) -> None:
        for _ in range(_GOODBYE_ZEROS):
            self._body.send(0.0, 0.0)
        self._body.close()
        self._door.close()
        self._say("ends")
        self._keeper.close()

    def _hear(self, now_s: float) -> int:
        """Take in what clients sent; return how many packets could not be read."""
        num_bad = 0
        for client, data in self._door.packets():
            try:
                packet = read(data)
            except WireError as error:
                num_bad += 1
                client.send(pack("answer", ok=False, text=f"refused: {error}"))
                continue
            if isinstance(packet, Command):
                self._command = packet
                client.wants_state = True
            else:
                self._answer(client, packet, now_s)
        return num_bad

    def _answer(self, client: Client, question: Question, now_s: float) -> None:
        latch, problem = self.guardian.latch, ""
        match question.do:
            case "arm":
                problem = "; ".join(self._problems(time.time())) or self.guardian.arm()
            case "disarm":
                latch.disarm()
            case "estop":
                latch.estop(question.reason or "a command")
            case "release":
                problem = latch.release()
            case "heartbeat":
                self._heartbeat_s = now_s
            case "measure":
                problem = self._begin_measurement(now_s)
            case "events":
                client.send(pack("events", **self._page(question.since)))
                return
        if question.do in ("arm", "disarm", "estop", "release", "measure"):
            self._say(f"{question.do}: {problem or question.reason or 'done'}")
        client.send(pack("answer", ok=not problem, text=problem, state=self.state()))

    def _page(self, since: int) -> dict[str, Any]:
        """Return a few events, no more than a packet takes."""
        events = self._events.since(since)
        return {"next": events["next"], "events": events["events"][:10]}

    def _problems(self, clock_s: float, *, without_watchdog: bool = False) -> tuple[str, ...]:
        readings = {
            k: v for k, v in self._inputs.items() if hasattr(v, "stamp_s") and v is not None
        }
        now_s = time.monotonic()
        fresh = {k: v for k, v in readings.items() if now_s - v.arrival_s < 1.0 or k == "battery"}
        skew = {k: v.stamp_s - clock_s + now_s - v.arrival_s for k, v in fresh.items()}
        watchdog_s = self._config.arm.watchdog_s or self._kept.watchdog_s
        facts = Facts(
            num_other_publishers=self._body.num_other_publishers(),
            clock_skew_s=skew,
            alive=tuple(fresh),
            radius_m=self._radius_m,
            watchdog_s=self._config.arm.max_watchdog_s if without_watchdog else watchdog_s,
        )
        return problems(facts, self._config)

    def _begin_measurement(self, now_s: float) -> str:
        found = self._problems(time.time(), without_watchdog=True)
        if found:
            return "; ".join(found)
        if self.guardian.latch.memory.is_armed:
            return "disarm first: the measurement drives by itself"
        problem = self.guardian.arm()
        if not problem:
            self._measurement = Measurement(now_s)
        return problem

    def _measure_unasked(self, now_s: float) -> None:
        """Begin the measurement of a robot that may do so by itself and was never measured."""
        arm = self._config.arm
        if arm.auto != "unattended" or not arm.measure or now_s - self._tried_s < arm.self_test_s:
            return
        self._tried_s = now_s
        is_known = (arm.watchdog_s or self._kept.watchdog_s) is not None
        if not is_known and self._measurement is None and not self._begin_measurement(now_s):
            self._say("measure: begins by itself")

    def _measuring_command(self, now_s: float) -> Command | None:
        if self._measurement is None:
            return None
        return Command(
            v_mps=SPEED_MPS,
            w_radps=0.0,
            stamp_s=now_s,
            seq=self._num_ticks,
            session=_MEASURE_SESSION,
            source="operator",
        )

    def _measure(self, verdict: Verdict, now_s: float) -> None:
        if self._measurement is None:
            return
        odom = self._inputs.get("odom")
        self._measurement.step(verdict, odom if isinstance(odom, Odometry) else None, now_s)
        if not self._measurement.is_over:
            return
        result, problem = self._measurement.watchdog_s, self._measurement.problem
        self._measurement = None
        self.guardian.latch.disarm()
        self.guardian.envelope.halt()  # nothing of what it had in mind was sent
        if result is None:
            self._say(f"measure: {problem}")
            return
        self._kept = Kept(is_estop=self._kept.is_estop, reason=self._kept.reason, watchdog_s=result)
        self._keeper.keep(self._kept)
        self._say(f"measure: without commands the robot stood still after {result:.2f} s")

    def _keep_estop(self) -> None:
        """Have the e-stop written when it changes, however it changed."""
        latch = self.guardian.latch.memory
        if latch.is_estop != self._kept.is_estop:
            self._kept = Kept(
                is_estop=latch.is_estop,
                reason=latch.estop_reason,
                watchdog_s=self._kept.watchdog_s,
            )
            self._keeper.keep(self._kept)

    def _tell(self, verdict: Verdict, now_s: float) -> None:
        """Log when the reasons change; tell the agent then, and now and then."""
        self._counts.update(str(c) for c in verdict.causes)
        told = self._told
        is_new = verdict.causes != told.causes or verdict.state != told.state
        if verdict.causes != told.causes:
            self._last = verdict.text or self._last
            self._say(verdict.text or "lets go on")
        state: dict[str, Any] = {}
        if is_new or now_s - told.at_s >= _STATE_EVERY_S:
            self._told = Told(verdict.causes, verdict.state, now_s)
            state = self.state()
        listening = [c for c in self._door.clients if c.wants_state and c.is_open]
        if not listening:
            return
        packet = pack(
            "state" if state else "sent",
            **state,
            causes=list(verdict.causes),
            text=verdict.text,
            advice=list(verdict.advice),
            held=held_by(verdict),
            v_mps=verdict.v_mps,
            w_radps=verdict.w_radps,
        )
        for client in listening:
            client.send(packet)

    def state(self) -> dict[str, Any]:
        """Return the state in words and numbers."""
        latch = self.guardian.latch.memory
        return {
            "state": self._told.state,
            "is_armed": latch.is_armed,
            "is_estop": latch.is_estop,
            "reason": latch.estop_reason or "; ".join(latch.faults.values()),
            "last": self._last,
            "counts": dict(self._counts),
            "settings": self._settings,
            "problems": dict(self._body.problems),
            "watchdog_s": self._config.arm.watchdog_s or self._kept.watchdog_s,
            "is_measuring": self._measurement is not None,
            "is_saved": self._keeper.is_saved,
            "error": self._keeper.error or self._events.write_error or "",
            "late_ms": round(1e3 * max(self._lateness_s, default=0.0), 1),
        }

    def _say(self, text: str) -> None:
        step = self._num_ticks
        self._keeper.later(lambda: self._events.emit("safety", step, f"guardian: {text}"))
