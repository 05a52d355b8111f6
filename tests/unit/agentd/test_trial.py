"""A candidate in life: shadow, canary, promotion; whoever is bad is gone, and the life goes on."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from line_life import SPEC, line_loop, observe

from agentd.acting import Acting
from agentd.shadow import STRETCH, Shadow
from agentd.trial import Ending, Trials
from configs.recipes import load_recipe
from learners.config import GateConfig
from learners.errors import DamagedCheckpointError
from learners.manifest import Manifest, Verdict
from learners.recipes.build import completed
from learners.registry import Registry
from learners.round_spec import body_to_dict
from memory.errors import DiskFullError, WorseRetrievalError
from memory.records import Rollout
from memory.vectors.backfill import BackfillReport

BODY = body_to_dict(SPEC)
GATE = GateConfig.model_validate(
    {
        "shadow": {"min_steps": 48, "life_share": 0.0, "cpu_share": 1.0},
        "canary": {
            "min_steps": 60, "life_share": 0.0, "probation": 2.0, "min_windows": 2,
            "record_steps": 1000,
        },
    }
)  # fmt: skip
OFF = GateConfig.model_validate({"shadow": {"max_steps": 0}, "canary": {"max_steps": 0}})


RECIPE = completed(load_recipe("agentd"))


class AtOnce(Executor):
    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_result(call(*args, **kwargs))
        return future


class Model:
    """Knows where it is, and believes that it moves `gain` times as far as it does."""

    trusted = True

    def __init__(self, checkpoint_id: str, gain: float) -> None:
        self.checkpoint_id, self.gain = checkpoint_id, gain

    def encode(self, observation: Any, rows: Any) -> np.ndarray:
        return observation.T_world_camera[:2, 3].astype(np.float32)

    def rollout(self, z: np.ndarray, plans: np.ndarray) -> Rollout:
        way = np.cumsum(plans[..., 0] * plans[..., 2], axis=1) * self.gain
        latents = np.repeat(z[None, None], plans.shape[1], axis=1).repeat(len(plans), axis=0)
        latents = latents.copy()
        latents[..., 0] += way
        empty = np.zeros((*plans.shape[:2], 3), np.float32)
        return Rollout(z=latents, egomotion=empty, p_collision=empty[..., 0])

    def surprise_error(self, z_prev: Any, action: Any, z_now: Any) -> float:
        return 1.0


class Life:
    """A loop on a line, a registry on disk, and trials between them."""

    def __init__(self, folder: Path, config: GateConfig = GATE) -> None:
        self.loop, self.recorder, self.policy = line_loop(episode_steps=20)
        self.world: Any = self.loop.parts.world
        self.registry = Registry(folder)
        self.gains: dict[str, float] = {}
        self.vectors: list[str] = []
        self.prepare_fails: list[Exception] = []
        self.told: list[str] = []
        self.endings: list[Ending] = []
        self.acting = Acting(
            load_model=self.load,
            loop=self.loop,
            vectors=SimpleNamespace(  # type: ignore[arg-type]
                prepare_encoder=self.prepare, activate_encoder=self.activate
            ),
            emit=self.told.append,
        )
        self.trials = Trials(
            config=config, recipe=load_recipe("agentd"), body=BODY, registry=self.registry,
            acting=self.acting, life_steps=lambda: self.loop.state.step, executor=AtOnce(),
            emit=self.told.append,
        )  # fmt: skip
        self.trials.on_end = self.endings.append
        self.loop.watchers = (self.trials.note,)
        self.observation = observe(0.0, 0.0, 0)

    def load(self, checkpoint_id: str) -> Any:
        self.registry.verify(checkpoint_id)
        return Model(checkpoint_id, self.gains[checkpoint_id])

    def prepare(self, model: Any) -> BackfillReport:
        if self.prepare_fails:
            raise self.prepare_fails.pop()
        return BackfillReport(
            encoder_version=model.checkpoint_id, expected=0, written=0, embedded=0,
            recall_before=0.5, recall_after=0.5, same_object=0.9,
        )  # fmt: skip

    def activate(self, model: Any, report: BackfillReport) -> BackfillReport:
        self.vectors.append(model.checkpoint_id)
        return report

    def publish(self, gain: float, *, beats_anchor: bool = True, **changes: Any) -> str:
        values = {
            "id": "", "parent_id": None, "created_ns": 1, "recipe": RECIPE, "body": BODY,
            "config_sha256": "0", "replay_version": 3, "rows": (0, 9),
            "verdict": Verdict(accepted=True, reasons=("better",), beats_anchor=beats_anchor),
        }  # fmt: skip
        manifest = Manifest.model_validate({**values, **changes})
        checkpoint_id = self.registry.publish(manifest, {"weights.safetensors": b"x"}).id
        self.gains[checkpoint_id] = gain
        return checkpoint_id

    def incumbent(self, gain: float = 0.8) -> str:
        """Let a model act that was promoted before."""
        checkpoint_id = self.publish(gain)
        self.registry.promote(checkpoint_id)
        self.acting.act_from_the_start(checkpoint_id)
        return checkpoint_id

    def live(self, steps: int) -> None:
        """Live, and let the trial advance every few steps."""
        end = self.loop.state.ticks + steps
        while self.loop.state.ticks < end:
            self.observation = self.loop.run(self.observation, self.loop.state.ticks + 4, None)
            self.acting.change_encoder()
            self.trials.check()

    @property
    def acts(self) -> str | None:
        return self.loop.model.checkpoint_id if self.loop.model else None

    def decisions(self, checkpoint_id: str) -> list[tuple[str, str | None]]:
        rows = self.registry.history()
        return [(row.event, row.stage) for row in rows if row.id == checkpoint_id]


@pytest.fixture
def life(tmp_path: Path) -> Life:
    return Life(tmp_path / "checkpoints")


def test_a_good_candidate_is_shadow_then_canary_then_promoted(life: Life) -> None:
    old = life.incumbent()
    life.live(40)
    new = life.publish(gain=0.9)
    life.trials.begin(new)
    assert (life.trials.busy, life.acts) == (True, old)
    life.live(44)
    assert life.acts == old, "a shadow does not act"
    assert life.registry.promoted() == old
    life.live(40)
    assert (life.acts, life.registry.promoted()) == (new, old), "a canary is not promoted yet"
    assert life.vectors == [old], "the memory does not follow a canary"
    life.live(100)
    assert (life.acts, life.registry.promoted(), life.registry.anchor()) == (new, new, new)
    assert life.vectors[-1] == new
    assert [(e.accepted, e.stage) for e in life.endings] == [(True, "T4")]
    life.live(300)
    assert life.decisions(new) == [
        ("shadow", "T1"), ("canary", "T2"), ("promoted", "T4"), ("confirmed", "T4"),
    ]  # fmt: skip
    assert "normalised error -" in life.registry.history()[-3].reason
    rows = {row.checkpoint_id for row in life.recorder.rows}
    assert rows == {old, new}


def test_all_steps_of_an_episode_are_acted_by_one_checkpoint(life: Life) -> None:
    life.incumbent()
    life.world.bumps = lambda step: life.acts != "ckpt-00001" and step % 6 == 0
    for _ in range(3):
        life.trials.begin(life.publish(gain=0.9))
        life.live(160)
    who: dict[int, set[str]] = {}
    for row in life.recorder.rows:
        who.setdefault(row.episode_id, set()).add(row.checkpoint_id)
    assert {len(ids) for ids in who.values()} == {1}
    assert len({row.checkpoint_id for row in life.recorder.rows}) == 4


def test_a_candidate_that_foresees_life_worse_never_acts(life: Life) -> None:
    old = life.incumbent()
    new = life.publish(gain=0.5)
    life.trials.begin(new)
    life.live(200)
    assert life.acts == life.registry.promoted() == old
    assert {row.checkpoint_id for row in life.recorder.rows} == {old}
    assert life.endings[0].stage == "T2"
    assert "foresees what is lived worse: normalised error +" in life.endings[0].reason
    assert life.registry.history()[-1].reason == life.endings[0].reason
    assert life.registry.trunk() == new, "as after the probes, training may go on from it"


@pytest.mark.parametrize("gain", [float("nan"), float("inf")])
def test_predictions_that_are_not_finite_end_the_shadow(life: Life, gain: float) -> None:
    old = life.incumbent()
    life.trials.begin(life.publish(gain=gain))
    life.live(60)
    assert "not finite" in life.endings[0].reason
    assert life.registry.trunk() == old


@pytest.mark.parametrize("has_incumbent", [True, False])
def test_collisions_of_a_canary_bring_back_the_one_before_and_life_goes_on(
    life: Life, has_incumbent: bool
) -> None:
    old = life.incumbent() if has_incumbent else None
    life.live(400)
    new = life.publish(gain=0.9)
    life.world.bumps = lambda step: life.acts == new and step % 4 == 0
    life.trials.begin(new)
    life.live(140)
    assert life.acts == life.registry.promoted() == old
    assert (life.endings[0].accepted, life.endings[0].stage) == (False, "T3")
    assert "too many collisions" in life.endings[0].reason
    assert life.decisions(new)[-1] == ("refused", "T3")
    assert life.registry.trunk() == old, "what failed in life is not trained on"
    acted = [i for i, row in enumerate(life.recorder.rows) if row.checkpoint_id == new]
    assert 0 < len(acted) < 60
    assert len(life.recorder.rows) == 540, "the life went on"
    assert life.vectors == ([old] if old else [])
    life.world.bumps = lambda step: False
    life.trials.begin(life.publish(gain=0.9))
    life.live(300)
    assert life.registry.promoted() == "ckpt-00003" if old else "ckpt-00002"


def test_a_canary_that_foresees_what_it_does_worse_goes(life: Life) -> None:
    old = life.incumbent(gain=0.8)
    new = life.publish(gain=0.9)
    life.trials.begin(new)
    life.live(60)
    assert life.trials.acts
    phase = life.trials._phase
    assert phase is not None
    phase.model.gain = 0.4  # type: ignore[attr-defined]
    life.live(120)
    assert (life.acts, life.endings[0].stage) == (old, "T3")
    assert "foresees what is lived worse" in life.endings[0].reason


def test_after_promotion_the_guard_stays_and_rolls_back_by_itself(life: Life) -> None:
    old = life.incumbent()
    life.live(400)
    new = life.publish(gain=0.9)
    life.trials.begin(new)
    life.live(160)
    assert life.registry.promoted() == life.registry.anchor() == new
    life.world.bumps = lambda step: life.acts == new and step % 4 == 0
    life.live(60)
    assert life.acts == life.registry.promoted() == life.registry.trunk() == old
    assert life.registry.anchor() == old
    assert life.decisions(old)[-1] == ("rolled_back", "T4")
    assert f"{new}: too many collisions" in life.registry.history()[-1].reason
    assert [e.accepted for e in life.endings] == [True, False]
    assert life.vectors[-1] == old


def test_retrieval_that_gets_worse_is_refused_before_it_acts(life: Life) -> None:
    old = life.incumbent()
    life.prepare_fails = [WorseRetrievalError("finds the same object in 0.2")]
    life.trials.begin(life.publish(gain=0.9))
    life.live(100)
    assert {row.checkpoint_id for row in life.recorder.rows} == {old}
    assert "retrieval gets worse: finds the same object in 0.2" in life.endings[0].reason


def test_a_full_disk_only_holds_the_trial_up(life: Life) -> None:
    life.incumbent()
    life.prepare_fails = [DiskFullError("the disk is full") for _ in range(3)]
    new = life.publish(gain=0.9)
    life.trials.begin(new)
    life.live(200)
    assert life.acts == life.registry.promoted() == new
    assert sum("the disk is full" in text for text in life.told) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"recipe": load_recipe("lewm")}, "is of another recipe, 'lewm' ("),
        ({"body": {**BODY, "radius_m": 0.9}}, "was trained for another body: radius_m differ"),
        ({"recipe": RECIPE.model_copy(update={"latent_dim": 64})}, "latent_dim is 64, not 128"),
    ],
)
def test_a_candidate_of_another_kind_never_acts(
    life: Life, changes: dict[str, Any], reason: str
) -> None:
    old = life.incumbent()
    life.trials.begin(life.publish(gain=0.9, **changes))
    life.live(200)
    assert life.acts == old
    assert life.endings[0].stage == "T0"
    assert reason in life.endings[0].reason
    with pytest.raises(ValueError, match="ckpt-00002"):
        life.trials.require_origin("ckpt-00002")


def test_a_damaged_candidate_is_refused_and_the_incumbent_acts_on(life: Life) -> None:
    old, new = life.incumbent(), life.publish(gain=0.9)
    (life.registry.path(new) / "weights.safetensors").write_bytes(b"y")
    life.trials.begin(new)
    life.live(50)
    assert life.acts == old
    assert "cannot be loaded" in life.endings[0].reason
    with pytest.raises(DamagedCheckpointError):
        life.acting.load(new)


def test_the_first_model_has_no_shadow_and_is_the_anchor(life: Life) -> None:
    new = life.publish(gain=0.1, beats_anchor=False)
    life.trials.begin(new)
    life.live(100)
    assert life.acts == life.registry.promoted() == life.registry.anchor() == new
    assert life.decisions(new)[:2] == [("shadow", "T1"), ("canary", "T2")]


def test_one_that_does_not_surely_beat_the_anchor_acts_and_leaves_it(life: Life) -> None:
    old = life.incumbent()
    life.trials.begin(life.publish(gain=0.9, beats_anchor=False))
    life.live(200)
    assert (life.registry.promoted(), life.registry.anchor()) == ("ckpt-00002", old)


def test_with_both_stages_off_it_is_promoted_at_once(tmp_path: Path) -> None:
    life = Life(tmp_path, OFF)
    life.incumbent()
    life.trials.begin(life.publish(gain=0.1))
    assert life.registry.promoted() == "ckpt-00002"
    life.live(40)
    assert life.acts == "ckpt-00002"


def test_a_trial_that_a_person_ends_is_written_down(life: Life) -> None:
    old, new = life.incumbent(), life.publish(gain=0.9)
    life.trials.begin(new)
    life.live(10)
    life.trials.abandon("a person rolled back")
    life.live(200)
    assert (life.trials.busy, life.acts, life.registry.trial()) == (False, old, None)
    assert life.registry.history()[-1].reason == "a person rolled back"


def test_stages_are_short_in_a_young_life_and_bounded_in_an_old_one(tmp_path: Path) -> None:
    life = Life(tmp_path, GateConfig())
    for step, shadow, canary in ((0, 96, 256), (10_000, 200, 500), (10**7, 1000, 2000)):
        life.loop.state.step = step
        config = GateConfig()
        lengths = [life.trials._length(config.shadow), life.trials._length(config.canary)]
        assert lengths == [shadow, canary]


class Later(AtOnce):
    """Takes work and does it when told."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self.waiting.append((future, lambda: call(*args, **kwargs)))
        return future

    def work(self) -> None:
        for future, call in self.waiting:
            future.set_result(call())
        self.waiting = []


def test_the_loop_never_waits_for_the_shadow() -> None:
    loop, _, _ = line_loop(episode_steps=1000)
    executor = Later()
    shadow = Shadow(Model("new", 0.9), Model("old", 0.8), 1.0, executor)  # type: ignore[arg-type]
    loop.watchers = (shadow.note,)
    loop.run(observe(0.0, 0.0, 0), 10 * STRETCH, None)
    assert len(executor.waiting) == 1, "windows are left out while one is worked on"
    executor.work()
    assert (shadow.num_windows, shadow.steps) == (1, 10 * STRETCH)


def test_the_shadow_keeps_to_its_share_of_a_core() -> None:
    now = [0.0]

    def slow(self: Model, observation: Any, rows: Any) -> np.ndarray:
        now[0] += 0.1
        return np.zeros(2, np.float32)

    models = [type("Slow", (Model,), {"encode": slow})(i, 0.9) for i in ("new", "old")]
    shadow = Shadow(models[0], models[1], 0.25, AtOnce(), clock=lambda: now[0])
    loop, _, _ = line_loop(episode_steps=10**6)
    loop.watchers = (shadow.note,)

    def on_tick(step: int) -> None:
        now[0] += 0.01

    loop._on_tick = on_tick
    loop.run(observe(0.0, 0.0, 0), 4000, None)
    assert shadow.num_windows * 0.8 / now[0] == pytest.approx(0.25, abs=0.02)


def test_stretches_never_cross_episodes() -> None:
    loop, _, _ = line_loop(episode_steps=STRETCH)
    shadow = Shadow(Model("new", 0.9), Model("old", 0.8), 1.0, AtOnce())  # type: ignore[arg-type]
    loop.watchers = (shadow.note,)
    loop.run(observe(0.0, 0.0, 0), 100, None)
    assert (shadow.num_windows, shadow.compare()) == (0, None)
