"""A robot on paper for the guardian's tests: a disc on wheels among points, stepped in time.

It does what a command says with its own ramps and its own reaction time, stops by its own watchdog,
and says what its sensors would. Every message can be bent on its way.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from agentd.guardian.core import TICK_S, Guardian
from agentd.guardian.records import (
    Battery,
    Command,
    Flags,
    Image,
    Imu,
    Inputs,
    MapPose,
    Odometry,
    Ranges,
    Verdict,
)
from configs.guardian import GuardianConfig

RADIUS_M = 0.2
DT_S = 0.01
"""Step of the robot's physics."""
PERIOD_S = {
    "odom": 0.05,
    "scan": 0.1,
    "depth": 0.1,
    "rgb": 0.1,
    "imu": 0.05,
    "pose": 0.1,
    "battery": 1.0,
    "command": 0.05,
}
Bend = Callable[[Any, float], list[tuple[float, Any]]]
"""Turns a message sent at a time into messages and when each arrives."""


@dataclass
class Robot:
    """The body. `latency_s` passes before a command acts; `watchdog_s` after the last it stops."""

    x_m: float = 0.0
    y_m: float = 0.0
    yaw_rad: float = 0.0
    v_mps: float = 0.0
    w_radps: float = 0.0
    latency_s: float = 0.05
    watchdog_s: float = 0.5
    decel_mps2: float = 1.0
    blocked: bool = False
    slip_radps: float = 0.0
    pending: list[tuple[float, float, float]] = field(default_factory=list)
    wanted: tuple[float, float] = (0.0, 0.0)
    heard_s: float = -math.inf

    def hear(self, v_mps: float, w_radps: float, now_s: float) -> None:
        self.pending.append((now_s + self.latency_s, v_mps, w_radps))

    def move(self, now_s: float) -> None:
        while self.pending and self.pending[0][0] <= now_s + 1e-9:
            _, v, w = self.pending.pop(0)
            self.wanted, self.heard_s = (v, w), now_s
        v, w = self.wanted if now_s - self.heard_s <= self.watchdog_s else (0.0, 0.0)
        step = self.decel_mps2 * DT_S
        self.v_mps += min(max(v - self.v_mps, -step), step)
        self.w_radps += min(max(w - self.w_radps, -4 * step), 4 * step)
        turning = self.w_radps + self.slip_radps
        if not self.blocked:
            self.x_m += self.v_mps * math.cos(self.yaw_rad) * DT_S
            self.y_m += self.v_mps * math.sin(self.yaw_rad) * DT_S
            self.yaw_rad += turning * DT_S


class Course:
    """A guardian, its robot, a policy and obstacle points in the plane.

    Args:
        config: Of the guardian.
        obstacles_m: World points (n 2); may be a function of time.
        policy: Returns (v, w) at a time; None: no command.
        bends: What is done to the messages of a sensor, or of `command`.
        noise_m: Standard deviation of every point.
        sensors: Which there are.
    """

    def __init__(
        self,
        config: GuardianConfig | None = None,
        *,
        obstacles_m: Any = None,
        policy: Callable[[float], tuple[float, float] | None] = lambda t: (0.3, 0.0),
        bends: dict[str, Bend] | None = None,
        noise_m: float = 0.0,
        sensors: tuple[str, ...] = ("odom", "scan"),
        seed: int = 0,
        armed: bool = True,
        robot: Robot | None = None,
    ) -> None:
        self.config = config or GuardianConfig()
        self.guardian = Guardian(self.config, RADIUS_M)
        if armed:
            assert not self.guardian.arm()
        self.robot = robot or Robot()
        self.rng = np.random.default_rng(seed)
        self.obstacles = obstacles_m
        self.policy, self.bends, self.sensors = policy, bends or {}, sensors
        self.noise_m = noise_m
        self.now_s = 100.0
        self.start_s = self.now_s
        self.clock_off_s = 0.0
        self.flags = Flags()
        self.extra: dict[str, Any] = {}
        self.charge = 0.9
        self.seq = 0
        self.verdicts: list[tuple[float, Verdict]] = []
        self.track: list[tuple[float, float, float, float, float]] = []
        self.nearest_m = math.inf
        self._flight: dict[str, list[tuple[float, float, int, Any]]] = {}
        self._newest: dict[str, Any] = {}
        self._due: dict[str, float] = {}
        self._count = 0

    @property
    def t(self) -> float:
        return self.now_s - self.start_s

    @property
    def last(self) -> Verdict:
        return self.verdicts[-1][1]

    def points_m(self) -> np.ndarray:
        points = self.obstacles(self.t) if callable(self.obstacles) else self.obstacles
        return np.empty((0, 2)) if points is None else np.asarray(points, dtype=float)

    def run(self, seconds: float) -> "Course":
        end_s = self.now_s + seconds - 1e-9
        ticks = round(TICK_S / DT_S)
        k = 0
        while self.now_s < end_s:
            if k % ticks == 0:
                self.tick()
            self.robot.move(self.now_s)
            self._check()
            self.now_s += DT_S
            k += 1
        return self

    def tick(self) -> None:
        for name in (*self.sensors, "command"):
            if self.now_s >= self._due.get(name, 0.0) - 1e-9:
                self._due[name] = self.now_s + PERIOD_S[name]
                self._send(name)
        inputs = Inputs(
            clock_s=self.now_s + self.clock_off_s,
            command=self._arrived("command"),
            flags=self.flags,
            **{name: self._arrived(name) for name in self.sensors},
            **self.extra,
        )
        verdict = self.guardian.step(inputs, self.now_s)
        if verdict.publish:
            self.robot.hear(verdict.v_mps, verdict.w_radps, self.now_s)
        self.verdicts.append((self.t, verdict))

    def _check(self) -> None:
        points, robot = self.points_m(), self.robot
        if len(points):
            gap = np.hypot(points[:, 0] - robot.x_m, points[:, 1] - robot.y_m).min() - RADIUS_M
            self.nearest_m = min(self.nearest_m, float(gap))
        self.track.append((self.t, robot.x_m, robot.y_m, robot.v_mps, robot.w_radps))

    def _send(self, name: str) -> None:
        message = self._message(name)
        if message is None:
            return
        bend = self.bends.get(name)
        sent = [(0.0, message)] if bend is None else bend(message, self.t)
        for delay_s, item in sent:
            self._count += 1
            at_s = self.now_s + delay_s
            self._flight.setdefault(name, []).append((at_s, self.t, self._count, item))

    def _arrived(self, name: str) -> Any:
        """Return the newest that arrived: as a link hands it over, in order of arrival."""
        flight = self._flight.get(name, [])
        here = sorted((f for f in flight if f[0] <= self.now_s + 1e-9), key=lambda f: (f[0], f[2]))
        self._flight[name] = [f for f in flight if f[0] > self.now_s + 1e-9]
        for at_s, _, _, item in here:
            is_reading = name != "command" and not isinstance(item, Command)
            self._newest[name] = replace(item, arrival_s=at_s) if is_reading else item
        return self._newest.get(name)

    def _message(self, name: str) -> Any:
        robot, now = self.robot, {"stamp_s": self.now_s, "arrival_s": self.now_s}
        pose = {"x_m": robot.x_m, "y_m": robot.y_m, "yaw_rad": robot.yaw_rad}
        moving = 0.0 if robot.blocked else 1.0
        match name:
            case "odom":
                v, w = robot.v_mps * moving, robot.w_radps * moving
                return Odometry(**now, **pose, v_mps=v, w_radps=w)
            case "scan" | "depth":
                return self._ranges(name)
            case "rgb":
                return Image(**now, fingerprint=int(self.rng.integers(1 << 60)))
            case "imu":
                return Imu(**now, w_radps=(robot.w_radps + robot.slip_radps) * moving)
            case "pose":
                return MapPose(**now, **pose, std_m=0.05, match=0.9)
            case "battery":
                return Battery(**now, charge=self.charge)
            case "command":
                wanted = self.policy(self.t)
                if wanted is None:
                    return None
                self.seq += 1
                return Command(v_mps=wanted[0], w_radps=wanted[1], stamp_s=self.now_s, seq=self.seq)
        raise AssertionError(name)

    def _ranges(self, name: str) -> Ranges:
        points, robot = self.points_m(), self.robot
        body = points - (robot.x_m, robot.y_m)
        c, s = math.cos(robot.yaw_rad), math.sin(robot.yaw_rad)
        body = body @ np.array([[c, -s], [s, c]])
        fov = math.pi if name == "scan" else 0.7
        bearing = np.arctan2(body[:, 1], body[:, 0])
        body = body[(np.abs(bearing) <= fov) & (np.hypot(body[:, 0], body[:, 1]) < 5.0)]
        if self.noise_m:
            body = body + self.noise_m * self.rng.standard_normal(body.shape)
        return Ranges(
            stamp_s=self.now_s,
            arrival_s=self.now_s,
            fingerprint=int(self.rng.integers(1 << 60)),
            xy_m=body,
            fov_rad=(-fov, fov),
        )


def wall_m(x_m: float, half_m: float = 0.5, step_m: float = 0.02) -> np.ndarray:
    """Return points of a wall across the way."""
    y = np.arange(-half_m, half_m + 1e-9, step_m)
    return np.stack([np.full_like(y, x_m), y], axis=-1)


def stopping_m(v_mps: float) -> float:
    """Return d(v) of the defaults."""
    return v_mps * 0.3 + v_mps**2 / (2 * 0.5) + 0.10
