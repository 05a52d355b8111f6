"""What has to be true before a robot is armed: S2, S21."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from configs.guardian import GuardianConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of the robot and the link.

    Attributes:
        num_other_publishers: Others that publish the command topic, None if the link cannot tell.
        clock_skew_s: Header minus our clock, by topic.
        alive: Sensors that deliver now.
        radius_m: Radius of the footprint, None if nobody said.
        watchdog_s: Measured: when the robot stops by itself without commands, None if never.
        is_simulated: Whether there is no robot: nothing is asked of a link then.
    """

    num_other_publishers: int | None = 0
    clock_skew_s: Mapping[str, float] = field(default_factory=dict)
    alive: Sequence[str] = ()
    radius_m: float | None = None
    watchdog_s: float | None = None
    is_simulated: bool = False


def problems(facts: Facts, config: GuardianConfig) -> tuple[str, ...]:
    """Return what forbids arming, a sentence each; empty if nothing does."""
    found = []
    if facts.radius_m is None:
        found.append("the footprint is not set: set guardian.footprint.radius_m")
    if facts.is_simulated:
        return tuple(found)
    others = facts.num_other_publishers
    if others is None:
        found.append("the link cannot tell who else publishes the command topic")
    elif others > 0:
        found.append(f"{others} other publisher(s) on {config.topics.command}: stop them")
    most_s = config.arm.max_clock_skew_s
    for topic, skew_s in facts.clock_skew_s.items():
        if abs(skew_s) > most_s:
            found.append(
                f"the clock of {topic} is {skew_s:+.2f} s off ours, accepted: {most_s:g} s; "
                f"synchronise the clocks (chrony, ptp)"
            )
    for name in config.fresh.required:
        if name not in facts.alive:
            found.append(f"{name} does not deliver")
    if not {"depth", "scan"} & set(facts.alive):
        found.append("neither depth nor scan delivers: nothing would be seen ahead")
    most_s = config.arm.max_watchdog_s
    if facts.watchdog_s is None:
        found.append(
            "the robot's own command timeout was never measured: run `agentd guardian measure`"
        )
    elif facts.watchdog_s > most_s:
        found.append(
            f"without commands the robot stops only after {facts.watchdog_s:.2f} s, accepted: "
            f"{most_s:g} s; shorten the timeout of its driver"
        )
    return tuple(found)
