"""A guarded world: the same guardian in front of a simulated body, in the world's own time."""

import hashlib
import json
import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from agentd.guardian.body import body_bounds
from agentd.guardian.core import ROUNDING, Guardian
from agentd.guardian.points import DepthPoints
from agentd.guardian.records import (
    Battery,
    Command,
    Flags,
    Inputs,
    MapPose,
    Odometry,
    Ranges,
    State,
    Verdict,
    held_by,
)
from agentd.worlds.base import Resumable, StepResult, World
from configs.guardian import GuardianConfig
from memory.frames import body_pose, pixel_rays
from memory.records import Action, BodySpec, Observation

_MAGIC = b"agentd guarded world 1\n"
_DIGEST_BYTES = 32
_REACH_M = 2.0
_FINEST_PX = 32
"""Depth images are thinned to about so many columns: 4 cm at a metre."""


class GuardedWorld:
    """Puts a guardian between whoever acts and a body; satisfies World.

    Attributes:
        inner: The body.
        guardian: The guardian.
        counts: Steps with an intervention, by cause.
        last: The newest intervention in words, "" before the first.
        state: What the guardian lets happen.
    """

    def __init__(self, world: World, config: GuardianConfig, *, is_simulated: bool) -> None:
        """Wrap a world.

        Args:
            world: The body; whatever it is asked from now on is asked here.
            config: Settings.
            is_simulated: Whether nothing can come to harm: the guardian is armed at once, and takes
                the body's own limits where the settings leave that open.

        Raises:
            ValueError: If a body that is not simulated is to be bounded by its own description.
        """
        self.inner = world
        spec = world.spec
        self._spec = spec
        if config.bounds == "body" and not is_simulated:
            raise ValueError(
                'guardian.bounds = "body" is for simulated bodies; accepted here: "auto", "robot"'
            )
        self._is_by_body = is_simulated and config.bounds != "robot"
        if self._is_by_body:
            config = body_bounds(config, spec)
        radius_m = config.footprint.radius_m or spec.radius_m
        self.guardian = Guardian(config, radius_m, spec.tick_s)
        if is_simulated and config.arm.auto == "simulated":
            self.guardian.arm()
        self._stride = max(1, spec.width_px // _FINEST_PX)
        rays = pixel_rays(spec)[:: self._stride, :: self._stride]
        self._depth = DepthPoints(
            rays @ spec.T_body_camera[:3, :3].T,
            spec.T_body_camera[:3, 3],
            low_m=config.footprint.low_m,
            high_m=config.footprint.height_m or spec.height_m,
            reach_m=max(_REACH_M, 2 * spec.v_max_mps * spec.tick_s + radius_m),
        )
        self.counts: Counter[str] = Counter()
        self.last = ""
        self.state: str = State.FREE if self.guardian.latch.memory.is_armed else State.DISARMED
        self._seen: Observation | None = None
        self._duration_s = spec.tick_s
        self._seq = 0
        self._told: tuple[str, ...] = ()
        self._num_steps = 0

    @property
    def spec(self) -> BodySpec:
        """Constant description of the body."""
        return self._spec

    def reset(self, seed: int | None = None) -> Observation:
        """Open an episode; with a seed the guardian forgets what was around."""
        self._seen = self.inner.reset(seed)
        self._duration_s = self._spec.tick_s
        if seed is not None:
            self.guardian.relocate()
        return self._seen

    def step(self, action: Action) -> StepResult:
        """Carry out what the guardian allows of an action and sense.

        Where it holds back, the applied action's source is `safety`, and what it did is told when
        its reasons change.
        """
        spec = self._spec
        v = _bounded(action.v_mps, spec.v_max_mps)
        w = _bounded(action.w_radps, spec.w_max_radps)
        verdict = self.judge(v, w, action.source)
        self.state = verdict.state
        if _is_as_wanted(verdict, v, w):
            told, sent = self._tell(()), action
            if not self._is_by_body:  # to the last millimetre
                sent = replace(action, v_mps=verdict.v_mps, w_radps=verdict.w_radps)
        else:
            causes = verdict.causes or ("ramp",)
            self.counts.update(str(c) for c in causes)
            told = self._tell(tuple(map(str, causes)), verdict, v, w)
            sent = replace(action, v_mps=verdict.v_mps, w_radps=verdict.w_radps, source="safety")
        result = self.inner.step(sent)
        self._seen, self._duration_s = result.observation, result.applied.duration_s
        if result.is_first:
            self.guardian.relocate()
        self._num_steps += 1
        held, advice = held_by(verdict), tuple(map(str, verdict.advice))
        if not (told or held or advice):
            return result
        told = result.interventions + told
        return replace(result, interventions=told, advice=advice, held=held)

    def judge(self, v_mps: float, w_radps: float, source: str = "planner") -> Verdict:
        """Return what the guardian makes of a command at the newest observation."""
        inputs, now_s = self._inputs(v_mps, w_radps, source)
        return self.guardian.step(inputs, now_s)

    def close(self) -> None:
        """Release the body; quiet when called twice."""
        self.inner.close()

    def _tell(
        self, causes: tuple[str, ...], verdict: Verdict | None = None, v: float = 0, w: float = 0
    ) -> tuple[str, ...]:
        """Return what to log: once when the reasons change, once when there are none any more."""
        if causes == self._told:
            return ()
        self._told = causes
        if verdict is None:
            return ("guardian: lets go on",)
        self.last = verdict.text or "ramp"
        change = f"{v:+.2f} m/s {w:+.2f} rad/s -> {verdict.v_mps:+.2f} {verdict.w_radps:+.2f}"
        return (f"guardian: {self.last} ({change})",)

    def _inputs(self, v: float, w: float, source: str) -> tuple[Inputs, float]:
        """Return the newest observation as the guardian's senses; time is the world's."""
        seen = self._seen
        self._seq += 1
        now_s = 0.0 if seen is None else seen.stamp_ns * 1e-9
        command = Command(
            v_mps=v,
            w_radps=w,
            stamp_s=now_s,
            seq=self._seq,
            source=source,
            is_recovery=source == "recovery",
        )
        if seen is None:
            return Inputs(clock_s=now_s, command=command), now_s
        inputs = Inputs(
            clock_s=now_s,
            command=command,
            odom=self._odometry(seen, now_s),
            depth=self._points(seen, now_s),
            battery=_battery(seen, now_s),
            pose=self._pose(seen, now_s) if self.guardian.fence.is_set else None,
            flags=Flags(bump=seen.bumped),
        )
        return inputs, now_s

    def _odometry(self, seen: Observation, now_s: float) -> Odometry:
        x, y, yaw = (float(p) for p in body_pose(seen.T_world_camera, self._spec))
        dx, dy, dyaw = (float(e) for e in seen.egomotion)
        way_m = math.copysign(math.hypot(dx, dy), dx)
        return Odometry(
            stamp_s=now_s,
            arrival_s=now_s,
            x_m=x,
            y_m=y,
            yaw_rad=yaw,
            v_mps=way_m / self._duration_s,
            w_radps=dyaw / self._duration_s,
        )

    def _pose(self, seen: Observation, now_s: float) -> MapPose | None:
        """Return where the body is on the map, None where it is lost."""
        pose = [float(p) for p in body_pose(seen.T_world_camera, self._spec)]
        if not all(map(math.isfinite, pose)):
            return None
        x, y, yaw = pose
        return MapPose(stamp_s=now_s, arrival_s=now_s, x_m=x, y_m=y, yaw_rad=yaw)

    def _points(self, seen: Observation, now_s: float) -> Ranges:
        return self._depth.ranges(seen.depth_m[:: self._stride, :: self._stride], now_s, now_s)


class ResumableGuardedWorld(GuardedWorld):
    """A guarded world whose body can be saved and taken up; satisfies Resumable as well."""

    @property
    def _body(self) -> Resumable:
        assert isinstance(self.inner, Resumable)
        return self.inner

    def save_state(self) -> bytes:
        """Return the whole state of the world and its guardian, without pickle."""
        state = {
            "guardian": self.guardian.pack(),
            "duration_s": self._duration_s,
            "seq": self._seq,
            "told": self._told,
            "num_steps": self._num_steps,
            "counts": self.counts,
            "last": self.last,
        }
        head = json.dumps(state).encode()
        body = len(head).to_bytes(8, "big") + head + self._body.save_state()
        return _MAGIC + hashlib.sha256(body).digest() + body

    def load_state(self, state: bytes) -> Observation:
        """Put the world into a saved state and sense; also into one that had no guardian yet.

        Raises:
            ValueError: If the state belongs to another world or is damaged.
        """
        if not state.startswith(_MAGIC):
            self._seen = self._body.load_state(state)
            self.guardian.relocate()
            return self._seen
        digest, body = state[len(_MAGIC) :][:_DIGEST_BYTES], state[len(_MAGIC) + _DIGEST_BYTES :]
        if hashlib.sha256(body).digest() != digest:
            raise ValueError("the state of the guarded world is damaged")
        length = int.from_bytes(body[:8], "big")
        facts = json.loads(body[8 : 8 + length])
        self._seen = self._body.load_state(body[8 + length :])
        self._take_up(facts)
        return self._seen

    def _take_up(self, facts: dict[str, Any]) -> None:
        # Arming and the e-stop are of today, never of the day of the state.
        latch = self.guardian.latch.memory
        try:
            self.guardian.unpack(facts["guardian"])
        finally:
            self.guardian.latch.memory = latch
        self._duration_s, self._seq = float(facts["duration_s"]), int(facts["seq"])
        self._told, self._num_steps = tuple(facts["told"]), int(facts["num_steps"])
        self.counts, self.last = Counter(facts["counts"]), str(facts["last"])


def guarded(world: World, config: GuardianConfig, *, is_simulated: bool) -> GuardedWorld:
    """Return a body behind a guardian, resumable where the body is; see `GuardedWorld`."""
    kind = ResumableGuardedWorld if isinstance(world, Resumable) else GuardedWorld
    return kind(world, config, is_simulated=is_simulated)


def _battery(seen: Observation, now_s: float) -> Battery | None:
    if math.isnan(seen.battery):
        return None
    return Battery(stamp_s=now_s, arrival_s=now_s, charge=seen.battery)


def _bounded(value: float, limit: float) -> float:
    """Return a value as the body itself would clip it; what is no number stays for the guardian."""
    return float(np.clip(value, -limit, limit)) if math.isfinite(value) else value


def _is_as_wanted(verdict: Verdict, v: float, w: float) -> bool:
    return abs(verdict.v_mps - v) <= ROUNDING and abs(verdict.w_radps - w) <= ROUNDING
