"""What retention drops first, what it never drops, and how readers notice."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fakes_memory import make_episode
from fakes_stored import furnish, store_episodes
from pydantic import ValidationError

from memory.care.access import open_tables
from memory.care.retention import PIECE_ROWS, Bytes, LifeColumns, Plan, make_plan
from memory.care.retention_apply import apply_plan, plan_for
from memory.care.retention_log import LOG_FILE, log_drop, logged_drops
from memory.care.upkeep import keep_small
from memory.config import MemoryConfig, ObjectConfig, ReplayConfig, RetentionConfig, StrataConfig
from memory.errors import NotEnoughDataError
from memory.replay.store import LanceReplay
from memory.vectors.encoders import vector_rows

ROW = 10_000
"""Bytes of a row in the plans below."""

PROBE_EVERY = 8


def walk(
    cells: list[tuple[float, float]],
    rows_each: int,
    *,
    episode_rows: int = 128,
    first_step: int = 0,
) -> LifeColumns:
    """Return a life that goes through cells, moving all the time, in episodes of fixed length."""
    num_rows = len(cells) * rows_each
    step = first_step + np.arange(num_rows)
    pose = np.zeros((num_rows, 3))
    pose[:, :2] = np.repeat(np.array(cells), rows_each, axis=0)
    pose[:, 0] += 0.1 * (np.arange(num_rows) % 2)
    episode_id = np.arange(num_rows) // episode_rows
    return LifeColumns(
        step=step,
        episode_id=episode_id,
        pose=pose,
        is_held_out=episode_id % PROBE_EVERY == 1,
        protected_steps=np.zeros(0, dtype=np.int64),
    )


def config(budget_rows: int | None = None, **changes: object) -> RetentionConfig:
    budget = None if budget_rows is None else budget_rows * ROW
    values = {"headroom": 0.0, "min_training_rows": 0, "min_probe_rows": 0, **changes}
    return RetentionConfig(budget_bytes=budget, **values)  # type: ignore[arg-type]


def plan(
    life: LifeColumns, settings: RetentionConfig, visit_steps: int = 3000, **size: object
) -> Plan:
    taken = Bytes(per_row=ROW, **size)  # type: ignore[arg-type]
    return make_plan(life, taken, settings, StrataConfig(visit_steps=visit_steps))


def kept(life: LifeColumns, made: Plan) -> np.ndarray:
    """Return which rows remain."""
    stays = np.ones(len(life.step), dtype=bool)
    for first, last in made.ranges:
        stays &= ~((life.step >= first) & (life.step <= last))
    return stays


def test_without_a_budget_or_within_it_nothing_goes() -> None:
    life = walk([(0.5, 0.5)], 1024)
    for settings in (config(), config(1024)):
        made = plan(life, settings)
        assert made.is_empty
        assert made.bytes_now == made.bytes_after == 1024 * ROW
        assert made.strata[0].rows == 1024
        assert (made.strata[0].x_m, made.strata[0].y_m) == (1.0, 1.0)


def test_the_budget_is_met_to_one_piece_and_headroom_goes_beyond() -> None:
    life = walk([(x, 0.5) for x in (0.5, 2.5, 4.5, 6.5)], 1024)
    made = plan(life, config(3000))
    assert 3000 - PIECE_ROWS < kept(life, made).sum() <= 3000
    assert made.bytes_after == kept(life, made).sum() * ROW
    assert sum(made.dropped.values()) == 4096 - kept(life, made).sum()
    wider = plan(life, config(3000, headroom=0.2))
    assert 2400 - PIECE_ROWS < kept(life, wider).sum() <= 2400


def test_what_remains_has_no_short_runs() -> None:
    life = walk([(0.5, 0.5), (2.5, 0.5)], 2048)
    stays = kept(life, plan(life, config(2000)))
    step, episode = life.step[stays], life.episode_id[stays]
    breaks = np.flatnonzero((np.diff(step) != 1) | (np.diff(episode) != 0))
    runs = np.diff(np.concatenate(([-1], breaks, [len(step) - 1])))
    assert runs.min() == PIECE_ROWS


def test_near_duplicates_of_a_standing_body_go_first() -> None:
    life = walk([(0.5, 0.5)], 2048)
    life.pose[256:640] = life.pose[256]
    made = plan(life, config(1800))
    assert set(made.dropped) == {"stands still"}
    stays = kept(life, made)
    assert stays[:264].all()
    assert stays[640:].all()
    # of each standing stretch the first frames stay; an episode begins every 128 rows
    for first in (256, 384, 512):
        assert stays[first : first + 8].all()


def test_a_turning_body_does_not_stand_still() -> None:
    life = walk([(0.5, 0.5)], 1024)
    life.pose[:, :2] = 0.5
    life.pose[:, 2] = np.arange(1024) * 0.1 % (2 * np.pi)
    assert "stands still" not in plan(life, config(512)).dropped


def test_a_crowded_place_gives_before_a_rare_one() -> None:
    cells = [(0.5, 0.5)] * 14 + [(2.5, 0.5), (4.5, 0.5)]
    life = walk(cells, 256)
    made = plan(life, config(2048), 10_000)
    stays = kept(life, made)
    assert stays[14 * 256 :].all()
    by_place = {stratum.x_m: stratum for stratum in made.strata}
    assert set(by_place) == {1.0, 3.0, 5.0}
    assert by_place[1.0].dropped == {"over quota": int((~stays).sum())}
    assert by_place[3.0].num_dropped == by_place[5.0].num_dropped == 0


def test_inside_a_place_a_long_visit_gives_before_a_short_one() -> None:
    life = walk([(0.5, 0.5)], 2816)
    life.step[256:] += 10_000
    made = plan(life, config(1500), 10_000)
    stays = kept(life, made)
    assert stays[:256].all()
    assert {stratum.visit: stratum.num_dropped for stratum in made.strata} == {
        0: 0,
        1: int((~stays).sum()),
    }


def test_equal_visits_of_a_place_are_cut_to_the_same_level() -> None:
    life = walk([(0.5, 0.5)], 2560)
    stays = kept(life, plan(life, config(1400), 256))
    visits = stays[:2304].reshape(9, 256).sum(axis=1)  # the tenth holds the newest episode
    assert visits.max() - visits.min() <= PIECE_ROWS


def test_protected_steps_go_last() -> None:
    life = walk([(0.5, 0.5)], 2048)
    events = np.array([300, 1000])
    life = LifeColumns(
        step=life.step,
        episode_id=life.episode_id,
        pose=life.pose,
        is_held_out=life.is_held_out,
        protected_steps=events,
    )
    stays = kept(life, plan(life, config(700)))
    for event in events:
        assert stays[event - 32 : event + 33].all()
    hungry = plan(life, config(128))
    assert hungry.dropped["protected"] > 0


def test_floors_and_the_newest_episode_hold_whatever_the_budget() -> None:
    life = walk([(0.5, 0.5)], 8192)
    made = plan(life, config(200, min_training_rows=2000, min_probe_rows=500))
    stays = kept(life, made)
    probes = life.is_held_out
    assert 2000 <= (stays & ~probes).sum() < 2000 + 2 * PIECE_ROWS
    assert 500 <= (stays & probes).sum() < 500 + 2 * PIECE_ROWS
    assert stays[life.episode_id == life.episode_id[-1]].all()
    assert made.short_bytes == (stays.sum() - 200) * ROW


def test_the_same_life_gives_the_same_plan_and_a_thinned_one_none() -> None:
    life = walk([(0.5, 0.5), (2.5, 0.5)] * 4, 512)
    first = plan(life, config(2000))
    assert first == plan(life, config(2000))
    stays = kept(life, first)
    after = LifeColumns(
        step=life.step[stays],
        episode_id=life.episode_id[stays],
        pose=life.pose[stays],
        is_held_out=life.is_held_out[stays],
        protected_steps=life.protected_steps,
    )
    assert plan(after, config(2000)).is_empty


def test_excess_views_go_before_any_row() -> None:
    life = walk([(0.5, 0.5)], 1024)
    made = plan(life, config(1024), per_view=ROW, excess_views=(3, 4, 5))
    assert made.view_ids == (3, 4, 5)
    assert made.ranges == ()
    assert made.bytes_now - made.bytes_after == 3 * ROW


def test_an_empty_life_has_an_empty_plan(tmp_path: Path) -> None:
    made = plan_for(tmp_path, MemoryConfig(retention=config(1000)))
    assert made.is_empty
    assert (made.rows, made.strata) == (0, ())
    assert list(tmp_path.iterdir()) == []


def test_a_budget_too_small_to_mean_is_refused() -> None:
    with pytest.raises(ValidationError, match="budget_bytes"):
        RetentionConfig(budget_bytes=1000)


def settings(folder: Path, share: float, **changes: object) -> MemoryConfig:
    """Return settings whose budget is a share of what the folder holds; floors are off."""
    now = plan_for(folder, MemoryConfig()).bytes_now
    values = {"headroom": 0.0, "min_training_rows": 0, "min_probe_rows": 0, **changes}
    retention = RetentionConfig.model_construct(
        **{**RetentionConfig().model_dump(), **values, "budget_bytes": int(now * share)}
    )
    return MemoryConfig(replay=ReplayConfig(), retention=retention)


def test_a_carried_out_plan_leaves_only_whole_windows(tmp_path: Path) -> None:
    store_episodes(tmp_path, (100, 150, 100))
    writer, reader = (LanceReplay(tmp_path, ReplayConfig()) for _ in range(2))
    assert len(reader) == 350
    pinned = reader.at_version(reader.version)
    chosen = settings(tmp_path, 0.6)
    made = keep_small(tmp_path, chosen)
    gone = {step for first, last in made.ranges for step in range(first, last + 1)}
    assert 100 < len(gone) < 200
    left = [step for step in range(350) if step not in gone]
    for store in (writer, reader, LanceReplay(tmp_path, ReplayConfig())):
        assert len(store) == len(left)
        assert [row.step for row in store.read(0, 999)] == left
        batch = store.sample(64, 8, np.random.default_rng(0))
        assert (np.diff(batch.step, axis=1) == 1).all()
        assert not gone & set(batch.step.ravel().tolist())
    windows = pinned.sample(64, 8, np.random.default_rng(0)).step
    assert (np.diff(windows, axis=1) == 1).all()
    assert {s for a, b in logged_drops(tmp_path) for s in range(a, b + 1)} == gone
    writer.append(make_episode(350, 3, 5))
    assert reader.last_step() == 354
    assert plan_for(tmp_path, chosen).rows == len(left) + 5


def test_rows_dropped_between_two_appends_are_noticed_by_the_writer(tmp_path: Path) -> None:
    store_episodes(tmp_path, (100, 100))
    writer = LanceReplay(tmp_path, ReplayConfig())
    writer.append(make_episode(200, 2, 10))
    open_tables(tmp_path)["transitions"].table.delete("step < 50")
    writer.append(make_episode(210, 3, 10))
    assert len(writer) == 170
    assert [row.step for row in writer.read(0, 2)] == [50, 51]
    assert writer.sample(32, 4, np.random.default_rng(0)).step.min() >= 50


def test_a_reader_whose_rows_all_went_says_so(tmp_path: Path) -> None:
    store_episodes(tmp_path, (30,))
    reader = LanceReplay(tmp_path, ReplayConfig())
    assert len(reader) == 30
    open_tables(tmp_path)["transitions"].table.delete("step >= 0")
    with pytest.raises(NotEnoughDataError):
        reader.sample(4, 2, np.random.default_rng(0))
    assert len(reader) == 0


def test_excess_views_and_their_vectors_are_dropped_from_the_tables(tmp_path: Path) -> None:
    furnish(tmp_path)
    before = open_tables(tmp_path)
    rows = before["views"].rows(columns=["view_id", "slot_id", "num_px"])
    chosen = settings(tmp_path, 0.99)
    chosen = MemoryConfig(objects=ObjectConfig(max_views=1), retention=chosen.retention)
    made = plan_for(tmp_path, chosen)
    largest = {
        max((r for r in rows if r["slot_id"] == slot), key=lambda r: (r["num_px"], -r["view_id"]))[
            "view_id"
        ]
        for slot in {row["slot_id"] for row in rows}
    }
    assert set(made.view_ids) == {row["view_id"] for row in rows} - largest
    apply_plan(tmp_path, made)
    after = open_tables(tmp_path)
    assert set(after["views"].to_arrow(columns=["view_id"])["view_id"].to_pylist()) == largest
    for vectors in vector_rows(after).values():
        assert set(vectors.view_ids()) == largest


def test_a_torn_line_in_the_log_is_skipped_and_the_next_one_whole(tmp_path: Path) -> None:
    log_drop(tmp_path, [(5, 9)], 1)
    with (tmp_path / LOG_FILE).open("a") as file:
        file.write('{"dropped_ns": 2, "ranges": [[20, 2')
    log_drop(tmp_path, [(1, 2)], 3)
    assert logged_drops(tmp_path) == [(1, 2), (5, 9)]


@pytest.mark.slow
def test_the_child_process_takes_its_settings_as_json(tmp_path: Path) -> None:
    store_episodes(tmp_path, (100, 100, 50))
    config_ = MemoryConfig(retention=RetentionConfig(min_training_rows=0, min_probe_rows=0))
    text = json.dumps({**config_.model_dump(), "retention": {"budget_bytes": 5}})
    command = [sys.executable, "-m", "memory.care.upkeep", str(tmp_path)]
    refused = subprocess.run([*command, text], capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "budget_bytes" in refused.stderr
    done = subprocess.run(
        [*command, config_.model_dump_json()], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
