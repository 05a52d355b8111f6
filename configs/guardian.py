"""Settings of the guardian: limits that hold whatever is learned.

A limit may be made stricter at will. Making one looser than its default takes its key in `raised`
as well, so that it never happens by a slip.
"""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.fields import FieldInfo

UP: dict[str, Any] = {"looser": "up"}
"""A larger value is looser."""
DOWN: dict[str, Any] = {"looser": "down"}
"""A smaller value is looser."""

Polygon = tuple[tuple[float, float], ...]
Sensor = Literal["odom", "depth", "scan", "rgb", "imu", "pose", "battery"]


class LimitConfig(BaseModel):
    """Speeds and how fast they may change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    v_fwd_mps: float = Field(0.30, ge=0, json_schema_extra=UP)
    v_rev_mps: float = Field(0.15, ge=0, json_schema_extra=UP)
    w_radps: float = Field(0.8, ge=0, json_schema_extra=UP)
    accel_mps2: float = Field(0.5, gt=0, json_schema_extra=UP)
    decel_mps2: float = Field(1.0, gt=0, json_schema_extra=UP)
    w_accel_radps2: float = Field(2.0, gt=0, json_schema_extra=UP)


class CommandConfig(BaseModel):
    """What the policy may send, and how late."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_age_s: float = Field(0.20, gt=0, json_schema_extra=UP)
    """An older command is ramped down to zero."""
    num_bad: int = Field(3, ge=1, json_schema_extra=UP)
    """So many commands that are no numbers within `bad_window_s` latch a fault."""
    bad_window_s: float = Field(1.0, gt=0, json_schema_extra=DOWN)


class FreshConfig(BaseModel):
    """How old a sensor may be, by its header and by its arrival."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    odom_s: float = Field(0.3, gt=0, json_schema_extra=UP)
    range_s: float = Field(0.5, gt=0, json_schema_extra=UP)
    imu_s: float = Field(0.5, gt=0, json_schema_extra=UP)
    pose_s: float = Field(0.5, gt=0, json_schema_extra=UP)
    camera_s: float = Field(1.0, gt=0, json_schema_extra=UP)
    battery_s: float = Field(30.0, gt=0, json_schema_extra=UP)
    identical_s: float = Field(1.0, gt=0, json_schema_extra=UP)
    """The same bytes for this long while the body moves: the sensor is frozen."""
    ahead_s: float = Field(0.1, ge=0, json_schema_extra=UP)
    """A header may lie this far in the future: two clocks never agree."""
    rejoin_s: float = Field(0.5, ge=0, json_schema_extra=DOWN)
    """After a sensor came back, zeros for this long."""
    required: tuple[Sensor, ...] = ("odom",)
    """Sensors without which nothing moves; any other is watched from its first message on."""


class ZoneConfig(BaseModel):
    """Room to what is around: d(v) = v * react_s + v^2 / (2 decel_mps2) + margin_m."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    react_s: float = Field(0.3, ge=0, json_schema_extra=DOWN)
    decel_mps2: float = Field(0.5, gt=0, json_schema_extra=UP)
    margin_m: float = Field(0.10, ge=0, json_schema_extra=DOWN)
    slow_extra_m: float = Field(0.4, ge=0, json_schema_extra=DOWN)
    slow_factor: float = Field(0.3, gt=0, le=1, json_schema_extra=UP)
    contact_s: float = Field(1.5, ge=0, json_schema_extra=DOWN)
    """Time to contact that is kept on approach."""
    num_points: int = Field(4, ge=1, json_schema_extra=UP)
    """So many points count at once; fewer count when the scan before had them as well."""
    remember_s: float = Field(30.0, ge=0, json_schema_extra=DOWN)
    """How long a near point stays that no sensor can see any more."""
    blind_m: float = Field(0.8, ge=0, json_schema_extra=DOWN)
    """Nearer than this, depth may look over an obstacle: what was there stays remembered."""
    reverse_m: float = Field(0.30, ge=0, json_schema_extra=UP)
    """Without sight behind, reverse only over so much ground as was just driven."""
    creep_mps: float = Field(1e-3, ge=0, json_schema_extra=UP)
    """A reverse slower than this is rounding of a turn on the spot."""
    sees_behind: bool = False
    """Whether a range sensor covers what is behind."""


class FootprintConfig(BaseModel):
    """The body's outline; unset values come from the body's description."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    radius_m: float | None = Field(None, gt=0)
    """Radius of the circle around everything that touches first when driving."""
    rotation_radius_m: float | None = Field(None, gt=0)
    """Radius of what sweeps round on a turn, where that is more."""
    low_m: float = Field(0.06, ge=0, json_schema_extra=UP)
    """Depth points below this height are floor."""
    height_m: float | None = Field(None, gt=0)
    """Depth points above this height pass over the body."""


class ContactConfig(BaseModel):
    """After a touch."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    back_off_m: float = Field(0.10, ge=0, json_schema_extra=UP)
    back_off_mps: float = Field(0.05, ge=0, json_schema_extra=UP)
    hold_s: float = Field(0.5, ge=0)
    """Standing still after a touch before anything else."""
    stall_command_mps: float = Field(0.1, gt=0)
    stall_odom_mps: float = Field(0.02, ge=0)
    stall_s: float = Field(1.0, gt=0, json_schema_extra=UP)


class BeliefConfig(BaseModel):
    """Whether odometry and localisation can be believed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    yaw_rate_radps: float = Field(0.3, gt=0, json_schema_extra=UP)
    yaw_rate_s: float = Field(0.5, gt=0, json_schema_extra=UP)
    jump_m: float = Field(0.5, gt=0, json_schema_extra=UP)
    slow_mps: float = Field(0.1, ge=0, json_schema_extra=UP)
    stop_s: float = Field(2.0, gt=0, json_schema_extra=UP)
    std_m: float = Field(0.5, gt=0, json_schema_extra=UP)
    """A localisation that says this standard deviation, or more, votes for lost."""
    match: float = Field(0.3, ge=0, le=1, json_schema_extra=DOWN)
    """A match score of scan or picture below this votes for lost."""
    recognise_s: float = Field(60.0, gt=0)
    """Time to recognise a place before it is held and reported."""


class FenceConfig(BaseModel):
    """Where the body may be, in the frame of the map."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keep_in: tuple[Polygon, ...] = ()
    """Corners x, y in metres; none: everywhere."""
    keep_out: tuple[Polygon, ...] = ()
    ahead_s: float = Field(1.0, gt=0, json_schema_extra=DOWN)
    """The point where the body would stop is looked at so far ahead."""

    @model_validator(mode="after")
    def _polygons_have_area(self) -> "FenceConfig":
        for name in ("keep_in", "keep_out"):
            for polygon in getattr(self, name):
                if len(polygon) < 3:
                    raise ValueError(
                        f"{name}: a polygon needs 3 corners or more, got {list(polygon)}"
                    )
        return self


class DeadManConfig(BaseModel):
    """A remote hand that has to stay on the button."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = False
    timeout_s: float = Field(1.0, gt=0, json_schema_extra=UP)


class EnergyConfig(BaseModel):
    """Shares of a full battery."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    explore: float = Field(0.30, ge=0, le=1, json_schema_extra=DOWN)
    dock: float = Field(0.20, ge=0, le=1, json_schema_extra=DOWN)
    stop: float = Field(0.10, ge=0, le=1, json_schema_extra=DOWN)
    dock_factor: float = Field(1.5, ge=1, json_schema_extra=DOWN)
    """Go to the dock when the charge is this many times what the way there takes."""
    too_hot_c: float = Field(60.0, gt=0, json_schema_extra=UP)
    frozen_s: float = Field(1800.0, gt=0, json_schema_extra=UP)
    """A charge that has not changed for so long while driving is not believed."""

    @model_validator(mode="after")
    def _shares_come_in_order(self) -> "EnergyConfig":
        if not self.stop <= self.dock <= self.explore:
            raise ValueError(
                f"stop = {self.stop:g}, dock = {self.dock:g}, explore = {self.explore:g}; "
                f"accepted: stop <= dock <= explore"
            )
        return self


class RecoveryConfig(BaseModel):
    """Bounds of what the policy calls a recovery."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    step_s: float = Field(10.0, gt=0, json_schema_extra=UP)
    rounds: int = Field(3, ge=1, json_schema_extra=UP)
    rungs: int = Field(2, ge=1, json_schema_extra=UP)
    """Motions of one round: a turn, and a way back."""
    window_s: float = Field(600.0, gt=0, json_schema_extra=DOWN)


class BudgetConfig(BaseModel):
    """How often the guardian may have to step in before the policy loses its freedom."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    interventions: int = Field(5, ge=1, json_schema_extra=UP)
    window_s: float = Field(600.0, gt=0, json_schema_extra=DOWN)
    contacts: int = Field(1, ge=1, json_schema_extra=UP)
    contact_window_s: float = Field(3600.0, gt=0, json_schema_extra=DOWN)
    speed_factor: float = Field(0.5, gt=0, le=1, json_schema_extra=UP)


class ArmConfig(BaseModel):
    """What it takes before anything moves."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    auto: Literal["simulated", "never", "unattended"] = "simulated"
    """`simulated`: simulated bodies arm themselves, a robot never does. `unattended`: a robot
    arms itself at rest, after a self-test and a warning; never after an e-stop."""
    self_test_s: float = Field(10.0, gt=0, json_schema_extra=DOWN)
    warning_s: float = Field(5.0, gt=0, json_schema_extra=DOWN)
    watchdog_s: float | None = Field(None, gt=0)
    """Measured: after how long without commands the robot stops by itself. Unset: not measured,
    and a robot is not armed."""
    measure: bool = False
    """An unattended robot that was never measured does it by itself: it drives 0.15 m forward."""
    max_watchdog_s: float = Field(0.5, gt=0, json_schema_extra=UP)
    max_clock_skew_s: float = Field(0.1, gt=0, json_schema_extra=UP)


class TopicConfig(BaseModel):
    """Names of the robot's topics that the guardian's own process uses; "" is none.

    What is not set here and has a name among the robot's own topics is called as there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: str = "/cmd_vel"
    odom: str = "/odom"
    scan: str = "/scan"
    depth: str = ""
    """Raw images only, 16UC1 or 32FC1."""
    depth_info: str = ""
    """CameraInfo of the depth image."""
    rgb: str = ""
    imu: str = ""
    pose: str = ""
    """PoseWithCovarianceStamped of a localisation."""
    battery: str = ""
    bumper: str = ""
    cliff: str = ""
    wheel_drop: str = ""
    pick_up: str = ""
    estop: str = ""
    """std_msgs Bool; true latches."""
    heartbeat: str = ""


class MountConfig(BaseModel):
    """Where the range sensors sit on the body."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scan_forward_m: float = 0.0
    scan_yaw_rad: float = 0.0
    depth_forward_m: float = 0.0
    depth_height_m: float = Field(0.3, gt=0)
    depth_pitch_rad: float = 0.0
    """Positive looks down."""


class GuardianConfig(BaseModel):
    """The guardian."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    """Switched off for simulated bodies only; a robot is never driven without."""
    bounds: Literal["auto", "robot", "body"] = "auto"
    """`robot`: the limits below. `body`: what the body's own description allows, for simulated
    bodies alone. `auto`: `body` for simulated bodies, else `robot`."""
    raised: tuple[str, ...] = ()
    """Keys below `guardian` that may be looser than their default, as in "limit.v_fwd_mps"."""
    limit: LimitConfig = LimitConfig()
    command: CommandConfig = CommandConfig()
    fresh: FreshConfig = FreshConfig()
    zone: ZoneConfig = ZoneConfig()
    footprint: FootprintConfig = FootprintConfig()
    contact: ContactConfig = ContactConfig()
    belief: BeliefConfig = BeliefConfig()
    fence: FenceConfig = FenceConfig()
    deadman: DeadManConfig = DeadManConfig()
    energy: EnergyConfig = EnergyConfig()
    recovery: RecoveryConfig = RecoveryConfig()
    budget: BudgetConfig = BudgetConfig()
    arm: ArmConfig = ArmConfig()
    topics: TopicConfig = TopicConfig()
    mount: MountConfig = MountConfig()

    @model_validator(mode="after")
    def _looser_only_where_said(self) -> "GuardianConfig":
        known = {key for key, _, _ in self._bounded()}
        for key in self.raised:
            if key not in known:
                raise ValueError(
                    f"guardian.raised names {key!r}, which is no limit; accepted: "
                    f"{', '.join(sorted(known))}"
                )
        for key, value, field in self._bounded():
            looser = dict(UP if field.json_schema_extra is UP else DOWN)["looser"]
            is_looser = value > field.default if looser == "up" else value < field.default
            if is_looser and key not in self.raised:
                than = "at most" if looser == "up" else "at least"
                raise ValueError(
                    f"guardian.{key} is {value:g}, {than} {field.default:g} is accepted; a looser "
                    f'limit needs "{key}" in guardian.raised as well'
                )
        return self

    def _bounded(self) -> Iterator[tuple[str, Any, FieldInfo]]:
        """Yield key, value and field of every value that must not be loosened by a slip."""
        for section in type(self).model_fields:
            model = getattr(self, section)
            if not isinstance(model, BaseModel):
                continue
            for name, field in type(model).model_fields.items():
                if field.json_schema_extra is UP or field.json_schema_extra is DOWN:
                    yield f"{section}.{name}", getattr(model, name), field
