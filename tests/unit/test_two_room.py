"""The parts of the TwoRoom benchmark that need no peer."""

import json
from pathlib import Path

import numpy as np
import pytest
from bench.two_room.episodes import BLOCK, WINDOW, Episodes, Pair, draw_pairs, load, save
from bench.two_room.table import Played, difference, differences, read


def _episodes(*lengths: int) -> Episodes:
    """Return straight walks, two px a step, each with as many frames as told."""
    frames = sum(lengths)
    places = np.stack([2.0 * np.arange(frames), np.zeros(frames)], axis=1).astype(np.float32)
    actions = np.tile(np.arange(frames, dtype=np.float32)[:, None], 2)
    return Episodes(places=places, actions=actions, ends=np.cumsum(lengths))


def _played(success: list[list[int]]) -> Played:
    values = np.array(success, dtype=np.float64)
    return Played(success=values, steps=np.ones(values.shape), plan_cpu_s=np.array([0.01]))


def test_windows_and_their_blocks_stay_within_an_episode() -> None:
    span = (WINDOW - 1) * BLOCK
    episodes = _episodes(span, span + 1, span + 3)
    starts = episodes.window_starts()
    assert starts.tolist() == [span, 2 * span + 1, 2 * span + 2, 2 * span + 3]
    assert episodes.blocks(starts)[1, :, 0].tolist() == [2 * span + 1 + k for k in range(BLOCK)]


def test_pairs_are_as_far_apart_in_time_as_told_and_not_solved_at_the_start() -> None:
    pairs = draw_pairs(_episodes(40, 10, 60), 25, 8, seed=0)
    assert len(set(pairs)) == 8
    for pair in pairs:
        assert pair.goal[0] - pair.start[0] == 2.0 * 25
    assert pairs == draw_pairs(_episodes(40, 10, 60), 25, 8, seed=0)
    with pytest.raises(ValueError, match="4 pairs 5 steps apart"):
        draw_pairs(_episodes(40), 5, 4, seed=0)


def test_a_goal_in_the_other_room_is_told() -> None:
    assert Pair((20.0, 50.0), (200.0, 50.0)).crosses
    assert not Pair((20.0, 50.0), (90.0, 50.0)).crosses


def test_episodes_come_back_as_they_were_saved(tmp_path: Path) -> None:
    episodes = _episodes(3, 4)
    fingerprint = save(tmp_path / "e.npz", episodes)
    again = load(tmp_path / "e.npz")
    assert np.array_equal(again.places, episodes.places)
    assert again.frames is None
    assert save(tmp_path / "f.npz", again) == fingerprint


def test_results_are_read_when_every_seed_played_every_pair(tmp_path: Path) -> None:
    files = [tmp_path / "0.jsonl", tmp_path / "1.jsonl"]
    row = json.dumps({"steps": 7, "plan_cpu_s": [0.5]}) + "\n"
    lost = json.dumps({"steps": None, "plan_cpu_s": []}) + "\n"
    files[0].write_text(row + lost)
    assert read(files, 2, budget=50) is None
    files[1].write_text(row)
    assert read(files, 2, budget=50) is None
    files[1].write_text(row + row)
    played = read(files, 2, budget=50)
    assert played is not None
    assert played.success.tolist() == [[1, 0], [1, 1]]
    assert played.steps.tolist() == [[7, 50], [7, 7]]
    assert played.plan_cpu_s.tolist() == [0.5, 0.5, 0.5]


def test_differences_are_paired_by_seed_and_pair() -> None:
    better = _played([[1, 1, 1, 1, 0, 1], [1, 1, 1, 1, 1, 1]])
    worse = _played([[0, 1, 0, 1, 0, 0], [0, 1, 0, 1, 0, 1]])
    gap = difference(better, worse)
    assert gap.mean == pytest.approx(6 / 12)
    assert gap.low > 0
    same = difference(better, better)
    assert (same.low, same.mean, same.high) == (0, 0, 0)
    assert "+50.0" in differences({"a": better, "b": worse}, "b", ["a"])
