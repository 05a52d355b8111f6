"""Every replay store: the one on disk and its reference in RAM."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fakes_memory import make_episode, make_transition

from memory.config import CuriosityConfig, ReplayConfig, SamplingConfig, StrataConfig
from memory.errors import NotEnoughDataError, RefusedRowError
from memory.protocols import ReplayStore
from memory.replay.curiosity import Curiosity
from memory.replay.ram import RamReplay
from memory.replay.samplers import Curious, Recent, Reserve, Sampler, Uniform, training_mix
from memory.replay.store import LanceReplay

CONFIG = ReplayConfig(probe_every=4)

STORES: list[Callable[[Path], ReplayStore]] = [
    lambda folder: LanceReplay(folder, CONFIG),
    lambda folder: RamReplay(CONFIG),
]


@pytest.fixture(params=STORES, ids=["lance", "ram"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ReplayStore:
    """An empty store of each kind."""
    made: ReplayStore = request.param(tmp_path / "memory")
    return made


def fill(store: ReplayStore, lengths: list[int], *, first_episode: int = 0) -> None:
    """Append episodes, cut into batches that do not respect their borders."""
    rows, step = [], 0
    for i, length in enumerate(lengths):
        rows += make_episode(step, first_episode + i, length)
        step += length
    for first in range(0, len(rows), 7):
        store.append(rows[first : first + 7])


def test_it_satisfies_the_protocol(store: ReplayStore) -> None:
    assert isinstance(store, ReplayStore)
    assert len(store) == 0
    assert store.version == 0


def test_windows_stay_inside_an_episode_and_hold_its_rows(store: ReplayStore) -> None:
    fill(store, [5, 9, 4, 12, 3])
    batch = store.sample(64, 4, np.random.default_rng(0))
    assert (np.diff(batch.step, axis=1) == 1).all()
    starts = np.array([0, 5, 14, 18, 30, 33])
    assert (starts[batch.episode_id] <= batch.step[:, 0]).all()
    assert (batch.step[:, -1] < starts[batch.episode_id + 1]).all()
    for w, t in ((0, 0), (17, 3), (63, 2)):
        row = make_transition(int(batch.step[w, t]), int(batch.episode_id[w]))
        seen = row.observation
        np.testing.assert_array_equal(batch.rgb[w, t], seen.rgb)
        np.testing.assert_allclose(batch.depth_m[w, t], seen.depth_m, atol=6e-4)
        np.testing.assert_allclose(batch.action[w, t], [row.action.v_mps, -0.2, 0.2], rtol=1e-6)
        np.testing.assert_array_equal(batch.pose[w, t], row.pose)
        np.testing.assert_array_equal(batch.objects[w, t], row.objects)
        np.testing.assert_array_equal(batch.object_slots[w, t], row.object_slots)
        assert batch.bumped[w, t] == seen.bumped


def test_no_motion_leads_to_the_first_frame_of_an_episode(store: ReplayStore) -> None:
    fill(store, [6])
    batch = store.sample(32, 3, np.random.default_rng(0))
    first = batch.step == 0
    assert first.any()
    assert (batch.egomotion[first] == 0).all()
    assert (batch.egomotion[~first] != 0).any()


def test_a_gap_in_the_steps_ends_a_window(store: ReplayStore) -> None:
    rows = make_episode(0, 0, 10)
    store.append(rows[:4] + rows[5:])
    batch = store.sample(64, 4, np.random.default_rng(0))
    assert (np.diff(batch.step, axis=1) == 1).all()
    assert 4 not in batch.step


def test_held_out_and_training_episodes_are_disjoint(store: ReplayStore) -> None:
    fill(store, [4] * 12)
    rng = np.random.default_rng(0)
    training = set(store.sample(400, 2, rng).episode_id.tolist())
    held_out = set(store.sample(400, 2, rng, held_out=True).episode_id.tolist())
    assert held_out == {1, 5, 9}
    assert training == set(range(12)) - held_out


def test_the_same_rng_and_version_give_the_same_batch(store: ReplayStore) -> None:
    fill(store, [20, 20, 20])
    a = store.sample(16, 4, np.random.default_rng(3))
    b = store.sample(16, 4, np.random.default_rng(3))
    np.testing.assert_array_equal(a.step, b.step)
    np.testing.assert_array_equal(a.rgb, b.rgb)
    c = store.sample(16, 4, np.random.default_rng(4))
    assert not np.array_equal(a.step, c.step)


def test_recency_prefers_new_rows_and_uniform_does_not(store: ReplayStore) -> None:
    fill(store, [200])
    rng = np.random.default_rng(0)
    uniform = store.sample(600, 1, rng, sampler=Uniform()).step.mean()
    recent = store.sample(600, 1, rng, sampler=Recent()).step.mean()
    assert uniform == pytest.approx(99.5, abs=8)
    assert recent == pytest.approx(2 / 3 * 199, abs=8)


def mix() -> Sampler:
    """Return the default mix, with changes at steps 11 and 33."""
    curious = Curious(Curiosity(CuriosityConfig(stretch_steps=4)))
    curious.learn(np.array([4, 8]), np.array([0.5, 1.5], dtype=np.float32))
    return training_mix(SamplingConfig(), StrataConfig(), np.array([11, 33]), curious)


def test_every_sampler_keeps_to_whole_training_windows(store: ReplayStore) -> None:
    rows = make_episode(0, 0, 50) + make_episode(50, 1, 20) + make_episode(70, 2, 30)
    store.append(rows[:20] + rows[21:])
    batch = store.sample(200, 6, np.random.default_rng(0), sampler=mix())
    assert (np.diff(batch.step, axis=1) == 1).all()
    assert 20 not in batch.step
    assert set(batch.episode_id.tolist()) == {0, 2}
    assert ((batch.step // 50 == 0) == (batch.episode_id == 0)[:, None]).all()


def test_the_default_mix_draws_the_same_from_both_stores(tmp_path: Path) -> None:
    batches = []
    for store in (LanceReplay(tmp_path, CONFIG), RamReplay(CONFIG)):
        fill(store, [20, 30, 25, 40])
        batches.append(store.sample(64, 4, np.random.default_rng(5), sampler=mix()))
    np.testing.assert_array_equal(batches[0].step, batches[1].step)
    np.testing.assert_array_equal(batches[0].rgb, batches[1].rgb)


def test_a_mix_that_followed_appends_draws_like_one_that_starts_at_the_version(
    store: ReplayStore,
) -> None:
    live, rng = mix(), np.random.default_rng(0)
    rows = make_episode(0, 0, 40) + make_episode(40, 1, 15) + make_episode(55, 2, 60)
    for first in range(0, len(rows), 9):
        store.append(rows[first : first + 9])
        if first >= 9:
            store.sample(8, 5, rng, sampler=live)
    a = store.sample(64, 5, np.random.default_rng(3), sampler=live)
    pinned = store.at_version(store.version)
    b = pinned.sample(64, 5, np.random.default_rng(3), sampler=mix())
    np.testing.assert_array_equal(a.step, b.step)


def test_a_sampler_that_knows_no_window_says_so(store: ReplayStore) -> None:
    quiet = make_episode(0, 0, 3)[1:]
    store.append(quiet)
    reserve = Reserve(SamplingConfig(), StrataConfig(), np.array([77]))
    with pytest.raises(NotEnoughDataError, match=r"none of the 1 windows of 2 frames .* Reserve"):
        store.sample(4, 2, np.random.default_rng(0), sampler=reserve)


def test_a_too_short_store_says_how_short(store: ReplayStore) -> None:
    with pytest.raises(NotEnoughDataError, match="the longest has 0"):
        store.sample(1, 1, np.random.default_rng(0))
    fill(store, [5, 3])
    with pytest.raises(NotEnoughDataError, match=r"no training episode has 6 .* longest has 5"):
        store.sample(1, 6, np.random.default_rng(0))
    with pytest.raises(NotEnoughDataError, match=r"no held-out episode has 4 .* longest has 3"):
        store.sample(1, 4, np.random.default_rng(0), held_out=True)


def test_a_pinned_version_ignores_later_rows(store: ReplayStore) -> None:
    fill(store, [10])
    pinned = store.at_version(store.version)
    before = pinned.sample(8, 2, np.random.default_rng(1))
    store.append(make_episode(10, 2, 30))
    assert len(pinned) == 10
    assert len(store) == 40
    after = pinned.sample(8, 2, np.random.default_rng(1))
    np.testing.assert_array_equal(before.step, after.step)
    assert pinned.version < store.version


def test_version_zero_is_the_empty_store(store: ReplayStore) -> None:
    fill(store, [10])
    assert len(store.at_version(0)) == 0


def test_a_version_that_never_was_is_refused(store: ReplayStore) -> None:
    fill(store, [10])
    with pytest.raises(ValueError, match="newest is"):
        store.at_version(store.version + 1)


def test_the_version_grows_with_every_append(store: ReplayStore) -> None:
    versions = [store.append([make_transition(step, 0)]) for step in range(3)]
    assert versions == sorted(set(versions))
    assert store.version == versions[-1]
    assert store.append([]) == versions[-1]


@pytest.mark.parametrize("steps", [(5, 5), (5, 4)])
def test_steps_that_do_not_increase_are_refused(store: ReplayStore, steps: tuple[int, int]) -> None:
    rows = [make_transition(step, 0) for step in steps]
    with pytest.raises(ValueError, match=f"step {steps[1]} follows step 5"):
        store.append(rows)
    store.append(rows[:1])
    with pytest.raises(ValueError, match=f"step {steps[1]} follows step 5"):
        store.append(rows[1:])
    assert len(store) == 1


def test_another_image_shape_is_refused(store: ReplayStore) -> None:
    store.append([make_transition(0, 0, size=8)])
    with pytest.raises(ValueError, match=r"step 1 is refused: rgb has shape \(4, 4, 3\)"):
        store.append([make_transition(1, 0, size=4)])
    assert len(store) == 1


def test_training_rows_are_counted_from_a_version_on(
    store: LanceReplay | RamReplay,
) -> None:
    fill(store, [7])
    version = store.version
    assert store.num_training_rows(0) == 7
    store.append(make_episode(7, 1, 5))
    store.append(make_episode(12, 2, 4))
    assert store.num_training_rows(version) == 4
    assert store.last_step() == 15
    assert store.last_episode() == 2


def test_appended_rows_survive_reopening(tmp_path: Path) -> None:
    store = LanceReplay(tmp_path, CONFIG)
    fill(store, [6, 6])
    store.close()
    again = LanceReplay(tmp_path, CONFIG)
    assert (len(again), again.last_step(), again.last_episode()) == (12, 11, 1)
    again.append([make_transition(12, 2)])
    assert len(again) == 13


BAD_VALUES = {
    "pose": lambda row: row.pose.__setitem__(1, np.nan),
    "T_world_camera": lambda row: row.observation.T_world_camera.__setitem__((0, 3), np.inf),
    "egomotion": lambda row: row.observation.egomotion.__setitem__(2, np.nan),
    "objects": lambda row: row.objects.__setitem__((0, 0), -np.inf),
    "action": lambda row: object.__setattr__(row.action, "v_mps", float("nan")),
    "rgb": lambda row: object.__setattr__(
        row.observation, "rgb", row.observation.rgb.astype(np.float32)
    ),
    "instance numbers": lambda row: row.observation.instances.__setitem__((0, 0), -1),
    "its time": lambda row: object.__setattr__(row.observation, "stamp_ns", 10),
}


@pytest.mark.parametrize("what", BAD_VALUES)
def test_a_row_that_cannot_be_stored_is_named_and_nothing_is(store: ReplayStore, what: str) -> None:
    fill(store, [4])
    rows = [make_transition(step, 0) for step in range(4, 8)]
    BAD_VALUES[what](rows[2])
    with pytest.raises(RefusedRowError, match=f"step 6 is refused: {what}") as refused:
        store.append(rows)
    assert refused.value.step == 6
    assert len(store) == 4
    store.append([rows[0], rows[1], rows[3]])
    batch = store.sample(64, 2, np.random.default_rng(0))
    assert set(batch.step.ravel().tolist()) == {0, 1, 2, 3, 4, 5}


def test_a_clock_that_was_set_back_may_start_an_episode(store: ReplayStore) -> None:
    fill(store, [4])
    early = make_transition(4, 2, is_first=True)
    object.__setattr__(early.observation, "stamp_ns", 5)
    store.append([early])
    assert len(store) == 5
