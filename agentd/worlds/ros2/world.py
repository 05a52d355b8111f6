"""A robot that speaks ROS as a World: commands out, what it senses back in one piece."""

import contextlib
import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64

from agentd.exit_codes import AgentdError, ExitCode
from agentd.worlds.base import StaleWorldError, StepResult, WorldClosedError
from agentd.worlds.ros2.codec import Codec
from agentd.worlds.ros2.commissioning import lacking, lens_of, mount_of, spec_of
from agentd.worlds.ros2.drive import CommandSink, Drive, Sent, TopicSink
from agentd.worlds.ros2.images import colour_image, depth_image
from agentd.worlds.ros2.link import Link, LinkError
from agentd.worlds.ros2.open_link import open_link
from agentd.worlds.ros2.optics import Optics
from agentd.worlds.ros2.stale import Frozen, Stall
from agentd.worlds.ros2.sync import Intake, Moment
from agentd.worlds.ros2.topics import Subscribing, pause
from configs.bodies.ros2 import Ros2Config
from memory.frames import egomotion_between
from memory.records import Action, BodySpec, Observation

_LOOK_S = 0.05
_STANDS_MPS, _STANDS_RADPS = 0.02, 0.03
_STAND_WITHIN_S = 1.5
_LONGEST_ACTION_S = 5.0


class NoRobotError(AgentdError, LinkError):
    """The robot cannot be reached, or does not say what it has to."""

    exit_code = ExitCode.WORLD_SILENT


class SilentRobotError(AgentdError, StaleWorldError):
    """The robot said everything before, and says nothing new."""

    exit_code = ExitCode.WORLD_SILENT


class Ros2World:
    """One robot behind a link; satisfies World. Owns the link and closes it.

    The first look at `spec`, or the first reset, waits until the robot has said everything.

    Each step holds a command for its duration and returns the newest complete moment that was
    sensed after the call. Time that the caller spends between two steps counts as part of the next
    step's, so that ticks keep their length; the last command goes on for `command_grace_s`, then
    zero is sent. The applied action is what was commanded, after clipping and after whatever the
    sink made of it: what the body made of that is its egomotion.

    Args:
        link: To the robot.
        config: Which robot, and how it is driven.
        sink: Where commands go; None for the robot's own topic.
        codec: The types of its messages, where the caller has them read already.
    """

    def __init__(
        self,
        link: Link,
        config: Ros2Config,
        *,
        sink: CommandSink | None = None,
        codec: Codec | None = None,
    ) -> None:
        self._link, self._config = link, config
        self._codec = codec or Codec(config.link.distro)
        self._intake = Intake(self._codec, config)
        self._subscribing = Subscribing(link, config, self._intake.take)
        self._sink = sink
        self._drive: Drive | None = None
        self._spec: BodySpec | None = None
        self._optics: Optics | None = None
        self._closed = False
        self._last_ns = self._told_ns = -1
        self._shift_ns = 0
        self._pose: Float64[np.ndarray, "3"] | None = None
        self._due_s = -math.inf
        self._frozen = Frozen(config.limits.frozen_s)
        self._stall = Stall(config.stall_s)
        self._told_causes: tuple[str, ...] = ()

    @property
    def spec(self) -> BodySpec:
        """Constant description of the body.

        Raises:
            NoRobotError: If the robot does not say what is needed for it.
        """
        if self._spec is None:
            self._connect()
        assert self._spec is not None
        return self._spec

    def reset(self, seed: int | None = None) -> Observation:
        """Stop the body, open an episode where it is, and sense.

        Args:
            seed: Has no meaning: a robot stays where it is.

        Raises:
            NoRobotError: If the robot never said all that is needed; the text says what lacks.
            StaleWorldError: If it said it before, and nothing new comes.
            WorldClosedError: If the world was closed.
        """
        self._check_open()
        self._connect()
        assert self._drive is not None
        asked_ns = time.monotonic_ns()
        self._drive.stop()
        self._wait_for_standing()
        if not self._intake.pose_is_fresh():
            # Perhaps its clock was set back: from here on it holds again.
            self._intake.forget_times()
            self._last_ns = -1
        moment = self._wait_for_moment(asked_ns, time.monotonic() + self._config.limits.camera_s)
        self._due_s, self._pose = -math.inf, None
        self._stall.clear()
        self._intake.felt()
        return self._observe(moment, bumped=False)

    def step(self, action: Action) -> StepResult:
        """Command the body for the action's duration and sense.

        Raises:
            StaleWorldError: If nothing new was sensed within `limits.camera_s` after the tick, or
                what came stands still though the body moves; zero was sent.
            WorldClosedError: If the world was closed.
            ValueError: If the action is not finite or its duration is not positive.
        """
        self._check_open()
        command = self._clipped(action)
        self._connect()
        assert self._drive is not None
        if self._pose is None:
            raise SilentRobotError("the body was not sensed yet: reset it first")
        now_s, asked_ns = time.monotonic(), time.monotonic_ns()
        self._due_s += command.duration_s
        if not now_s + command.duration_s / 2 <= self._due_s <= now_s + command.duration_s:
            self._due_s = now_s + command.duration_s
        until_s = self._due_s + self._config.command_grace_s
        self._drive.command(command.v_mps, command.w_radps, until_s, command.source)
        pause(max(0.0, self._due_s - time.monotonic()))
        try:
            if self._drive.error is not None:
                raise SilentRobotError(f"commands are not sent: {self._drive.error}")
            moment = self._wait_for_moment(asked_ns, self._due_s + self._config.limits.camera_s)
            return self._result(command, moment)
        except Exception:
            self._drive.stop()
            raise

    def _result(self, command: Action, moment: Moment) -> StepResult:
        """Return what a command led to."""
        assert self._drive is not None
        assert self._pose is not None
        sent = self._drive.done()
        applied = replace(command, v_mps=sent.v_mps, w_radps=sent.w_radps)
        if sent.causes:
            applied = replace(applied, source="safety")
        touch = self._intake.felt()
        moved_m = math.hypot(*(_planar(moment.T_world_base) - self._pose)[:2])
        is_stalled = self._stall.feel(applied, moved_m)
        events = self._intake.happened()
        if touch.text:
            events = (*events, f"the body feels: {touch.text}")
        observation = self._observe(moment, touch.is_bumped or is_stalled)
        return StepResult(
            observation=observation,
            applied=applied,
            events=events,
            interventions=self._held_back(sent),
            advice=sent.advice,
            held=sent.held,
        )

    def _held_back(self, sent: Sent) -> tuple[str, ...]:
        """Return what to log of a guardian: once when its reasons change."""
        if sent.causes == self._told_causes:
            return ()
        self._told_causes = sent.causes
        return (f"guardian: {sent.text or 'lets go on'}",)

    def close(self) -> None:
        """Send zeros and leave the robot alone; quiet when called twice."""
        if self._closed:
            return
        self._closed = True
        if self._drive is not None:
            self._drive.close()
        elif self._sink is not None:
            self._sink.close()
        self._link.close()

    # ------------------------------------------------------------------ the first of everything
    def _connect(self) -> None:
        """Wait until the robot said everything once.

        Raises:
            NoRobotError: If it does not within `connect_s`.
        """
        self._check_open()
        if self._spec is not None:
            return
        begin_s = time.monotonic()
        told = ["nothing was asked for"]
        while told:
            waited_s = time.monotonic() - begin_s
            self._subscribing.go_on(waited_s)
            told = lacking(self._config, self._intake, self._subscribing)
            if told and waited_s > self._config.connect_s:
                raise NoRobotError(
                    f"{self._config.place} is not complete after {self._config.connect_s:g} s: "
                    f"{'; '.join(told)}"
                )
            if told:
                pause(_LOOK_S)
        lens = lens_of(self._config, self._intake)
        assert lens is not None
        self._optics = Optics(lens, self._config.image_px, self._config.hfov_deg)
        spec = spec_of(self._config, self._optics, mount_of(self._config, self._intake))
        sink = self._sink
        if sink is None:
            now_ns = self._intake.robot_now_ns
            try:
                sink = TopicSink(self._link, self._codec, self._config, now_ns)
            except LinkError as error:
                raise NoRobotError(f"{self._config.place} cannot be driven: {error}") from error
        self._drive = Drive(sink, self._config.command_hz, self._intake.pose_is_fresh)
        self._spec = spec

    # ------------------------------------------------------------------ every tick
    def _check_open(self) -> None:
        if self._closed:
            raise WorldClosedError(f"{self._config.place} was closed")

    def _clipped(self, action: Action) -> Action:
        if not all(map(math.isfinite, (action.v_mps, action.w_radps, action.duration_s))):
            raise ValueError(f"the action {action} is not finite")
        if action.duration_s <= 0:
            raise ValueError(f"duration_s is {action.duration_s}; it must be positive")
        v_max, w_max = self._config.v_max_mps, self._config.w_max_radps
        return Action(
            v_mps=min(max(action.v_mps, -v_max), v_max),
            w_radps=min(max(action.w_radps, -w_max), w_max),
            duration_s=min(action.duration_s, _LONGEST_ACTION_S),
            source=action.source,
        )

    def _wait_for_standing(self) -> None:
        def stands() -> bool:
            said = self._intake.odometry
            if said is None or not self._intake.pose_is_fresh():
                return True
            return abs(said.v_mps) < _STANDS_MPS and abs(said.w_radps) < _STANDS_RADPS

        with self._intake.changed:
            self._intake.changed.wait_for(stands, _STAND_WITHIN_S)

    def _wait_for_moment(self, asked_ns: int, until_s: float) -> Moment:
        """Return the newest moment that was sensed after it was asked for.

        Raises:
            StaleWorldError: If there is none in time, or its images stand still.
        """
        intake = self._intake
        with intake.changed:
            while (moment := intake.newest(self._last_ns, asked_ns)) is None:
                left_s = until_s - time.monotonic()
                if left_s <= 0:
                    raise SilentRobotError(
                        f"{self._config.place}: {intake.why_incomplete(self._last_ns)}"
                    )
                intake.changed.wait(left_s)
        self._refuse_frozen("rgb", moment.colour, moment)
        self._refuse_frozen("depth", moment.depth, moment)
        return moment

    def _refuse_frozen(self, name: str, message: Any, moment: Moment) -> None:
        """Refuse an image that is the same to the last bit though the body moved."""
        pose = _planar(moment.T_world_base)
        for_s = self._frozen.for_s(name, message.data, moment.stamp_ns, pose)
        if for_s is None or (name == "depth" and np.isnan(self._depth(moment)).all()):
            return  # close to a wall nothing returns, wherever the body moves
        raise SilentRobotError(
            f"{self._config.place}: {getattr(self._config.topics, name)} is frozen: the same image "
            f"to the last bit for {for_s:.1f} s, with new stamps, while the body moved"
        )

    def _depth(self, moment: Moment) -> Float32[np.ndarray, "h w"]:
        assert self._optics is not None
        image = depth_image(moment.depth, self._config.topics.depth)
        return self._optics.depth(image, self._config.depth_min_m, self._config.depth_max_m)

    def _observe(self, moment: Moment, bumped: bool) -> Observation:
        """Return the observation of a moment, and keep it as the last.

        Raises:
            BadImageError: If an image cannot be read.
        """
        assert self._optics is not None
        depth = self._depth(moment)
        colour = self._optics.colour(colour_image(moment.colour, self._config.topics.rgb))
        pose = _planar(moment.T_world_base)
        before = pose if self._pose is None else self._pose
        if moment.stamp_ns + self._shift_ns <= self._told_ns:
            self._shift_ns = self._told_ns + 1 - moment.stamp_ns
        self._pose, self._last_ns = pose, moment.stamp_ns
        self._told_ns = moment.stamp_ns + self._shift_ns
        return Observation(
            stamp_ns=self._told_ns,
            rgb=colour,
            depth_m=depth,
            instances=None,
            labels=(),
            T_world_camera=moment.T_world_base @ self.spec.T_body_camera,
            egomotion=egomotion_between(before, pose),
            bumped=bumped,
            battery=self._intake.battery(),
        )


def open_robot(config: Ros2Config, sink: CommandSink | None = None) -> Ros2World:
    """Return the configured robot, once it said everything.

    Args:
        config: Which robot, and how it is driven.
        sink: Where commands go; closed with the world, and if there is none. None for the robot's
            own topic: nothing guards it then.

    Raises:
        NoRobotError: If it cannot be reached, or does not say what it has to.
    """
    codec = Codec(config.link.distro)
    try:
        link = open_link(config.link, codec)
    except LinkError as error:
        if sink is not None:
            sink.close()
        raise NoRobotError(str(error)) from error
    with contextlib.ExitStack() as undo:
        world = Ros2World(link, config, sink=sink, codec=codec)
        undo.callback(world.close)
        _ = world.spec
        undo.pop_all()
    return world


def _planar(T_world_base: Float64[np.ndarray, "4 4"]) -> Float64[np.ndarray, "3"]:
    T = T_world_base
    return np.array([T[0, 3], T[1, 3], math.atan2(T[1, 0], T[0, 0])])
