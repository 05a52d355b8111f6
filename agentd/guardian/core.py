"""The guardian itself: rules in a row, the strictest wins. No clock, no disk, no network."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from agentd.guardian.belief import Belief, BeliefMemory
from agentd.guardian.bounds import (
    Budget,
    BudgetMemory,
    Energy,
    EnergyMemory,
    Recoveries,
    RecoveryMemory,
)
from agentd.guardian.contact import Contact, ContactMemory
from agentd.guardian.fence import Fence
from agentd.guardian.fresh import Senses, SensesMemory, SensorMemory
from agentd.guardian.latch import Latch, LatchMemory
from agentd.guardian.limits import Commands, CommandsMemory, Envelope, EnvelopeMemory
from agentd.guardian.records import (
    Advice,
    Battery,
    Cause,
    Imu,
    Inputs,
    MapPose,
    Odometry,
    Ranges,
    Ruling,
    State,
    Verdict,
)
from agentd.guardian.zones import Zones
from configs.guardian import GuardianConfig

TICK_S = 0.05
"""20 Hz."""
_STOP_BURST = 2
"""Zeros into a link whose odometry is stale, before nothing is sent any more."""
ROUNDING = 5e-3
"""A command that was changed by less, in m/s or rad/s, was not held back."""
T = TypeVar("T")


class Guardian:
    """Turns what is wanted into what may be done.

    Args:
        config: Limits; those of the body where it is simulated, see `body_bounds`.
        radius_m: Radius of the footprint.
        tick_s: Time between two steps.

    Raises:
        FenceError: If a polygon of the fence is none.
    """

    def __init__(self, config: GuardianConfig, radius_m: float, tick_s: float = TICK_S) -> None:
        self.config, self.radius_m = config, radius_m
        limit = config.limit
        rotation_m = config.footprint.rotation_radius_m or radius_m
        self.envelope = Envelope(limit, tick_s)
        self.commands = Commands(config.command, config.fresh.ahead_s)
        self.senses = Senses(config.fresh)
        self.zones = Zones(config.zone, limit, radius_m, rotation_m)
        self.contact = Contact(config.contact)
        self.belief = Belief(config.belief, max(limit.v_fwd_mps, limit.v_rev_mps))
        self.fence = Fence(config.fence, limit.decel_mps2)
        self.latch = Latch(config.arm, config.deadman)
        self.energy = Energy(config.energy)
        self.recoveries = Recoveries(config.recovery)
        self.budget = Budget(config.budget)
        self._num_odom_stale = 0
        self._patience: tuple[Advice, ...] = ()
        self._warning: tuple[Advice, ...] = ()

    def arm(self) -> str:
        """Allow motion; return why that is not possible, "" if it was done."""
        problem = self.latch.arm()
        if not problem:
            self.budget.clear()
            self.recoveries.memory = RecoveryMemory()
            self.commands.memory.bad_s = []
            self.senses.clear_frozen()
        return problem

    def step(self, inputs: Inputs, now_s: float) -> Verdict:
        """Return what to send at this tick.

        Args:
            inputs: The newest of everything.
            now_s: Now, on a clock that never goes back.
        """
        v_now, w_now = self.envelope.memory.v_mps, self.envelope.memory.w_radps
        rulings, advice = self._stops(inputs, now_s)
        wanted = self.commands.memory
        v_wanted, w_wanted = self.envelope.clip(wanted.v_mps, wanted.w_radps)
        if abs(v_wanted - wanted.v_mps) + abs(w_wanted - wanted.w_radps) > ROUNDING:
            text = f"asked for {wanted.v_mps:.2f} m/s, {wanted.w_radps:.2f} rad/s"
            rulings.append(Ruling(cause=Cause.LIMIT, detail=text))
        rulings += self._bounds(now_s)
        told = advice + self._patience
        allowed, v, w = rulings, v_wanted, w_wanted
        if self.contact.back_off_mps:
            v, w = -self.contact.back_off_mps, 0.0
            allowed = [r for r in rulings if r.cause not in (Cause.BUMP, Cause.CLIFF)]
        v, w = _within(v, w, allowed)
        held = self.senses.held
        near = self.zones.rule(v, w, v_now, _of(Odometry, held.get("odom")))
        near += self.fence.rule(_of(MapPose, held.get("pose")), v, w, v_now)
        rulings += near
        v, w = _within(v, w, near)
        hard = [r for r in rulings if r.is_hard]
        hard_v = any(_binds(r, v_now, 0.0) for r in hard)
        hard_w = any(_binds(r, 0.0, w_now) for r in hard)
        v, w = self.envelope.ramp(v, w, now_s, hard_v=hard_v, hard_w=hard_w)
        self._arm_unattended(inputs, rulings, now_s)
        binding = self._binding(rulings, (v_wanted, w_wanted), (v_now, w_now))
        causes = tuple(r.cause for r in binding)
        self.budget.note(causes, self.contact.new_contacts, now_s)
        return Verdict(
            v_mps=v,
            w_radps=w,
            publish=self._may_publish(),
            state=self._state(rulings),
            causes=causes,
            details=tuple(r.detail for r in binding),
            advice=tuple(dict.fromkeys(told + self._warning)),
            is_hard=hard_v or hard_w,
        )

    def _stops(self, inputs: Inputs, now_s: float) -> tuple[list[Ruling], tuple[Advice, ...]]:
        """Return what does not depend on where the command leads."""
        sent = (self.envelope.memory.v_mps, self.envelope.memory.w_radps)
        self.senses.take(inputs, now_s)
        held = self.senses.held
        odom = _of(Odometry, held.get("odom"))
        stale, advice = self.senses.rule(inputs, now_s)
        bad = self.commands.take(inputs.command, inputs.num_bad_commands, now_s)
        for ruling in bad:
            if ruling.cause is Cause.COMMAND_FAULT:
                self.latch.fault(ruling.cause, ruling.detail)
        for name in (Cause.WHEEL_DROP, Cause.PICK_UP):
            if getattr(inputs.flags, name):
                self.latch.fault(name, "felt, until it is armed again")
        latched = self.latch.rule(inputs.is_estop, inputs.heartbeat_s, now_s)
        self.zones.take(_of(Ranges, held.get("depth")), _of(Ranges, held.get("scan")), odom, now_s)
        rulings = [*latched, *stale, *self.senses.blind(), *bad]
        rulings += self.contact.rule(inputs.flags, odom, sent, now_s)
        doubts, told = self.belief.rule(
            odom, _of(Imu, held.get("imu")), _of(MapPose, held.get("pose")), now_s
        )
        battery, said = self.energy.rule(
            _of(Battery, held.get("battery")), is_driving=sent != (0.0, 0.0), now_s=now_s
        )
        return _once([*rulings, *doubts, *battery]), advice + told + said

    def _bounds(self, now_s: float) -> list[Ruling]:
        """Return what the policy has used up."""
        wanted, limit = self.commands.memory, self.config.limit
        rulings, fault = self.recoveries.rule(is_recovery=wanted.is_recovery, now_s=now_s)
        if fault:
            self.latch.fault(Cause.RECOVERY, fault)
        slow, self._patience = self.budget.rule(
            wanted.source, limit.v_fwd_mps, limit.w_radps, now_s
        )
        return rulings + slow

    def _arm_unattended(self, inputs: Inputs, rulings: list[Ruling], now_s: float) -> None:
        """Let an unattended robot arm itself where nothing but that is missing."""
        self._warning = ()
        if self.config.arm.auto != "unattended":
            return
        expected = (Cause.NOT_ARMED, Cause.COMMAND_OLD, Cause.LIMIT)
        is_well = all(r.cause in expected for r in rulings) and not self.senses.is_moving
        self._warning = self.latch.unattended(is_well=is_well and inputs.is_ready, now_s=now_s)

    def _binding(
        self, rulings: list[Ruling], wanted: tuple[float, float], now: tuple[float, float]
    ) -> list[Ruling]:
        """Return the rulings that forbid something of what is wanted, or stop what is driven."""
        kept = []
        for ruling in rulings:
            is_stop = max(ruling.v_fwd_mps, ruling.v_rev_mps, ruling.w_radps) == 0
            is_tight = _binds(ruling, *map(_rounded, wanted))
            is_tight = is_tight or (ruling.is_hard and _binds(ruling, *now))
            if ruling.cause is Cause.LIMIT or is_tight or (is_stop and wanted == (0, 0)):
                kept.append(ruling)
        return _once(kept)

    def _may_publish(self) -> bool:
        self._num_odom_stale = self._num_odom_stale + 1 if self.senses.is_odom_stale else 0
        return self._num_odom_stale <= _STOP_BURST

    def _state(self, rulings: list[Ruling]) -> State:
        latch = self.latch.memory
        if latch.is_estop:
            return State.ESTOP
        if not latch.is_armed:
            return State.DISARMED
        if self.contact.back_off_mps:
            return State.BACKING_OFF
        if any(max(r.v_fwd_mps, r.v_rev_mps) == 0 or r.v_fwd_mps == 0 for r in rulings):
            return State.STOPPED
        return State.SLOWED if any(r.cause is not Cause.LIMIT for r in rulings) else State.FREE

    def relocate(self) -> None:
        """Forget where the body was: a simulation has put it somewhere else."""
        for room in (self.zones, self.contact, self.belief):
            room.relocate()
        self.senses.clear_frozen()

    def pack(self) -> dict[str, Any]:
        """Return the whole state as plain data."""
        rooms = {name: asdict(getattr(self, name).memory) for name in _MEMORIES}
        return {**rooms, "zones": self.zones.pack(), "num_odom_stale": self._num_odom_stale}

    def unpack(self, state: Mapping[str, Any]) -> None:
        """Take up what `pack` returned.

        Raises:
            ValueError: If it is something else; nothing is changed then.
        """
        try:
            memories = {name: kind(**state[name]) for name, kind in _MEMORIES.items()}
            sensors = memories["senses"].sensors
            memories["senses"].sensors = {k: SensorMemory(**v) for k, v in sensors.items()}
            zones = Zones(
                self.config.zone,
                self.config.limit,
                self.radius_m,
                self.config.footprint.rotation_radius_m or self.radius_m,
            )
            zones.unpack(state["zones"])
            num = int(state["num_odom_stale"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"the guardian's state is damaged: {error}") from error
        for name, memory in memories.items():
            getattr(self, name).memory = memory
        self.zones, self._num_odom_stale = zones, num


_MEMORIES: dict[str, type[Any]] = {
    "envelope": EnvelopeMemory,
    "commands": CommandsMemory,
    "senses": SensesMemory,
    "contact": ContactMemory,
    "belief": BeliefMemory,
    "latch": LatchMemory,
    "energy": EnergyMemory,
    "recoveries": RecoveryMemory,
    "budget": BudgetMemory,
}


def _of(kind: type[T], reading: object) -> T | None:
    return reading if isinstance(reading, kind) else None


def _once(rulings: list[Ruling]) -> list[Ruling]:
    """Return the rulings without those that repeat cause and bounds of one before."""
    seen: dict[tuple[Cause, float, float, float, bool], Ruling] = {}
    for r in rulings:
        seen.setdefault((r.cause, r.v_fwd_mps, r.v_rev_mps, r.w_radps, r.is_hard), r)
    return list(seen.values())


def _binds(ruling: Ruling, v: float, w: float) -> bool:
    """Return whether a ruling forbids a motion."""
    return v > ruling.v_fwd_mps or -v > ruling.v_rev_mps or abs(w) > ruling.w_radps


def _rounded(speed: float) -> float:
    """Return a speed, nearer to zero by what nobody means: a turn on the spot that creeps."""
    return math.copysign(max(abs(speed) - ROUNDING, 0.0), speed)


def _within(v: float, w: float, rulings: list[Ruling]) -> tuple[float, float]:
    """Return the nearest motion that all rulings allow; the arc is kept where speed is lost."""
    for r in rulings:
        v = min(max(v, -r.v_rev_mps), r.v_fwd_mps)
        w = min(max(w, -r.w_radps), r.w_radps)
    return v, w
