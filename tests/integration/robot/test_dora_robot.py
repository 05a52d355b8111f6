"""The contract of bodies with a robot of another make: dora's, over Zenoh and over DDS."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from links_session import NO_NETWORK
from links_tools import TESTS, free_port, process, python_path, write_prefix, zenoh_client
from links_values import COMMAND, IMAGE, ODOMETRY

from agentd.worlds.base import World
from agentd.worlds.contract import WorldContract
from agentd.worlds.ros2.codec import Codec
from agentd.worlds.ros2.open_link import open_link
from agentd.worlds.ros2.world import Ros2World, open_robot
from configs.bodies.ros2 import Ros2Config
from configs.bodies.ros2_link import LinkConfig
from memory.records import Action

pytest.importorskip("dora", reason="dora-rs is not installed")
pytestmark = pytest.mark.slow

IN_OWN_NETWORK = "AGENTD_TEST_IN_OWN_NETWORK"
DOMAIN = 12
# Neither camera_info nor transforms: both stand in the settings.
ROBOT = {
    "image_px": 32,
    "command_type": "twist_stamped",
    "v_max_mps": 0.5,
    "topics": {"rgb": "/rgb", "depth": "/depth", "camera_info": "", "battery": ""},
    "lens": {"width_px": 64, "height_px": 48, "has_mount": True, "height_m": 0.5},
}


@contextlib.contextmanager
def dora_robot(folder: Path, *options: str) -> Iterator[None]:
    """Run the robot; its definitions, and whatever it leaves, lie in a folder."""
    write_prefix(Codec("humble").store, [COMMAND, ODOMETRY, IMAGE], folder)
    words = [str(TESTS / "robot_dora.py"), "--prefix", str(folder), *options]
    with process(words, folder, ROS_DOMAIN_ID=str(DOMAIN)):
        yield


@pytest.fixture(scope="module")
def over_zenoh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ros2Config]:
    pytest.importorskip("zenoh", reason="eclipse-zenoh is not installed")
    folder, endpoint = tmp_path_factory.mktemp("dora"), f"tcp/127.0.0.1:{free_port()}"
    link = {"transport": "zenoh", "domain": DOMAIN, "distro": "humble"}
    router = LinkConfig.model_validate({**link, "zenoh_listen": endpoint})
    between = open_link(router, Codec("humble"))
    with dora_robot(folder, "--zenoh", "humble", *zenoh_client(folder, endpoint)):
        yield Ros2Config.model_validate({**ROBOT, "link": {**link, "zenoh_endpoint": endpoint}})
    between.close()


@pytest.fixture(scope="module")
def over_dds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ros2Config]:
    pytest.importorskip("cyclonedds", reason="cyclonedds is not installed")
    link = {"transport": "dds", "domain": DOMAIN, "interface": "127.0.0.1", "distro": "humble"}
    with dora_robot(tmp_path_factory.mktemp("dora")):
        yield Ros2Config.model_validate({**ROBOT, "link": link})


class DoraContract(WorldContract):
    is_repeatable = False
    is_resumable = False
    pose_tolerance_m = 0.5
    pose_tolerance_rad = 1e-3
    num_steps = 8
    config: Any = None

    def make(self) -> World:
        return self.open()

    def open(self) -> Ros2World:
        return open_robot(self.config)

    def test_it_drives_as_it_is_told(self) -> None:
        world = self.open()
        try:
            first = world.reset()
            turn = Action(v_mps=0.2, w_radps=0.5, duration_s=0.2, source="planner")
            seen = [world.step(turn).observation for _ in range(15)]
            rest = Action(v_mps=0.0, w_radps=0.0, duration_s=0.2)
            last = [world.step(rest).observation for _ in range(4)][-1]
            assert sum(float(o.egomotion[2]) for o in seen) == pytest.approx(1.5, abs=0.4)
            assert np.hypot(*(last.T_world_camera - first.T_world_camera)[:2, 3]) > 0.3
            assert float(np.abs(last.egomotion).max()) < 1e-3
            assert np.nanmedian(last.depth_m) == pytest.approx(2.0, abs=0.02)
        finally:
            world.close()


@pytest.mark.usefixtures("given")
class TestDoraOverZenoh(DoraContract):
    @pytest.fixture
    def given(self, over_zenoh: Ros2Config) -> None:
        type(self).config = over_zenoh


@pytest.mark.skipif(IN_OWN_NETWORK not in os.environ, reason="test_dora_over_dds runs it")
@pytest.mark.usefixtures("given")
class TestDoraOverDds(DoraContract):
    @pytest.fixture
    def given(self, over_dds: Ros2Config) -> None:
        type(self).config = over_dds


def test_dora_over_dds() -> None:
    pytest.importorskip("cyclonedds", reason="cyclonedds is not installed")
    words = [str(TESTS / "robot_dora_session.py"), f"{__file__}::TestDoraOverDds", "-q"]
    done = subprocess.run(
        [sys.executable, *words, "-p", "no:cacheprovider"],
        cwd=TESTS.parent,
        env=os.environ | {"PYTHONPATH": python_path(), IN_OWN_NETWORK: "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    if done.returncode == NO_NETWORK:
        pytest.skip(f"dora's DDS speaks on every interface: {done.stdout.strip()}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
