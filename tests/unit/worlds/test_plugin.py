"""A body that another package brings: it is called with its settings, or it is told what lacks."""

import sys
from pathlib import Path
from typing import Any

import pytest
from my_robot import MyRobot
from pydantic import ValidationError

from agentd.build import build_world
from agentd.exit_codes import AgentdError, ExitCode, UsageError
from agentd.worlds.plugin import open_plugin
from configs.bodies.plugin import PluginConfig
from configs.worlds import WorldConfig


def opened(factory: str, **settings: Any) -> Any:
    return open_plugin(PluginConfig(factory=factory, settings=settings))


def half_a_robot() -> object:
    return type("Half", (), {"spec": MyRobot.spec, "close": lambda self: None})()


def robot_of_words() -> object:
    robot = MyRobot()
    robot.spec = "round, blue"  # type: ignore[assignment]
    return robot


def unplugged(port: int = 1) -> object:
    raise ConnectionError(f"nothing answers at port {port}")


def busy() -> object:
    raise AgentdError("the robot is driven by someone else")


NOT_CALLABLE = 7


def test_the_factory_is_called_with_the_settings() -> None:
    config = WorldConfig(
        kind="plugin", plugin=PluginConfig(factory="my_robot:MyRobot", settings={"side_m": 3.0})
    )
    world = build_world(config)
    assert isinstance(world, MyRobot)
    assert world.robot._half_m == 1.5
    assert config.body.place == "my_robot:MyRobot"


HERE = "test_plugin_bodies"


@pytest.fixture(autouse=True)
def _bodies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this file's bodies importable under a name, as a package of someone would be."""
    monkeypatch.setitem(sys.modules, HERE, sys.modules[__name__])
    (tmp_path / "broken_driver.py").write_text("import no_such_sdk\n")
    (tmp_path / "odd_driver.py").write_text("raise RuntimeError('no licence')\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize(
    ("factory", "settings", "told"),
    [
        ("", {}, "world.plugin.factory is not set; accepted: package.module:callable"),
        ("no_such_driver:Robot", {}, "there is no module no_such_driver; install its package"),
        ("my_robot.inner:Robot", {}, "'my_robot' is not a package"),
        ("broken_driver:Robot", {}, "broken_driver cannot be imported: ModuleNotFoundError: No m"),
        ("odd_driver:Robot", {}, "odd_driver cannot be imported: RuntimeError: no licence"),
        ("my_robot:MyRobt", {}, "my_robot has no MyRobt; did you mean MyRobot?"),
        (f"{HERE}:NOT_CALLABLE", {}, "is a int, which cannot be called"),
        ("my_robot:MyRobot", {"side": 3}, "MyRobot(side=3) failed: TypeError"),
        (f"{HERE}:unplugged", {"port": 7}, "ConnectionError: nothing answers at port 7"),
        (f"{HERE}:half_a_robot", {}, "returned a Half, which is no World: it lacks reset, step"),
        (f"{HERE}:robot_of_words", {}, "its spec is a str, not a memory.records.BodySpec"),
        ("builtins:dict", {}, "it lacks spec, reset, step, close"),
        ("builtins:print", {}, "returned None, which is no World"),
    ],
)
def test_what_is_no_body_is_told(factory: str, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        opened(factory, **settings)
    assert told in str(caught.value)
    assert caught.value.exit_code == ExitCode.USAGE


def test_what_a_driver_explains_itself_is_passed_on() -> None:
    with pytest.raises(AgentdError, match="driven by someone else"):
        opened(f"{HERE}:busy")


def test_a_name_that_names_no_callable_is_refused_with_the_settings() -> None:
    with pytest.raises(ValidationError):
        PluginConfig(factory="my_robot.MyRobot")
