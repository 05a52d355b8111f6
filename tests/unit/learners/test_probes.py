import numpy as np
import pytest
import torch
from tiny_recipes import arena_recipe

from learners.batch import Scale
from learners.pose_graph import PoseGraph
from learners.probes import (
    area_under_curve,
    draw_probes,
    effective_rank,
    normalised_per_window,
    probe,
    ridge_r2,
)
from learners.recipes.build import build
from memory.config import ReplayConfig
from memory.errors import NotEnoughDataError
from memory.records import BodySpec
from memory.replay.ram import RamReplay


def test_the_effective_rank_counts_directions() -> None:
    z = np.random.default_rng(0).standard_normal((4000, 16))
    assert effective_rank(z) == pytest.approx(16, rel=0.02)
    assert effective_rank(z[:, :3] @ np.eye(3, 16)) == pytest.approx(3, rel=0.02)
    assert effective_rank(np.ones((50, 16))) == pytest.approx(1, abs=16)


def test_a_linear_map_is_found_and_noise_is_not() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((600, 8))
    y = x @ rng.standard_normal((8, 2)) + 3
    assert ridge_r2(x[:300], y[:300], x[300:], y[300:]) > 0.99
    noise = rng.standard_normal((600, 2))
    assert ridge_r2(x[:300], noise[:300], x[300:], noise[300:]) < 0.05


def test_the_area_under_the_curve_is_the_chance_of_the_right_order() -> None:
    score, is_true = np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])
    assert area_under_curve(score, is_true) == pytest.approx(0.75)
    assert area_under_curve(np.zeros(4), is_true) == pytest.approx(0.5)
    assert area_under_curve(score, np.zeros(4, dtype=bool)) is None


def test_a_fresh_model_copies_and_ignores_actions(arena_replay: RamReplay, spec: BodySpec) -> None:
    scale = Scale.of(spec)
    data = draw_probes(arena_replay, scale, 16, 10, np.random.default_rng(0))
    graph = PoseGraph(scale)
    graph.add(data.pose)
    model = build(arena_recipe(), 0)
    result = probe(model, data, graph, seed=0)
    assert list(result.metrics["k_step_error"].values()) == pytest.approx([1, 1, 1])
    assert result.metrics["action_sensitivity_4"] == pytest.approx(1)
    np.testing.assert_allclose(normalised_per_window(result.error, result.change).mean(), 1)
    assert result.metrics["num_probe_windows"] == 16
    again = probe(model, data, graph, seed=0)
    assert again.metrics == result.metrics


def test_the_probes_do_not_touch_the_running_statistics(
    arena_replay: RamReplay, spec: BodySpec
) -> None:
    scale = Scale.of(spec)
    data = draw_probes(arena_replay, scale, 4, 10, np.random.default_rng(0))
    model = build(arena_recipe(), 0)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.train()
    probe(model, data, PoseGraph(scale), seed=0)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_shuffled_actions_never_stay_where_they_were(
    arena_replay: RamReplay, spec: BodySpec
) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        data = draw_probes(arena_replay, Scale.of(spec), 8, 10, rng)
        assert (data.shuffle != np.arange(8)).all()
        assert sorted(data.shuffle) == list(range(8))


def test_without_probe_episodes_it_says_so(spec: BodySpec) -> None:
    with pytest.raises(NotEnoughDataError):
        draw_probes(RamReplay(ReplayConfig()), Scale.of(spec), 8, 10, np.random.default_rng(0))
