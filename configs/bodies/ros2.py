"""A robot that speaks ROS 2."""

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, ValidationError, model_validator

from configs.bodies.base import BodyConfig
from configs.bodies.ros2_robot import Ros2Robot

DEFAULT_ROBOT = "generic"


class Ros2Config(BodyConfig, Ros2Robot):
    """A robot that speaks ROS 2.

    `robot` names a file of settings; every other key stands above that file.
    """

    GUARDED: ClassVar[bool] = False
    """Its guardian is a process of its own."""
    BORN_WITH: ClassVar[tuple[str, ...]] = ("image_px", "hfov_deg", "tick_s", "pose")

    robot: str = DEFAULT_ROBOT
    """Name of a shipped robot, or the path of a TOML file."""
    image_px: int = Field(64, ge=16, le=512)
    """Side of the square image that the agent sees; the robot's is rectified and resampled."""
    hfov_deg: float | None = Field(None, gt=10, lt=150)
    """Field of view of that image. Unset: the largest that the robot's camera fills."""
    tick_s: float = Field(0.2, gt=0, le=1)
    """Time between two decisions."""
    command_hz: float = Field(20.0, ge=5, le=100)
    """How often the command is repeated."""
    command_grace_s: float = Field(0.2, ge=0, le=1)
    """A command is repeated for this long after its time, then zero is sent: the agent thinks
    between two ticks, but one that hangs must not drive on."""
    connect_s: float = Field(20.0, gt=0)
    """How long the first of everything may take to come."""
    stall_s: float = Field(1.0, gt=0)
    """Told to drive and not moving for this long counts as a bump."""

    @model_validator(mode="before")
    @classmethod
    def _on_top_of_the_robot(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        name = values.get("robot", DEFAULT_ROBOT)
        return _over(read_robot(name), values) if isinstance(name, str) else values

    @property
    def place(self) -> str:
        """Which robot."""
        return f"robot {Path(self.robot).stem}"


def robot_names() -> list[str]:
    """Return the names of the robots that are shipped."""
    folder = resources.files("configs") / "robots"
    names = (Path(entry.name) for entry in folder.iterdir())
    return sorted(name.stem for name in names if name.suffix == ".toml")


def read_robot(name: str) -> dict[str, Any]:
    """Return the settings in the file of a robot.

    Args:
        name: Of a shipped robot, or the path of a TOML file.

    Raises:
        ValueError: If there is no such robot, or its file holds something else.
    """
    if name.endswith(".toml"):
        where = str(Path(name).expanduser())
        try:
            text = Path(where).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"cannot read the robot {where}: {error}") from error
    else:
        where = f"robot {name}"
        if name not in robot_names():
            raise ValueError(
                f"unknown robot {name!r}; accepted: {', '.join(robot_names())}, or a .toml file"
            )
        text = (resources.files("configs") / "robots" / f"{name}.toml").read_text("utf-8")
    try:
        data = tomllib.loads(text)
        Ros2Robot.model_validate(data)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{where}: not valid TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where}: {key}: {first['msg']}") from error
    return data


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = _over(old, value) if both else value  # type: ignore[arg-type]
    return merged
