"""The bodies that come with agentd, each enrolled in the contract that every World keeps."""

from agentd.worlds.base import World
from agentd.worlds.contract import WorldContract
from agentd.worlds.house.world import HouseWorld
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


class TestHouse(WorldContract):
    simulates_time = is_resumable = True
    settings: dict[str, object] = {}

    def make(self) -> World:
        settings = {"seed": 3, "num_rooms": 5, "image_px": 32} | self.settings
        return HouseWorld(HouseConfig.model_validate(settings))


class TestHouseMujoco(TestHouse):
    settings = {"caster": "mujoco"}


class TestHouseNoise(TestHouse):
    settings = {"noise": NOISE}


class TestHouseChanging(TestHouse):
    settings = {"noise": NOISE, "scenario": CHANGES}
