"""The simulated robot in a process of its own, lived in over DDS on loopback."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from links_tools import free_domain, free_port
from robot_process import RAISED, environment, simulated

pytest.importorskip("cyclonedds", reason="cyclonedds is not installed")

from agentd.worlds.base import StaleWorldError, World
from agentd.worlds.contract import WorldContract
from agentd.worlds.ros2.faults import ask_fault, socket_path
from agentd.worlds.ros2.world import Ros2World, open_robot
from configs.bodies.ros2 import Ros2Config
from memory.records import Action

pytestmark = pytest.mark.slow


class Served:
    """A robot that is served for all tests of this file, and a body in it for each."""

    def __init__(self, domain: int, folder: Path, robot: str = "simulated") -> None:
        self.domain, self.folder, self.robot = domain, folder, robot

    def open(self) -> Ros2World:
        link = {"domain": self.domain}
        return open_robot(
            Ros2Config.model_validate({"robot": self.robot, "image_px": 32, "link": link})
        )

    def fail(self, kind: str, topic: str = "", for_s: float = 3.0, value: float = 0.0) -> None:
        path = self.folder / socket_path(self.domain).name
        ask_fault(path, kind, topic, for_s, value)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    domain, folder = free_domain(), tmp_path_factory.mktemp("robot")
    with simulated(domain, folder):
        yield Served(domain, folder)


@pytest.mark.usefixtures("given")
class TestSimulatedRobot(WorldContract):
    is_repeatable = False
    is_resumable = False
    # What it coasts after its last command: 0.6 m/s are slowed down by 1.5 m/s2.
    pose_tolerance_m = 0.5
    pose_tolerance_rad = 1e-3
    num_steps = 8
    served: Served

    @pytest.fixture
    def given(self, served: Served) -> None:
        type(self).served = served

    def make(self) -> World:
        return self.served.open()

    def go_silent(self, world: World) -> None:
        self.served.fail("freeze", "/camera/color/image_raw", for_s=2.0)


@pytest.fixture(scope="module")
def served_over_zenoh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    pytest.importorskip("zenoh", reason="eclipse-zenoh is not installed")
    domain, folder = free_domain(), tmp_path_factory.mktemp("zenoh")
    here, there = zenoh_robots(folder, domain)
    with simulated(domain, folder, "--robot", here):
        yield Served(domain, folder, there)


def zenoh_robots(folder: Path, domain: int) -> tuple[str, str]:
    """Write the settings of a robot that is the router, and of one that connects to it."""
    address = f"tcp/127.0.0.1:{free_port()}"
    files = []
    for name, key in (("here", "zenoh_listen"), ("there", "zenoh_endpoint")):
        link = f'[link]\ntransport = "zenoh"\n{key} = "{address}"\ndomain = {domain}\n'
        topics = '[topics]\ndepth = "/camera/depth/image_raw"\nbumper = "/bumper"\n'
        limits = "v_max_mps = 0.6\nw_max_radps = 1.5\n"
        files.append(folder / f"{name}.toml")
        files[-1].write_text(limits + link + topics)
    return str(files[0]), str(files[1])


class TestSimulatedRobotOverZenoh(TestSimulatedRobot):
    @pytest.fixture
    def given(self, served_over_zenoh: Served) -> None:
        type(self).served = served_over_zenoh


def forwards(v_mps: float = 0.0, w_radps: float = 0.6) -> Action:
    return Action(v_mps=v_mps, w_radps=w_radps, duration_s=0.2, source="planner")


def turn_on(world: World) -> None:
    for _ in range(15):
        world.step(forwards())


def test_the_motion_that_is_told_is_the_motion_that_is_sensed(served: Served) -> None:
    world = served.open()
    try:
        world.reset()
        turned = [world.step(forwards()).observation for _ in range(10)]
        sensed = sum(float(seen.egomotion[2]) for seen in turned)
        span_s = (turned[-1].stamp_ns - turned[4].stamp_ns) / 1e9
        rate = sum(float(seen.egomotion[2]) for seen in turned[5:]) / span_s
        assert rate == pytest.approx(0.6, rel=0.15)
        assert sensed > 0.8
        assert all(np.isfinite(seen.depth_m).any() for seen in turned)
        assert turned[-1].battery == pytest.approx(1.0, abs=0.1)
    finally:
        world.close()


@pytest.mark.parametrize(
    ("kind", "topic", "told"),
    [
        ("drop", "/odom", "/odom"),
        ("drop", "/camera/depth/image_raw", "/camera/depth/image_raw"),
        ("stale", "/camera/color/image_raw", "frozen"),
        ("delay", "/camera/color/image_raw", "/camera/color/image_raw"),
    ],
)
def test_what_fails_is_told_and_is_well_again_afterwards(
    served: Served, kind: str, topic: str, told: str
) -> None:
    world = served.open()
    try:
        world.reset()
        world.step(forwards())
        served.fail(kind, topic, for_s=5.0, value=2.5)
        with pytest.raises(StaleWorldError, match=told):
            turn_on(world)
        served.fail(kind, topic, for_s=0.001)  # in place of the one before
        for _ in range(5):
            try:
                world.step(forwards(w_radps=0.0))
                break
            except StaleWorldError:
                continue
        else:
            pytest.fail("the robot is well, the body is not")
    finally:
        world.close()


def test_a_clock_that_leaps_ahead_is_told(served: Served) -> None:
    world = served.open()
    try:
        before = world.reset().stamp_ns
        served.fail("clock", value=5.0)
        results = [world.step(forwards()) for _ in range(3)]
        assert any("set forward" in event for r in results for event in r.events)
        assert results[-1].observation.stamp_ns - before > 5e9
        served.fail("clock", value=-5.0)
        with pytest.raises(StaleWorldError):
            world.step(forwards())
        later = world.reset()
        assert later.stamp_ns > results[-1].observation.stamp_ns
        assert world.step(forwards()).observation.stamp_ns > later.stamp_ns
    finally:
        world.close()


def test_a_refused_fault_says_what_is_accepted(served: Served) -> None:
    for asked, told in ((("freeze", "/none"), "/odom"), (("melt", "/odom"), "freeze")):
        with pytest.raises(ValueError, match=told):
            served.fail(*asked)


def command(served: Served, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "agentd", "robot", *words, "--domain", str(served.domain)],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment(served.folder),
        check=False,
    )


def test_a_check_of_it_finds_it_fit(served: Served) -> None:
    done = command(served, "check", "--robot", "simulated", "--for", "2", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0, report
    assert report["fit"]
    rates = {heard["name"]: heard["rate_hz"] for heard in report["topics"]}
    assert rates["rgb"] == pytest.approx(10, rel=0.3)
    assert rates["odom"] == pytest.approx(20, rel=0.3)
    assert all(heard["publishers"] == 1 for heard in report["topics"])


def test_a_check_names_the_fault_that_a_command_made(served: Served) -> None:
    made = command(served, "fault", "drop", "/odom", "--for", "30")
    assert made.returncode == 0, made.stderr
    done = command(
        served, "check", "--robot", "simulated", *("--for", "1", "--set", "world.ros2.connect_s=3")
    )
    served.fail("drop", "/odom", for_s=0.001)
    assert done.returncode == 10
    assert "FAIL  complete: /odom (odom) is published, but nothing arrived" in done.stdout


def test_it_ends_cleanly_when_asked_to(tmp_path: Path) -> None:
    with simulated(free_domain(), tmp_path) as robot:
        assert list(tmp_path.glob("*.sock"))
        robot.send_signal(signal.SIGTERM)
        assert robot.wait(20) == 0
    assert not list(tmp_path.iterdir())


def test_over_zenoh_it_is_the_same_robot(served_over_zenoh: Served) -> None:
    world = served_over_zenoh.open()
    try:
        world.reset()
        turned = [world.step(forwards()).observation for _ in range(6)]
        assert sum(float(seen.egomotion[2]) for seen in turned) > 0.3
    finally:
        world.close()


def test_a_wall_is_felt(tmp_path: Path) -> None:
    here = Served(free_domain(), tmp_path)
    with simulated(here.domain, tmp_path):
        world = here.open()
        try:
            world.reset()
            felt = []
            while not felt or (not felt[-1].observation.bumped and len(felt) < 100):
                felt.append(world.step(forwards(0.5, 0.0)))
            assert felt[-1].observation.bumped
            assert any("bump" in event for event in felt[-1].events)
            world.step(forwards(-0.3, 0.0))
            assert not world.step(forwards(-0.3, 0.0)).observation.bumped
        finally:
            world.close()


def test_a_robot_that_hangs_and_one_that_is_started_again(tmp_path: Path) -> None:
    here = Served(free_domain(), tmp_path)
    with simulated(here.domain, tmp_path) as robot:
        world = here.open()
        before = world.reset()
        for _ in range(10):
            before = world.step(forwards(0.4, 0.0)).observation
        assert np.hypot(*before.T_world_camera[:2, 3]) > 0.4
        robot.send_signal(signal.SIGSTOP)
        with pytest.raises(StaleWorldError):
            turn_on(world)
        robot.send_signal(signal.SIGCONT)
        assert _goes_again(world)
        robot.kill()
        robot.wait()
        with pytest.raises(StaleWorldError):
            turn_on(world)
    with simulated(here.domain, tmp_path):
        assert _goes_again(world)
        after = world.reset()
        # Its odometry began at zero again; the body is where it was.
        apart = after.T_world_camera[:2, 3] - before.T_world_camera[:2, 3]
        assert np.abs(apart).max() < 0.3
        world.close()


def _goes_again(world: World) -> bool:
    for _ in range(20):
        try:
            world.step(forwards())
        except StaleWorldError:
            continue
        return True
    return False


SOON = (
    *("--set", "guardian.arm.self_test_s=0.5", "--set", "guardian.arm.warning_s=0.2"),
    *("--set", RAISED),
    *("--set", "guardian.arm.watchdog_s=0.45"),
)


def test_a_life_in_it(tmp_path: Path, served: Served) -> None:
    home = tmp_path / "home"
    life = subprocess.run(
        [
            *(sys.executable, "-m", "agentd", "run", "--home", str(home)),
            *("--profile", "robot-sim", "--steps", "90", *SOON),
            *("--set", f"world.ros2.link.domain={served.domain}"),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        env=environment(served.folder),
        check=False,
    )
    assert life.returncode == 0, life.stderr
    report = json.loads((home / "log" / "report.json").read_text())
    assert report["steps"]["total"] == 90
    assert report["rows_committed"] == 90
    assert report["coverage"]["explored_m2"] > 2
