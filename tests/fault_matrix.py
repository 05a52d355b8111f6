"""Every fault in every channel of the guardian, one cell at a time, on a robot on paper.

A cell runs a drive, hurts one channel from `AT_S` on, and asks three things: did the body stop (or
slow, or go home) in time, does it stay so while the fault lasts, does it drive again afterwards?
"""

import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from guardian_robot import PERIOD_S, Bend, Course, wall_m
from guardian_trio import Trio, wait_for

from agentd.events import EventLog
from agentd.guardian.core import TICK_S
from agentd.guardian.door import Door
from agentd.guardian.process import GuardianProcess
from agentd.guardian.records import Advice, Cause, Command, Odometry
from configs.guardian import GuardianConfig

FAULTS = (
    "kill",
    "freeze",
    "slow",
    "NaN",
    "stale same stamp",
    "stale new stamp",
    "reorder",
    "duplicate",
    "clock jump",
)
SENSORS = ("odom", "rgb", "depth", "scan", "imu", "battery")
CHANNELS = (*SENSORS, "command link", "policy", "learner", "disk full")
AT_S, FAULT_S, AFTER_S = 3.0, 4.0, 8.0
LIMIT_S = {"odom": 0.3, "rgb": 1.0, "depth": 0.5, "scan": 0.5, "imu": 0.5, "command": 0.2}
IDENTICAL_S = 1.0
ALL = ("odom", "scan", "depth", "rgb", "imu", "battery")


@dataclass(frozen=True)
class Cell:
    """Result of one cell.

    `reaction_s`: from the fault to the first tick that slows, NaN where nothing has to. `limit_s`:
    the most that is allowed.
    """

    fault: str
    channel: str
    verdict: str
    reaction_s: float = math.nan
    limit_s: float = math.nan
    why: str = ""

    @property
    def is_green(self) -> bool:
        return self.verdict in ("pass", "n/a")


Stamped = Callable[[Any, float], Any]


def sensor_bend(fault: str, period_s: float) -> Bend:
    """Return what a fault does to the messages of a sensor between its begin and its end."""
    kept: dict[str, Any] = {}

    def bend(message: Any, t: float) -> list[tuple[float, Any]]:
        if t < AT_S:
            kept["last"] = message
        if not AT_S <= t < AT_S + FAULT_S:
            return [(0.0, message)]
        last = kept.setdefault("last", message)
        match fault:
            case "kill":
                return []
            case "freeze":  # the driver hangs and delivers everything when it wakes
                return [(AT_S + FAULT_S - t, message)]
            case "slow":
                return [(2.5, message)]
            case "NaN":
                return [(0.0, _nan(message))]
            case "stale same stamp":
                return [(0.0, last)]
            case "stale new stamp":
                return [(0.0, replace(last, stamp_s=message.stamp_s))]
            case "reorder":
                return [(1.5 * period_s if round(t / period_s) % 2 else 0.0, message)]
            case "duplicate":
                return [(0.0, message), (0.0, message), (0.5 * period_s, message)]
            case "clock jump":
                return [(0.0, replace(message, stamp_s=message.stamp_s + 60.0))]
        raise AssertionError(fault)

    return bend


def _nan(message: Any) -> Any:
    if hasattr(message, "xy_m"):  # all beams without a number: nothing is known
        return replace(message, xy_m=np.full((40, 2), math.nan), is_blind=True)
    names = [n for n in ("x_m", "v_mps", "w_radps", "charge") if hasattr(message, n)]
    return replace(message, **dict.fromkeys(names or ["stamp_s"], math.nan))


def command_bend(fault: str) -> Bend:
    """Return what a fault does to commands on their way from the policy."""
    kept: dict[str, Command] = {}

    def bend(message: Command, t: float) -> list[tuple[float, Command]]:
        if t < AT_S:
            kept["last"] = message
        if not AT_S <= t < AT_S + FAULT_S:
            return [(0.0, message)]
        last = kept.setdefault("last", message)
        match fault:
            case "kill":
                return []
            case "freeze":
                return [(AT_S + FAULT_S - t, message)]
            case "slow":
                return [(0.6, message)]
            case "NaN":
                return [(0.0, replace(message, v_mps=math.nan))]
            case "stale same stamp":
                return [(0.0, last)]
            case "stale new stamp":  # counts on, says the stamp of then
                return [(0.0, replace(message, stamp_s=last.stamp_s))]
            case "reorder":
                return [(0.07 if round(t / 0.05) % 2 else 0.0, message)]
            case "duplicate":
                return [(0.0, message), (0.0, message), (0.02, message)]
            case "clock jump":
                return [(0.0, replace(message, stamp_s=message.stamp_s + 60.0))]
        raise AssertionError(fault)

    return bend


def run_cell(fault: str, channel: str) -> Cell:
    """Run one cell.

    Returns:
        Its result; `n/a` with a reason where a fault means nothing in a channel.
    """
    if channel in SENSORS:
        return _sensor_cell(fault, channel)
    if channel in ("command link", "policy"):
        return _command_cell(fault, channel)
    return _world_cell(fault, channel)


def _sensor_cell(fault: str, name: str) -> Cell:
    if name == "battery":
        return _battery_cell(fault)
    turn = 0.0
    if name == "imu" and fault == "stale new stamp":
        turn = 0.5  # a gyroscope that stands still shows in a turn
    wall = wall_m(60.0)

    def policy(t: float) -> tuple[float, float]:
        return 0.3, turn if AT_S + 0.5 <= t < AT_S + FAULT_S else 0.0

    course = Course(
        sensors=ALL,
        bends={name: sensor_bend(fault, PERIOD_S[name])},
        policy=policy,
        obstacles_m=wall,
    )
    if fault in ("reorder", "duplicate"):
        return _goes_on(course, fault, name)
    limit_s = LIMIT_S[name]
    if fault == "stale new stamp":
        limit_s = 0.5 + 0.5 + 0.5 if name == "imu" else IDENTICAL_S
    if fault in ("NaN",) and name in ("depth", "scan"):
        limit_s = 0.1
    return _stops(course, fault, name, limit_s)


def _command_cell(fault: str, channel: str) -> Cell:
    if channel == "policy" and fault == "clock jump":
        return Cell(fault, channel, "n/a", why="both processes read one monotonic clock")
    if channel == "policy" and fault in ("reorder", "duplicate"):
        return Cell(fault, channel, "n/a", why="one process sends in order; see command link")
    course = Course(sensors=ALL, bends={"command": command_bend(fault)})
    if fault in ("reorder", "duplicate"):
        return _goes_on(course, fault, channel)
    if fault in ("NaN", "clock jump"):
        # the third bad command within a second latches: someone has to look
        cell = _stops(course, fault, channel, LIMIT_S["command"], recovers=False)
        course.guardian.arm()
        course.run(2)
        is_back = course.robot.v_mps > 0.25
        return cell if is_back else replace(cell, verdict="FAIL", why="does not go on when armed")
    return _stops(course, fault, channel, LIMIT_S["command"])


def _battery_cell(fault: str) -> Cell:
    """Return whether the body is sent home: a battery that says nothing stops nobody."""
    config = GuardianConfig.model_validate({"fresh": {"battery_s": 2.0}, "energy": {"frozen_s": 2}})
    bends = {"battery": sensor_bend(fault, PERIOD_S["battery"])}
    course = Course(config, sensors=ALL, bends=bends)
    course.charge = 0.9

    def drain() -> None:
        course.charge -= 0.0001

    seen = math.nan
    while course.t < AT_S + FAULT_S:
        drain()
        course.run(TICK_S)
        if course.t > AT_S and Advice.DOCK in course.last.advice and math.isnan(seen):
            seen = course.t - AT_S
    if fault in ("reorder", "duplicate"):
        is_fine = math.isnan(seen) and course.robot.v_mps > 0.25
        return Cell(fault, "battery", "pass" if is_fine else "FAIL", why="drives on")
    limit_s = 2.0 + PERIOD_S["battery"] + 2 * TICK_S
    is_fine = seen <= limit_s and course.robot.v_mps > 0.25
    return Cell(fault, "battery", "pass" if is_fine else "FAIL", seen, limit_s, "goes home")


def _world_cell(fault: str, channel: str) -> Cell:
    if channel == "learner":
        if fault == "slow":
            return Cell(fault, channel, "n/a", why="needs processes: see `loaded_cell`")
        why = (
            "nothing of a learner reaches the guardian; its model's commands are those of a policy"
        )
        return Cell(fault, channel, "n/a", why=why)
    if fault != "kill":
        return Cell(fault, channel, "n/a", why="a disk sends no messages: it writes or it does not")
    return _full_disk_cell()


class _StillBody:
    """A robot at rest that listens."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, float]] = []
        self.now_s = 0.0

    problems: Mapping[str, str] = MappingProxyType({})

    def newest(self) -> dict[str, Any]:
        times = {"stamp_s": self.now_s, "arrival_s": self.now_s}
        odom = Odometry(**times, x_m=0.0, y_m=0.0, yaw_rad=0.0, v_mps=0.0, w_radps=0.0)
        return {"odom": odom}

    def send(self, v_mps: float, w_radps: float) -> None:
        self.sent.append((v_mps, w_radps))

    def num_other_publishers(self) -> int | None:
        return 0

    def close(self) -> None:
        """Nothing to release."""


def _full_disk_cell() -> Cell:
    """Press the e-stop where nothing can be written: it holds, it is told, no tick is late."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "state").write_text("a file where a folder should be: every write fails")
        body, events = _StillBody(), EventLog(Path("/dev/full"))
        door = Door(folder / "guardian.sock")
        process = GuardianProcess(
            GuardianConfig(), 0.2, body, door, folder / "state" / "guardian.json", events
        )
        # a file that cannot be read is an e-stop: fail-safe
        if not process.guardian.latch.memory.is_estop:
            return Cell("kill", "disk full", "FAIL", why="an unreadable e-stop counts as none")
        process.guardian.latch.release()
        process.guardian.arm()
        longest_s = 0.0
        for k in range(60):
            body.now_s += TICK_S
            if k == 20:
                process.guardian.latch.estop("the test")
            begin_s = time.perf_counter()
            process.tick(body.now_s, body.now_s)
            longest_s = max(longest_s, time.perf_counter() - begin_s)
        deadline = time.monotonic() + 10
        while not process.state()["error"] and time.monotonic() < deadline:
            time.sleep(0.01)
        is_told = bool(process.state()["error"]) and not process.state()["is_saved"]
        is_held = process.guardian.latch.memory.is_estop and len(body.sent) == 60
        process._end()
    is_fine = is_told and is_held and longest_s < TICK_S
    why = "the e-stop holds, and that it is not on disk is told"
    return Cell("kill", "disk full", "pass" if is_fine else "FAIL", longest_s, TICK_S, why)


def loaded_cell(folder: Path, *, num_burners: int = 4, seconds: float = 8.0) -> Cell:
    """Drive with learners at full load beside it; the reaction is p99 of how late a command is."""
    burn = "import os\nos.nice(5)\nwhile True: pass"
    with Trio(folder) as trio:
        trio.drive()
        burners = [subprocess.Popen([sys.executable, "-c", burn]) for _ in range(num_burners)]
        try:
            begin_s = trio.wire()[-1][0]
            wait_for(lambda: trio.wire()[-1][0] - begin_s > seconds)
        finally:
            for burner in burners:
                burner.kill()
                burner.wait(10)
        times = [r["sent"] for r in trio.rows() if "v" in r and r["t"] > begin_s]
    gaps_s = np.diff(times)
    late_s = float(np.percentile(np.abs(gaps_s - TICK_S), 99))
    # the robot's own watchdog is the line that must not be crossed
    is_fine = float(gaps_s.max()) < 0.4
    why = f"longest silence {gaps_s.max():.2f} s"
    return Cell("slow", "learner", "pass" if is_fine else "FAIL", late_s, math.nan, why)


def _stops(
    course: Course, fault: str, channel: str, limit_s: float, *, recovers: bool = True
) -> Cell:
    course.run(AT_S)
    if abs(course.robot.v_mps - 0.3) > 1e-3:
        return Cell(fault, channel, "FAIL", why="did not drive before")
    course.run(FAULT_S)
    falls = [t - AT_S for t, v in course.verdicts if t >= AT_S and v.v_mps < 0.3 - 1e-6]
    reaction_s = falls[0] if falls else math.inf
    resting = [(t, v) for t, x, y, v, w in course.track if t >= AT_S + FAULT_S - 0.5]
    allowed_s = limit_s + 2 * TICK_S + 1e-6
    why = ""
    if reaction_s > allowed_s:
        why = f"reacted after {reaction_s:.2f} s"
    elif channel not in ("imu",) and max(abs(v) for _, v in resting) > 1e-3:
        why = "moved on during the fault"
    elif channel == "imu" and max(abs(v) for _, v in resting) > 0.1 + 1e-3:
        why = "was fast during the fault"
    course.run(AFTER_S)
    if not why and recovers and course.robot.v_mps < 0.29:
        why = f"does not go on: {course.last.text}"
    if not why and not all(math.isfinite(v.v_mps + v.w_radps) for _, v in course.verdicts):
        why = "no number was sent"
    return Cell(fault, channel, "FAIL" if why else "pass", reaction_s, limit_s, why)


def _goes_on(course: Course, fault: str, channel: str) -> Cell:
    course.run(AT_S + FAULT_S)
    speeds = [v.v_mps for t, v in course.verdicts if t >= AT_S]
    causes = {c for t, v in course.verdicts if t >= AT_S for c in v.causes} - {Cause.LIMIT}
    is_fine = min(speeds) > 0.29 and not causes
    why = "drives on" if is_fine else f"slowed: {sorted(causes)}"
    return Cell(fault, channel, "pass" if is_fine else "FAIL", why=why)


def matrix() -> list[Cell]:
    """Return all cells that need no process of their own."""
    return [run_cell(fault, channel) for fault in FAULTS for channel in CHANNELS]
