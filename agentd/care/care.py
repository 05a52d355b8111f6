"""Looks after the body, tick by tick: what the guardian advises, in the order of urgency."""

import math
from collections.abc import Callable
from typing import Any

from agentd.care.dock import Dock
from agentd.care.ladder import Ladder
from agentd.care.standing import Standing
from agentd.goals import GoalBook
from agentd.guardian.records import Advice, Cause
from agentd.worlds.base import StepResult
from configs.care import CareConfig
from memory.records import Observation
from policies.protocols import Mode

_SPIN_RADPS = 0.5
_RESTS_MPS = 0.02


class Care:
    """Decides when the policy may not: held, lost, boxed in, charging, saving.

    Args:
        config: Settings.
        goals: Goals of the life.
        tell: Called with a sentence for the log.
        tick_s: Time between two decisions.
        w_max_radps: Of the body.
        has_ladder: Whether the recovery ladder is used.
    """

    def __init__(
        self,
        config: CareConfig,
        goals: GoalBook,
        tell: Callable[[str], None],
        *,
        tick_s: float,
        w_max_radps: float,
        has_ladder: bool,
    ) -> None:
        self._config, self._goals, self._tell = config, goals, tell
        self._tick_s, self._w_max = tick_s, w_max_radps
        self.dock = Dock(config.dock, goals, tell)
        self.ladder = Ladder(config.ladder) if has_ladder else None
        self._advice: tuple[str, ...] = ()
        self._held = ""
        self._lost_since_s: float | None = None
        self._spun_rad = 0.0
        self._last_yaw = math.nan
        self._is_told_lost = False

    @property
    def is_saving(self) -> bool:
        """Whether nothing may be done of the agent's own accord."""
        return bool({Advice.NO_EXPLORING, Advice.DOCK} & set(self._advice)) or bool(self._held)

    def instead(
        self, pose: tuple[float, float, float], stamp_ns: int, *, has_goal: bool
    ) -> Standing | None:
        """Return what to do in place of the policy, None where it may act.

        Args:
            pose: x_m, y_m, yaw_rad in the world; NaN where it is unknown.
            stamp_ns: Of the observation.
            has_goal: Whether a goal is in hand.
        """
        now_s = stamp_ns * 1e-9
        if self._held:
            is_empty = self._held.startswith(Cause.BATTERY)
            charging = self.dock.wait_there(now_s) if is_empty else None
            return charging or Standing(reason=f"stands: {self._held}")
        lost = self._look_around(pose, now_s)
        if lost is not None:
            return lost
        if self.ladder is not None:
            way_out = self.ladder.climb(pose, self._w_max, now_s)
            self._give_up_goal()
            if way_out is not None:
                return way_out
        charging = self.dock.instead(Advice.DOCK in self._advice, now_s)
        if charging is not None:
            return charging
        if self.is_saving and not has_goal and self.dock.doing != "to the dock":
            charge = self.dock.as_dict()["charge"]
            left = "" if charge is None else f"{charge:.0%} charge: "
            return Standing(reason=f"{left}explores no more until it is charged; takes goals")
        return None

    def note(
        self,
        pose: tuple[float, float, float],
        seen: Observation,
        wanted_mps: float,
        result: StepResult,
    ) -> None:
        """Take in a step that was lived.

        Args:
            pose: At which it was decided.
            seen: What was seen there.
            wanted_mps: Forward speed that was decided.
            result: What came of it.
        """
        now_s = seen.stamp_ns * 1e-9
        rests = float(abs(seen.egomotion).max()) < _RESTS_MPS * self._tick_s
        self.dock.note(seen.battery, pose[:2], now_s, rests=rests)
        if result.held.startswith(Cause.BATTERY) and not self._held and not self.dock.is_there:
            self._tell(f"stands: {result.held}: cannot drive to the dock any more, carry it there")
        self._held = result.held
        is_lost = Advice.RELOCALISE in result.advice
        if is_lost and self._lost_since_s is None:
            self._lost_since_s, self._spun_rad = now_s, 0.0
        elif not is_lost and Advice.REPORT not in result.advice:
            self._lost_since_s, self._is_told_lost = None, False
        self._advice = result.advice
        if self.ladder is not None and not self._held and self._lost_since_s is None:
            self.ladder.note(pose, wanted_mps, self._tick_s, now_s)
        if not math.isnan(self._last_yaw):
            self._spun_rad += abs(math.remainder(pose[2] - self._last_yaw, 2 * math.pi))
        self._last_yaw = pose[2]

    def _look_around(self, pose: tuple[float, float, float], now_s: float) -> Standing | None:
        """Return a turn on the spot, then standing, where the guardian says it is lost."""
        since_s = self._lost_since_s
        if since_s is None or now_s - since_s < self._config.lost_s:
            return None
        looked_s = now_s - since_s - self._config.lost_s
        if self._spun_rad < 2 * math.pi and looked_s < self._config.look_s:
            reason = "does not know where it is: looks around once"
            return Standing(reason=reason, mode=Mode.RECOVER, w_radps=min(self._w_max, _SPIN_RADPS))
        if not self._is_told_lost:
            self._is_told_lost = True
            self._tell("does not know where it is, and stands: carry it to a place that it knows")
        return Standing(reason="does not know where it is: stands", mode=Mode.RECOVER)

    def _give_up_goal(self) -> None:
        ladder = self.ladder
        if ladder is None or not ladder.wants_another_goal:
            return
        ladder.wants_another_goal = False
        entry = self._goals.active()
        if entry is not None:
            self._goals.finish(entry.goal.goal_id, "failed", "the body is boxed in")
            self._tell(f"{entry.goal.goal_id} is given up: the body is boxed in")

    def as_dict(self) -> dict[str, Any]:
        """Return the state for status."""
        return {
            **self.dock.as_dict(),
            "held": self._held,
            "advice": list(self._advice),
            "is_saving": self.is_saving,
            "is_lost": self._lost_since_s is not None,
            "rung": "" if self.ladder is None else self.ladder.rung,
        }

    def kept(self) -> dict[str, Any]:
        """Return what outlives the process."""
        return {"dock": self.dock.kept()}

    def restore(self, kept: dict[str, Any]) -> None:
        """Take up what `kept` returned."""
        self.dock.restore(kept.get("dock", {}))
