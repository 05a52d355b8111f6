"""Looks at a robot before anybody lives in it: what it says, how often, how late.

Nothing is driven.
"""

import threading
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from agentd.worlds.ros2.check_driving import Driving, Finding, to_drive
from agentd.worlds.ros2.codec import Codec
from agentd.worlds.ros2.commissioning import lacking
from agentd.worlds.ros2.images import BadImageError, colour_image, depth_image
from agentd.worlds.ros2.link import Link, LinkError, Raw
from agentd.worlds.ros2.messages import frame_of, stamp_of
from agentd.worlds.ros2.sync import Intake
from agentd.worlds.ros2.topics import Subscribing, pause, wanted
from configs.bodies.ros2 import Ros2Config

_NS = 1_000_000_000
_LOOK_S = 0.05
_LATE_S = 0.3
_MIN_ODOM_HZ = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """How one topic is published.

    Attributes:
        name: Key in the settings.
        topic: Its name.
        count: Messages that arrived.
        rate_hz: By their arrival.
        gap_s: Longest time between two.
        late_s: How much later than the least delayed one the median came; None without stamps.
        worst_late_s: The same for the latest.
        skew_s: The robot's clock minus ours, at most: by the least delayed one.
        publishers: How many publish it; None if the link cannot tell.
    """

    name: str
    topic: str
    count: int
    rate_hz: float
    gap_s: float | None
    late_s: float | None
    worst_late_s: float | None
    skew_s: float | None
    publishers: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found."""

    topics: tuple[Heard, ...]
    findings: tuple[Finding, ...]

    @property
    def is_fit(self) -> bool:
        """Whether the robot can be lived in."""
        return all(finding.level != "fail" for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return everything for programs."""
        return {"fit": self.is_fit, **asdict(self)}


class _Ears:
    """Keeps when messages came, and the last of each."""

    def __init__(self, codec: Codec, intake: Intake) -> None:
        self._codec, self._intake = codec, intake
        self._lock = threading.Lock()
        self.times: dict[str, list[tuple[int, int | None]]] = {}
        self.last: dict[str, Any] = {}

    def take(self, name: str, raw: Raw) -> None:
        self._intake.take(name, raw)
        try:
            message = self._codec.decode(raw)
        except LinkError:
            return  # the intake keeps what is wrong
        with self._lock:
            self.times.setdefault(name, []).append((raw.received_ns, stamp_of(message)))
            self.last[name] = message


def examine(
    link: Link,
    config: Ros2Config,
    codec: Codec,
    listen_s: float = 5.0,
    driving: Driving | None = None,
) -> Report:
    """Listen to a robot and judge it.

    Args:
        link: To the robot; owned by the caller.
        config: What it should be.
        codec: Reads its messages.
        listen_s: How long to listen, once it is complete or `connect_s` are over.
        driving: What its guardian will ask for.
    """
    intake = Intake(codec, config)
    ears = _Ears(codec, intake)
    subscribing = Subscribing(link, config, ears.take)
    begin_s = time.monotonic()
    while True:
        waited_s = time.monotonic() - begin_s
        subscribing.go_on(waited_s)
        told = lacking(config, intake, subscribing)
        if not told or waited_s > config.connect_s:
            break
        pause(_LOOK_S)
    pause(listen_s)
    told = lacking(config, intake, subscribing)
    offset_ns = time.time_ns() - time.monotonic_ns()
    topics = tuple(
        _heard(item.name, item.topic, ears.times.get(item.name, []), offset_ns, link)
        for item in wanted(config)
    )
    findings = [Finding(check="complete", level="fail", found=text) for text in told]
    if not told:
        findings.append(Finding(check="complete", level="ok", found="every needed topic arrives"))
        findings += [*_rates(topics, config), *_images(ears.last, config)]
    findings += to_drive({h.topic: h.skew_s for h in topics}, link, config, driving)
    return Report(topics=topics, findings=tuple(findings))


def _heard(
    name: str, topic: str, times: list[tuple[int, int | None]], offset_ns: int, link: Link
) -> Heard:
    arrivals = [received for received, _ in times]
    gaps = [(b - a) / _NS for a, b in pairwise(arrivals)]
    # What has a stamp tells how late it is; latched messages were sent long before.
    ahead = sorted(
        (stamp - received - offset_ns) / _NS for received, stamp in times if stamp is not None
    )
    has_times = bool(ahead) and name != "tf_static"
    return Heard(
        name=name,
        topic=topic,
        count=len(times),
        rate_hz=len(gaps) / sum(gaps) if sum(gaps) else 0.0,
        gap_s=max(gaps) if gaps else None,
        late_s=ahead[-1] - ahead[len(ahead) // 2] if has_times else None,
        worst_late_s=ahead[-1] - ahead[0] if has_times else None,
        skew_s=ahead[-1] if has_times else None,
        publishers=link.publishers(topic),
    )


def _rates(topics: tuple[Heard, ...], config: Ros2Config) -> list[Finding]:
    least = {"rgb": 1 / config.tick_s, "depth": 1 / config.tick_s, "odom": _MIN_ODOM_HZ}
    most = {"rgb": config.limits.camera_s, "odom": config.limits.odom_s}
    found = []
    for heard in topics:
        if heard.name in least:
            is_slow = heard.rate_hz < 0.9 * least[heard.name]
            found.append(
                Finding(
                    check=f"rate of {heard.topic}",
                    level="warn" if is_slow else "ok",
                    found=f"{heard.rate_hz:.1f} Hz (wanted: {least[heard.name]:.0f})",
                    fix="raise world.ros2.tick_s, or have the robot send smaller images"
                    if is_slow
                    else "",
                )
            )
        limit_s = most.get(heard.name)
        if limit_s is not None and heard.gap_s is not None and heard.gap_s > limit_s:
            found.append(
                Finding(
                    check=f"gaps of {heard.topic}",
                    level="fail",
                    found=f"nothing for {heard.gap_s:.2f} s; the limit is {limit_s:g} s",
                    fix="a better network, or another of world.ros2.limits",
                )
            )
        if heard.worst_late_s is not None and heard.worst_late_s > _LATE_S:
            found.append(
                Finding(
                    check=f"delay of {heard.topic}",
                    level="warn",
                    found=f"up to {heard.worst_late_s:.2f} s later than the least delayed",
                    fix="a better network, or smaller or compressed images",
                )
            )
    return found


def _images(last: dict[str, Any], config: Ros2Config) -> list[Finding]:
    topics = config.topics
    try:
        colour = colour_image(last["rgb"], topics.rgb)
        depth = depth_image(last["depth"], topics.depth)
    except BadImageError as error:
        return [Finding(check="images", level="fail", found=str(error))]
    h, w = colour.shape[:2]
    seen = float((depth > 0).mean())
    found = [
        Finding(
            check="images",
            level="ok" if seen > 0 else "warn",
            found=f"colour {w} x {h} px, depth {depth.shape[1]} x {depth.shape[0]} px with "
            f"{seen:.0%} of it known",
            fix="" if seen > 0 else "turn the robot so that something is in view",
        )
    ]
    frames = frame_of(last["rgb"]), frame_of(last["depth"])
    if frames[0] != frames[1]:
        found.append(
            Finding(
                check="alignment",
                level="warn",
                found=f"colour is in the frame {frames[0]!r}, depth in {frames[1]!r}",
                fix="have the driver align depth to colour, pixel by pixel",
            )
        )
    return found
