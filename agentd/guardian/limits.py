"""Speeds, ramps and commands that are no numbers: S1, S3, S4."""

import math
from dataclasses import dataclass, field

from agentd.guardian.records import Cause, Command, Ruling, stop
from configs.guardian import CommandConfig, LimitConfig

_SHORTEST_S = 1e-3
"""Two ticks at the same time still let a ramp go on."""


@dataclass(slots=True)
class EnvelopeMemory:
    """What was sent last."""

    v_mps: float = 0.0
    w_radps: float = 0.0
    at_s: float | None = None


class Envelope:
    """Keeps what is sent within limits of speed and change.

    Args:
        config: The limits.
        tick_s: Time between two ticks; a late tick does not make up for what it missed.
    """

    def __init__(self, config: LimitConfig, tick_s: float) -> None:
        self.config, self._tick_s = config, tick_s
        self.memory = EnvelopeMemory()

    def clip(self, v_mps: float, w_radps: float) -> tuple[float, float]:
        """Return speeds within the limits."""
        limit = self.config
        v = min(max(v_mps, -limit.v_rev_mps), limit.v_fwd_mps)
        return v, min(max(w_radps, -limit.w_radps), limit.w_radps)

    def halt(self) -> None:
        """Begin from rest: what was sent last is not what is driven."""
        self.memory.v_mps = self.memory.w_radps = 0.0

    def ramp(
        self, v_mps: float, w_radps: float, now_s: float, *, hard_v: bool, hard_w: bool
    ) -> tuple[float, float]:
        """Return what to send on the way to the wanted speeds, and remember it.

        Args:
            v_mps: Wanted forward speed, within the limits.
            w_radps: Wanted turn rate, within the limits.
            now_s: Time of this tick.
            hard_v: Go to the forward speed at once; only ever to less.
            hard_w: The same of the turn rate.
        """
        memory, limit = self.memory, self.config
        passed_s = self._tick_s if memory.at_s is None else now_s - memory.at_s
        dt_s = min(max(passed_s, _SHORTEST_S), 2 * self._tick_s)
        memory.at_s = now_s
        up, down = limit.accel_mps2 * dt_s, limit.decel_mps2 * dt_s
        turn = limit.w_accel_radps2 * dt_s
        v, w = memory.v_mps, memory.w_radps
        memory.v_mps = _nearer_zero(v, v_mps) if hard_v else _towards(v, v_mps, up, down)
        memory.w_radps = _nearer_zero(w, w_radps) if hard_w else _towards(w, w_radps, turn, turn)
        return memory.v_mps, memory.w_radps


def _nearer_zero(now: float, wanted: float) -> float:
    """Return the wanted value where it is a slower motion the same way, else none at all."""
    return wanted if wanted * now > 0 and abs(wanted) <= abs(now) else 0.0


def _towards(now: float, wanted: float, up: float, down: float) -> float:
    """Move towards a value by at most `up` away from zero and `down` towards it."""
    if now * wanted < 0:
        left = 1.0 - abs(now) / down  # share of the tick after zero
        if left <= 0:
            return now - math.copysign(down, now)
        return math.copysign(min(abs(wanted), left * up), wanted)
    if abs(wanted) > abs(now):
        return now + math.copysign(min(abs(wanted) - abs(now), up), wanted)
    return now - math.copysign(min(abs(now) - abs(wanted), down), now)


@dataclass(slots=True)
class CommandsMemory:
    """The newest command that was taken, and the bad ones of late."""

    seq: int = -1
    session: int | None = None
    stamp_s: float = -math.inf
    v_mps: float = 0.0
    w_radps: float = 0.0
    source: str = "none"
    is_recovery: bool = False
    bad_s: list[float] = field(default_factory=list)


class Commands:
    """Takes the policy's commands: in order, each once, none that is no number."""

    def __init__(self, config: CommandConfig, ahead_s: float) -> None:
        self._config, self._ahead_s = config, ahead_s
        self.memory = CommandsMemory()

    def take(self, command: Command | None, num_unreadable: int, now_s: float) -> list[Ruling]:
        """Look at the newest command; return what speaks against following `memory`."""
        memory, config = self.memory, self._config
        bad = ["a command that cannot be read"] * num_unreadable
        if command is not None:
            bad += self._accept(command, now_s)
        memory.bad_s = [t for t in memory.bad_s if now_s - t < config.bad_window_s]
        memory.bad_s += [now_s] * min(len(bad), config.num_bad)
        rulings = []
        if len(memory.bad_s) >= config.num_bad:
            memory.bad_s = []
            text = f"{config.num_bad} bad commands within {config.bad_window_s:g} s"
            rulings.append(stop(Cause.COMMAND_FAULT, text))
        elif bad:
            rulings.append(stop(Cause.COMMAND_BAD, bad[-1]))
        age_s = now_s - memory.stamp_s
        if age_s > config.max_age_s:
            text = "no command yet" if math.isinf(age_s) else f"{age_s:.2f} s"
            rulings.append(stop(Cause.COMMAND_OLD, text))
        return rulings

    def _accept(self, command: Command, now_s: float) -> list[str]:
        """Take a command up if it is a new one; return what is wrong with it."""
        memory = self.memory
        is_known = command.session == memory.session
        if is_known and command.seq <= memory.seq:
            return []  # a duplicate, or one that was overtaken
        memory.session, memory.seq = command.session, command.seq
        numbers = (command.v_mps, command.w_radps, command.stamp_s)
        try:
            is_finite = all(math.isfinite(v) for v in numbers)
        except (TypeError, OverflowError):
            is_finite = False
        if not is_finite:
            memory.v_mps = memory.w_radps = 0.0
            return [f"a command of {command.v_mps} m/s, {command.w_radps} rad/s"]
        if command.stamp_s > now_s + self._ahead_s:
            return [f"a command from {command.stamp_s - now_s:.2f} s ahead"]
        if command.stamp_s < memory.stamp_s and is_known:
            return []
        memory.stamp_s = command.stamp_s
        memory.v_mps, memory.w_radps = command.v_mps, command.w_radps
        memory.source, memory.is_recovery = command.source, command.is_recovery
        return []
