"""Every kind of damage is found, named and repaired without losing what can be read."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fakes_memory import SPEC, make_episode
from fakes_stored import furnish, store_episodes

from memory.care.access import open_reader, open_tables
from memory.care.fsck import check_memory
from memory.care.fsck_repair import repair_memory
from memory.care.fsck_types import Finding
from memory.care.retention_log import log_drop
from memory.config import ObjectConfig, ReplayConfig
from memory.errors import NewerFormatError
from memory.objects.memory import SlotMemory
from memory.replay.store import LanceReplay
from memory.schema import transitions_schema
from memory.tables import create_table
from memory.vectors.encoders import vector_rows


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound memory to copy."""
    made = tmp_path_factory.mktemp("template") / "memory"
    furnish(made)
    return made


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    """A sound memory."""
    return Path(shutil.copytree(template, tmp_path / "memory"))


def errors(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level == "error"]


def table(folder: Path, name: str):
    reader = open_reader(folder, name)
    assert reader is not None
    return reader.table


def test_a_sound_memory_has_no_findings_and_is_not_touched(folder: Path) -> None:
    before = sorted((p, p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file())
    assert check_memory(folder, deep=True) == []
    assert repair_memory(folder, deep=True) == ([], [])
    assert sorted((p, p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()) == before


def test_no_memory_is_sound(tmp_path: Path) -> None:
    assert check_memory(tmp_path) == []


def test_a_newer_memory_is_refused(folder: Path) -> None:
    (folder / "format.json").write_text('{"format": 99}')
    with pytest.raises(NewerFormatError, match="format 99"):
        check_memory(folder)


def damage_format(folder: Path) -> None:
    (folder / "format.json").write_text("{")


def lose_counters(folder: Path) -> None:
    (folder / "objects.json").unlink()


def damage_counters(folder: Path) -> None:
    (folder / "objects.json").write_bytes(b"\x00" * 40)


def lower_counters(folder: Path) -> None:
    path = folder / "objects.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "next_view_id": 1}))


def tear_newest_manifest(folder: Path) -> None:
    newest = min((folder / "slots.lance" / "_versions").glob("*.manifest"))
    newest.write_bytes(newest.read_bytes()[:40])


def tear_replay_data(folder: Path) -> None:
    file = sorted((folder / "transitions.lance" / "data").iterdir(), key=lambda f: f.stat().st_size)
    file[1].write_bytes(file[1].read_bytes()[:100])


def lose_replay_data(folder: Path) -> None:
    files = sorted(
        (folder / "transitions.lance" / "data").iterdir(), key=lambda f: f.stat().st_size
    )
    files[0].unlink()


def orphan_view(folder: Path) -> None:
    table(folder, "slots").delete("slot_id = 2")


def cut_pixels(folder: Path) -> None:
    table(folder, "views").update(where="view_id = 1", values={"crop": b"123"})


NOT_A_NUMBER = "CAST('NaN' AS FLOAT)"


def poison_vector(folder: Path) -> None:
    (rows,) = vector_rows(open_tables(folder)).values()
    kind = rows.table.schema.field("vector").type
    size = kind.list_size if pa.types.is_fixed_size_list(kind) else 2
    name = {"float": "Float32", "halffloat": "Float16"}[str(kind.value_type)]
    whole = f"FixedSizeList({size}, {name})" if size != 2 else f"List({name})"
    sql = f"arrow_cast(make_array({', '.join([NOT_A_NUMBER] * size)}), '{whole}')"
    rows.table.table.update(where="view_id = 1", values_sql={"vector": sql})


def leave_half_a_file(folder: Path) -> None:
    (folder / ".objects.json.x1").write_text("{")


def leave_half_a_table(folder: Path) -> None:
    (folder / "places.lance" / "_versions").mkdir(parents=True)


@pytest.mark.parametrize(
    ("damage", "level", "where", "kind"),
    [
        (damage_format, "error", "format.json", "format"),
        (lose_counters, "error", "objects.json", "counters"),
        (damage_counters, "error", "objects.json", "counters"),
        (lower_counters, "error", "objects.json next_view_id", "counters"),
        (tear_newest_manifest, "error", "slots", "restore"),
        (tear_replay_data, "error", "transitions", "salvage"),
        (lose_replay_data, "error", "transitions", "salvage"),
        (orphan_view, "note", "views view_id", "drop_rows"),
        (cut_pixels, "error", "views view_id 1", "drop_rows"),
        (leave_half_a_file, "note", ".objects.json.x1", "set_aside"),
        (leave_half_a_table, "note", "places.lance", "set_aside"),
    ],
)
def test_damage_is_found_and_repaired(
    folder: Path, damage: Callable[[Path], None], level: str, where: str, kind: str
) -> None:
    damage(folder)
    before = sorted((p, p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file())
    found = check_memory(folder, deep=True)
    assert sorted((p, p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()) == before
    named = [f for f in found if f"{f.table} {f.key}".strip().startswith(where)]
    assert [f.level for f in named] == [level], found
    assert named[0].repair is not None
    assert named[0].repair.kind == kind
    done, left = repair_memory(folder, deep=True)
    assert done
    assert left == [], (done, left)
    # what was found, the stores can open again
    LanceReplay(folder, ReplayConfig()).sample(4, 2, np.random.default_rng(0))
    memory = SlotMemory(folder, ObjectConfig(), SPEC)
    assert memory.slots(archived=True)


def test_salvage_keeps_every_row_that_can_be_read_and_the_old_table(folder: Path) -> None:
    lengths = {length: first for first, length in ((0, 20), (20, 12), (32, 8))}
    tear_replay_data(folder)  # of the three appends the one of middle size: 12 rows
    _, left = repair_memory(folder, deep=True)
    assert left == []
    steps = table(folder, "transitions").to_arrow()["step"].to_pylist()
    lost = set(range(lengths[12], lengths[12] + 12))
    assert steps == [step for step in range(40) if step not in lost]
    (kept,) = folder.glob("fsck-*")
    assert len(list((kept / "transitions.lance" / "data").iterdir())) == 3
    replay = LanceReplay(folder, ReplayConfig())
    replay.append(make_episode(40, 3, 4))
    assert len(LanceReplay(folder, ReplayConfig())) == 32


def test_going_back_loses_only_what_no_version_describes(folder: Path) -> None:
    store_episodes(folder, (5,))
    newest = min((folder / "transitions.lance" / "_versions").glob("*.manifest"))
    newest.write_bytes(b"damage" * 20)
    done, left = repair_memory(folder)
    assert left == []
    assert done == ["went back 1 versions of table 'transitions': it holds 40 rows"]
    store_episodes(folder, (7,))
    assert table(folder, "transitions").to_arrow()["step"].to_pylist() == list(range(47))


def test_rows_that_are_removed_are_kept_in_a_file(folder: Path) -> None:
    gone = open_tables(folder)["views"].rows(where="slot_id = 2")
    orphan_view(folder)
    repair_memory(folder)
    (kept,) = folder.glob("fsck-*")
    rows = [
        row
        for file in kept.glob("views-*.arrow")
        for row in pa.ipc.open_file(pa.OSFile(str(file))).read_all().to_pylist()
    ]
    assert {row["view_id"]: row["crop"] for row in rows} == {r["view_id"]: r["crop"] for r in gone}
    (vectors,) = vector_rows(open_tables(folder)).values()
    assert not set(vectors.view_ids()) & {row["view_id"] for row in gone}


def test_rebuilt_counters_never_give_an_id_again(folder: Path) -> None:
    before = json.loads((folder / "objects.json").read_text())
    lose_counters(folder)
    repair_memory(folder)
    after = json.loads((folder / "objects.json").read_text())
    assert after["encoder_version"] == before["encoder_version"]
    for name in ("next_slot_id", "next_view_id", "next_event_id"):
        assert after[name] == before[name]


def test_views_are_not_orphans_while_the_slots_cannot_be_read(folder: Path) -> None:
    num_views = open_tables(folder)["views"].num_rows()
    for file in (folder / "slots.lance" / "_versions").iterdir():
        file.write_bytes(b"damage" * 20)
    found = check_memory(folder)
    assert {f.table for f in found} == {"slots"}
    done, left = repair_memory(folder)
    assert [f.table for f in errors(left)] == ["slots"]
    assert any("no version that can be opened" in text for text in done)
    assert open_tables_except(folder, "slots")["views"] == num_views
    assert len(list((folder / "slots.lance" / "_versions").glob("*.manifest"))) > 0


def open_tables_except(folder: Path, broken: str) -> dict[str, int]:
    names = {path.stem for path in folder.glob("*.lance")} - {broken}
    return {name: table(folder, name).count_rows() for name in names}


def test_a_deleted_table_is_told_and_its_views_stay(folder: Path) -> None:
    num_views = open_tables(folder)["views"].num_rows()
    shutil.rmtree(folder / "slots.lance")
    found = errors(check_memory(folder))
    assert [(f.table, f.repair) for f in found] == [("slots", None)]
    assert f"it is missing, but table 'views' holds {num_views} rows" in found[0].found
    repair_memory(folder)
    assert open_tables(folder)["views"].num_rows() == num_views


def write_rows(folder: Path, steps: list[int], episodes: list[int]) -> None:
    """Write rows past the store, which would refuse them."""
    LanceReplay(folder, ReplayConfig()).append(make_episode(0, 0, 1))
    good = table(folder, "transitions").to_arrow().to_pylist()[0]
    shutil.rmtree(folder / "transitions.lance")
    rows = [
        good | {"step": step, "episode_id": episode, "stamp_ns": step, "pose": [0.0, 0.0, 0.0]}
        for step, episode in zip(steps, episodes, strict=True)
    ]
    schema = transitions_schema(8, 8, 8, 12)
    create_table(folder, "transitions", schema).add(pa.Table.from_pylist(rows, schema=schema))


@pytest.mark.parametrize(
    ("steps", "episodes", "level", "found"),
    [
        ([0, 1, 1, 2], [0, 0, 0, 0], "error", "more than one row has the same step: 1"),
        ([0, 1, 2, 3], [0, 1, 1, 0], "error", "rows of an episode lie apart: episodes 0"),
        ([0, 1, 5, 6], [0, 0, 0, 0], "note", "not because retention dropped them: 2 to 4"),
    ],
)
def test_rows_out_of_order_are_found(
    tmp_path: Path, steps: list[int], episodes: list[int], level: str, found: str
) -> None:
    write_rows(tmp_path, steps, episodes)
    findings = [f for f in check_memory(tmp_path) if found in f.found]
    assert [f.level for f in findings] == [level]


def test_the_order_of_rows_in_the_files_means_nothing(tmp_path: Path) -> None:
    write_rows(tmp_path, [2, 3, 0, 1], [0, 0, 0, 0])
    assert check_memory(tmp_path, deep=True) == []


def test_time_that_goes_backwards_inside_an_episode_is_noted(tmp_path: Path) -> None:
    write_rows(tmp_path, [0, 1, 2], [0, 0, 0])
    table(tmp_path, "transitions").update(where="step = 1", values={"stamp_ns": 9})
    (found,) = check_memory(tmp_path)
    assert (found.level, found.found) == ("note", "time goes backwards at steps 2")


def test_a_hole_that_retention_made_is_none(tmp_path: Path) -> None:
    write_rows(tmp_path, [0, 1, 5, 6], [0, 0, 0, 0])
    log_drop(tmp_path, [(2, 3)], 0)
    assert len(check_memory(tmp_path)) == 1
    log_drop(tmp_path, [(4, 4)], 0)
    assert check_memory(tmp_path) == []


def test_a_pose_that_is_not_finite_is_found(tmp_path: Path) -> None:
    write_rows(tmp_path, [0, 1], [0, 0])
    pose = f"make_array({NOT_A_NUMBER}, {NOT_A_NUMBER}, {NOT_A_NUMBER})"
    sql = f"arrow_cast({pose}, 'FixedSizeList(3, Float32)')"
    table(tmp_path, "transitions").update(where="step = 1", values_sql={"pose": sql})
    (found,) = errors(check_memory(tmp_path))
    assert found.found == "1 poses are not finite: steps 1"


def test_frames_of_another_size_are_found_by_a_deep_check(tmp_path: Path) -> None:
    write_rows(tmp_path, [0, 1], [0, 0])
    table(tmp_path, "transitions").update(where="step = 1", values={"rgb": b"123"})
    assert check_memory(tmp_path) == []
    (found,) = errors(check_memory(tmp_path, deep=True))
    assert (found.key, found.found) == ("rgb", "1 frames are not 192 bytes when unpacked: steps 1")


def test_vectors_of_two_lengths_and_without_numbers_are_found(folder: Path) -> None:
    poison_vector(folder)
    found = errors(check_memory(folder, deep=True))
    kinds = {(f.key, f.repair.kind if f.repair else None) for f in found}
    assert ("view_id 1", "drop_rows") in kinds
    # in a column of fixed size there cannot be two lengths
    assert kinds <= {("view_id 1", "drop_rows"), ("vector", None)}
    _, left = repair_memory(folder, deep=True)
    assert left == []


def test_two_rows_with_one_id_are_found(folder: Path) -> None:
    rows = table(folder, "slots")
    rows.add(rows.search().where("slot_id = 1").to_arrow())
    (found,) = errors(check_memory(folder))
    assert (found.table, found.key, found.repair) == ("slots", "slot_id 1", None)
