"""A life on a line for tests of what goes on around the loop: no pixels worth the name, no disk."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from agentd.events import EventLog
from agentd.goals import GoalBook
from agentd.loop import Loop, Parts
from agentd.worlds.base import StepResult
from memory.frames import camera_mount, se3_from_pose
from memory.records import NUM_OBJECTS, OBJECT_FEATURES, Action, BodySpec, Observation
from policies.protocols import Decision, Mode

SPEC = BodySpec(
    name="line", width_px=4, height_px=4, fx_px=2.0, fy_px=2.0, cx_px=2.0, cy_px=2.0,
    T_body_camera=camera_mount(0.0, 0.5), radius_m=0.2, height_m=1.0, v_max_mps=1.0,
    w_max_radps=1.0, tick_s=0.01, depth_max_m=5.0,
)  # fmt: skip


def observe(x_m: float, moved_m: float, stamp_ns: int, *, bumped: bool = False) -> Observation:
    pose = np.array([x_m, 0.0, 0.0])
    return Observation(
        stamp_ns=stamp_ns,
        rgb=np.zeros((4, 4, 3), np.uint8),
        depth_m=np.ones((4, 4), np.float32),
        instances=None,
        labels=("",),
        T_world_camera=se3_from_pose(pose) @ SPEC.T_body_camera,
        egomotion=np.array([moved_m, 0.0, 0.0], np.float32),
        bumped=bumped,
    )


class LineWorld:
    """A body on a line that carries out at most 0.5 m/s, and says so."""

    spec = SPEC

    def __init__(self) -> None:
        self.x_m, self.steps = 0.0, 0
        self.bumps: Callable[[int], bool] = lambda step: False

    def step(self, action: Action) -> StepResult:
        v = min(action.v_mps, 0.5)
        moved = v * action.duration_s
        self.x_m += moved
        self.steps += 1
        applied = Action(v_mps=v, w_radps=0.0, duration_s=action.duration_s, source=action.source)
        observation = observe(self.x_m, moved, self.steps, bumped=self.bumps(self.steps))
        return StepResult(observation=observation, applied=applied)


class ForwardPolicy:
    def __init__(self) -> None:
        self.models: list[Any] = []
        self.resets = 0
        self.done_at: set[int] = set()
        self.calls = 0

    def act(self, observation: Observation, detections: Any, goal: Any) -> Decision:
        self.calls += 1
        return Decision(
            action=Action(v_mps=1.0, w_radps=0.0, duration_s=0.01, source="explorer"),
            mode=Mode.GOTO if goal else Mode.EXPLORE,
            reason="straight on",
            goal_id=goal.goal_id if goal else None,
            done=goal is not None and self.calls in self.done_at,
        )

    def note_surprise(self, surprise: float) -> None:
        pass

    def note_applied(self, action: Action) -> None:
        """Nothing to learn."""

    def use_model(self, model: Any) -> None:
        self.models.append(model)

    def reset(self, *, keep_map: bool = True) -> None:
        self.resets += 1


class FakeRecorder:
    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.refuse: set[int] = set()

    def put(self, transition: Any, *, wait_s: float = 0.0) -> bool:
        if transition.step in self.refuse:
            return False
        self.rows.append(transition)
        return True


def line_loop(episode_steps: int = 10, **kwargs: Any) -> tuple[Loop, FakeRecorder, ForwardPolicy]:
    recorder, policy = FakeRecorder(), ForwardPolicy()
    rows = np.zeros((NUM_OBJECTS, len(OBJECT_FEATURES)), np.float32)
    parts = Parts(
        world=LineWorld(),
        detector=SimpleNamespace(detect=lambda o: []),
        object_rows=lambda detections: rows,
        slots=SimpleNamespace(update=lambda o, d, s: [], note_failure=lambda *where: None),
        policy=policy,
        safety=SimpleNamespace(clip=lambda a, o: a, interventions=0),
        meter=SimpleNamespace(update=lambda c, p, e, n: e + n, reset_model=lambda i: None),
        contradiction_nats=lambda: 0.0,
        recorder=recorder,
        goals=GoalBook(1000),
        events=EventLog(None),
    )
    options = {"real_time": False, "first_step": 40, "first_episode": 7, **kwargs}
    return Loop(parts, tick_s=0.01, episode_steps=episode_steps, **options), recorder, policy
