"""Settings of the worlds and their scripted changes."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from configs.bodies.base import BodyConfig
from configs.bodies.gymnasium import GymnasiumConfig
from configs.bodies.habitat import HabitatConfig
from configs.bodies.plugin import PluginConfig
from configs.bodies.recorded import RecordedConfig
from configs.bodies.ros2 import Ros2Config


class SensorNoise(BaseModel):
    """What the sensors get wrong."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    depth_rel: float = Field(0.0, ge=0)
    """Standard deviation of depth, relative."""
    depth_dropout: float = Field(0.0, ge=0, le=1)
    """Share of pixels without return."""
    rgb: float = Field(0.0, ge=0)
    """Standard deviation of colour, in levels of 255."""
    odometry_rel: float = Field(0.0, ge=0)
    """Relative error of odometry; the pose is then integrated and drifts."""


ScenarioAction = Literal[
    "move_object",
    "remove_object",
    "add_object",
    "set_door",
    "set_light",
    "set_daylight",
    "wheel_slip",
    "wheel_drift",
    "camera_noise",
    "motor_gain",
    "actuation_delay",
    "payload",
    "carpet",
    "camera_tilt",
]


class ScenarioEvent(BaseModel):
    """One scripted change.

    `at_step` counts the world's steps since its creation. `target` picks what is changed: an object
    id, a category (one is drawn by the seed), a door or room number; "" draws any; left or right
    for a motor, "" for both. `value` is the amount: opening 0-1 for doors, level 0-1.5 for light,
    share of speed lost for slip and carpet (carpet: of one room, turning too), rad/m for drift,
    relative noise for the camera, share of the wanted speed for a motor, seconds for the delay of
    commands and for the time constant of a payload, rad of pitch downwards for the camera.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    at_step: int = Field(ge=0)
    action: ScenarioAction
    target: str = ""
    value: float | None = None


class ScenarioConfig(BaseModel):
    """A seeded script of changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    events: tuple[ScenarioEvent, ...] = ()


class BatteryConfig(BaseModel):
    """The battery of the simulated body, by the house's own clock."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    drive_s: float | None = Field(None, gt=0)
    """Time that a full one drives; at rest it lasts four times as long. Unset: there is none."""
    charge_s: float = Field(300.0, gt=0)
    """Time to charge an empty one, at rest near the dock: where the body began."""
    begins: float = Field(1.0, ge=0, le=1)
    dock_m: float = Field(0.6, gt=0)
    """How near to it the body charges."""


class HouseConfig(BodyConfig):
    """The embedded house."""

    BORN_WITH: ClassVar[tuple[str, ...]] = ("seed", "num_rooms", "image_px", "hfov_deg")
    SIMULATED: ClassVar[bool] = True

    seed: int = Field(0, ge=0)
    """Which house."""
    num_rooms: int | None = Field(None, ge=5, le=16)
    """Unset: drawn by the seed, 5 to 8. Twelve and more are larger than the default map: set
    `policies.map.size_m` to 48."""
    image_px: int = Field(64, ge=16, le=512)
    hfov_deg: float = Field(79.0, gt=10, lt=150)
    caster: Literal["auto", "mujoco", "numba"] = "auto"
    """Ray caster; auto takes numba when it is installed."""
    v_max_mps: float = Field(0.75, gt=0, le=2)
    w_max_radps: float = Field(2.0, gt=0, le=5)
    tick_s: float = Field(0.2, gt=0, le=1)
    noise: SensorNoise = SensorNoise()
    battery: BatteryConfig = BatteryConfig()
    scenario: ScenarioConfig = ScenarioConfig()

    @property
    def place(self) -> str:
        """Which house."""
        return f"house {self.seed}"


class WorldConfig(BaseModel):
    """Which body the agent drives."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["house", "habitat", "ros2", "gymnasium", "recorded", "plugin"] = "house"
    house: HouseConfig = HouseConfig()
    habitat: HabitatConfig = HabitatConfig()
    ros2: Ros2Config = Ros2Config()
    gymnasium: GymnasiumConfig = GymnasiumConfig()
    recorded: RecordedConfig = RecordedConfig()
    plugin: PluginConfig = PluginConfig()

    @property
    def is_guarded(self) -> bool:
        """Whether the life itself puts a guardian in front of the body."""
        # Whole steps cannot be slowed.
        in_steps = self.kind == "habitat" and self.habitat.control == "discrete"
        return self.body.GUARDED and not in_steps

    @property
    def is_simulated(self) -> bool:
        """Whether nothing can come to harm."""
        return self.body.SIMULATED or (self.kind == "plugin" and self.plugin.simulated)

    @property
    def body(self) -> BodyConfig:
        """Settings of the body that is driven."""
        body: BodyConfig = getattr(self, self.kind)
        return body

    @model_validator(mode="after")
    def _can_be_driven(self) -> "WorldConfig":
        if self.body.missing:
            raise ValueError(f'kind = "{self.kind}" needs {self.body.missing}')
        return self


class LifeConfig(BaseModel):
    """How the life is run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "life"
    pace: Literal["real", "max"] = "real"
    """`real` ticks at the body's own rate, `max` as fast as the machine allows (simulations)."""
    seed: int = Field(0, ge=0)
    episode_steps: int = Field(256, ge=16)
    """Episodes are cut at this length."""
    snapshot_s: float = Field(30.0, gt=0)
    """Seconds between two saves of map, goals and world state."""
    drain_s: float = Field(10.0, gt=0)
    """Time to finish on SIGTERM."""
    world_timeout_s: float = Field(30.0, gt=0)
    """A world that does not answer a step for this long ends the life: all is put away first."""
    world_patience_s: float = Field(600.0, ge=0)
    """A body that senses nothing new is waited for this long, at rest; then the life ends."""
    max_goal_steps: int = Field(1500, ge=1)
    """Deadline of a goal that brings none."""
    practice_every_steps: int = Field(400, ge=0)
    """With nothing asked for this long, the agent sets itself a known object as goal; 0: never."""

    @model_validator(mode="after")
    def _name_is_plain(self) -> "LifeConfig":
        if not self.name.strip():
            raise ValueError("life.name must not be empty")
        return self


def birth_keys(kind: str) -> tuple[str, ...]:
    """Return the dotted keys of what a life in a body of that kind cannot change."""
    field = WorldConfig.model_fields.get(kind)
    names = getattr(field.annotation, "BORN_WITH", ()) if field else ()
    return tuple(f"world.{kind}.{name}" for name in names)
