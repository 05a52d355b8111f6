"""Touches and stalls: S9, S10."""

import math
from dataclasses import dataclass

from agentd.guardian.records import Cause, Flags, Odometry, Ruling, stop
from configs.guardian import ContactConfig

_RELEASE_S = 10.0
"""A stall that no motion has answered lets the body try again after so long."""
_TURNED_RAD = 0.2
_MOVED_M = 0.03
_TURN_COMMAND_RADPS, _TURN_ODOM_RADPS = 0.3, 0.02
"""Told to turn and not turning is a stall as well."""


@dataclass(slots=True)
class ContactMemory:
    """Where the answer to a touch stands, and what was commanded in vain."""

    was_touched: bool = False
    touched_s: float | None = None
    touch_cause: str = ""
    backing_s: float | None = None
    backing_from: tuple[float, float] | None = None
    has_backed_off: bool = False
    in_vain_s: float = 0.0
    turning_in_vain_s: float = 0.0
    stalled_way: str = ""
    stalled_s: float = 0.0
    stalled_at: tuple[float, float, float] = (0.0, 0.0, 0.0)
    at_s: float | None = None


class Contact:
    """Stops at a touch, backs off a little once, and notices wheels that turn nothing.

    Attributes:
        new_contacts: Causes of contacts that began in this tick.
        back_off_mps: Speed of the back-off that is under way, 0 if none is.
    """

    def __init__(self, config: ContactConfig) -> None:
        self._config = config
        self.memory = ContactMemory()
        self.new_contacts: list[Cause] = []
        self.back_off_mps = 0.0

    def rule(
        self,
        flags: Flags,
        odom: Odometry | None,
        sent: tuple[float, float],
        now_s: float,
    ) -> list[Ruling]:
        """Return what the skin and the wheels forbid.

        Args:
            flags: Switches of the body.
            odom: Newest odometry.
            sent: What was sent at the last tick.
            now_s: Time of this tick.
        """
        self.new_contacts, self.back_off_mps = [], 0.0
        rulings = self._touch(flags, odom, now_s)
        return rulings + self._stall(odom, sent, now_s)

    def _touch(self, flags: Flags, odom: Odometry | None, now_s: float) -> list[Ruling]:
        memory, config = self.memory, self._config
        is_touched = flags.bump or flags.cliff
        if is_touched and not memory.was_touched:
            cause = Cause.CLIFF if flags.cliff else Cause.BUMP
            self.new_contacts.append(cause)
            memory.touch_cause, memory.touched_s = cause, now_s
            memory.backing_s, memory.has_backed_off = None, False
        memory.was_touched = is_touched
        if memory.touched_s is None:
            return []
        cause = Cause(memory.touch_cause)
        if now_s - memory.touched_s < config.hold_s:
            return [stop(cause, "touched", hard=True)]
        if self._may_back_off(odom, now_s):
            self.back_off_mps = config.back_off_mps
            return [stop(cause, "backs off")]
        if not is_touched:
            memory.touched_s = None
            return []
        return [Ruling(cause=cause, detail="still touches", v_fwd_mps=0.0, is_hard=True)]

    def _may_back_off(self, odom: Odometry | None, now_s: float) -> bool:
        """Return whether the one back-off of this touch is under way."""
        memory, config = self.memory, self._config
        if memory.has_backed_off or odom is None or config.back_off_m * config.back_off_mps == 0:
            return False
        if memory.backing_s is None:
            memory.backing_s, memory.backing_from = now_s, (odom.x_m, odom.y_m)
        assert memory.backing_from is not None
        moved_m = math.dist(memory.backing_from, (odom.x_m, odom.y_m))
        longest_s = config.back_off_m / config.back_off_mps
        # Half a tick short: what is on its way still moves the body.
        if (
            moved_m >= config.back_off_m - 0.3 * config.back_off_mps
            or now_s - memory.backing_s > longest_s
        ):
            memory.has_backed_off = True
        return not memory.has_backed_off

    def _stall(
        self, odom: Odometry | None, sent: tuple[float, float], now_s: float
    ) -> list[Ruling]:
        memory, config = self.memory, self._config
        dt_s = 0.0 if memory.at_s is None else max(0.0, now_s - memory.at_s)
        memory.at_s = now_s
        if odom is None:
            return []
        v, w = sent
        is_vain = abs(v) > config.stall_command_mps and abs(odom.v_mps) < config.stall_odom_mps
        memory.in_vain_s = memory.in_vain_s + dt_s if is_vain else 0.0
        is_vain = abs(w) > _TURN_COMMAND_RADPS and abs(odom.w_radps) < _TURN_ODOM_RADPS
        memory.turning_in_vain_s = memory.turning_in_vain_s + dt_s if is_vain else 0.0
        if memory.in_vain_s >= config.stall_s - 1e-9:
            self._begin_stall("ahead" if v > 0 else "behind", odom, now_s)
        elif memory.turning_in_vain_s >= config.stall_s - 1e-9:
            self._begin_stall("turn", odom, now_s)
        if not memory.stalled_way:
            return []
        x, y, yaw = memory.stalled_at
        turned = abs(math.remainder(odom.yaw_rad - yaw, 2 * math.pi))
        moved_m = math.dist((x, y), (odom.x_m, odom.y_m))
        if turned > _TURNED_RAD or moved_m > _MOVED_M or now_s - memory.stalled_s > _RELEASE_S:
            memory.stalled_way = ""
            return []
        if now_s - memory.stalled_s < config.hold_s:
            return [stop(Cause.STALL, f"does not move {memory.stalled_way}", hard=True)]
        way = memory.stalled_way
        return [
            Ruling(
                cause=Cause.STALL,
                detail=f"does not move {way}",
                v_fwd_mps=0.0 if way == "ahead" else math.inf,
                v_rev_mps=0.0 if way == "behind" else math.inf,
                w_radps=0.0 if way == "turn" else math.inf,
            )
        ]

    def _begin_stall(self, way: str, odom: Odometry, now_s: float) -> None:
        memory = self.memory
        memory.in_vain_s = memory.turning_in_vain_s = 0.0
        memory.stalled_way, memory.stalled_s = way, now_s
        memory.stalled_at = (odom.x_m, odom.y_m, odom.yaw_rad)
        self.new_contacts.append(Cause.STALL)

    def relocate(self) -> None:
        """Forget touches and stalls: the body was put somewhere else."""
        self.memory = ContactMemory()
