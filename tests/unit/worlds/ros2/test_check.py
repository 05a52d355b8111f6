"""The look at a robot before anybody lives in it."""

import pytest
from robot_tools import CODEC, TYPES, FakeRobot, MemoryLink, settings

from agentd.worlds.ros2.check import Report, examine
from agentd.worlds.ros2.check_driving import Driving


def look(link: MemoryLink, **values) -> Report:
    return examine(link, settings(connect_s=0.3, **values), CODEC, listen_s=0.3)


def told(report: Report, level: str) -> str:
    return "; ".join(f"{f.check}: {f.found}" for f in report.findings if f.level == level)


def test_a_robot_that_is_well_is_fit_and_not_driven() -> None:
    link = MemoryLink()
    with FakeRobot(link):
        report = look(link)
    assert report.is_fit, told(report, "fail")
    assert not link.sent
    rates = {heard.name: heard.rate_hz for heard in report.topics}
    assert 10 < rates["rgb"] <= 60
    assert report.as_dict()["fit"] is True


def test_the_clock_of_the_robot_is_compared_with_ours() -> None:
    link = MemoryLink()
    with FakeRobot(link) as robot:
        robot.ahead_ns = -40_000_000_000
        report = look(link)
    assert "-40.0" in told(report, "fail")
    assert not report.is_fit


@pytest.mark.parametrize(
    ("measured_s", "level"), [(None, "warn"), (0.4, "ok"), (0.8, "fail")], ids=str
)
def test_the_measured_watchdog_is_judged(measured_s: float | None, level: str) -> None:
    link = MemoryLink()
    driving = Driving(watchdog_s=measured_s)
    with FakeRobot(link):
        report = examine(link, settings(connect_s=0.3), CODEC, listen_s=0.3, driving=driving)
    assert "watchdog" in told(report, level)
    assert report.is_fit == (level != "fail")


def test_our_own_guardian_is_no_other() -> None:
    link = MemoryLink({**TYPES, "/cmd_vel": "geometry_msgs/msg/Twist"})
    with FakeRobot(link):
        report = examine(
            link, settings(connect_s=0.3), CODEC, listen_s=0.3, driving=Driving(is_guarded=True)
        )
    assert "the guardian alone publishes /cmd_vel" in told(report, "ok")


def test_others_that_command_it_are_a_reason_to_refuse() -> None:
    link = MemoryLink({**TYPES, "/cmd_vel": "geometry_msgs/msg/Twist"})
    with FakeRobot(link):
        report = look(link)
    assert "/cmd_vel" in told(report, "fail")
    assert not report.is_fit


@pytest.mark.parametrize("topic", ["/rgb", "/odom", "/tf_static"])
def test_what_is_missing_is_a_reason_to_refuse(topic: str) -> None:
    link = MemoryLink()
    with FakeRobot(link) as robot:
        robot.lacks.add(topic)
        report = look(link)
    assert not report.is_fit
    assert topic in told(report, "fail")


def test_too_few_images_are_a_warning() -> None:
    link = MemoryLink()
    with FakeRobot(link):
        report = look(link, tick_s=0.001)
    assert "rate of /rgb" in told(report, "warn")
