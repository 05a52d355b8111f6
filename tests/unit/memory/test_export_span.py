"""Which rows an export reads, and that they are those of its beginning."""

from pathlib import Path

import numpy as np
import pytest
from fakes_memory import SPEC, make_episode

from memory.care.merging import merge_all
from memory.config import ReplayConfig
from memory.errors import NotEnoughDataError
from memory.export import span as spans
from memory.export.span import Calendar, read_calendar, read_poses, read_rows
from memory.frames import inverse
from memory.replay.store import LanceReplay
from memory.schema import TRANSITIONS
from memory.tables import open_table


def store(folder: Path, *episodes: tuple[int, int, int]) -> None:
    """Append episodes by first step, number and length."""
    replay = LanceReplay(folder, ReplayConfig())
    for first, number, length in episodes:
        replay.append(make_episode(first, number, length))
    replay.close()


@pytest.fixture
def folder(tmp_path):
    store(tmp_path / "m", (0, 0, 20), (20, 1, 12), (32, 2, 8))
    return tmp_path / "m"


def test_a_part_is_cut_by_steps_times_and_episodes_ends_included(folder):
    whole = read_calendar(folder)
    assert len(whole) == 40
    assert whole.part(first_step=3, last_step=5).step.tolist() == [3, 4, 5]
    assert whole.part(from_ns=7_000, to_ns=8_000).step.tolist() == [7, 8]
    assert whole.part(episode_id=2).step.tolist() == list(range(32, 40))
    assert whole.part().step.tolist() == list(range(40))


def test_a_part_without_rows_says_what_there_is(folder):
    with pytest.raises(NotEnoughDataError, match="it has steps 0 to 39, episodes 0 to 2"):
        read_calendar(folder).part(first_step=99)


def test_rows_come_in_the_order_of_steps_wherever_they_lie(folder, monkeypatch):
    store(folder, (40, 3, 5))
    merge_all(folder, TRANSITIONS)
    store(folder, (45, 4, 5))
    monkeypatch.setattr(spans, "_MOST_ROWS", 7)
    span = read_calendar(folder).part(first_step=5, last_step=47)
    batches = list(read_rows(folder, span))
    assert max(len(batch) for batch in batches) == 7
    rows = [row for batch in batches for row in batch]
    assert [row.step for row in rows] == list(range(5, 48))
    wanted = {row.step: row for row in make_episode(32, 2, 8)}
    seen = next(row for row in rows if row.step == 33)
    np.testing.assert_array_equal(seen.observation.rgb, wanted[33].observation.rgb)
    assert seen.episode_id == 2


def test_rows_outside_a_span_by_time_are_left_out_though_their_steps_lie_in_it(folder):
    whole = read_calendar(folder)
    chosen = np.isin(whole.step, [2, 9, 30])
    span = Calendar(
        step=whole.step[chosen],
        episode_id=whole.episode_id[chosen],
        stamp_ns=whole.stamp_ns[chosen],
    )
    assert [row.step for batch in read_rows(folder, span) for row in batch] == [2, 9, 30]
    assert [n for poses in read_poses(folder, span) for n in poses.stamp_ns.tolist()] == [
        2_000,
        9_000,
        30_000,
    ]


def test_what_is_appended_meanwhile_is_not_read_and_what_is_dropped_is_left_out(folder):
    span = read_calendar(folder)
    store(folder, (40, 3, 4))
    open_table(folder, TRANSITIONS).delete("step >= 10 AND step < 15")
    steps = [row.step for batch in read_rows(folder, span) for row in batch]
    assert steps == [*range(10), *range(15, 40)]


def test_poses_are_those_of_camera_and_body(folder):
    (poses,) = read_poses(folder, read_calendar(folder).part(episode_id=1))
    rows = make_episode(20, 1, 12)
    wanted = np.stack([row.observation.T_world_camera for row in rows])
    np.testing.assert_array_equal(poses.T_world_camera, wanted)
    np.testing.assert_allclose(
        poses.T_world_body(SPEC), wanted @ inverse(SPEC.T_body_camera), atol=1e-12
    )


@pytest.mark.parametrize("made", [True, False])
def test_a_life_without_rows_is_told_and_nothing_is_made(tmp_path, made):
    folder = tmp_path / "m"
    if made:
        folder.mkdir()
    with pytest.raises(NotEnoughDataError, match="no step is stored"):
        read_calendar(folder)
    assert not made or list(folder.iterdir()) == []
