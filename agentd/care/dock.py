"""Charging: to the dock in time, and on when it is charged."""

import math
from collections.abc import Callable
from typing import Any

from agentd.care.standing import Standing
from agentd.goals import OPEN, GoalBook
from configs.care import DockConfig
from memory.records import PointGoal

_PRIORITY = 1000
_RISE = 0.005
"""A charge that rose by so much is being charged."""
_LEARNS = 0.05
"""A place where it rose by so much is a dock: at rest any battery recovers a little."""


class Dock:
    """Brings the body to its dock, keeps it there, and lets it go again.

    Args:
        config: Where, and for how long.
        goals: The way to the dock is a goal that goes before all others.
        tell: Called with a sentence for the log.

    Attributes:
        doing: "", "to the dock", "charging", "not charging" or "cannot reach it".
    """

    def __init__(self, config: DockConfig, goals: GoalBook, tell: Callable[[str], None]) -> None:
        self._config, self._goals, self._tell = config, goals, tell
        self._learned_m: tuple[float, float] | None = None
        self._goal_id = ""
        self._num_tries = 0
        self._again_s = -math.inf
        self._lowest, self._rose_s = math.inf, -math.inf
        self._lowest_at_rest = math.inf
        self._charge = math.nan
        self.doing = ""

    @property
    def xy_m(self) -> tuple[float, float] | None:
        """Where it charges, None before it was anywhere."""
        return self._config.xy_m or self._learned_m

    @property
    def is_there(self) -> bool:
        """Whether it stands at the dock."""
        return self.doing in ("charging", "not charging")

    def note(self, charge: float, xy_m: tuple[float, float], now_s: float, *, rests: bool) -> None:
        """Take in the charge (0 to 1, NaN for unknown) and where the body is."""
        if self._learned_m is None and all(map(math.isfinite, xy_m)):
            self._learned_m = xy_m
        self._charge = charge
        if math.isnan(charge):
            return
        if not rests or charge < self._lowest:
            self._lowest = charge
        elif charge >= self._lowest + _RISE:
            self._lowest, self._rose_s = charge, now_s
        if not rests:
            self._lowest_at_rest = charge
        self._lowest_at_rest = min(self._lowest_at_rest, charge)
        is_dock = charge >= self._lowest_at_rest + _LEARNS and self.doing != "to the dock"
        if is_dock and all(map(math.isfinite, xy_m)):
            self._learned_m = xy_m

    def instead(self, is_advised: bool, now_s: float) -> Standing | None:
        """Return what to do in place of the policy; the way to the dock is the policy's.

        Args:
            is_advised: Whether the guardian says that it has to charge.
            now_s: By the body's clock.
        """
        if self.doing == "" and is_advised:
            self._set_out()
        match self.doing:
            case "to the dock":
                return self._on_the_way(now_s)
            case "charging" | "not charging":
                return self._at_the_dock(now_s)
            case "cannot reach it":
                return self._far_from_it(is_advised, now_s)
        return None

    def wait_there(self, now_s: float) -> Standing | None:
        """Return how it waits at the dock, None where it is not there; sets out for nothing."""
        return self._at_the_dock(now_s) if self.is_there else None

    def _set_out(self) -> None:
        if self.xy_m is None:
            return
        xy_m, share = self.xy_m, _share(self._charge)
        self._goal_id = self._goals.add(
            lambda goal_id: PointGoal(goal_id=goal_id, xy_m=xy_m),
            origin="care",
            priority=_PRIORITY,
            note=f"goes to the dock: {share}",
        )
        self.doing = "to the dock"
        self._tell(f"{self._goal_id}: goes to the dock: {share}")

    def _on_the_way(self, now_s: float) -> Standing | None:
        entry = self._goals.find(self._goal_id)
        if entry is not None and entry.state in OPEN:
            return None
        if entry is not None and entry.state == "reached":
            self.doing, self._num_tries = "charging", 0
            self._lowest, self._rose_s = self._charge, now_s
            self._tell(f"at the dock: {_share(self._charge)}")
            return self._at_the_dock(now_s)
        self._num_tries += 1
        why = "is gone" if entry is None else f"{entry.state}: {entry.reason}"
        self._again_s = now_s + self._config.retry_s
        self.doing = "cannot reach it"
        self._tell(f"the dock was not reached ({why}), try {self._num_tries}")
        return self._far_from_it(True, now_s)

    def _at_the_dock(self, now_s: float) -> Standing | None:
        if self._charge >= self._config.charged:
            self.doing = ""
            self._tell(f"charged: {_share(self._charge)}")
            return None
        if now_s - self._rose_s <= self._config.wait_s:
            self.doing = "charging"
            return Standing(reason=f"charges at the dock: {_share(self._charge)}")
        if self.doing != "not charging":
            self.doing = "not charging"
            self._tell(
                f"at the dock, and the charge has not risen for {self._config.wait_s:.0f} s "
                f"({_share(self._charge)}): does it touch its contacts?"
            )
        return Standing(reason=f"at the dock and not charging: {_share(self._charge)}")

    def _far_from_it(self, is_advised: bool, now_s: float) -> Standing | None:
        if not is_advised:
            self.doing, self._num_tries = "", 0
            return None
        if self._num_tries < self._config.tries and now_s >= self._again_s:
            self.doing = ""
            self._set_out()
            return None
        tries = f"{self._num_tries} of {self._config.tries} tries failed"
        return Standing(reason=f"cannot reach the dock ({tries}): stands, {_share(self._charge)}")

    def as_dict(self) -> dict[str, Any]:
        """Return the state for status."""
        return {
            "charge": None if math.isnan(self._charge) else round(self._charge, 3),
            "dock_m": None if self.xy_m is None else [round(v, 2) for v in self.xy_m],
            "doing": self.doing,
        }

    def kept(self) -> dict[str, Any]:
        """Return what outlives the process."""
        return {"learned_m": self._learned_m and list(self._learned_m)}

    def restore(self, kept: dict[str, Any]) -> None:
        """Take up what `kept` returned."""
        at = kept.get("learned_m")
        self._learned_m = (float(at[0]), float(at[1])) if at else None


def _share(charge: float) -> str:
    return "charge unknown" if math.isnan(charge) else f"{charge:.0%} charge"
