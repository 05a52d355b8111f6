"""The bodies that come with agentd, each enrolled in the contract that every World keeps."""

from typing import ClassVar

import pytest
from bags import recorded_world
from dots_env import register
from habitat_worlds import fake_world, served

from agentd.exit_codes import UsageError
from agentd.guardian.world import guarded
from agentd.worlds.base import World
from agentd.worlds.contract import WorldContract
from agentd.worlds.gymnasium.world import GymnasiumWorld
from agentd.worlds.house.world import HouseWorld
from agentd.worlds.plugin import open_plugin
from configs.bodies.gymnasium import GymnasiumConfig
from configs.bodies.plugin import PluginConfig
from configs.guardian import GuardianConfig
from configs.worlds import HouseConfig

NOISE = {"depth_rel": 0.02, "depth_dropout": 0.02, "rgb": 3.0, "odometry_rel": 0.05}
CHANGES = {
    "seed": 4,
    "events": [
        {"at_step": 2, "action": "wheel_slip", "value": 0.4},
        {"at_step": 3, "action": "actuation_delay", "value": 0.3},
        {"at_step": 5, "action": "move_object", "target": "chair"},
        {"at_step": 8, "action": "set_daylight", "value": 0.1},
        {"at_step": 9, "action": "camera_noise", "value": 0.05},
    ],
}
Settings = dict[str, object]


class TestHouse(WorldContract):
    simulates_time = is_resumable = True
    settings: ClassVar[Settings] = {}

    def make(self) -> World:
        settings = {"seed": 3, "num_rooms": 5, "image_px": 32, **self.settings}
        return HouseWorld(HouseConfig.model_validate(settings))


class TestHouseMujoco(TestHouse):
    settings: ClassVar[Settings] = {"caster": "mujoco"}


class TestHouseNoise(TestHouse):
    settings: ClassVar[Settings] = {"noise": NOISE}


class TestHouseChanging(TestHouse):
    settings: ClassVar[Settings] = {"noise": NOISE, "scenario": CHANGES}


class TestHouseGuarded(TestHouse):
    def make(self) -> World:
        return guarded(super().make(), GuardianConfig(), is_simulated=True)


class TestHouseGuardedChanging(TestHouseGuarded):
    settings: ClassVar[Settings] = {"noise": NOISE, "scenario": CHANGES}


class TestHabitatFake(WorldContract):
    simulates_time = is_resumable = True

    def make(self) -> World:
        return fake_world()


class TestHabitatFakeDiscrete(TestHabitatFake):
    def make(self) -> World:
        return fake_world(control="discrete")


class TestHabitatFakeServed(TestHabitatFake):
    def make(self) -> World:
        return fake_world(served)


class TestPlugin(WorldContract):
    is_repeatable = False

    def make(self) -> World:
        return open_plugin(PluginConfig(factory="my_robot:MyRobot", settings={"side_m": 4.0}))


class TestRecorded(WorldContract):
    simulates_time = is_resumable = True
    obeys = False
    num_steps = 9  # it has an end

    def make(self) -> World:
        return recorded_world()


class TestGymnasiumDiscrete(WorldContract):
    simulates_time = is_resumable = True
    settings: ClassVar[Settings] = {"id": register(), "actions": ("-1,0", "0,1", "1,0")}

    def make(self) -> World:
        return GymnasiumWorld(GymnasiumConfig.model_validate(self.settings))


class TestGymnasiumContinuous(TestGymnasiumDiscrete):
    settings: ClassVar[Settings] = {
        "id": register(),
        "make": {"discrete": False, "length": 7},
        "actions": ("v",),
    }


class TestMiniGrid(TestGymnasiumDiscrete):
    settings: ClassVar[Settings] = {
        "id": "MiniGrid-Empty-Random-6x6-v0",
        "make": {"max_steps": 9, "tile_size": 8},
    }

    def make(self) -> World:
        pytest.importorskip("minigrid", reason="pip install minigrid")
        return super().make()


class TestMiniWorld(TestGymnasiumDiscrete):
    settings: ClassVar[Settings] = {"id": "MiniWorld-Hallway-v0", "make": {"max_episode_steps": 9}}

    def make(self) -> World:
        try:
            return super().make()
        except UsageError as error:
            if "pip install miniworld" in str(error) or "cannot be imported" in str(error):
                pytest.skip(f"MiniWorld needs OpenGL: {error}")
            raise
