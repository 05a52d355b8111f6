from collections.abc import Callable
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs.recipes import load_recipe
from learners.batch import Scale
from learners.checkpoint import load_curiosity
from learners.errors import DamagedCheckpointError, RecipeError
from learners.pose_graph import PoseGraph
from learners.recipes.build import build
from learners.recipes.spec import TrainingSpec
from learners.registry import Registry
from learners.round import run_round
from learners.round_spec import RoundSpec
from learners.training import Prefetcher
from learners.update import NotFiniteError, Updater
from memory.config import CuriosityConfig, ReplayConfig, SamplingConfig
from memory.errors import NotEnoughDataError
from memory.objects.changes import Change, ChangeKind
from memory.objects.tables import Counters, ObjectTables, Snapshot
from memory.records import BodySpec
from memory.replay.curiosity import Curiosity
from memory.replay.ram import RamReplay
from memory.replay.samplers import Curious

MakeSpec = Callable[..., RoundSpec]


def test_a_first_round_publishes_a_checkpoint_that_can_be_verified(
    arena_spec: MakeSpec, arena_replay: RamReplay
) -> None:
    spec = arena_spec(2, git_commit="abc", newest_stamp_ns=7)
    result = run_round(spec, arena_replay)
    registry = Registry(spec.checkpoints_folder)
    assert result.checkpoint_id is not None
    manifest = registry.verify(result.checkpoint_id)
    assert manifest.num_updates == manifest.total_updates == result.num_updates == 2
    assert manifest.rows == result.rows == (0, 799)
    assert (manifest.parent_id, manifest.git_commit, manifest.newest_stamp_ns) == (None, "abc", 7)
    assert manifest.metrics == result.metrics
    assert registry.promoted() is None, "promoting is up to the agent"
    expected = {
        *("k_step_error", "action_sensitivity_4", "r2_xy", "r2_heading", "r2_egomotion"),
        *("collision_auc", "effective_rank", "latent_std_min", "sigreg_ratio", "losses"),
        *("distance_spearman_near", "distance_spearman_euclid_near", "num_probe_windows"),
    }
    assert expected <= result.metrics.keys()


def test_a_round_is_repeatable_bit_for_bit(
    arena_spec: MakeSpec, arena_replay: RamReplay, tmp_path: Path
) -> None:
    outcomes = []
    for name in ("a", "b"):
        spec = arena_spec(3, checkpoints_folder=tmp_path / name)
        result = run_round(spec, arena_replay)
        assert result.checkpoint_id is not None
        outcomes.append((result.metrics, Registry(tmp_path / name).list()[0].files))
    assert outcomes[0] == outcomes[1]


def _curiosity(spec: RoundSpec, checkpoint_id: str | None) -> dict[str, np.ndarray]:
    registry = Registry(spec.checkpoints_folder)
    assert checkpoint_id is not None
    config = spec.learners.round.sampling.curiosity
    folder, manifest = registry.path(checkpoint_id), registry.manifest(checkpoint_id)
    return load_curiosity(folder, manifest, config).to_arrays()


def test_what_was_trained_on_is_counted_and_goes_on_in_the_next_round(
    arena_spec: MakeSpec, arena_replay: RamReplay
) -> None:
    spec = arena_spec(5)
    first = run_round(spec, arena_replay)
    visits = _curiosity(spec, first.checkpoint_id)["visits"]
    # at most one visit per window of five batches of eight, two windows may share a stretch
    assert 5 < visits.sum() <= 40
    second = run_round(spec, arena_replay)
    later = _curiosity(spec, second.checkpoint_id)["visits"]
    assert (later[: len(visits)] >= visits).all()
    assert visits.sum() + 5 < later.sum() <= 80


def test_the_order_of_batches_does_not_depend_on_who_is_faster(
    arena_replay: RamReplay, spec: BodySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A draw that is held back until the learner asks sees what one that ran ahead saw."""
    config = TrainingSpec(batch_size=4, horizon=4)
    scale = Scale.of(spec)
    orders = []
    for in_step in (False, True):
        curious = Curious(Curiosity(CuriosityConfig(stretch_steps=4)))
        seen = []
        graph = PoseGraph(scale)
        with Prefetcher(arena_replay, config, scale, graph, 3, curious, curious) as batches:
            for number in range(30):
                if in_step:
                    wait(batches._coming)
                batches.next()
                seen.append(batches._steps.tolist())
                batches.learn(np.random.default_rng(number).random(4, dtype=np.float32))
        orders.append((seen, curious.curiosity.to_arrays()["fast"].tolist()))
    assert orders[0] == orders[1]


def test_a_round_stops_where_its_rows_were_trained_on_often_enough(
    arena_spec: MakeSpec, arena_replay: RamReplay
) -> None:
    spec = arena_spec(50)
    sampling = SamplingConfig(max_samples_per_insert=0.35, min_samples_per_insert=0.2)
    rounds = spec.learners.round.model_copy(update={"sampling": sampling})
    learners = spec.learners.model_copy(update={"round": rounds})
    spec = spec.model_copy(update={"learners": learners})
    first = run_round(spec, arena_replay)
    # 0.35 x 800 rows are 280 frames, three batches of 8 x 10
    assert first.num_updates == 3
    assert first.metrics["sampling"] == {
        "samples_per_insert": pytest.approx(240 / 800),
        "max_samples_per_insert": 0.35,
        "min_samples_per_insert": 0.2,
        "limited": True,
        "too_little": False,
    }
    assert first.checkpoint_id is not None
    manifest = Registry(spec.checkpoints_folder).manifest(first.checkpoint_id)
    assert manifest.total_frames == 240
    assert first.waited_share is not None
    assert manifest.waited_share == first.waited_share
    second = run_round(spec, arena_replay)
    assert (second.checkpoint_id, second.num_updates) == (None, 0)
    assert second.reasons == ("held back: the 800 rows were trained on 0.35 times already",)


def test_a_round_notes_the_log_of_changes_that_it_knew(
    arena_spec: MakeSpec, arena_replay: RamReplay
) -> None:
    spec = arena_spec(1)
    change = Change(
        event_id=7,
        step=90,
        stamp_ns=0,
        kind=ChangeKind.MOVED,
        slot_id=1,
        label="chair",
        xyz_m=np.zeros(3),
    )
    ObjectTables(spec.memory_folder).write(Snapshot(counters=Counters(), changes=[change]))
    result = run_round(spec, arena_replay)
    assert result.checkpoint_id is not None
    assert Registry(spec.checkpoints_folder).manifest(result.checkpoint_id).last_event_id == 7


def test_a_later_round_goes_on_from_the_trunk_with_the_same_subspaces(
    arena_spec: MakeSpec, arena_replay: RamReplay
) -> None:
    spec = arena_spec(2)
    first = run_round(spec, arena_replay)
    registry = Registry(spec.checkpoints_folder)
    assert first.checkpoint_id is not None
    registry.promote(first.checkpoint_id)
    second = run_round(spec.model_copy(update={"parent_id": first.checkpoint_id}), arena_replay)
    assert second.checkpoint_id is not None
    assert second.incumbent_metrics is not None
    child = registry.manifest(second.checkpoint_id)
    assert (child.parent_id, child.incumbent_id) == (first.checkpoint_id, first.checkpoint_id)
    assert child.total_updates == 4
    planes = [
        _tensor(registry, m.id, "subspaces.planes")
        for m in (registry.manifest(i) for i in (first.checkpoint_id, second.checkpoint_id))
    ]
    np.testing.assert_array_equal(*planes)
    assert len(second.learning_progress) == 16 + 64
    assert np.isfinite(np.array(second.learning_progress)).all()


def _with(spec: RoundSpec, **changes: Any) -> RoundSpec:
    """Return a spec with other settings of the round."""
    rounds = spec.learners.round.model_copy(update=changes)
    learners = spec.learners.model_copy(update={"round": rounds})
    return spec.model_copy(update={"learners": learners})


def _with_recipe(spec: RoundSpec, **changes: Any) -> RoundSpec:
    """Return a spec with another recipe."""
    return spec.model_copy(update={"recipe": spec.recipe.model_copy(update=changes)})


def test_a_minor_version_keeps_the_encoder_to_the_bit_and_says_so(
    arena_spec: MakeSpec, arena_replay: RamReplay
) -> None:
    spec = _with(arena_spec(3), freeze_encoder=True)
    registry = Registry(spec.checkpoints_folder)
    ids = []
    for _ in range(3):
        ids.append(run_round(spec, arena_replay).checkpoint_id or "")
        registry.promote(ids[-1])
    manifests = [registry.manifest(i) for i in ids]
    assert [m.level for m in manifests] == ["major", "minor", "minor"], "the first has to learn one"
    assert [m.encoder_version for m in manifests] == [ids[0]] * 3
    for name in (
        "encoder.frames.stem.convolutions.0.weight",
        "encoder.frames.projector.norm.running_mean",
    ):
        weights = [_tensor(registry, m.id, name) for m in manifests]
        np.testing.assert_array_equal(weights[0], weights[1])
        np.testing.assert_array_equal(weights[0], weights[2])
    steer = [_tensor(registry, m.id, "predictor.steps.steer.weight") for m in manifests]
    assert (steer[0] != steer[1]).any()
    major = run_round(_with(spec, freeze_encoder=False), arena_replay).checkpoint_id
    assert major is not None
    assert registry.manifest(major).encoder_version == major
    norm = "encoder.frames.projector.norm.running_mean"
    assert (_tensor(registry, major, norm) != _tensor(registry, manifests[0].id, norm)).any()


def test_a_pull_towards_the_first_weights_is_felt_in_later_rounds(
    arena_spec: MakeSpec, arena_replay: RamReplay, tmp_path: Path
) -> None:
    moved = {}
    for weight in (0.0, 0.1):
        spec = arena_spec(8, checkpoints_folder=tmp_path / str(weight))
        spec = _with_recipe(spec, losses=spec.recipe.losses | {"l2_init": weight})
        fresh = build(spec.recipe, spec.learners.round.seed).state_dict()
        result = [run_round(spec, arena_replay) for _ in range(2)][-1]
        assert result.checkpoint_id is not None
        name = "predictor.steps.steer.weight"
        last = _tensor(Registry(spec.checkpoints_folder), result.checkpoint_id, name)
        moved[weight] = float(np.abs(last - fresh[name].numpy()).sum())
        assert ("l2_init" in result.metrics["losses"]) is (weight > 0)
    assert moved[0.1] < 0.8 * moved[0.0]


def test_a_round_tells_whether_the_model_can_still_learn(
    arena_spec: MakeSpec, arena_replay: RamReplay
) -> None:
    spec = arena_spec(2)
    first, second = run_round(spec, arena_replay), run_round(spec, arena_replay)
    gauges = second.metrics["plasticity"]
    assert 0 <= gauges["dormant_share"] <= gauges["dormant_worst_share"] <= 1
    assert gauges["weight_norm"] > 0
    assert gauges["grad_norm"] == second.metrics["losses"]["grad_norm"] > 0
    assert first.metrics["plasticity"]["effective_rank_change"] is None
    rank = [r.metrics["effective_rank"] for r in (first, second)]
    assert gauges["effective_rank_change"] == pytest.approx(rank[1] - rank[0])


def test_the_anchor_is_compared_with_where_another_one_acts(
    arena_spec: MakeSpec, arena_replay: RamReplay
) -> None:
    spec = arena_spec(2)
    registry = Registry(spec.checkpoints_folder)
    first = run_round(spec, arena_replay).checkpoint_id or ""
    registry.promote(first)
    second = run_round(spec.model_copy(update={"parent_id": first}), arena_replay)
    registry.promote(second.checkpoint_id or "", is_anchor=False)
    third = run_round(spec.model_copy(update={"parent_id": second.checkpoint_id}), arena_replay)
    found = [registry.manifest(r.checkpoint_id or "") for r in (second, third)]
    assert [m.anchor_id for m in found] == [None, first]
    assert found[0].verdict.anchor_comparisons == ()
    assert found[1].verdict.anchor_comparisons or not found[1].verdict.comparisons


def test_other_parts_start_a_new_lineage_that_is_judged_beside_the_one_that_acts(
    arena_spec: MakeSpec, arena_replay: RamReplay
) -> None:
    spec = arena_spec(1)
    first = run_round(spec, arena_replay)
    assert first.checkpoint_id is not None
    assert first.new_lineage == ""
    registry = Registry(spec.checkpoints_folder)
    registry.promote(first.checkpoint_id)
    spec = spec.model_copy(update={"parent_id": first.checkpoint_id})
    slimmer = _with_recipe(spec, name="slim", latent_dim=16)
    second = run_round(slimmer, arena_replay)
    assert second.new_lineage == (
        "a new lineage of the recipe 'slim' begins, ckpt-00001 of 'agentd' does not fit: "
        "latent_dim is 32, not 16"
    )
    assert second.incumbent_metrics is not None
    assert second.checkpoint_id is not None
    manifest = registry.manifest(second.checkpoint_id)
    assert (manifest.parent_id, manifest.incumbent_id) == (None, first.checkpoint_id)
    assert registry.promoted() == first.checkpoint_id
    third = run_round(slimmer, arena_replay)
    assert third.new_lineage == ""
    assert registry.manifest(third.checkpoint_id or "").parent_id == second.checkpoint_id


def test_other_losses_and_rates_go_on_with_the_weights(
    arena_spec: MakeSpec, arena_replay: RamReplay
) -> None:
    spec = arena_spec(1)
    first = run_round(spec, arena_replay).checkpoint_id
    training = spec.recipe.training.model_copy(update={"learning_rate": 1e-4})
    changed = _with_recipe(spec, name="mine", losses={"prediction": 1.0}, training=training)
    second = run_round(changed, arena_replay)
    manifest = Registry(spec.checkpoints_folder).manifest(second.checkpoint_id or "")
    assert (manifest.parent_id, second.new_lineage) == (first, "")
    assert (manifest.recipe.name, manifest.recipe.losses) == ("mine", {"prediction": 1.0})
    assert manifest.recipe.encoder.model_extra == {"width": 64}
    assert manifest.recipe.heads["quasi_distance"].model_extra == {
        "width": 32, "components": 8, "intervals": 8,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("ijepa", "'ijepa' cannot act: it has no predictor, motion, quasi_distance, crops;"),
        ("lewm", "'lewm' cannot act: it has no motion, quasi_distance, crops;"),
    ],
)
def test_a_recipe_that_cannot_act_is_refused_before_anything_is_trained(
    arena_spec: MakeSpec, arena_replay: RamReplay, name: str, told: str
) -> None:
    spec = arena_spec(1, recipe=load_recipe(name))
    with pytest.raises(RecipeError, match=told):
        run_round(spec, arena_replay)
    assert Registry(spec.checkpoints_folder).list() == []


def test_a_loss_that_is_not_finite_ends_the_round_without_a_checkpoint(
    arena_spec: MakeSpec, arena_replay: RamReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(self: Updater, *args: Any) -> dict[str, float]:
        raise NotFiniteError("the loss rollout is nan")

    monkeypatch.setattr(Updater, "step_of", step)
    spec = arena_spec(2)
    result = run_round(spec, arena_replay)
    assert (result.checkpoint_id, result.accepted) == (None, False)
    assert result.reasons == ("not finite: the loss rollout is nan",)
    assert Registry(spec.checkpoints_folder).list() == []


def test_a_collapsed_candidate_is_not_kept(arena_spec: MakeSpec, arena_replay: RamReplay) -> None:
    spec = arena_spec(1)
    gate = spec.learners.gate.model_copy(update={"min_effective_rank": 1000.0})
    learners = spec.learners.model_copy(update={"gate": gate})
    result = run_round(spec.model_copy(update={"learners": learners}), arena_replay)
    assert result.checkpoint_id is None
    assert result.reasons[0].startswith("collapsed: effective rank")
    assert Registry(spec.checkpoints_folder).trunk() is None


def test_a_damaged_parent_is_refused_by_name(arena_spec: MakeSpec, arena_replay: RamReplay) -> None:
    spec = arena_spec(1)
    first = run_round(spec, arena_replay)
    assert first.checkpoint_id is not None
    folder = Registry(spec.checkpoints_folder).path(first.checkpoint_id)
    (folder / "optimizer.safetensors").write_bytes(b"not it")
    with pytest.raises(DamagedCheckpointError, match=first.checkpoint_id):
        run_round(spec, arena_replay)


def test_too_little_data_says_how_much_there_is(arena_spec: MakeSpec) -> None:
    with pytest.raises(NotEnoughDataError, match="10 frames"):
        run_round(arena_spec(1, replay_version=0), RamReplay(ReplayConfig()))


def test_an_error_while_drawing_reaches_the_round_and_ends_the_thread(
    arena_spec: MakeSpec, arena_replay: RamReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw(self: Prefetcher, *args: Any) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(Prefetcher, "_draw", draw)
    with pytest.raises(OSError, match="the disk is gone"):
        run_round(arena_spec(2), arena_replay)


@pytest.mark.slow
def test_training_teaches(arena_spec: MakeSpec, arena_replay: RamReplay, tmp_path: Path) -> None:
    short = run_round(arena_spec(1, checkpoints_folder=tmp_path / "short"), arena_replay).metrics
    long = run_round(arena_spec(150, checkpoints_folder=tmp_path / "long"), arena_replay).metrics
    assert all(long["k_step_error"][k] < short["k_step_error"][k] - 0.1 for k in ("1", "4", "8"))
    assert long["action_sensitivity_4"] > 1.2 > short["action_sensitivity_4"]
    assert long["r2_egomotion"] > short["r2_egomotion"]
    assert long["effective_rank"] > 4


def _tensor(registry: Registry, checkpoint_id: str, name: str) -> np.ndarray:
    from safetensors.numpy import load_file

    return load_file(registry.path(checkpoint_id) / "weights.safetensors")[name]
