"""The loop: rows are honest and gap-free, swaps happen between ticks, lateness is counted."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

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


def _observe(x_m: float, moved_m: float, stamp_ns: int) -> Observation:
    pose = np.array([x_m, 0.0, 0.0])
    return Observation(
        stamp_ns=stamp_ns,
        rgb=np.zeros((4, 4, 3), np.uint8),
        depth_m=np.ones((4, 4), np.float32),
        instances=None,
        labels=("",),
        T_world_camera=se3_from_pose(pose) @ SPEC.T_body_camera,
        egomotion=np.array([moved_m, 0.0, 0.0], np.float32),
        bumped=False,
    )


class LineWorld:
    """A body on a line that carries out at most 0.5 m/s, and says so."""

    spec = SPEC

    def __init__(self) -> None:
        self.x_m, self.steps = 0.0, 0

    def step(self, action: Action) -> StepResult:
        v = min(action.v_mps, 0.5)
        moved = v * action.duration_s
        self.x_m += moved
        self.steps += 1
        applied = Action(v_mps=v, w_radps=0.0, duration_s=action.duration_s, source=action.source)
        observation = _observe(self.x_m, moved, self.steps)
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


def _loop(episode_steps: int = 10, **kwargs: Any) -> tuple[Loop, FakeRecorder, ForwardPolicy]:
    recorder, policy = FakeRecorder(), ForwardPolicy()
    rows = np.zeros((NUM_OBJECTS, len(OBJECT_FEATURES)), np.float32)
    parts = Parts(
        world=LineWorld(),
        detector=SimpleNamespace(detect=lambda o: []),
        object_rows=lambda detections: rows,
        slots=SimpleNamespace(update=lambda o, d, s: [], note_failure=lambda *where: None),
        policy=policy,
        safety=SimpleNamespace(clip=lambda a, o: a, interventions=0),
        meter=SimpleNamespace(update=lambda c, e: e, reset_model=lambda i: None),
        recorder=recorder,
        goals=GoalBook(1000),
        events=EventLog(None),
    )
    options = {"real_time": False, "first_step": 40, "first_episode": 7, **kwargs}
    return Loop(parts, tick_s=0.01, episode_steps=episode_steps, **options), recorder, policy


def test_rows_carry_the_applied_action_of_the_observation_it_left() -> None:
    loop, recorder, _ = _loop()
    loop.run(_observe(0.0, 0.0, 0), 25, None)
    rows = recorder.rows
    assert [r.step for r in rows] == list(range(40, 65))
    assert all(r.action.v_mps == 0.5 for r in rows)
    for before, after in pairwise(rows):
        expected = before.pose[0] + before.action.v_mps * before.action.duration_s
        assert after.pose[0] == pytest.approx(expected, abs=1e-6)


def test_episodes_are_cut_at_their_length_and_marked() -> None:
    loop, recorder, _ = _loop(episode_steps=10)
    loop.run(_observe(0.0, 0.0, 0), 25, None)
    rows = recorder.rows
    assert [r.episode_id for r in rows] == [7] * 10 + [8] * 10 + [9] * 5
    assert [i for i, r in enumerate(rows) if r.is_first] == [0, 10, 20]
    assert [i for i, r in enumerate(rows) if r.is_last] == [9, 19]
    assert not any(r.is_terminal for r in rows)


def test_what_waits_for_the_next_episode_is_done_before_its_first_step() -> None:
    loop, recorder, _ = _loop(episode_steps=10)
    done_at: list[int] = []

    def wait_for_the_next() -> None:
        loop.post_between_episodes(lambda: done_at.append(len(recorder.rows)))

    wait_for_the_next()
    loop._on_tick = lambda step: wait_for_the_next() if step in (43, 55) else None
    loop.run(_observe(0.0, 0.0, 0), 15, None)
    assert done_at == [0, 10]
    loop.run(_observe(0.0, 0.0, 0), 30, None)
    assert done_at == [0, 10, 20]


def test_a_dropped_row_starts_a_new_episode() -> None:
    loop, recorder, _ = _loop(episode_steps=100)
    recorder.refuse = {45}
    loop.run(_observe(0.0, 0.0, 0), 10, None)
    rows = recorder.rows
    assert [r.step for r in rows] == [40, 41, 42, 43, 44, 46, 47, 48, 49]
    assert rows[5].is_first
    assert rows[5].episode_id == rows[4].episode_id + 1


def test_a_reached_goal_ends_the_episode_and_is_told_with_its_reason() -> None:
    loop, recorder, policy = _loop(episode_steps=100)
    goal_id = loop.parts.goals.add_object("chair")
    policy.done_at = {4}
    loop.run(_observe(0.0, 0.0, 0), 8, None)
    entry = loop.parts.goals.find(goal_id)
    assert (entry.state, entry.reason, entry.steps) == ("reached", "straight on", 4)
    assert recorder.rows[3].is_terminal
    assert recorder.rows[4].is_first
    texts = [e["text"] for e in loop.parts.events.since(0)["events"] if e["kind"] == "goal"]
    assert texts == [f"{goal_id} (chair) reached after 4 steps: straight on"]


def test_a_model_is_swapped_between_two_ticks() -> None:
    loop, recorder, policy = _loop(real_time=True)
    rollout = SimpleNamespace(
        checkpoint_id="ckpt-1",
        encode=lambda o, rows: np.zeros(3, np.float32),
        surprise_error=lambda z, a, z2: 0.25,
    )
    loop.run(_observe(0.0, 0.0, 0), 3, None)
    loop.post(lambda: loop.use_model(rollout))
    loop.run(_observe(0.0, 0.0, 0), 6, None)
    assert [r.checkpoint_id for r in recorder.rows] == [""] * 3 + ["ckpt-1"] * 3
    assert policy.models == [rollout]
    surprises = [r.surprise for r in recorder.rows]
    # the first step with a model has no past in its latent space
    assert np.isnan(surprises[:4]).all()
    assert surprises[4:] == [0.25, 0.25]


def test_late_ticks_are_counted_and_skipped_not_caught_up() -> None:
    loop, _, _ = _loop(real_time=True)
    import time

    assert loop._wait_until(time.monotonic() + 0.001) > 0
    assert loop.state.missed_ticks == 0
    due = time.monotonic() - 0.035
    later = loop._wait_until(due)
    assert loop.state.missed_ticks == 3
    assert later == pytest.approx(due + 0.03)


def test_a_goal_that_fails_is_noted_with_its_place_and_one_that_is_reached_is_not() -> None:
    loop, _, policy = _loop(episode_steps=100)
    noted: list[tuple[str, list[float]]] = []
    loop.parts.slots.note_failure = lambda label, xyz_m: noted.append((label, xyz_m.tolist()))
    policy.done_at = {3}
    loop.parts.goals.add_object("chair")
    loop.parts.goals.add_object("bed", deadline_steps=2)
    loop.run(_observe(0.0, 0.0, 0), 10, None)
    assert [entry["state"] for entry in loop.parts.goals.as_dicts()] == ["reached", "failed"]
    ((label, xyz_m),) = noted
    assert label == "bed"
    assert xyz_m == pytest.approx([0.5 * 0.01 * 4, 0.0, 0.0], abs=1e-6)
