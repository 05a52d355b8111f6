"""Settings of robots: those that are shipped, files, and what stands above them."""

import pytest
from pydantic import ValidationError

from configs.bodies.ros2 import Ros2Config, robot_names
from configs.load import load_config
from configs.worlds import WorldConfig, birth_keys


@pytest.mark.parametrize("name", robot_names())
def test_shipped_robots_are_valid(name: str) -> None:
    config = Ros2Config.model_validate({"robot": name})
    assert config.place == f"robot {name}"
    assert config.topics.command


def test_the_robots_are_those_that_are_told() -> None:
    assert robot_names() == ["generic", "simulated", "turtlebot4"]


def test_the_generic_robot_is_what_the_defaults_say() -> None:
    assert Ros2Config.model_validate({"robot": "generic"}) == Ros2Config()


def test_other_settings_stand_above_those_of_the_robot() -> None:
    config = Ros2Config.model_validate(
        {"robot": "simulated", "radius_m": 0.3, "topics": {"odom": "/wheels"}}
    )
    assert config.radius_m == 0.3
    assert config.topics.odom == "/wheels"
    assert config.topics.bumper == "/bumper"  # the robot's
    assert config.link.interface == "127.0.0.1"


def test_a_robot_in_a_file(tmp_path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('radius_m = 0.4\n[link]\ndomain = 7\n[topics]\nrgb = "/eye"\n')
    config = Ros2Config.model_validate({"robot": str(path)})
    assert (config.radius_m, config.link.domain, config.topics.rgb) == (0.4, 7, "/eye")
    assert config.place == "robot mine"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("radius = 1", "radius"),
        ("radius_m = -1", "radius_m"),
        ("radius_m = ", "not valid TOML"),
        (None, "cannot read"),
    ],
)
def test_a_bad_file_is_named(tmp_path, text: str | None, told: str) -> None:
    path = tmp_path / "mine.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValidationError, match=told) as error:
        Ros2Config.model_validate({"robot": str(path)})
    assert str(path) in str(error.value)


def test_an_unknown_robot_names_the_known_ones() -> None:
    with pytest.raises(ValidationError, match="unknown robot 'turtle'; accepted: generic, sim"):
        Ros2Config.model_validate({"robot": "turtle"})


def test_the_profile_of_the_simulated_robot() -> None:
    config = load_config("robot-sim", env={}).config
    assert config.world.kind == "ros2"
    assert config.world.body == config.world.ros2
    assert config.world.ros2.link.multicast is False
    assert config.policies.perception.detector == "components"


def test_a_life_keeps_the_body_that_it_was_born_in() -> None:
    assert "world.ros2.image_px" in birth_keys("ros2")
    assert WorldConfig(kind="ros2").body.place == "robot generic"
