"""What may not go on for ever: the battery, recoveries and the guardian's patience. S16 to S18."""

import math
from dataclasses import dataclass, field

from agentd.guardian.records import Advice, Battery, Cause, Ruling, stop
from configs.guardian import BudgetConfig, EnergyConfig, RecoveryConfig

BAND = 0.05
"""A charge must rise by this much above a threshold to leave it again."""

COUNTED = frozenset(
    (Cause.OBSTACLE, Cause.BUMP, Cause.CLIFF, Cause.STALL, Cause.SLIP, Cause.FENCE, Cause.REVERSE)
)
"""Interventions that say something about the policy."""


@dataclass(slots=True)
class EnergyMemory:
    """Which thresholds were passed, and since when the charge is the same."""

    is_low: bool = False
    is_dock: bool = False
    is_empty: bool = False
    charge: float | None = None
    same_driven_s: float = 0.0
    at_s: float | None = None


class Energy:
    """Sends the body home in time."""

    def __init__(self, config: EnergyConfig) -> None:
        self._config = config
        self.memory = EnergyMemory()

    def rule(
        self, battery: Battery | None, *, is_driving: bool, now_s: float
    ) -> tuple[list[Ruling], tuple[Advice, ...]]:
        """Return stops and advice."""
        memory, config = self.memory, self._config
        dt_s = 0.0 if memory.at_s is None else max(0.0, now_s - memory.at_s)
        memory.at_s = now_s
        if battery is None:
            return [], ()
        rulings = []
        if battery.temperature_c > config.too_hot_c:
            rulings.append(stop(Cause.TOO_HOT, f"{battery.temperature_c:.0f} C"))
        charge = battery.charge
        if math.isnan(charge):
            return rulings, (Advice.DOCK,)
        if charge != memory.charge:
            memory.same_driven_s = 0.0
        elif is_driving:
            memory.same_driven_s += dt_s
        memory.charge = charge
        is_frozen = memory.same_driven_s > config.frozen_s
        home = max(config.dock, battery.to_dock * config.dock_factor)
        home = config.dock if math.isnan(home) else home
        memory.is_low = charge < config.explore + BAND * memory.is_low
        memory.is_dock = charge < home + BAND * memory.is_dock
        memory.is_empty = charge < config.stop + BAND * memory.is_empty
        if memory.is_empty:
            rulings.append(stop(Cause.BATTERY, f"{charge:.0%}"))
            return rulings, (Advice.REPORT, Advice.DOCK)
        if memory.is_dock or is_frozen:
            return rulings, (Advice.DOCK, Advice.NO_EXPLORING)
        return rulings, (Advice.NO_EXPLORING,) if memory.is_low else ()


@dataclass(slots=True)
class RecoveryMemory:
    """The recovery under way, and when those before began."""

    since_s: float | None = None
    rounds_s: list[float] = field(default_factory=list)
    is_over: bool = False


class Recoveries:
    """Bounds what the policy calls a recovery: each in time, all of them in number."""

    def __init__(self, config: RecoveryConfig) -> None:
        self._config = config
        self.memory = RecoveryMemory()

    def rule(self, *, is_recovery: bool, now_s: float) -> tuple[list[Ruling], str]:
        """Return stops, and why to latch a fault, "" for none."""
        memory, config = self.memory, self._config
        memory.rounds_s = [t for t in memory.rounds_s if now_s - t < config.window_s]
        if not is_recovery:
            memory.since_s, memory.is_over = None, False
            return [], ""
        if memory.since_s is None:
            memory.since_s = now_s
            memory.rounds_s.append(now_s)
            if len(memory.rounds_s) > config.rounds * config.rungs:
                within = f"within {config.window_s:.0f} s"
                text = f"{config.rounds} rounds of recovery {within} did not help"
                return [stop(Cause.RECOVERY, text)], text
        if now_s - memory.since_s >= config.step_s:
            text = f"a recovery may take {config.step_s:g} s"
            return [stop(Cause.RECOVERY, text)], ""
        return [], ""


@dataclass(slots=True)
class BudgetMemory:
    """When the guardian stepped in and the body touched something."""

    stepped_in_s: list[float] = field(default_factory=list)
    contacts_s: list[float] = field(default_factory=list)
    slow_since_s: float | None = None
    is_paused: bool = False
    last: list[str] = field(default_factory=list)


class Budget:
    """Takes speed, then freedom, from a policy that keeps needing the guardian."""

    def __init__(self, config: BudgetConfig) -> None:
        self._config = config
        self.memory = BudgetMemory()

    def note(self, causes: tuple[Cause, ...], new_contacts: list[Cause], now_s: float) -> None:
        """Count what began in this tick."""
        memory = self.memory
        counted = [str(c) for c in causes if c in COUNTED]
        memory.stepped_in_s += [now_s] * sum(c not in memory.last for c in counted)
        memory.last = counted
        memory.contacts_s += [now_s] * len(new_contacts)

    def rule(
        self, source: str, limit_mps: float, limit_radps: float, now_s: float
    ) -> tuple[list[Ruling], tuple[Advice, ...]]:
        """Return the bounds of a policy; an operator is not bound by them."""
        config, memory = self._config, self.memory
        if not config.enabled:
            return [], ()
        window_s, contact_s = config.window_s, config.contact_window_s
        memory.stepped_in_s = [t for t in memory.stepped_in_s if now_s - t < window_s]
        memory.contacts_s = [t for t in memory.contacts_s if now_s - t < contact_s]
        if memory.is_paused:
            ruling = stop(Cause.BUDGET_PAUSE, "until it is armed again")
            return ([] if source == "operator" else [ruling]), (
                Advice.PAUSE_LEARNED,
                Advice.REPORT,
            )
        if self._is_spent(-math.inf):
            memory.slow_since_s = now_s if memory.slow_since_s is None else memory.slow_since_s
        else:
            memory.slow_since_s = None
        if memory.slow_since_s is None:
            return [], ()
        if self._is_spent(memory.slow_since_s):
            memory.is_paused = True
        if source == "operator":
            return [], ()
        slow = config.speed_factor * limit_mps
        text = f"{len(memory.stepped_in_s)} interventions, {len(memory.contacts_s)} contacts"
        return [
            Ruling(
                cause=Cause.BUDGET_SLOW,
                detail=text,
                v_fwd_mps=slow,
                v_rev_mps=slow,
                w_radps=config.speed_factor * limit_radps,
            )
        ], ()

    def clear(self) -> None:
        """Forgive: someone armed again."""
        self.memory = BudgetMemory()

    def _is_spent(self, since_s: float) -> bool:
        """Return whether more than allowed came after a time."""
        stepped_in = sum(t > since_s for t in self.memory.stepped_in_s)
        contacts = sum(t > since_s for t in self.memory.contacts_s)
        return stepped_in > self._config.interventions or contacts > self._config.contacts
