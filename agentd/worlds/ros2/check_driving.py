"""What has to be true of a robot before it is driven by itself; looked at without driving it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from agentd.worlds.ros2.link import Link
from configs.bodies.ros2 import Ros2Config

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    check: str
    level: Level
    found: str
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Driving:
    """What the guardian of a robot asks for, and knows.

    Attributes:
        max_skew_s: The clocks may be this far apart.
        watchdog_s: Measured: when the robot stops by itself without commands; None if never.
        max_watchdog_s: It has to within this.
        is_guarded: Whether a guardian of ours runs and publishes the command topic.
    """

    max_skew_s: float = 0.1
    watchdog_s: float | None = None
    max_watchdog_s: float = 0.5
    is_guarded: bool = False


def to_drive(
    skews_s: Mapping[str, float | None], link: Link, config: Ros2Config, driving: Driving | None
) -> list[Finding]:
    """Return what speaks for or against driving a robot.

    Args:
        skews_s: The robot's clock minus ours, by topic; None where it cannot be told.
        link: To the robot.
        config: What it is.
        driving: What its guardian asks for; None leaves out what only that knows.
    """
    found = [*_clock(skews_s, driving or Driving()), _others(link, config, driving or Driving())]
    return found if driving is None else [*found, _watchdog(driving)]


def _clock(skews_s: Mapping[str, float | None], driving: Driving) -> list[Finding]:
    skews = {topic: skew_s for topic, skew_s in skews_s.items() if skew_s is not None}
    if not skews:
        return []
    low, high = min(skews.values()), max(skews.values())
    if high - low > driving.max_skew_s:
        text = ", ".join(f"{topic} {skew:+.2f} s" for topic, skew in skews.items())
        fix = "stamps of one robot have to come from one clock (chrony, ptp)"
        return [Finding(check="clocks", level="fail", found=f"they differ: {text}", fix=fix)]
    is_far = max(abs(low), abs(high)) > driving.max_skew_s
    return [
        Finding(
            check="clock",
            level="fail" if is_far else "ok",
            found=f"the robot's is {high:+.3f} s from ours, delay included (accepted: "
            f"{driving.max_skew_s:g} s)",
            fix="synchronise both (chrony): stale data could not be told" if is_far else "",
        )
    ]


def _others(link: Link, config: Ros2Config, driving: Driving) -> Finding:
    topic = config.topics.command
    count = link.publishers(topic)
    if count is None:
        return Finding(
            check="commands",
            level="warn",
            found="the link cannot tell whether others command the robot",
            fix="make sure of it: ros2 topic info -v " + topic,
        )
    others = count - driving.is_guarded
    if others > 0:
        return Finding(
            check="commands",
            level="fail",
            found=f"{others} others publish {topic}: the robot would get two wills",
            fix=f"stop them, or give world.ros2.topics.command the input of a twist_mux, not "
            f"{topic}",
        )
    who = "the guardian alone publishes" if count else "nobody else publishes"
    return Finding(check="commands", level="ok", found=f"{who} {topic}")


def _watchdog(driving: Driving) -> Finding:
    measured_s, most_s = driving.watchdog_s, driving.max_watchdog_s
    if measured_s is None:
        return Finding(
            check="watchdog",
            level="warn",
            found="never measured: the robot is not armed before",
            fix="with room ahead and the guardian running: agentd guardian measure",
        )
    is_late = measured_s > most_s
    return Finding(
        check="watchdog",
        level="fail" if is_late else "ok",
        found=f"without commands the robot stops after {measured_s:.2f} s (accepted: {most_s:g} s)",
        fix="shorten the timeout of its driver, and measure again" if is_late else "",
    )
