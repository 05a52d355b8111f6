"""What a robot said last, and which of it belongs together.

Colour is the master: an observation is a colour image, the depth image next to it and the pose at
its stamp. Times are those of the robot's clock, which need not be ours: the least delayed message
tells how the two differ.
"""

import math
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from agentd.worlds.ros2.codec import Codec
from agentd.worlds.ros2.link import LinkError, Raw
from agentd.worlds.ros2.messages import (
    Lens,
    Odometry,
    Touch,
    frame_of,
    read_battery,
    read_lens,
    read_odometry,
    read_touch,
    read_transforms,
    stamp_of,
)
from agentd.worlds.ros2.transforms import NoTransformError, Poses, Transforms
from configs.bodies.ros2_robot import Ros2Robot
from memory.frames import inverse

_KEPT = 12
_NS = 1_000_000_000
_BUCKET_NS = 30 * _NS
_SILENT_S = 0.5
_LEAP_M, _LEAP_RAD, _LEAP_TIMES = 0.3, 0.8, 2.0
"""Odometry that goes further than this, and than so many times what the body can, leaps."""
_ZERO = 0.05
"""Odometry that is this close to zero (m, rad) after a silence began anew: its robot was switched
on again."""
_BLIND_S = 2.0
"""A body that is not heard of is not driven: it goes no further than in this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamped:
    """A message with the time in its header and that of its arrival."""

    stamp_ns: int
    received_ns: int
    message: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What belongs together.

    Attributes:
        stamp_ns: Stamp of the colour image, by the robot's clock.
        sensed_ns: The same by our monotonic clock, as far as the least delay tells.
        colour: Image or CompressedImage.
        depth: The depth image next to it.
        T_world_base: Pose of the body then.
    """

    stamp_ns: int
    sensed_ns: int
    colour: Any
    depth: Any
    T_world_base: Float64[np.ndarray, "4 4"]


class RobotClock:
    """How the robot's clock and ours differ; the least delay of the last minute counts."""

    def __init__(self) -> None:
        self._old_ns: int | None = None
        self._new_ns: int | None = None
        self._since_ns = 0

    @property
    def offset_ns(self) -> int | None:
        """Their clock minus our monotonic one; None while nothing was heard."""
        known = [ns for ns in (self._old_ns, self._new_ns) if ns is not None]
        return max(known) if known else None

    def hear(self, stamp_ns: int, received_ns: int) -> None:
        """Learn from a message."""
        offset_ns = stamp_ns - received_ns
        if self._new_ns is None or received_ns - self._since_ns > _BUCKET_NS:
            self._old_ns, self._new_ns = self._new_ns, offset_ns
            self._since_ns = received_ns
        self._new_ns = max(self._new_ns, offset_ns)

    def late_s(self, stamp_ns: int, received_ns: int) -> float:
        """Return how much later than the least delayed a message came; below 0: earlier."""
        offset_ns = self.offset_ns
        return 0.0 if offset_ns is None else (offset_ns - stamp_ns + received_ns) / _NS

    def clear(self) -> None:
        """Begin anew: the clock was set."""
        self._old_ns = self._new_ns = None


class Intake:
    """Takes the messages of one robot, in the threads of its link.

    Args:
        codec: Reads them.
        robot: What the robot is.
    """

    def __init__(self, codec: Codec, robot: Ros2Robot) -> None:
        self._codec = codec
        self._robot = robot
        self.changed = threading.Condition()
        self.clock = RobotClock()
        gap_ns = round(robot.pose_gap_s * _NS)
        self.transforms = Transforms(gap_ns)
        self._poses = Poses(gap_ns)
        self._colours: deque[Stamped] = deque(maxlen=_KEPT)
        self._depths: deque[Stamped] = deque(maxlen=_KEPT)
        self.lens: Lens | None = None
        self.odometry: Odometry | None = None
        self._odometry_ns = 0
        self._T_last: Float64[np.ndarray, "4 4"] | None = None
        self._T_fix = np.eye(4)
        self._battery = (float("nan"), 0)
        self._touch = Touch()
        self._felt = Touch()
        self.heard: dict[str, int] = {}  # and when last
        self.wrong: dict[str, str] = {}
        self._happened: list[str] = []

    # ------------------------------------------------------------------ taking
    def take(self, name: str, raw: Raw) -> None:
        """Take a message of one of the topics of `TopicsConfig`."""
        try:
            message = self._codec.decode(raw)
            stamp_ns = stamp_of(message)
            with self.changed:
                self._keep(name, raw, message, stamp_ns)
                self.heard[name] = raw.received_ns
                self.wrong.pop(name, None)
                self.changed.notify_all()
        except LinkError as error:
            with self.changed:
                self.wrong[name] = str(error)
                self.changed.notify_all()

    def _keep(self, name: str, raw: Raw, message: Any, stamp_ns: int | None) -> None:
        if name in ("rgb", "depth"):
            kept = self._colours if name == "rgb" else self._depths
            item = Stamped(stamp_ns=stamp_ns or 0, received_ns=raw.received_ns, message=message)
            if not kept or kept[-1].stamp_ns != item.stamp_ns:  # a stamp that stands is no news
                kept.append(item)
        elif name == "camera_info":
            self.lens = read_lens(message, raw.topic)
        elif name == "odom":
            self._keep_odometry(read_odometry(message, raw.topic), raw.received_ns)
        elif name in ("tf", "tf_static"):
            links = read_transforms(message, raw.topic)
            self.transforms.add(links, is_static=name == "tf_static")
        elif name == "battery":
            self._battery = (read_battery(message), raw.received_ns)
        elif name == "bumper":
            now, felt = read_touch(message), self._felt
            self._touch = now
            self._felt = Touch(
                is_bumped=felt.is_bumped or now.is_bumped,
                is_cliff=felt.is_cliff or now.is_cliff,
                is_lifted=felt.is_lifted or now.is_lifted,
            )

    def _keep_odometry(self, odometry: Odometry, received_ns: int) -> None:
        ahead_s = -self.clock.late_s(odometry.stamp_ns, received_ns)
        if ahead_s > self._robot.limits.clock_s:
            self._forget()
            self._happened.append(f"the robot's clock was set forward by {ahead_s:.2f} s")
        self.clock.hear(odometry.stamp_ns, received_ns)
        newest_ns = self._poses.newest_ns
        if newest_ns is None or odometry.stamp_ns > newest_ns:
            self._take_up(odometry, received_ns)
            self._odometry_ns = received_ns  # a stamp that stands still is no news
            self.odometry = odometry
            self._T_last = self._T_fix @ odometry.T_frame_child
        self._poses.add(odometry.stamp_ns, self._T_fix @ odometry.T_frame_child)

    def _take_up(self, odometry: Odometry, received_ns: int) -> None:
        """Go on where the body was when its odometry begins anew, as after a restart."""
        if self._T_last is None:
            return
        moved_m, turned_rad = _size(inverse(self._T_last) @ self._T_fix @ odometry.T_frame_child)
        silent_s = (received_ns - self._odometry_ns) / _NS
        for_s = min(silent_s, _BLIND_S)
        leaps = (
            moved_m > _LEAP_M + _LEAP_TIMES * self._robot.v_max_mps * for_s
            or turned_rad > _LEAP_RAD + _LEAP_TIMES * self._robot.w_max_radps * for_s
        )
        is_elsewhere = max(moved_m, turned_rad) > 2 * _ZERO
        is_anew = silent_s > _SILENT_S and max(_size(odometry.T_frame_child)) < _ZERO
        if leaps or (is_anew and is_elsewhere):
            self._T_fix = self._T_last @ inverse(odometry.T_frame_child)
            self._happened.append(
                f"{self._robot.topics.odom} leapt by {moved_m:.2f} m and {turned_rad:.2f} rad: "
                f"taken up where it was"
            )

    def _forget(self) -> None:
        self.clock.clear()
        self._poses.clear()
        self.transforms.clear_moving()
        self._colours.clear()
        self._depths.clear()

    # ------------------------------------------------------------------ asking
    def forget_times(self) -> None:
        """Begin anew with all that has a stamp: whatever the clock says now, holds."""
        with self.changed:
            self._forget()

    def robot_now_ns(self) -> int:
        """Return what the robot's clock says now; ours where it was not heard."""
        offset_ns = self.clock.offset_ns
        return time.time_ns() if offset_ns is None else time.monotonic_ns() + offset_ns

    def camera_frame(self) -> str:
        """Return the frame that colour images are in, "" while there are none."""
        with self.changed:
            return frame_of(self._colours[-1].message) if self._colours else ""

    def pose_is_fresh(self) -> bool:
        """Tell whether odometry is as young as it has to be for the body to be driven."""
        odometry, received_ns = self.odometry, self._odometry_ns
        limit_s = self._robot.limits.odom_s
        if odometry is None or (time.monotonic_ns() - received_ns) / _NS > limit_s:
            return False
        return self.clock.late_s(odometry.stamp_ns, received_ns) <= limit_s

    def battery(self) -> float:
        """Return the charge, 0 to 1, NaN where it is not known any more."""
        share, received_ns = self._battery
        is_old = (time.monotonic_ns() - received_ns) / _NS > self._robot.limits.battery_s
        return float("nan") if is_old else min(share, 1.0)

    def felt(self) -> Touch:
        """Return what the skin felt since the last call, and feels."""
        with self.changed:
            felt, self._felt = self._felt, self._touch
        return felt

    def happened(self) -> tuple[str, ...]:
        """Return what happened to the link since the last call."""
        with self.changed:
            told = tuple(self._happened)
            self._happened.clear()
        return told

    def newest(self, after_ns: int, sensed_after_ns: int) -> Moment | None:
        """Return the newest moment that is complete.

        Args:
            after_ns: It is later than this by the robot's clock,
            sensed_after_ns: and than this by our monotonic one.
        """
        with self.changed:
            offset_ns = self.clock.offset_ns
            if offset_ns is None:
                return None
            for colour in reversed(self._colours):
                sensed_ns = colour.stamp_ns - offset_ns
                if colour.stamp_ns <= after_ns or sensed_ns <= sensed_after_ns:
                    continue
                depth, T = self._depth_at(colour.stamp_ns), self._pose_at(colour.stamp_ns)
                if depth is not None and T is not None:
                    return Moment(
                        stamp_ns=colour.stamp_ns,
                        sensed_ns=sensed_ns,
                        colour=colour.message,
                        depth=depth.message,
                        T_world_base=T,
                    )
            return None

    def _depth_at(self, stamp_ns: int) -> Stamped | None:
        if not self._depths:
            return None
        best = min(self._depths, key=lambda depth: abs(depth.stamp_ns - stamp_ns))
        return best if abs(best.stamp_ns - stamp_ns) <= self._robot.sync_s * _NS else None

    def _pose_at(self, stamp_ns: int) -> Float64[np.ndarray, "4 4"] | None:
        frames, odometry = self._robot.frames, self.odometry
        try:
            if self._robot.pose == "tf":
                return self.transforms.lookup(frames.world, frames.base, stamp_ns)
            T = self._poses.at(stamp_ns)
            if T is None or odometry is None or odometry.child == frames.base:
                return T
            return T @ self.transforms.lookup(odometry.child, frames.base)
        except NoTransformError:
            return None

    def why_incomplete(self, after_ns: int) -> str:
        """Return in words what keeps the next moment from being complete."""
        with self.changed:
            topics = self._robot.topics
            if self.wrong:
                return "; ".join(self.wrong.values())
            silent = [
                getattr(topics, name)
                for name, kept in (("rgb", self._colours), ("depth", self._depths))
                if not kept or kept[-1].stamp_ns <= after_ns - _NS
            ]
            newest_ns = self._poses.newest_ns
            if newest_ns is None or newest_ns <= after_ns - _NS:
                silent.append(topics.odom)
            if silent:
                return f"nothing new on {', '.join(silent)}"
            colour_ns = self._colours[-1].stamp_ns
            if colour_ns <= after_ns:
                for_s = (time.monotonic_ns() - self.heard["rgb"]) / _NS
                if for_s > _SILENT_S:
                    return f"nothing arrived on {topics.rgb} for {for_s:.1f} s"
                return f"the stamps on {topics.rgb} stand still at {colour_ns} ns"
            if self._depth_at(colour_ns) is None:
                apart_s = (colour_ns - self._depths[-1].stamp_ns) / _NS
                return (
                    f"no depth within {self._robot.sync_s:g} s of the colour image (sync_s); the "
                    f"newest on {topics.depth} lies {apart_s:+.3f} s from it"
                )
            if self._pose_at(colour_ns) is None:
                lag_s = (colour_ns - (newest_ns or 0)) / _NS
                return (
                    f"no pose at the time of the colour image: the newest on {topics.odom} lies "
                    f"{lag_s:.3f} s before it, or poses are more than pose_gap_s apart, or "
                    f"{self._robot.frames.base!r} is not connected"
                )
            return f"what is on {topics.rgb} was sensed before it was asked for"


def _size(T: Float64[np.ndarray, "4 4"]) -> tuple[float, float]:
    """Return how far a transform moves, in m, and turns, in rad."""
    return math.hypot(T[0, 3], T[1, 3]), abs(math.atan2(T[1, 0], T[0, 0]))
