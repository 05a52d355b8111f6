"""The recovery ladder: what is tried, in order and within bounds, when the body comes nowhere."""

import math
from collections import deque
from dataclasses import dataclass

from agentd.care.standing import Standing
from configs.care import LadderConfig
from policies.protocols import Mode

RUNGS = ("wait", "turn", "back off", "another goal")
_WANTED_M = 0.5
"""Driving on the spot for so much of a way says that the body should have left."""
_STRAIGHT_RADPS = 0.6

Pose = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class _Seen:
    t_s: float
    x_m: float
    y_m: float
    wanted_m: float


class Ladder:
    """Notices that the body is boxed in and climbs from rung to rung.

    Each rung is bounded in time, the policy has a try after each, and a round ends with giving up
    the goal in hand. After `rounds` rounds within `window_s` the body stands still until somebody
    has moved it, or the window has passed. Source: Nav2's recovery behaviours, and S17.

    Attributes:
        rung: Name of the rung it is on, "" on none.
        is_holding: Whether it stands still for good.
        wants_another_goal: Set when the goal in hand is to be given up; cleared by who did so.
    """

    def __init__(self, config: LadderConfig) -> None:
        self._config = config
        self._seen: deque[_Seen] = deque()
        self._num = 0
        self._since_s: float | None = None
        self._began: Pose = (0.0, 0.0, 0.0)
        self._turned_rad = 0.0
        self._last_yaw = 0.0
        self._try_until_s = -math.inf
        self._try_from: Pose = (0.0, 0.0, 0.0)
        self._rounds_s: list[float] = []
        self.rung = ""
        self.is_holding = False
        self.wants_another_goal = False

    def note(self, pose: Pose, wanted_mps: float, tick_s: float, now_s: float) -> None:
        """Take in where the body is and how fast it was to drive."""
        x, y, yaw = pose
        if not all(map(math.isfinite, pose)):
            self._seen.clear()
            return
        self._turned_rad += abs(math.remainder(yaw - self._last_yaw, 2 * math.pi))
        self._last_yaw = yaw
        self._seen.append(_Seen(now_s, x, y, abs(wanted_mps) * tick_s))
        while now_s - self._seen[0].t_s > self._config.stuck_s:
            self._seen.popleft()

    def climb(self, pose: Pose, w_max_radps: float, now_s: float) -> Standing | None:
        """Return what to do now, None where the policy may act."""
        if not all(map(math.isfinite, pose)):
            return None
        if self.is_holding:
            return self._hold(pose, now_s)
        if self._since_s is not None:
            return self._on_rung(pose, w_max_radps, now_s)
        if self._num and self._has_left(pose):
            self._num = 0
            self._seen.clear()
        if self._num and now_s >= self._try_until_s:
            return self._next(pose, w_max_radps, now_s)
        if not self._num and self._is_boxed_in(now_s):
            self._try_from = pose
            self._rounds_s = [t for t in self._rounds_s if now_s - t < self._config.window_s]
            if len(self._rounds_s) >= self._config.rounds:
                self.is_holding, self._began = True, pose
                return self._hold(pose, now_s)
            self._rounds_s.append(now_s)
            return self._next(pose, w_max_radps, now_s)
        return None

    def _is_boxed_in(self, now_s: float) -> bool:
        if not self._seen or now_s - self._seen[0].t_s < 0.9 * self._config.stuck_s:
            return False
        first = self._seen[0]
        farthest_m = max(math.hypot(s.x_m - first.x_m, s.y_m - first.y_m) for s in self._seen)
        wanted_m = sum(s.wanted_m for s in self._seen)
        return farthest_m < self._config.stuck_m and wanted_m > _WANTED_M

    def _has_left(self, pose: Pose) -> bool:
        return math.dist(pose[:2], self._try_from[:2]) > self._config.stuck_m

    def _next(self, pose: Pose, w_max_radps: float, now_s: float) -> Standing | None:
        self.rung = RUNGS[self._num]
        self._since_s, self._began = now_s, pose
        self._turned_rad, self._last_yaw = 0.0, pose[2]
        self._num += 1
        return self._on_rung(pose, w_max_radps, now_s)

    def _on_rung(self, pose: Pose, w_max_radps: float, now_s: float) -> Standing | None:
        config, rung = self._config, self.rung
        assert self._since_s is not None
        passed_s = now_s - self._since_s
        v = w = 0.0
        match rung:
            case "wait":
                is_over = passed_s >= config.wait_s
            case "turn":
                is_over = self._turned_rad >= config.turn_rad
                w = min(w_max_radps, _STRAIGHT_RADPS)
            case "back off":
                is_over = math.dist(pose[:2], self._began[:2]) >= config.back_m
                v = -config.back_mps
            case _:
                self.wants_another_goal, is_over = True, True
        if is_over or passed_s >= config.rung_s:
            self._let_try(now_s)
            return None
        return Standing(
            reason=f"boxed in: {rung} (rung {self._num} of {len(RUNGS)}, round "
            f"{len(self._rounds_s)} of {config.rounds})",
            mode=Mode.RECOVER,
            v_mps=v,
            w_radps=w,
            source="recovery" if v or w else "none",
        )

    def _let_try(self, now_s: float) -> None:
        self._since_s, self._try_until_s = None, now_s + self._config.try_s
        if self._num == len(RUNGS):
            self._num = 0
            self._seen.clear()
        self.rung = ""

    def _hold(self, pose: Pose, now_s: float) -> Standing | None:
        is_moved = math.dist(pose[:2], self._began[:2]) > self._config.stuck_m
        if is_moved or now_s - self._rounds_s[0] >= self._config.window_s:
            self.is_holding, self.rung = False, ""
            self._rounds_s.clear()
            self._seen.clear()
            return None
        self.rung = "hold"
        return Standing(
            reason=f"boxed in: {self._config.rounds} rounds of recovery did not help; stands and "
            f"waits for a hand",
            mode=Mode.RECOVER,
        )
