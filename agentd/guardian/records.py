"""What the guardian is given and what it answers.

Axis letters: n points. The body frame has x forward, y left. Two clocks: `stamp_s` is the header's,
on the clock of the sensors; `arrival_s` is when it came, on the guardian's own that never goes
back. A reading that did not come is None.
"""

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from jaxtyping import Float64


class Cause(StrEnum):
    """Why a command was changed; the number is that of the requirement."""

    COMMAND_OLD = "command_old"  # S1
    LIMIT = "limit"  # S3
    COMMAND_BAD = "command_bad"  # S4
    COMMAND_FAULT = "command_fault"  # S4
    STALE = "stale"  # S5
    FROZEN = "frozen"  # S5
    REJOIN = "rejoin"  # S6
    OBSTACLE = "obstacle"  # S7
    SLOW_ZONE = "slow_zone"  # S7
    REVERSE = "reverse_unseen"  # S8
    BUMP = "bump"  # S9
    CLIFF = "cliff"  # S9
    WHEEL_DROP = "wheel_drop"  # S9
    PICK_UP = "pick_up"  # S9
    STALL = "stall"  # S10
    SLIP = "odometry_disagrees"  # S11
    LOST = "lost"  # S12
    FENCE = "fence"  # S13
    ESTOP = "estop"  # S14
    NOT_ARMED = "not_armed"  # S14
    DEAD_MAN = "dead_man"  # S15
    BATTERY = "battery_empty"  # S16
    TOO_HOT = "too_hot"  # S16
    RECOVERY = "recovery_bound"  # S17
    BUDGET_SLOW = "budget_slow"  # S18
    BUDGET_PAUSE = "budget_pause"  # S18


class Advice(StrEnum):
    """What the agent should do now; the guardian cannot do it for it."""

    NO_EXPLORING = "no_exploring"
    DOCK = "dock"
    RELOCALISE = "relocalise"
    REPORT = "report"
    PAUSE_LEARNED = "pause_learned"
    WARN = "warn"
    """Make a sound, flash a light: the body is about to move by itself."""


class State(StrEnum):
    """What the guardian lets happen."""

    ESTOP = "estop"
    DISARMED = "disarmed"
    STOPPED = "stopped"
    BACKING_OFF = "backing_off"
    SLOWED = "slowed"
    FREE = "free"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What the policy wants.

    Attributes:
        v_mps: Forward speed.
        w_radps: Turn rate, to the left.
        stamp_s: When the policy decided, on the guardian's clock.
        seq: Counts up with every decision of one policy process.
        session: Which policy process: another one counts anew.
        source: Who asks; `operator` is no learned thing.
        is_recovery: Whether it is part of getting the body out of somewhere.
    """

    v_mps: float
    w_radps: float
    stamp_s: float
    seq: int = 0
    session: int = 0
    source: str = "planner"
    is_recovery: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Anything that was sensed.

    Attributes:
        stamp_s: Time in the header.
        arrival_s: When it came.
        fingerprint: Of the bytes that were sensed; None where they are too few to say anything.
    """

    stamp_s: float
    arrival_s: float
    fingerprint: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Odometry(Reading):
    """Pose in the frame of odometry, and speeds."""

    x_m: float
    y_m: float
    yaw_rad: float
    v_mps: float
    w_radps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges(Reading):
    """Obstacle points of one scan or depth image, in the body frame.

    Attributes:
        xy_m: The points; none of them on the floor.
        fov_rad: Bearings from right to left between which an obstacle would have been seen.
        is_blind: Whether next to nothing came back: that says nothing of what is there.
    """

    xy_m: Float64[np.ndarray, "n 2"]
    fov_rad: tuple[float, float] = (0.0, 0.0)
    is_blind: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Image(Reading):
    """That a picture came; what it shows is nobody's business here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imu(Reading):
    """Turn rate by a gyroscope."""

    w_radps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MapPose(Reading):
    """Where the localisation says the body is, in the frame of the map.

    Attributes:
        std_m: Its own standard deviation, NaN if it does not say.
        match: How well scan or picture fit the map there, 0 to 1, NaN if unknown.
        is_contradicted: Whether a closed loop, or the map, says otherwise.
    """

    x_m: float
    y_m: float
    yaw_rad: float
    std_m: float = float("nan")
    match: float = float("nan")
    is_contradicted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Battery(Reading):
    """State of the battery.

    Attributes:
        charge: 0 to 1, NaN if unknown.
        to_dock: Share of a full battery that the way to the dock takes, NaN if unknown.
        temperature_c: NaN if unknown.
    """

    charge: float
    to_dock: float = float("nan")
    temperature_c: float = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What the body's own switches say right now."""

    bump: bool = False
    cliff: bool = False
    wheel_drop: bool = False
    pick_up: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Everything that is known at one tick: the newest of each.

    Attributes:
        command: The policy's newest command.
        num_bad_commands: Commands since the last tick that could not be read at all.
        odom: Odometry.
        depth: Points of a depth camera.
        scan: Points of a laser or sonar.
        rgb: Colour camera.
        imu: Gyroscope.
        pose: Localisation.
        battery: Battery.
        flags: Switches of the body.
        is_estop: Level of an emergency stop that is wired in.
        heartbeat_s: When the remote hand was last felt, on the guardian's clock.
        is_ready: Whether the self-test finds nothing; asked for in the unattended mode only.
        clock_s: Now, on the clock of the headers.
    """

    clock_s: float
    command: Command | None = None
    num_bad_commands: int = 0
    odom: Odometry | None = None
    depth: Ranges | None = None
    scan: Ranges | None = None
    rgb: Image | None = None
    imu: Imu | None = None
    pose: MapPose | None = None
    battery: Battery | None = None
    flags: Flags = field(default_factory=Flags)
    is_estop: bool = False
    heartbeat_s: float | None = None
    is_ready: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What one rule allows.

    Attributes:
        cause: Why.
        detail: In words, for people.
        v_fwd_mps: Largest forward speed; infinite is no bound.
        v_rev_mps: Largest backward speed.
        w_radps: Largest turn rate.
        is_hard: Stop at once, not by the ramp.
    """

    cause: Cause
    detail: str = ""
    v_fwd_mps: float = float("inf")
    v_rev_mps: float = float("inf")
    w_radps: float = float("inf")
    is_hard: bool = False


def stop(cause: Cause, detail: str = "", *, hard: bool = False) -> Ruling:
    """Return a ruling that allows nothing."""
    return Ruling(
        cause=cause, detail=detail, v_fwd_mps=0.0, v_rev_mps=0.0, w_radps=0.0, is_hard=hard
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What goes to the body.

    Attributes:
        v_mps: Forward speed.
        w_radps: Turn rate.
        publish: Whether to send it at all: into a link that is broken nothing is sent, as it
            would come out late.
        state: What the guardian lets happen.
        causes: Why the command was changed, in the order of the rules; empty if it was not.
        details: One sentence per cause.
        advice: What the agent should do.
        is_hard: Whether this is a stop at once, beyond the ramp.
    """

    v_mps: float
    w_radps: float
    publish: bool
    state: State
    causes: tuple[Cause, ...] = ()
    details: tuple[str, ...] = ()
    advice: tuple[Advice, ...] = ()
    is_hard: bool = False

    @property
    def text(self) -> str:
        """Return causes and details as one line for people, "" if nothing was changed."""
        pairs = zip(self.causes, self.details, strict=True)
        return "; ".join(f"{cause}: {detail}" if detail else str(cause) for cause, detail in pairs)


HOLDING = frozenset((Cause.STALE, Cause.DEAD_MAN, Cause.BATTERY, Cause.TOO_HOT, Cause.BUDGET_PAUSE))
"""Stops that no other command would be free of: trying ways out of them is no use."""


def held_by(verdict: Verdict) -> str:
    """Return why nothing moves whatever is asked for, "" if something may."""
    if verdict.state in (State.ESTOP, State.DISARMED):
        return verdict.text
    return verdict.text if not HOLDING.isdisjoint(verdict.causes) else ""
