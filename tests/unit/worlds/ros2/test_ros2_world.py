"""A robot as a body, on a link within the process that carries real bytes."""

import threading
import time

import numpy as np
import pytest
from links_tools import eventually
from robot_tools import CODEC, TYPES, FakeRobot, MemoryLink, is_zero, opened

from agentd.exit_codes import ExitCode
from agentd.worlds.base import StaleWorldError, StepResult, World, WorldClosedError
from agentd.worlds.clauses import check_observation, check_spec
from agentd.worlds.ros2.drive import Sent
from agentd.worlds.ros2.images import IMAGE
from agentd.worlds.ros2.link import LinkError
from agentd.worlds.ros2.messages import BATTERY, TWIST_STAMPED
from agentd.worlds.ros2.world import NoRobotError, Ros2World
from memory.records import Action

pytestmark = pytest.mark.slow  # the robot keeps its own time


def action(v_mps: float = 0.5, w_radps: float = 0.0, duration_s: float = 0.06) -> Action:
    return Action(v_mps=v_mps, w_radps=w_radps, duration_s=duration_s, source="planner")


def drive(world: World, count: int, v_mps: float = 0.5, w_radps: float = 0.0) -> list[StepResult]:
    return [world.step(action(v_mps, w_radps)) for _ in range(count)]


@pytest.fixture
def link() -> MemoryLink:
    return MemoryLink()


def test_it_senses_what_the_robot_says(link: MemoryLink) -> None:
    with FakeRobot(link):
        world = opened(link)
        check_spec(world.spec)
        first = world.reset(1)
        check_observation(first, world.spec)
        assert not first.egomotion.any()
        assert first.battery == 0.5
        results = drive(world, 10)
        for result in results:
            check_observation(result.observation, world.spec)
        assert results[-1].applied == action()
        seen = results[-1].observation
        moved_m = sum(float(result.observation.egomotion[0]) for result in results)
        assert seen.T_world_camera[0, 3] - first.T_world_camera[0, 3] == pytest.approx(
            moved_m, abs=1e-4
        )
        assert moved_m == pytest.approx(0.3, abs=0.12)
        # The left half of the image is another colour than the right.
        assert seen.rgb[8, 15].tolist() == [30, 30, 30]
        assert seen.rgb[8, 0, 1] == 200
        world.close()


def test_the_spec_is_that_of_the_camera(link: MemoryLink) -> None:
    with FakeRobot(link):
        world = opened(link)
        spec = world.spec
        # Of 40 x 30 pixels with a focal length of 30, the largest square is 30 on a side.
        assert spec.fx_px == pytest.approx(16)
        assert (spec.cx_px, spec.cy_px) == (8, 8)
        assert spec.T_body_camera[:3, 3] == pytest.approx([0.1, 0, 0.4])
        world.close()


def test_commands_are_clipped_repeated_and_ended_with_zeros(link: MemoryLink) -> None:
    with FakeRobot(link):
        world = opened(link)
        world.reset()
        before = len(link.sent["/cmd_vel"])
        applied = world.step(action(v_mps=9.0, duration_s=0.1)).applied
        assert applied.v_mps == pytest.approx(1.0)
        assert len(link.sent["/cmd_vel"]) - before >= 4
        # Nobody asks for another step: the body stops by itself, and then others may drive.
        eventually(lambda: is_zero(link.sent["/cmd_vel"][-1]), 2)
        world.step(action())
        world.close()
        world.close()
        assert all(is_zero(said) for said in link.sent["/cmd_vel"][-3:])
        assert link.num_closed == 1
        for use in (world.reset, lambda: world.step(action())):
            with pytest.raises(WorldClosedError):
                use()


def test_stamped_commands_where_the_robot_takes_these(link: MemoryLink) -> None:
    link.types["/cmd_vel"] = TWIST_STAMPED
    with FakeRobot(link):
        world = opened(link)
        world.reset()
        world.step(action())
        assert link.sent_types["/cmd_vel"] == TWIST_STAMPED
        stamp = link.sent["/cmd_vel"][-1].header.stamp
        assert abs(time.time() - stamp.sec - stamp.nanosec / 1e9) < 5
        world.close()


@pytest.mark.parametrize("topic", ["/rgb", "/depth", "/odom", "/info"])
def test_a_topic_that_is_missing_is_named(link: MemoryLink, topic: str) -> None:
    del link.types[topic]
    with FakeRobot(link) as robot:
        robot.lacks.add(topic)
        world = opened(link, connect_s=0.3)
        with pytest.raises(NoRobotError, match=f"{topic} .*not published") as told:
            world.reset()
        assert told.value.exit_code == ExitCode.WORLD_SILENT
        world.close()


def test_a_topic_that_is_published_and_silent_is_named(link: MemoryLink) -> None:
    with FakeRobot(link) as robot:
        robot.lacks.add("/depth")
        world = opened(link, connect_s=0.3)
        with pytest.raises(NoRobotError, match=r"/depth .*nothing arrived"):
            world.reset()
        world.close()


def test_a_topic_of_another_type_is_named_with_what_is_accepted() -> None:
    link = MemoryLink({**TYPES, "/rgb": BATTERY})
    with FakeRobot(link):
        world = opened(link, connect_s=0.3)
        with pytest.raises(NoRobotError, match=f"/rgb is a {BATTERY}; accepted: {IMAGE}"):
            world.reset()
        world.close()


def test_an_absent_transform_is_named(link: MemoryLink) -> None:
    with FakeRobot(link) as robot:
        robot.lacks.add("/tf_static")
        world = opened(link, connect_s=0.3)
        with pytest.raises(NoRobotError, match="tf_static"):
            world.reset()
        world.close()
    link = MemoryLink()
    with FakeRobot(link):
        world = opened(link, connect_s=0.3, frames={"base": "base_footprint"})
        with pytest.raises(NoRobotError, match="'camera' to 'base_footprint'"):
            world.reset()
        world.close()


def test_a_mount_of_the_settings_needs_no_transform(link: MemoryLink) -> None:
    with FakeRobot(link) as robot:
        robot.lacks |= {"/tf_static", "/info"}
        lens = {"width_px": 40, "height_px": 30, "has_mount": True, "height_m": 0.7}
        topics = {"rgb": "/rgb", "depth": "/depth", "camera_info": "", "tf_static": ""}
        world = opened(link, lens=lens, topics=topics)
        assert world.spec.T_body_camera[2, 3] == pytest.approx(0.7)
        assert np.isnan(world.reset().battery)
        world.close()


@pytest.mark.parametrize(
    ("wrong", "topic", "told"),
    [
        ("lacks", "/rgb", "/rgb"),
        ("lacks", "/depth", "/depth"),
        ("lacks", "/odom", "/odom|pose"),
        ("still", "/rgb", "/rgb"),
        ("still", "/odom", "/odom|pose"),
        ("old", "/rgb", "/rgb is frozen"),
        ("old", "/depth", "/depth is frozen"),
    ],
)
def test_what_is_old_is_never_passed_as_new(
    link: MemoryLink, wrong: str, topic: str, told: str
) -> None:
    with FakeRobot(link) as robot:
        world = opened(link)
        world.reset()
        drive(world, 2)
        getattr(robot, wrong).add(topic)
        with pytest.raises(StaleWorldError, match=told):
            drive(world, 20)
        eventually(lambda: is_zero(link.sent["/cmd_vel"][-1]), 1)
        getattr(robot, wrong).clear()
        eventually(lambda: _goes(world), 5)
        world.close()


def _goes(world: Ros2World) -> bool:
    try:
        world.step(action())
    except StaleWorldError:
        return False
    return True


def test_an_image_that_stays_the_same_is_well_while_the_body_stands(link: MemoryLink) -> None:
    with FakeRobot(link) as robot:
        world = opened(link)
        world.reset()
        robot.old.add("/rgb")
        drive(world, 8, v_mps=0.0)
        world.close()


def test_without_odometry_nothing_but_zero_is_sent(link: MemoryLink) -> None:
    with FakeRobot(link) as robot:
        world = opened(link, command_grace_s=1.0, limits={"odom_s": 0.1, "camera_s": 1.0})
        world.reset()
        world.step(action(duration_s=0.2))
        robot.lacks.add("/odom")
        eventually(lambda: is_zero(link.sent["/cmd_vel"][-1]), 0.8)
        world.close()


def test_the_bumper_and_a_stall_are_bumps(link: MemoryLink) -> None:
    with FakeRobot(link) as robot:
        world = opened(link)
        world.reset()
        assert not drive(world, 2)[-1].observation.bumped
        robot.is_pressed = True
        eventually(lambda: world.step(action()).observation.bumped, 2)
        robot.is_pressed = False
        eventually(lambda: not world.step(action()).observation.bumped, 2)
        robot.is_stuck = True
        eventually(lambda: world.step(action()).observation.bumped, 2)
        robot.is_stuck = False
        eventually(lambda: not world.step(action()).observation.bumped, 2)
        world.close()


def test_a_clock_that_is_set(link: MemoryLink) -> None:
    with FakeRobot(link) as robot:
        world = opened(link)
        first = world.reset()
        drive(world, 2)
        robot.ahead_ns = 3_000_000_000
        results = drive(world, 3)
        assert any("set forward by 3.0" in text for r in results for text in r.events)
        robot.ahead_ns = 0
        with pytest.raises(StaleWorldError):
            drive(world, 2)
        again = world.reset()
        assert again.stamp_ns > results[-1].observation.stamp_ns > first.stamp_ns
        assert drive(world, 1)[0].observation.stamp_ns > again.stamp_ns
        world.close()


def test_an_image_that_cannot_be_read_stops_the_body(link: MemoryLink) -> None:
    with FakeRobot(link) as robot:
        world = opened(link)
        world.reset()
        robot.encoding = "bayer_rggb8"
        with pytest.raises(LinkError, match=r"bayer_rggb8.*accepted: rgb8"):
            drive(world, 4)
        eventually(lambda: is_zero(link.sent["/cmd_vel"][-1]), 1)
        world.close()


def test_a_link_that_breaks_is_told(link: MemoryLink) -> None:
    with FakeRobot(link):
        world = opened(link)
        world.reset()
        link.is_broken = True
        with pytest.raises(StaleWorldError, match="commands are not sent"):
            drive(world, 3)
        world.close()


def test_another_may_stand_between_the_agent_and_the_robot(link: MemoryLink) -> None:
    class Half:
        """A sink that allows half of the speed, and says why."""

        def __init__(self) -> None:
            self.is_closed = threading.Event()

        def send(self, v_mps: float, w_radps: float, source: str) -> Sent:
            if v_mps == 0:
                return Sent(w_radps=w_radps)
            text = f"slow_zone: something near, {source}"
            return Sent(v_mps=v_mps / 2, w_radps=w_radps, causes=("slow_zone",), text=text)

        def close(self) -> None:
            self.is_closed.set()

    sink = Half()
    with FakeRobot(link):
        world = Ros2World(link, opened(link)._config, sink=sink, codec=CODEC)
        world.reset()
        first, second, third = *drive(world, 2), *drive(world, 1, v_mps=0.0)
        assert first.applied.v_mps == pytest.approx(0.25)
        assert (first.applied.source, third.applied.source) == ("safety", "planner")
        assert first.interventions == ("guardian: slow_zone: something near, planner",)
        assert second.interventions == ()
        assert third.interventions == ("guardian: lets go on",)
        world.close()
    assert sink.is_closed.is_set()
    assert "/cmd_vel" not in link.sent


@pytest.mark.parametrize("bad", [action(v_mps=float("nan")), action(duration_s=0.0)])
def test_an_action_that_cannot_be_is_refused(link: MemoryLink, bad: Action) -> None:
    with FakeRobot(link):
        world = opened(link)
        world.reset()
        with pytest.raises(ValueError, match=r"not finite|positive"):
            world.step(bad)
        world.close()


def test_a_robot_that_no_link_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    from robot_tools import settings

    from agentd.worlds.ros2 import world as module

    def refuse(*_: object) -> None:
        raise LinkError("no way")

    monkeypatch.setattr(module, "open_link", refuse)
    with pytest.raises(NoRobotError, match="no way"):
        module.open_robot(settings())
