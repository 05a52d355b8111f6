"""What stays stopped until someone acts: S14, S15."""

from dataclasses import dataclass, field

from agentd.guardian.records import Advice, Cause, Ruling, stop
from configs.guardian import ArmConfig, DeadManConfig

TO_ARM = "to allow motion: agentd guardian arm"


@dataclass(slots=True)
class LatchMemory:
    """Latched states. `faults` are cleared by arming."""

    is_armed: bool = False
    is_estop: bool = False
    estop_reason: str = ""
    faults: dict[str, str] = field(default_factory=dict)
    tested_since_s: float | None = None
    had_estop: bool = False


class Latch:
    """Nothing moves before an arm command, nor after an e-stop without release and arm."""

    def __init__(self, config: ArmConfig, deadman: DeadManConfig) -> None:
        self._config, self._deadman = config, deadman
        self.memory = LatchMemory()
        self.level = False

    def estop(self, reason: str) -> None:
        """Stop for good."""
        self.memory.is_estop, self.memory.had_estop = True, True
        self.memory.estop_reason = self.memory.estop_reason or reason
        self.memory.is_armed = False

    def release(self) -> str:
        """End an e-stop, still disarmed; return why that is not possible, "" if it was done."""
        if self.level:
            return "the emergency stop that is wired in is still pressed"
        self.memory.is_estop, self.memory.estop_reason = False, ""
        return ""

    def arm(self) -> str:
        """Allow motion; return why that is not possible, "" if it was done."""
        if self.memory.is_estop:
            return f"the e-stop is latched ({self.memory.estop_reason}): release it first"
        self.memory.is_armed, self.memory.had_estop = True, False
        self.memory.faults.clear()
        return ""

    def disarm(self) -> None:
        """Forbid motion until the next arm command."""
        self.memory.is_armed = False

    def fault(self, cause: Cause, detail: str) -> None:
        """Latch a fault until the next arm command."""
        self.memory.faults.setdefault(cause, detail)

    def rule(self, is_estop: bool, heartbeat_s: float | None, now_s: float) -> list[Ruling]:
        """Return what is latched."""
        memory = self.memory
        self.level = is_estop
        if is_estop:
            self.estop("the emergency stop that is wired in")
        if memory.is_estop:
            return [stop(Cause.ESTOP, memory.estop_reason, hard=True)]
        rulings = [] if memory.is_armed else [stop(Cause.NOT_ARMED, TO_ARM)]
        rulings += [stop(Cause(c), text, hard=True) for c, text in memory.faults.items()]
        if self._deadman.enabled:
            age_s = None if heartbeat_s is None else now_s - heartbeat_s
            if age_s is None or age_s < -1e-9 or age_s > self._deadman.timeout_s:
                text = "no heartbeat yet" if age_s is None else f"last heartbeat {age_s:.2f} s ago"
                rulings.append(stop(Cause.DEAD_MAN, text))
        return rulings

    def unattended(self, *, is_well: bool, now_s: float) -> tuple[Advice, ...]:
        """Arm by itself after a self-test at rest and a warning, never after an e-stop.

        Args:
            is_well: Whether the body stands still and nothing else speaks against moving.
            now_s: Time of this tick.
        """
        memory, config = self.memory, self._config
        may = not (memory.is_armed or memory.is_estop or memory.had_estop or memory.faults)
        if not (may and is_well):
            memory.tested_since_s = None
            return ()
        since_s = memory.tested_since_s
        since_s = memory.tested_since_s = now_s if since_s is None else since_s
        passed_s = now_s - since_s
        if passed_s < config.self_test_s:
            return ()
        if passed_s >= config.self_test_s + config.warning_s:
            self.arm()
            return ()
        return (Advice.WARN,)
