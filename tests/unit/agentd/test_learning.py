"""When rounds start, what is promoted, how old it is, and how a round that failed is told."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from agentd.control import ControlError
from agentd.events import EventLog
from agentd.learning import Learning, StepClock
from learners.config import LearnersConfig
from learners.errors import NothingToRollBackError
from learners.round_spec import RoundFailure, RoundResult
from memory.errors import DiskFullError
from memory.vectors.backfill import BackfillReport

REPORT = BackfillReport(
    encoder_version="ckpt", expected=3, written=3, embedded=3,
    recall_before=0.5, recall_after=0.75, same_object=0.9,
)  # fmt: skip


class FakeRounds:
    def __init__(self) -> None:
        self.busy = False
        self.submitted: list[Any] = []
        self.outcome: Any = None

    def submit(self, spec: Any) -> None:
        self.submitted.append(spec)
        self.busy = True

    def poll(self) -> Any:
        outcome, self.outcome = self.outcome, None
        if outcome is not None:
            self.busy = False
        return outcome

    def pids(self) -> list[int]:
        return []


class FakeRegistry:
    def __init__(self) -> None:
        self.chain: list[str] = []

    def promoted(self) -> str | None:
        return self.chain[-1] if self.chain else None

    def promote(self, checkpoint_id: str) -> None:
        self.chain.append(checkpoint_id)

    def rollback(self) -> str:
        if len(self.chain) < 2:
            raise NothingToRollBackError("nothing to roll back to")
        self.chain.pop()
        return self.chain[-1]


class FakeVectors:
    """The encoder of a memory: prepared, then active."""

    def __init__(self) -> None:
        self.prepared: list[str] = []
        self.active: list[str] = []
        self.fails: list[Exception] = []
        self.changed = threading.Event()

    def prepare_encoder(self, encoder: Any) -> BackfillReport:
        self.prepared.append(encoder.checkpoint_id)
        return REPORT

    def activate_encoder(self, encoder: Any, report: BackfillReport) -> BackfillReport:
        assert report is REPORT
        self.changed.set()
        if self.fails:
            raise self.fails.pop()
        self.active.append(encoder.checkpoint_id)
        return report


class World:
    """A learning with everything around it faked, and its swaps and rows in sight."""

    def __init__(self) -> None:
        self.rows = 0
        self.acting: list[str] = []
        self.rounds, self.registry = FakeRounds(), FakeRegistry()
        self.vectors = FakeVectors()
        self.events = EventLog(None)
        loop = SimpleNamespace(state=SimpleNamespace(step=0), model=None)
        loop.post = lambda call: call()
        self.between_episodes: list[Any] = []
        loop.post_between_episodes = self.between_episodes.append
        loop.use_model = lambda model: self.acting.append(model.checkpoint_id)
        self.progress: list[Any] = []
        self.learning = Learning(
            config=LearnersConfig(),
            registry=self.registry,
            rounds=self.rounds,
            make_spec=lambda parent: SimpleNamespace(replay_version=5, parent=parent),
            load_model=lambda i: SimpleNamespace(checkpoint_id=i, trusted=True),
            loop=loop,
            vectors=self.vectors,
            note_progress=self.progress.extend,
            rows=lambda: self.rows,
            events=self.events,
            clock=StepClock(),
        )

    def finish(self, **changes: Any) -> None:
        values: dict[str, Any] = {
            "checkpoint_id": "ckpt-00001", "accepted": True, "reasons": ("better",),
            "metrics": {"k_step_error": {"1": 0.5}}, "rows": (0, 99),
            "learning_progress": ((1.0, 2.0, 0.1),), "num_updates": 7,
        }  # fmt: skip
        self.rounds.outcome = RoundResult(**{**values, **changes})
        self.learning.check()

    def end_episode(self) -> None:
        """Let the loop come between two episodes."""
        while self.between_episodes:
            self.between_episodes.pop(0)()

    def texts(self) -> list[str]:
        return [e["text"] for e in self.events.since(0)["events"]]


def test_rounds_start_when_enough_is_new() -> None:
    world = World()
    config = LearnersConfig().round
    world.rows = config.first_rows - 1
    world.learning.check()
    assert not world.rounds.submitted
    world.rows += 1
    world.learning.check()
    world.learning.check()
    assert len(world.rounds.submitted) == 1
    world.finish()
    assert len(world.rounds.submitted) == 1
    world.rows += config.min_new_rows
    world.learning.check()
    assert world.rounds.submitted[1].parent == "ckpt-00001"


def test_an_accepted_candidate_is_promoted_and_acts() -> None:
    world = World()
    world.rows = 5000
    world.learning.check()
    world.finish()
    assert world.registry.chain == ["ckpt-00001"]
    world.end_episode()
    assert world.acting == ["ckpt-00001"]
    assert world.progress == [(1.0, 2.0, 0.1)]
    assert world.learning.as_dict()["rounds"][0]["accepted"]


def test_model_and_encoder_change_between_episodes_and_not_before() -> None:
    world = World()
    world.rows = 5000
    world.learning.check()
    world.finish()
    assert world.vectors.prepared == ["ckpt-00001"]
    assert (world.acting, world.vectors.active) == ([], [])
    world.end_episode()
    assert world.acting == ["ckpt-00001"]
    assert world.vectors.changed.wait(10)
    world.learning.check()
    assert world.vectors.active == ["ckpt-00001"]


def test_of_two_models_in_one_episode_the_newer_one_acts() -> None:
    world = World()
    world.learning.promote("ckpt-00001")
    world.learning.promote("ckpt-00002")
    world.end_episode()
    assert world.acting == ["ckpt-00002"]
    world.learning.check()
    assert world.vectors.active == ["ckpt-00002"]


def test_an_encoder_that_cannot_be_changed_yet_is_told_once_and_tried_again() -> None:
    world = World()
    world.vectors.fails = [DiskFullError("the disk is full") for _ in range(3)]
    world.learning.promote("ckpt-00001")
    world.end_episode()
    for _ in range(5):
        world.learning.check()
    assert world.vectors.active == ["ckpt-00001"]
    assert sum("the disk is full" in text for text in world.texts()) == 1


def test_a_life_that_goes_on_acts_with_its_checkpoint_before_the_first_tick() -> None:
    world = World()
    world.registry.chain = ["ckpt-00003"]
    world.registry.manifest = lambda i: SimpleNamespace(rows=(0, 9))  # type: ignore[attr-defined]
    world.learning.resume()
    assert world.acting == ["ckpt-00003"]
    world.end_episode()
    assert world.acting == ["ckpt-00003"]


def test_a_refused_candidate_never_acts_and_its_reason_is_kept() -> None:
    world = World()
    world.rows = 5000
    world.learning.check()
    world.finish(accepted=False, reasons=("collapsed: effective rank 1.2, at least 8 is needed",))
    assert world.acting == []
    assert world.registry.chain == []
    row = world.learning.as_dict()["rounds"][0]
    assert "collapsed" in row["reason"]
    assert any("refused: collapsed" in text for text in world.texts())


def test_a_failed_round_is_told_and_the_next_one_starts() -> None:
    world = World()
    world.rows = 5000
    world.learning.check()
    world.rounds.outcome = RoundFailure(reason="the worker was killed twice")
    world.rows = 9000
    world.learning.check()
    assert world.learning.history[0]["reason"] == "the worker was killed twice"
    assert len(world.rounds.submitted) == 2


def test_learn_now_does_not_wait_for_new_rows() -> None:
    world = World()
    world.rows = 100
    world.learning.check()
    assert not world.rounds.submitted
    world.learning.request()
    world.learning.check()
    assert len(world.rounds.submitted) == 1


def test_rollback_lets_the_one_before_act_and_says_when_there_is_none() -> None:
    world = World()
    with pytest.raises(ControlError, match="nothing to roll back"):
        world.learning.rollback()
    world.registry.chain = ["ckpt-00001", "ckpt-00002"]
    assert world.learning.rollback() == {"checkpoint": "ckpt-00001"}
    world.end_episode()
    assert world.acting == ["ckpt-00001"]


def test_the_clock_knows_the_age_of_steps_of_this_process_only() -> None:
    clock = StepClock(every=10)
    assert clock.age_s(5) is None
    for step in range(100, 200):
        clock.note(step)
    age = clock.age_s(150)
    assert age is not None
    assert 0 <= age < 5
    assert clock.age_s(20) is None
