"""Whether what is sensed is of now: by header and by arrival, and not the same for ever. S5, S6."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from agentd.guardian.records import Advice, Cause, Inputs, Odometry, Ranges, Reading, Ruling, stop
from configs.guardian import FreshConfig

SENSORS = ("odom", "depth", "scan", "rgb", "imu", "pose", "battery")
FROZEN = ("odom", "depth", "scan", "rgb")
"""Whose bytes must change while the body moves."""
MOVING_MPS, MOVING_RADPS = 0.02, 0.05
"""Slower than this is standing still."""
_LONGEST_GAP_S = 0.5
"""Two readings farther apart say no more than so much of what was between them."""
_MAY_BE_NAN = ("std_m", "match", "charge", "to_dock", "temperature_c")


@dataclass(slots=True)
class SensorMemory:
    """What was last accepted of one sensor."""

    stamp_s: float = -math.inf
    arrival_s: float = -math.inf
    fingerprint: int | None = None
    same_moving_s: float = 0.0
    refused: str = ""


@dataclass(slots=True)
class SensesMemory:
    """What was last accepted of each sensor, and since when all of them are fresh."""

    sensors: dict[str, SensorMemory] = field(default_factory=dict)
    fresh_since_s: float | None = None


class Senses:
    """Accepts readings, and tells which are missing.

    Attributes:
        held: Newest accepted reading by sensor.
        is_odom_stale: Whether nothing may be sent.
    """

    def __init__(self, config: FreshConfig) -> None:
        self._config = config
        self._limit_s: Mapping[str, float] = {
            "odom": config.odom_s,
            "depth": config.range_s,
            "scan": config.range_s,
            "rgb": config.camera_s,
            "imu": config.imu_s,
            "pose": config.pose_s,
            "battery": config.battery_s,
        }
        self.memory = SensesMemory()
        self.held: dict[str, Reading] = {}
        self.is_odom_stale = True

    def take(self, inputs: Inputs, now_s: float) -> None:
        """Accept what is new, in order and possible."""
        for name in SENSORS:
            reading = getattr(inputs, name)
            if reading is not None:
                self._accept(name, reading, inputs.clock_s, now_s)

    def rule(self, inputs: Inputs, now_s: float) -> tuple[list[Ruling], tuple[Advice, ...]]:
        """Return what speaks against moving: stale, frozen and blind sensors, or a fresh start."""
        rulings: list[Ruling] = []
        advice: tuple[Advice, ...] = ()
        watched = [n for n in SENSORS if n in self.memory.sensors or n in self._config.required]
        for name in watched:
            why = self._why_stale(name, inputs.clock_s, now_s)
            if name == "odom":
                self.is_odom_stale = bool(why)
            if why and name == "battery":
                advice = (Advice.DOCK,)
            elif why:
                rulings.append(stop(Cause.STALE, f"{name} {why}", hard=name == "odom"))
            elif name in FROZEN:
                same_s = self.memory.sensors[name].same_moving_s
                if same_s >= self._config.identical_s:
                    text = f"{name} shows the same for {same_s:.1f} s of motion"
                    rulings.append(stop(Cause.FROZEN, text))
        if "odom" not in watched:
            self.is_odom_stale = False
        if rulings:
            self.memory.fresh_since_s = None
            return rulings, advice
        since_s = self.memory.fresh_since_s
        since_s = self.memory.fresh_since_s = now_s if since_s is None else since_s
        if now_s - since_s < self._config.rejoin_s:
            rulings.append(stop(Cause.REJOIN, "all sensors are back"))
        return rulings, advice

    def blind(self) -> list[Ruling]:
        """Return what forbids going ahead: a range sensor from which nothing returns."""
        return [
            Ruling(cause=Cause.STALE, detail=f"{name} has no returns", v_fwd_mps=0.0)
            for name in ("depth", "scan")
            if isinstance(reading := self.held.get(name), Ranges) and reading.is_blind
        ]

    def _accept(self, name: str, reading: Reading, clock_s: float, now_s: float) -> None:
        held = self.memory.sensors.get(name)
        if held is None:
            held = SensorMemory()
        elif reading.stamp_s == held.stamp_s:  # the same message again
            self.held.setdefault(name, reading)
            return
        problem = _problem(reading)
        if not problem and reading.stamp_s > clock_s + self._config.ahead_s:
            problem = f"is stamped {reading.stamp_s - clock_s:.1f} s ahead"
        is_overtaken = reading.stamp_s < held.stamp_s
        if not problem and is_overtaken and not self._why_stale(name, clock_s, now_s):
            return
        self.memory.sensors[name] = held
        held.refused = problem
        if problem:
            return
        print_now = reading.fingerprint
        if isinstance(reading, Odometry):
            # At rest it may well stay: only who says that it moves must change.
            print_now = _odometry_print(reading) if _moves(reading) else None
        if print_now is None or print_now != held.fingerprint:
            held.same_moving_s = 0.0
        elif self.is_moving and not self._why_stale("odom", clock_s, now_s):
            # What an old odometry said is no motion: the body was stopped meanwhile.
            held.same_moving_s += min(max(reading.stamp_s - held.stamp_s, 0.0), _LONGEST_GAP_S)
        held.fingerprint = print_now
        held.stamp_s, held.arrival_s = reading.stamp_s, min(reading.arrival_s, now_s)
        self.held[name] = reading

    def _why_stale(self, name: str, clock_s: float, now_s: float) -> str:
        """Return why a sensor cannot be believed to be of now, "" if it can."""
        held, limit_s = self.memory.sensors.get(name), self._limit_s[name]
        if held is None:
            return "has not come yet"
        tail = f" ({held.refused})" if held.refused else ""
        if math.isinf(held.arrival_s):
            return f"has not come yet{tail}"
        ahead_s = held.stamp_s - clock_s
        if ahead_s > self._config.ahead_s:
            return f"is stamped {ahead_s:.1f} s ahead{tail}"
        if now_s - held.arrival_s > limit_s:
            return f"came last {now_s - held.arrival_s:.2f} s ago{tail}"
        if -ahead_s > limit_s:
            return f"is stamped {-ahead_s:.2f} s ago{tail}"
        return ""

    @property
    def is_moving(self) -> bool:
        """Whether odometry says that the body moves."""
        odom = self.held.get("odom")
        return isinstance(odom, Odometry) and _moves(odom)

    def clear_frozen(self) -> None:
        """Believe all sensors again: someone looked, or the body was put somewhere else."""
        for sensor in self.memory.sensors.values():
            sensor.same_moving_s = 0.0


def _moves(odom: Odometry) -> bool:
    return abs(odom.v_mps) > MOVING_MPS or abs(odom.w_radps) > MOVING_RADPS


def _odometry_print(odom: Odometry) -> int:
    """Return what must change while odometry says that the body moves."""
    return hash((odom.x_m, odom.y_m, odom.yaw_rad))


def _problem(reading: Reading) -> str:
    """Return the name of a number that is none, "" if all are."""
    for item in fields(reading):
        value = getattr(reading, item.name)
        if isinstance(value, float) and not math.isfinite(value):
            if item.name in _MAY_BE_NAN and math.isnan(value):
                continue
            return f"{item.name} is {value}"
    return ""
