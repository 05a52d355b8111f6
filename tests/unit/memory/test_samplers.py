"""What the samplers draw, on an index alone: large counts, fixed seeds, chi-square bounds."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import chi2

from memory.config import CuriosityConfig, SamplingConfig, StrataConfig
from memory.replay.curiosity import Curiosity
from memory.replay.row_index import BUMPED, IS_TERMINAL, IndexRows, RowIndex, WindowIndex
from memory.replay.samplers import (
    Curious,
    Mix,
    Recent,
    Reserve,
    Reservoir,
    Sampler,
    Uniform,
    training_mix,
)
from memory.replay.sum_tree import SumTree

NO_CHANGES = np.zeros(0, dtype=np.int64)


def rows(
    count: int,
    *,
    first_step: int = 0,
    episode: int | np.ndarray = 0,
    x_m: float | np.ndarray = 0.0,
    surprise: float | np.ndarray = np.nan,
    flags: int | np.ndarray = 0,
) -> IndexRows:
    """Return index rows of consecutive steps."""
    return IndexRows(
        step=np.arange(first_step, first_step + count),
        episode_id=np.zeros(count, dtype=np.int64) + episode,
        x_m=(np.zeros(count) + x_m).astype(np.float32),
        y_m=np.zeros(count, dtype=np.float32),
        yaw_rad=np.zeros(count, dtype=np.float32),
        surprise=(np.zeros(count) + surprise).astype(np.float32),
        flags=(np.zeros(count, dtype=np.int64) + flags).astype(np.uint8),
    )


def index_of(*parts: IndexRows, probe_every: int = 10**6) -> RowIndex:
    """Return an index without held-out episodes but number 1."""
    index = RowIndex(probe_every)
    for part in parts:
        index.extend(part)
    return index


def windows_of(*parts: IndexRows, horizon: int = 1) -> WindowIndex:
    """Return the training windows of rows."""
    return index_of(*parts).windows(horizon, held_out=False)


def assert_distributed(counts: np.ndarray, expected: np.ndarray) -> None:
    """Check counts against expected ones; a true distribution fails once in 10 000 seeds."""
    statistic = float(((counts - expected) ** 2 / expected).sum())
    assert statistic < chi2.ppf(1 - 1e-4, len(counts) - 1)


def draw(sampler: Sampler, windows: WindowIndex, count: int, seed: int = 0) -> np.ndarray:
    """Return window numbers."""
    return sampler.draw(windows, count, np.random.default_rng(seed))


def test_a_row_takes_at_most_forty_bytes_of_the_index() -> None:
    many = rows(200_000)
    tracemalloc.start()
    try:
        index = index_of(many)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(index) == 200_000
    assert used / len(index) <= 40


def test_uniform_gives_every_window_the_same_chance() -> None:
    windows = windows_of(rows(50), rows(30, first_step=60), horizon=4)
    assert len(windows) == 47 + 27
    counts = np.bincount(draw(Uniform(), windows, 74_000), minlength=74)
    assert_distributed(counts, np.full(74, 1000.0))


def test_recent_is_triangular() -> None:
    windows = windows_of(rows(40))
    counts = np.bincount(draw(Recent(), windows, 160_000), minlength=40)
    assert_distributed(counts, 160_000 * (2 * np.arange(40) + 1) / 1600)


def test_the_reservoir_equalises_places_and_is_uniform_inside_one() -> None:
    x_m = np.where(np.arange(1100) < 1000, 0.5, 2.5)
    windows = windows_of(rows(1100, x_m=x_m))
    config = SamplingConfig(quota=100)
    strata = StrataConfig(visit_steps=10_000)
    counts = np.bincount(draw(Reservoir(config, strata), windows, 200_000), minlength=1100)
    expected = np.where(np.arange(1100) < 1000, 100.0, 1000.0)
    assert_distributed(counts, expected)


def test_the_reservoir_equalises_visits() -> None:
    x_m = np.where(np.arange(2000) < 1000, 0.0, np.arange(2000) % 10 * 2.0)
    windows = windows_of(rows(2000, x_m=x_m))
    counts = draw(
        Reservoir(SamplingConfig(quota=50), StrataConfig(visit_steps=1000)), windows, 110_000
    )
    # One place in the first visit, ten in the second: eleven strata of the same weight.
    assert_distributed(np.bincount(counts // 1000), np.array([10_000.0, 100_000.0]))


def test_a_stratum_below_the_quota_weighs_what_it_holds() -> None:
    x_m = np.where(np.arange(1010) < 1000, 0.5, 2.5)
    windows = windows_of(rows(1010, x_m=x_m))
    drawn = draw(
        Reservoir(SamplingConfig(quota=90), StrataConfig(visit_steps=10_000)), windows, 50_000
    )
    assert_distributed(np.bincount((drawn >= 1000).astype(int)), np.array([45_000.0, 5000.0]))


def test_a_pose_that_is_not_finite_is_a_place_of_its_own() -> None:
    x_m = np.where(np.arange(300) % 3 == 0, np.nan, np.where(np.arange(300) % 3 == 1, np.inf, 0.0))
    windows = windows_of(rows(300, x_m=x_m))
    drawn = draw(Reservoir(SamplingConfig(quota=50), StrataConfig()), windows, 30_000)
    finite = np.bincount((drawn % 3 == 2).astype(int))
    assert_distributed(finite, np.array([15_000.0, 15_000.0]))


def reserve_rows() -> IndexRows:
    flags, surprise = np.zeros(1000, dtype=int), np.full(1000, np.nan)
    flags[200:220] = BUMPED
    flags[400] = IS_TERMINAL
    surprise[600], surprise[700] = 5.0, 2.0
    return rows(1000, flags=flags, surprise=surprise)


def test_the_reserve_holds_changes_first_bumps_ends_and_surprises() -> None:
    windows = windows_of(reserve_rows(), horizon=5)
    drawn = draw(Reserve(SamplingConfig(), StrataConfig(), np.array([800, 5000])), windows, 20_000)
    counts = np.bincount(drawn, minlength=len(windows))
    near = np.concatenate([np.arange(event - 4, event + 1) for event in (200, 400, 600, 800)])
    assert set(np.flatnonzero(counts)) == set(near.tolist())
    assert_distributed(counts[near], np.full(20, 1000.0))


def test_a_frequent_kind_of_event_does_not_drown_a_rare_one() -> None:
    flags = np.where(np.arange(5000) % 2 == 0, BUMPED, 0)
    windows = windows_of(rows(5000, flags=flags))
    drawn = draw(
        Reserve(SamplingConfig(quota=10), StrataConfig(), np.arange(1001, 1021, 2)), windows, 20_000
    )
    changes = (drawn % 2 == 1).sum()
    assert_distributed(np.array([changes, 20_000 - changes]), np.full(2, 10_000.0))


def test_unknown_surprise_is_not_interesting() -> None:
    assert (
        len(draw(Reserve(SamplingConfig(), StrataConfig(), NO_CHANGES), windows_of(rows(99)), 8))
        == 0
    )


def visit(curious: Curious, windows: WindowIndex, error: Callable[[int, int], float]) -> np.ndarray:
    """Draw 300 batches of 16, teach an error of (stretch, visits so far); count draws."""
    rng, counts = np.random.default_rng(1), np.zeros(12, dtype=int)
    late = np.zeros(12, dtype=int)
    for batch in range(300):
        stretch = windows.step(curious.draw(windows, 16, rng)) // 32
        errors = [error(int(s), int(counts[s])) for s in stretch]
        np.add.at(counts, stretch, 1)
        if batch >= 20:
            np.add.at(late, stretch, 1)
        curious.learn(stretch * 32, np.array(errors, dtype=np.float32))
    return late


def test_curiosity_prefers_progress_over_noise() -> None:
    """Six stretches are learned slowly, two are noise for ever, four are known already."""
    noise = np.random.default_rng(2)

    def error(stretch: int, visits: int) -> float:
        if stretch < 6:
            return 0.05 + 0.95 * 0.997**visits + 0.02 * noise.random()
        if stretch < 8:
            return 1.0 + 0.5 * noise.standard_normal()
        return 0.02 + 0.02 * noise.random()

    late = visit(Curious(Curiosity(CuriosityConfig())), windows_of(rows(12 * 32)), error)
    learnable, noisy, trivial = (late[:6].mean(), late[6:8].mean(), late[8:].mean())
    assert noisy < 1.2 * trivial, "noise must not be over-drawn"
    assert noisy < 280 * 16 / 12, "a uniform draw would not draw it less"
    assert learnable > 1.5 * noisy


def test_curiosity_visits_what_is_new_first() -> None:
    windows = windows_of(rows(64 * 32))
    curious = Curious(Curiosity(CuriosityConfig()))
    for _ in range(20):
        curious.learn(np.arange(32) * 32, np.full(32, 0.5, dtype=np.float32))
    share_of_new = (draw(curious, windows, 10_000) >= 32 * 32).mean()
    assert share_of_new > 0.9


def test_only_what_was_trained_on_changes_its_priority() -> None:
    curiosity = Curiosity(CuriosityConfig())
    before = curiosity.priority(np.arange(4))
    changed = curiosity.learn(np.array([40, 35, 99]), np.array([1, 3, 5], dtype=np.float32))
    assert changed.tolist() == [1, 3]
    after = curiosity.priority(np.arange(4))
    np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])
    base = CuriosityConfig().epsilon ** CuriosityConfig().alpha
    np.testing.assert_allclose(before, 1 + base)
    np.testing.assert_allclose(after[[1, 3]], 0.7 + base)


def test_progress_is_the_fall_of_the_error_beyond_its_spread() -> None:
    curiosity = Curiosity(CuriosityConfig())
    for error in (1.0, 1.0, 1.0, 1.0, 0.2, 0.2, 0.2, 0.2):
        curiosity.learn(np.array([0]), np.array([error], dtype=np.float32))
    slow = 0.2 + 0.8 * 0.9**4
    fast = 0.2 + 0.8 * 0.5**4
    # mean steps: 0, 0, 0 in the warm-up, then 0.8 and half of it each time, forgotten by 0.7
    spread = sum(0.3 * 0.7 ** (3 - i) * 0.8 * 0.5**i for i in range(4))
    progress = curiosity.progress(np.array([0]))[0]
    assert progress == pytest.approx(slow - fast - spread, rel=1e-5)
    for error in (1.0, 1.0, 1.0):
        curiosity.learn(np.array([0]), np.array([error], dtype=np.float32))
    assert curiosity.progress(np.array([0]))[0] == 0


def test_a_saved_curiosity_goes_on_where_it_was() -> None:
    config = CuriosityConfig()
    curiosity = Curiosity(config)
    for seed in range(9):
        rng = np.random.default_rng(seed)
        curiosity.learn(rng.integers(0, 4000, 48), rng.random(48, dtype=np.float32))
    again = Curiosity.of_arrays(config, curiosity.to_arrays())
    at = np.arange(200)
    np.testing.assert_array_equal(again.priority(at), curiosity.priority(at))
    other = Curiosity.of_arrays(CuriosityConfig(stretch_steps=8), curiosity.to_arrays())
    assert len(other) == 0
    with pytest.raises(ValueError, match="expected the arrays"):
        Curiosity.of_arrays(config, {"visits": np.zeros(3)})


def test_a_sum_tree_draws_by_weight_and_forgets_history() -> None:
    rng = np.random.default_rng(0)
    tree, same = SumTree(), SumTree()
    weights = np.tile([0.0, 1.0, 2.0, 5.0], 700)
    for item in rng.permutation(2800)[:500]:
        tree.set(np.array([item]), rng.random(1))
    tree.set(np.arange(2800), weights)
    same.set(np.arange(2800), weights)
    assert tree.total == same.total == 5600
    drawn = tree.draw(80_000, np.random.default_rng(1))
    np.testing.assert_array_equal(drawn, same.draw(80_000, np.random.default_rng(1)))
    counts = np.bincount(drawn % 4, minlength=4)
    assert counts[0] == 0
    assert_distributed(counts[1:], np.array([10_000.0, 20_000.0, 50_000.0]))


def many_episodes(count: int, length: int = 50) -> RowIndex:
    """Return episodes, every tenth from number 1 held out; the last holds half of life."""
    episode = np.minimum(np.arange(2 * count * length) // length, count - 1)
    return index_of(
        rows(len(episode), episode=episode, x_m=np.arange(len(episode)) % 97 * 0.2), probe_every=10
    )


def default_mix(strata: StrataConfig | None = None, **changes: float) -> Mix:
    config = SamplingConfig.model_validate(changes)
    return training_mix(
        config, strata or StrataConfig(), np.array([60, 700]), Curious(Curiosity(config.curiosity))
    )


def test_no_episode_has_more_than_its_share_of_a_batch() -> None:
    windows = many_episodes(40).windows(10, held_out=False)
    mix = default_mix()
    for seed in range(50):
        numbers = draw(mix, windows, 48, seed)
        assert len(numbers) == 48
        assert np.bincount(windows.episode_id(numbers)).max() <= 2


def test_a_batch_is_filled_even_if_every_episode_must_give_its_whole_share() -> None:
    windows = many_episodes(26).windows(10, held_out=False)
    assert len(np.unique(windows.episode_id(np.arange(len(windows))))) == 23
    numbers = draw(default_mix(), windows, 46)
    assert (np.bincount(windows.episode_id(numbers))[np.r_[0, 2:11]] == 2).all()


def test_too_few_episodes_share_without_a_cap() -> None:
    windows = many_episodes(5).windows(10, held_out=False)
    numbers = draw(default_mix(), windows, 48)
    assert np.bincount(windows.episode_id(numbers)).max() > 12


def test_shares_are_kept_on_average_and_a_missing_one_goes_to_the_first() -> None:
    low, high = rows(500), rows(500, first_step=500)

    class Below:
        def draw(self, windows: WindowIndex, count: int, rng: np.random.Generator) -> np.ndarray:
            return rng.integers(500, size=count)

    class Above:
        def draw(self, windows: WindowIndex, count: int, rng: np.random.Generator) -> np.ndarray:
            return rng.integers(500, 1000, size=count)

    windows = windows_of(low, high)
    empty = Reserve(SamplingConfig(), StrataConfig(), NO_CHANGES)
    mix = Mix([(0.3, Below()), (0.45, Above()), (0.25, empty)])
    drawn = np.concatenate([draw(mix, windows, 3, seed) for seed in range(4000)])
    assert len(drawn) == 12_000
    assert (drawn < 500).mean() == pytest.approx(0.55, abs=0.01)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recent": 0.5}, r"shares sum to 1\.25 instead of 1: reservoir 0\.375, uniform 0"),
        ({"reserve": -0.1}, "greater than or equal to 0"),
        ({"min_samples_per_insert": 600}, "min_samples_per_insert 600 is above"),
        ({"quota": 0}, "greater than or equal to 1"),
        ({"curiosity": {"beta": 1.0}}, "less than 1"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SamplingConfig.model_validate(changes)


@pytest.mark.parametrize("shares", [[], [0.5, 0.4], [1.5, -0.5]])
def test_a_mix_whose_shares_do_not_sum_to_one_is_refused(shares: list[float]) -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        Mix([(share, Uniform()) for share in shares])


def test_appending_piece_by_piece_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    flags = rng.choice([0, 1, 2, 4, 5], 6000)
    whole = IndexRows(
        step=np.cumsum(rng.choice([1, 1, 1, 1, 1, 1, 1, 1, 1, 4], 6000)),
        episode_id=np.arange(6000) // 110,
        x_m=np.cumsum(rng.normal(size=6000)).astype(np.float32),
        y_m=np.cumsum(rng.normal(size=6000)).astype(np.float32),
        yaw_rad=np.zeros(6000, dtype=np.float32),
        surprise=rng.normal(size=6000).astype(np.float32) * 2,
        flags=flags.astype(np.uint8),
    )
    pieces, live = RowIndex(8), default_mix(StrataConfig(visit_steps=700))
    at = 0
    while at < 6000:
        size = int(rng.integers(1, 200))
        pieces.extend(
            IndexRows(**{n: getattr(whole, n)[at : at + size] for n in IndexRows.__slots__})
        )
        at += size
        if at > 100:
            draw(live, pieces.windows(7, held_out=False), 5)
    at_once = RowIndex(8)
    at_once.extend(whole)
    for held_out in (False, True):
        a, b = (i.windows(7, held_out=held_out) for i in (pieces, at_once))
        np.testing.assert_array_equal(a.first, b.first)
    numbers = draw(live, pieces.windows(7, held_out=False), 500, 3)
    fresh = draw(
        default_mix(StrataConfig(visit_steps=700)), at_once.windows(7, held_out=False), 500, 3
    )
    np.testing.assert_array_equal(numbers, fresh)
