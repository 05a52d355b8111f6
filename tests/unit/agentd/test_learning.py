"""When rounds start, what is promoted, how old it is, and how a round that failed is told."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from agentd.acting import Acting
from agentd.control import ControlError
from agentd.events import EventLog
from agentd.learning import Learning, StepClock
from agentd.trial import Ending
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
        self.refused: list[str] = []
        self.on_trial: str | None = None

    def trial(self) -> str | None:
        return self.on_trial

    def refuse(self, checkpoint_id: str, *, stage: str, reason: str) -> None:
        self.refused.append(f"{checkpoint_id} {stage} {reason}")

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


class FakeTrials:
    """Ends a trial when told to, or at once."""

    def __init__(self, world: "World") -> None:
        self.world, self.ends_at_once = world, True
        self.began: list[str] = []
        self.busy = self.acts = False
        self.on_end: Any = None

    def begin(self, checkpoint_id: str) -> None:
        self.began.append(checkpoint_id)
        self.busy = self.acts = True
        if self.ends_at_once:
            self.end(checkpoint_id)

    def end(self, checkpoint_id: str, accepted: bool = True, reason: str = "fine") -> None:
        self.busy = self.acts = False
        if accepted:
            self.world.registry.promote(checkpoint_id)
            model = self.world.acting.load(checkpoint_id)
            self.world.acting.act_with(model, self.world.acting.prepare(model))
        stage: Any = "T4" if accepted else "T3"
        self.on_end(
            Ending(checkpoint_id=checkpoint_id, accepted=accepted, stage=stage, reason=reason)
        )

    def check(self) -> None: ...

    def require_origin(self, checkpoint_id: str) -> None: ...

    def abandon(self, reason: str) -> None:
        self.busy = self.acts = False


class World:
    """A learning with everything around it faked, and its swaps and rows in sight."""

    def __init__(self) -> None:
        self.rows = 0
        self.acts: list[str] = []
        self.rounds, self.registry = FakeRounds(), FakeRegistry()
        self.vectors = FakeVectors()
        self.events = EventLog(None)
        loop = SimpleNamespace(state=SimpleNamespace(step=0), model=None)
        loop.post = lambda call: call()
        self.between_episodes: list[Any] = []
        loop.post_between_episodes = self.between_episodes.append
        loop.use_model = lambda model: self.acts.append(model.checkpoint_id)
        self.acting = Acting(
            load_model=lambda i: SimpleNamespace(checkpoint_id=i, trusted=True),
            loop=loop,
            vectors=self.vectors,
            emit=lambda text: self.events.emit("learning", 0, text),
        )
        self.trials = FakeTrials(self)
        self.progress: list[Any] = []
        self.learning = Learning(
            config=LearnersConfig(),
            registry=self.registry,
            rounds=self.rounds,
            make_spec=lambda parent: SimpleNamespace(replay_version=5, parent_id=parent),
            acting=self.acting,
            trials=self.trials,
            loop=loop,
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


def test_a_new_lineage_is_told_and_the_incumbent_acts_on() -> None:
    world = World()
    world.rows = 5000
    world.learning.check()
    world.finish()
    world.end_episode()
    world.rows += 5000
    world.learning.check()
    world.finish(
        checkpoint_id="ckpt-00002", accepted=False, new_lineage="a new lineage begins: other parts"
    )
    told = [text for text in world.texts() if "lineage" in text]
    acts = "ckpt-00001 acts until a candidate passes the gate"
    assert told == [f"a new lineage begins: other parts; {acts}"]
    assert world.acts == ["ckpt-00001"]


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
    assert world.rounds.submitted[1].parent_id == "ckpt-00001"


def test_an_accepted_candidate_is_promoted_and_acts() -> None:
    world = World()
    world.rows = 5000
    world.learning.check()
    world.finish()
    assert world.registry.chain == ["ckpt-00001"]
    world.end_episode()
    assert world.acts == ["ckpt-00001"]
    assert world.progress == [(1.0, 2.0, 0.1)]
    assert world.learning.as_dict()["rounds"][0]["accepted"]


def test_model_and_encoder_change_between_episodes_and_not_before() -> None:
    world = World()
    world.rows = 5000
    world.learning.check()
    world.finish()
    assert world.vectors.prepared == ["ckpt-00001"]
    assert (world.acts, world.vectors.active) == ([], [])
    world.end_episode()
    assert world.acts == ["ckpt-00001"]
    assert world.vectors.changed.wait(10)
    world.learning.check()
    assert world.vectors.active == ["ckpt-00001"]


def test_of_two_models_in_one_episode_the_newer_one_acts() -> None:
    world = World()
    world.learning.promote("ckpt-00001")
    world.learning.promote("ckpt-00002")
    world.end_episode()
    assert world.acts == ["ckpt-00002"]
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
    assert world.acts == ["ckpt-00003"]
    world.end_episode()
    assert world.acts == ["ckpt-00003"]


def test_a_refused_candidate_never_acts_and_its_reason_is_kept() -> None:
    world = World()
    world.rows = 5000
    world.learning.check()
    world.finish(accepted=False, reasons=("collapsed: effective rank 1.2, at least 8 is needed",))
    assert world.acts == []
    assert world.registry.chain == []
    row = world.learning.as_dict()["rounds"][0]
    assert "collapsed" in row["reason"]
    assert any("refused: collapsed" in text for text in world.texts())


def test_while_a_candidate_is_on_trial_no_round_starts_and_its_entry_says_so() -> None:
    world = World()
    world.trials.ends_at_once = False
    world.rows = 5000
    world.learning.check()
    world.finish()
    world.rows = 50_000
    world.learning.check()
    assert len(world.rounds.submitted) == 1
    row = world.learning.as_dict()["rounds"][0]
    assert (row["on_trial"], row["accepted"]) == (True, False)
    world.trials.end("ckpt-00001", accepted=False, reason="too many collisions")
    assert (row["accepted"], row["reason"]) == (False, "T3: too many collisions")
    assert "on_trial" not in row
    world.learning.check()
    assert len(world.rounds.submitted) == 2


def test_a_candidate_that_was_compared_with_another_than_acts_now_is_refused() -> None:
    world = World()
    world.registry.chain = ["ckpt-00001", "ckpt-00002"]
    world.rows = 5000
    world.learning.check()
    world.learning.rollback()
    world.finish(checkpoint_id="ckpt-00003")
    assert world.trials.began == []
    assert world.registry.chain == ["ckpt-00001"]
    assert world.registry.refused == [
        "ckpt-00003 T1 compared with ckpt-00002, but ckpt-00001 acts now"
    ]


def test_rolling_back_a_canary_lets_the_promoted_one_act() -> None:
    world = World()
    world.registry.chain = ["ckpt-00001", "ckpt-00002"]
    world.trials.busy = world.trials.acts = True
    assert world.learning.rollback() == {"checkpoint": "ckpt-00002"}
    assert world.registry.chain == ["ckpt-00001", "ckpt-00002"]
    assert not world.trials.busy


def test_a_trial_that_a_kill_cut_short_begins_again() -> None:
    world = World()
    world.trials.ends_at_once = False
    world.registry.chain, world.registry.on_trial = ["ckpt-00003"], "ckpt-00004"
    world.registry.manifest = lambda i: SimpleNamespace(rows=(0, 9))  # type: ignore[attr-defined]
    world.learning.resume()
    assert world.acts == ["ckpt-00003"]
    assert world.trials.began == ["ckpt-00004"]


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
    assert world.acts == ["ckpt-00001"]


def test_the_clock_knows_the_age_of_steps_of_this_process_only() -> None:
    clock = StepClock(every=10)
    assert clock.age_s(5) is None
    for step in range(100, 200):
        clock.note(step)
    age = clock.age_s(150)
    assert age is not None
    assert 0 <= age < 5
    assert clock.age_s(20) is None
