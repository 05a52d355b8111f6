"""Robot, guardian and life, each a process: nothing moves but by the guardian's leave."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from guardian_trio import wait_for
from links_tools import free_domain
from robot_process import RAISED, environment, simulated

pytest.importorskip("cyclonedds", reason="cyclonedds is not installed")

from agentd.exit_codes import ExitCode
from agentd.guardian.client import GuardianClient, NoGuardianError
from agentd.guardian.door import answers
from agentd.guardian.places import Places
from agentd.home import Home
from agentd.worlds.ros2.codec import Codec
from agentd.worlds.ros2.link import Raw
from agentd.worlds.ros2.messages import ODOMETRY, read_odometry
from agentd.worlds.ros2.open_link import open_link
from configs.bodies.ros2 import Ros2Config

pytestmark = pytest.mark.slow

# Names and a kind of message that are not the usual ones: nobody may fall back on a default.
ROBOT = """
radius_m = 0.18
height_m = 1.1
depth_min_m = 0.02
v_max_mps = 0.6
command_type = "twist_stamped"

[link]
domain = {domain}
interface = "127.0.0.1"
peers = ["127.0.0.1"]
multicast = false

[topics]
depth = "/camera/depth/image_raw"
bumper = "/bumper"
odom = "/base/odom"
command = "/base/cmd_vel"
"""
# A self-test and a warning that are shorter than they should be, and no word on who may arm.
SOON = (
    "guardian.arm.self_test_s=0.5",
    "guardian.arm.warning_s=0.2",
    RAISED,
    "learners.enabled=false",
)


class Place:
    """A served robot, a home beside it, and a bystander that watches the robot move."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "life"
        self.robot = folder / "robot.toml"
        self.robot.write_text(ROBOT.format(domain=free_domain()))
        self.config = Ros2Config.model_validate({"robot": str(self.robot)})
        self._codec = Codec(self.config.link.distro)
        self.sets = ["--profile", "robot-sim", "--set", f"world.ros2.robot={self.robot}"]
        self.sets += [word for text in SOON for word in ("--set", text)]
        self.speeds: list[tuple[float, float]] = []
        """When it was told, and how fast the robot moves or turns."""
        self.way_m = 0.0
        self._at: tuple[float, float] | None = None

    def listen(self) -> Callable[[], None]:
        link = open_link(self.config.link, self._codec)
        link.subscribe(self.config.topics.odom, ODOMETRY, self._take)
        return link.close

    def _take(self, raw: Raw) -> None:
        said = read_odometry(self._codec.decode(raw), raw.topic)
        self.speeds.append((time.monotonic(), abs(said.v_mps) + abs(said.w_radps)))
        x, y = said.T_frame_child[:2, 3].tolist()
        if self._at is not None:
            self.way_m += abs(x - self._at[0]) + abs(y - self._at[1])
        self._at = (x, y)

    def moves(self, since_s: float = 0.0) -> bool:
        return any(t > since_s and speed > 0.05 for t, speed in list(self.speeds))

    def rests(self) -> bool:
        """Whether it has rested for half a second."""
        last = [speed for t, speed in list(self.speeds) if t > time.monotonic() - 0.5]
        return len(last) > 5 and max(last) < 0.01

    def child(self, module: str, *words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", module, *words, "--home", str(self.home), *self.sets],
            env=environment(self.folder),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ask(self, do: str) -> dict[str, Any]:
        with GuardianClient(Places(Home(self.home)).socket) as client:
            return client.ask(do)

    def state(self) -> dict[str, Any]:
        try:
            state: dict[str, Any] = self.ask("status")["state"]
        except NoGuardianError:
            return {}
        return state

    def events(self) -> list[str]:
        lines = (self.home / "log" / "events.jsonl").read_text().splitlines()
        return [json.loads(line)["text"] for line in lines]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    with simulated(place.config.link.domain, tmp_path, "--robot", str(place.robot)):
        close = place.listen()
        yield place
        close()


@pytest.fixture
def ended() -> Iterator[list["subprocess.Popen[str]"]]:
    children: list[subprocess.Popen[str]] = []
    yield children
    for child in children:
        if child.poll() is None:
            child.terminate()
        try:
            child.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()


def guardian_of(place: Place, ended: list["subprocess.Popen[str]"], *sets: str) -> None:
    place.sets += [word for text in sets for word in ("--set", text)]
    child = place.child("agentd", "guardian", "run")
    ended.append(child)

    def answers_or_ended() -> Any:
        assert child.poll() is None, child.stderr.read() if child.stderr else ""
        return place.state()

    wait_for(answers_or_ended)


def test_a_robot_is_measured_armed_lived_in_and_left_at_rest(
    place: Place, ended: list["subprocess.Popen[str]"]
) -> None:
    guardian_of(place, ended, "guardian.arm.auto=never")
    wait_for(lambda: "never measured" in place.ask("arm")["text"])

    # Not armed: a life is born, and stands.
    life = place.child("agentd", "run", "--no-view", "--steps", "10")
    _, told = life.communicate(timeout=120)
    assert life.returncode == 0, told
    assert not place.moves()
    assert any("guardian: not_armed" in text for text in place.events())

    wait_for(lambda: place.ask("measure")["ok"])
    wait_for(lambda: place.state()["watchdog_s"])
    assert 0.25 < place.state()["watchdog_s"] < 0.6
    wait_for(lambda: place.ask("arm")["ok"])
    since_s = time.monotonic()
    life = place.child("agentd", "run", "--no-view", "--steps", "40")
    _, told = life.communicate(timeout=120)
    assert life.returncode == 0, told
    assert place.moves(since_s)
    # The life has ended: without its commands the guardian stops the robot.
    wait_for(place.rests)

    since_s = time.monotonic()
    with GuardianClient(Places(Home(place.home)).socket) as client:
        wait_for(lambda: client.command(0.0, 0.5) and place.moves(since_s))
        place.ask("estop")
        wait_for(lambda: client.command(0.0, 0.5) and place.rests())
    assert place.state()["state"] == "estop"


def test_a_life_brings_its_guardian_and_neither_outlives_a_kill_in_motion(
    place: Place, ended: list["subprocess.Popen[str]"]
) -> None:
    place.sets += ["--set", "guardian.arm.watchdog_s=0.45"]
    life = place.child("agentd", "run", "--no-view")
    ended.append(life)
    wait_for(place.moves, 90)
    assert life.poll() is None

    # The guardian is killed: the robot rests by itself, the life waits, and a new one is started.
    os.kill(_guardian_pid(place.home), signal.SIGKILL)
    killed_s = time.monotonic()
    wait_for(place.rests)
    assert not place.moves(killed_s + 0.45 + 0.6)
    wait_for(lambda: place.state().get("is_armed"), 90)
    since_s = time.monotonic()
    wait_for(lambda: place.moves(since_s), 60)
    assert any("commands are not sent" in text for text in place.events())

    # The life is killed: its guardian stops the robot, and ends when nobody comes back.
    life.kill()
    killed_s = time.monotonic()
    wait_for(place.rests)
    assert not place.moves(killed_s + 0.2 + 0.6)
    assert answers(Places(Home(place.home)).socket)
    wait_for(lambda: not Places(Home(place.home)).socket.exists(), 30)


def test_a_guardian_with_other_settings_is_refused(
    place: Place, ended: list["subprocess.Popen[str]"]
) -> None:
    guardian_of(place, ended)
    place.sets += ["--set", "guardian.limit.v_fwd_mps=0.1"]
    life = place.child("agentd", "run", "--no-view", "--steps", "5")
    _, told = life.communicate(timeout=120)
    assert life.returncode == ExitCode.WORLD_SILENT
    assert "goes by other settings than this life" in told
    assert not (place.home / "life.json").exists()


def _guardian_pid(home: Path) -> int:
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_text().split("\0")
        except OSError:
            continue
        if entry.name.isdigit() and "agentd.guardian" in words and str(home) in words:
            return int(entry.name)
    raise AssertionError(f"no guardian of {home}")
