"""The loop: rows are honest and gap-free, swaps happen between ticks, lateness is counted."""

import time
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from line_life import LineWorld, line_loop, observe

from agentd.asking import Asking
from agentd.worlds.base import StepResult, WorldEndedError
from memory.records import Action


def test_rows_carry_the_applied_action_of_the_observation_it_left() -> None:
    loop, recorder, _ = line_loop()
    loop.run(observe(0.0, 0.0, 0), 25, None)
    rows = recorder.rows
    assert [r.step for r in rows] == list(range(40, 65))
    assert all(r.action.v_mps == 0.5 for r in rows)
    for before, after in pairwise(rows):
        expected = before.pose[0] + before.action.v_mps * before.action.duration_s
        assert after.pose[0] == pytest.approx(expected, abs=1e-6)


def test_episodes_are_cut_at_their_length_and_marked() -> None:
    loop, recorder, _ = line_loop(episode_steps=10)
    loop.run(observe(0.0, 0.0, 0), 25, None)
    rows = recorder.rows
    assert [r.episode_id for r in rows] == [7] * 10 + [8] * 10 + [9] * 5
    assert [i for i, r in enumerate(rows) if r.is_first] == [0, 10, 20]
    assert [i for i, r in enumerate(rows) if r.is_last] == [9, 19]
    assert not any(r.is_terminal for r in rows)


def test_what_waits_for_the_next_episode_is_done_before_its_first_step() -> None:
    loop, recorder, _ = line_loop(episode_steps=10)
    done_at: list[int] = []

    def wait_for_the_next() -> None:
        loop.post_between_episodes(lambda: done_at.append(len(recorder.rows)))

    wait_for_the_next()
    loop._on_tick = lambda step: wait_for_the_next() if step in (43, 55) else None
    loop.run(observe(0.0, 0.0, 0), 15, None)
    assert done_at == [0, 10]
    loop.run(observe(0.0, 0.0, 0), 30, None)
    assert done_at == [0, 10, 20]


def test_a_dropped_row_starts_a_new_episode() -> None:
    loop, recorder, _ = line_loop(episode_steps=100)
    recorder.refuse = {45}
    loop.run(observe(0.0, 0.0, 0), 10, None)
    rows = recorder.rows
    assert [r.step for r in rows] == [40, 41, 42, 43, 44, 46, 47, 48, 49]
    assert rows[5].is_first
    assert rows[5].episode_id == rows[4].episode_id + 1


def test_a_reached_goal_ends_the_episode_and_is_told_with_its_reason() -> None:
    loop, recorder, policy = line_loop(episode_steps=100)
    goal_id = loop.parts.goals.add_object("chair")
    policy.done_at = {4}
    loop.run(observe(0.0, 0.0, 0), 8, None)
    entry = loop.parts.goals.find(goal_id)
    assert (entry.state, entry.reason, entry.steps) == ("reached", "straight on", 4)
    assert recorder.rows[3].is_terminal
    assert recorder.rows[4].is_first
    texts = [e["text"] for e in loop.parts.events.since(0)["events"] if e["kind"] == "goal"]
    assert texts == [f"{goal_id} (chair) reached after 4 steps: straight on"]


def test_a_model_is_swapped_between_two_ticks() -> None:
    loop, recorder, policy = line_loop(real_time=True)
    rollout = SimpleNamespace(
        checkpoint_id="ckpt-1",
        encode=lambda o, rows: np.zeros(3, np.float32),
        surprise_error=lambda z, a, z2: 0.25,
    )
    loop.run(observe(0.0, 0.0, 0), 3, None)
    loop.post(lambda: loop.use_model(rollout))
    loop.run(observe(0.0, 0.0, 0), 6, None)
    assert [r.checkpoint_id for r in recorder.rows] == [""] * 3 + ["ckpt-1"] * 3
    assert policy.models == [rollout]
    surprises = [r.surprise for r in recorder.rows]
    # the first step with a model has no past in its latent space
    assert np.isnan(surprises[:4]).all()
    assert surprises[4:] == [0.25, 0.25]


def test_late_ticks_are_counted_and_skipped_not_caught_up() -> None:
    loop, _, _ = line_loop(real_time=True)
    assert loop._wait_until(time.monotonic() + 0.001) > 0
    assert loop.state.missed_ticks == 0
    due = time.monotonic() - 0.035
    later = loop._wait_until(due)
    assert loop.state.missed_ticks == 3
    assert later == pytest.approx(due + 0.03)


def test_a_goal_that_fails_is_noted_with_its_place_and_one_that_is_reached_is_not() -> None:
    loop, _, policy = line_loop(episode_steps=100)
    noted: list[tuple[str, list[float]]] = []
    loop.parts.slots.note_failure = lambda label, xyz_m: noted.append((label, xyz_m.tolist()))
    policy.done_at = {3}
    loop.parts.goals.add_object("chair")
    loop.parts.goals.add_object("bed", deadline_steps=2)
    loop.run(observe(0.0, 0.0, 0), 10, None)
    assert [entry["state"] for entry in loop.parts.goals.as_dicts()] == ["reached", "failed"]
    ((label, xyz_m),) = noted
    assert label == "bed"
    assert xyz_m == pytest.approx([0.5 * 0.01 * 4, 0.0, 0.0], abs=1e-6)


def test_an_episode_can_be_cut_and_what_waits_for_its_end_is_done() -> None:
    loop, recorder, _ = line_loop(episode_steps=1000)
    done_at: list[int] = []

    def on_tick(step: int) -> None:
        if step == 43:
            loop.post_between_episodes(lambda: done_at.append(len(recorder.rows)))
            loop.cut_episode()

    loop._on_tick = on_tick
    loop.run(observe(0.0, 0.0, 0), 10, None)
    assert [i for i, r in enumerate(recorder.rows) if r.is_last] == [3]
    assert done_at == [4]


def test_watchers_are_told_every_step_as_it_was_recorded() -> None:
    loop, recorder, _ = line_loop()
    lived = []
    loop.watchers = (lived.append,)
    loop.run(observe(0.0, 0.0, 0), 25, None)
    assert [x.step for x in lived] == [r.step for r in recorder.rows]
    assert [x.is_first for x in lived] == [r.is_first for r in recorder.rows]
    assert all(x.action is r.action for x, r in zip(lived, recorder.rows, strict=True))


def test_what_contradicts_the_memory_is_felt_without_a_model_before_the_policy_sees_it() -> None:
    loop, recorder, policy = line_loop()
    asked: list[int] = []
    loop.parts.contradiction_nats = lambda: asked.append(policy.calls) or 2.0  # type: ignore[func-returns-value]
    felt: list[tuple[str, float, float]] = []
    loop.parts.meter = SimpleNamespace(
        update=lambda c, p, e, n: felt.append((c, e, n)) or n, reset_model=lambda i: None
    )
    loop.run(observe(0.0, 0.0, 0), 3, None)
    assert [r.surprise for r in recorder.rows] == [2.0] * 3
    assert all(c == "" and np.isnan(e) and n == 2.0 for c, e, n in felt)
    assert asked == [0, 1, 2]  # a policy that maps would know the frame already


class EndingWorld(LineWorld):
    """Ends its episodes by itself, as environments do: some by success."""

    def __init__(self, ends_at: dict[int, bool]) -> None:
        super().__init__()
        self.ends_at = ends_at

    def step(self, action: Action) -> StepResult:
        if self.steps not in self.ends_at:
            return super().step(action)
        was_terminal = self.ends_at[self.steps]
        self.x_m = 0.0
        self.steps += 1
        rest = replace(action, v_mps=0.0, w_radps=0.0)
        observation = observe(0.0, 0.0, self.steps)
        return StepResult(
            observation=observation, applied=rest, is_first=True, was_terminal=was_terminal
        )


def test_an_episode_that_the_world_ends_is_cut_where_it_ended() -> None:
    loop, recorder, _ = line_loop(episode_steps=100)
    loop.asking = Asking(EndingWorld({3: True, 6: False}), lambda text: None, lambda s: None)
    loop.run(observe(0.0, 0.0, 0), 9, None)
    rows = recorder.rows
    assert [r.is_last for r in rows] == [False] * 3 + [True] + [False] * 2 + [True] + [False] * 2
    assert [r.is_terminal for r in rows] == [i == 3 for i in range(9)]
    assert [r.is_first for r in rows] == [i in (0, 4, 7) for i in range(9)]
    assert [r.episode_id for r in rows] == [7] * 4 + [8] * 3 + [9] * 2
    # No action left the last observation of an episode, and none led to the first of the next.
    assert [r.action.v_mps for r in rows] == [0.0 if i in (3, 6) else 0.5 for i in range(9)]
    assert rows[4].pose[0] == 0.0


def test_a_clock_that_was_set_back_parts_two_episodes() -> None:
    loop, recorder, _ = line_loop(episode_steps=100)
    world = loop.parts.world
    loop.run(observe(0.0, 0.0, 0), 3, None)
    world.steps = -50
    loop.run(observe(0.0, 0.0, 3), 8, None)
    stamps = [r.observation.stamp_ns for r in recorder.rows]
    assert [i for i, r in enumerate(recorder.rows) if r.is_last] == [3]
    assert [i for i, (a, b) in enumerate(pairwise(stamps)) if b < a] == [3]


def test_an_observation_whose_stamp_stands_still_is_never_recorded() -> None:
    loop, recorder, _ = line_loop(episode_steps=100)
    loop.asking = Asking(loop.parts.world, loop._note_world, lambda s: None)
    loop.run(observe(0.0, 0.0, 0), 3, None)
    loop.parts.world.steps -= 1  # the camera gives the last image again, once
    loop.run(observe(0.0, 0.0, 3), 6, None)
    assert [r.observation.stamp_ns for r in recorder.rows] == [0, 1, 2, 3, 4, 5]
    # It was asked to stop meanwhile, and that is what the row says.
    assert [r.action.v_mps for r in recorder.rows] == [0.5, 0.5, 0.5, 0.0, 0.5, 0.5]
    texts = [e["text"] for e in loop.parts.events.since(0)["events"] if e["kind"] == "world"]
    assert len(texts) == 1
    assert "the stamp of its observation stands still at 3 ns" in texts[0]


def test_an_observation_that_does_not_follow_begins_another_episode() -> None:
    loop, recorder, _ = line_loop(episode_steps=100)
    world, step = loop.parts.world, loop.parts.world.step
    world.step = lambda action: replace(step(action), is_first=world.steps == 5)
    loop.run(observe(0.0, 0.0, 0), 10, None)
    assert [i for i, r in enumerate(recorder.rows) if r.is_first] == [0, 5]
    assert [i for i, r in enumerate(recorder.rows) if r.is_last] == [4]


def test_a_life_waits_when_its_world_is_over_and_still_does_what_is_posted() -> None:
    loop, recorder, _ = line_loop(episode_steps=100)
    step = loop.parts.world.step
    done: list[bool] = []

    def stop() -> None:
        done.append(loop.paused.is_set())
        loop.stop_event.set()

    def until_five(action: Action) -> StepResult:
        if loop.parts.world.steps == 5:
            loop.post(stop)
            raise WorldEndedError("the log is over")
        return step(action)

    loop.parts.world.step = until_five
    loop.run(observe(0.0, 0.0, 0), None, time.monotonic() + 20)
    assert done == [True]
    assert len(recorder.rows) == 5
    told = [e["text"] for e in loop.parts.events.since(0)["events"] if e["kind"] == "world"]
    assert told == ["the log is over; the life waits"]
