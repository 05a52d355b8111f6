"""Reading and exporting the tables of a memory, and what they say about it."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes_memory import make_transition
from fakes_stored import furnish, store_episodes

from memory.care.access import open_tables
from memory.care.dossier import read_changes, read_dossier
from memory.care.export import export_table
from memory.care.stats import memory_stats
from memory.care.upkeep import compact_tables
from memory.errors import DamagedTableError, NewerFormatError, NotEnoughDataError
from memory.format import FORMAT_FILE
from memory.objects.changes import ChangeKind


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A furnished memory to copy."""
    made = tmp_path_factory.mktemp("template") / "memory"
    furnish(made)
    return made


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    """A furnished memory."""
    return Path(shutil.copytree(template, tmp_path / "memory"))


def test_tables_are_arrow_streams_with_columns_and_conditions(folder: Path) -> None:
    tables = open_tables(folder)
    assert set(tables) >= {"transitions", "slots", "views", "events"}
    whole = pa.table(tables["transitions"])
    assert whole["step"].to_pylist() == list(range(40))
    assert "rgb" in whole.column_names
    some = tables["transitions"].to_arrow(columns=["pose"], where="step >= 38")
    expected = [make_transition(step, 0).pose.tolist() for step in (38, 39)]
    assert some["pose"].to_pylist() == expected
    assert tables["transitions"].num_rows("episode_id = 1") == 12


def test_an_open_table_does_not_change_under_its_reader(folder: Path) -> None:
    before = open_tables(folder)["transitions"]
    store_episodes(folder, (5,))
    assert before.num_rows() == 40
    assert before.to_arrow(columns=["step"]).num_rows == 40
    assert open_tables(folder)["transitions"].num_rows() == 45


def test_a_column_that_does_not_exist_is_named_with_its_table(folder: Path) -> None:
    with pytest.raises(DamagedTableError, match=r"table 'slots' in .*colour"):
        open_tables(folder)["slots"].to_arrow(columns=["colour"])


def test_a_folder_without_a_memory_is_refused_and_left_alone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no memory in .*: expected the file"):
        open_tables(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_a_newer_memory_is_refused(folder: Path) -> None:
    (folder / FORMAT_FILE).write_text('{"format": 99}')
    with pytest.raises(NewerFormatError, match="format 99"):
        open_tables(folder)


def test_stats_count_what_was_stored(folder: Path) -> None:
    found = memory_stats(folder)
    assert (found.steps, found.first_step, found.last_step, found.episodes) == (40, 0, 39, 3)
    assert sum(found.slots.values()) == 2
    assert found.views == sum(found.embeddings.values()) > 2
    assert found.changes["created"] == 2
    assert found.newest_ns["observation"] == 39_000
    assert found.newest_ns["sighting"] == 7_000_000_000
    by_name = {table.name: table for table in found.tables}
    replay = by_name["transitions"]
    assert (replay.rows, replay.fragments, replay.version) == (40, 3, 4)
    data = sum(f.stat().st_size for f in (folder / "transitions.lance" / "data").iterdir())
    assert replay.bytes == data
    assert replay.bytes_per_row == pytest.approx(data / 40)
    assert replay.disk_bytes > replay.bytes
    assert found.disk_bytes >= sum(table.disk_bytes for table in found.tables)


def test_no_memory_has_empty_stats(tmp_path: Path) -> None:
    found = memory_stats(tmp_path)
    assert (found.tables, found.steps, found.first_step) == ((), 0, None)
    assert list(tmp_path.iterdir()) == []


def test_a_dossier_tells_votes_sigma_views_and_log(folder: Path) -> None:
    found = read_dossier(folder, 1)
    assert found is not None
    label = found.slot["label"]
    assert max(found.slot["votes"], key=found.slot["votes"].get) == label
    assert np.all(np.array(found.slot["sigma_m"]) > 0)
    sizes = [view["num_px"] for view in found.views]
    assert sizes == sorted(sizes, reverse=True)
    assert set(found.crops) == {view["view_id"] for view in found.views}
    assert all(crop.shape == (32, 32, 3) for crop in found.crops.values())
    # the body looked along x from x = 0: the eye is to the west of the object
    assert all(abs(view["bearing_deg"]) > 120 for view in found.views)
    assert found.changes[0]["kind"] == "created"
    assert sum(found.encoders.values()) == len(found.views)
    assert read_dossier(folder, 99) is None


def test_changes_are_filtered_and_newest_last(folder: Path) -> None:
    rows = read_changes(folder)
    assert [row["event_id"] for row in rows] == list(range(1, len(rows) + 1))
    assert {row["label"] for row in read_changes(folder, label="chair")} == {"chair"}
    created = read_changes(folder, kind=ChangeKind.CREATED)
    assert len(created) == 2
    newest = rows[-1]["stamp_ns"]
    assert all(r["stamp_ns"] >= newest for r in read_changes(folder, since_ns=newest))
    assert read_changes(folder, label="it's") == []


@pytest.mark.parametrize("ending", [".parquet", ".arrow", ".csv", ".jsonl"])
def test_an_export_holds_every_row_in_order(folder: Path, tmp_path: Path, ending: str) -> None:
    target = tmp_path / f"life{ending}"
    told: list[tuple[int, int]] = []
    rows = export_table(
        folder, "transitions", target, on_progress=lambda done, total: told.append((done, total))
    )
    assert rows == 40
    assert told[-1] == (40, 40)
    poses = [make_transition(step, 0).pose.tolist() for step in range(40)]
    if ending == ".parquet":
        table = pq.read_table(target)
        found, names = table["pose"].to_pylist(), table.column_names
    elif ending == ".arrow":
        table = pa.ipc.open_file(pa.OSFile(str(target))).read_all()
        found, names = table["pose"].to_pylist(), table.column_names
    elif ending == ".csv":
        with target.open(newline="") as file:
            lines = list(csv.DictReader(file))
        found, names = [json.loads(line["pose"]) for line in lines], list(lines[0])
    else:
        objects = [json.loads(line) for line in target.read_text().splitlines()]
        found, names = [row["pose"] for row in objects], list(objects[0])
    np.testing.assert_allclose(found, poses, rtol=1e-6)
    assert "rgb" not in names
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_pixels_are_exported_when_asked_for(folder: Path, tmp_path: Path) -> None:
    export_table(folder, "transitions", tmp_path / "a.parquet", pixels=True)
    rgb = pq.read_table(tmp_path / "a.parquet")["rgb"][7].as_py()
    assert rgb == make_transition(7, 0).observation.rgb.tobytes()
    export_table(folder, "transitions", tmp_path / "a.jsonl", pixels=True)
    row = json.loads((tmp_path / "a.jsonl").read_text().splitlines()[7])
    assert bytes.fromhex(row["rgb"]) == rgb


def test_an_impossible_export_says_what_would_do(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot export 'chairs': expected one of slots, changes"):
        export_table(folder, "chairs", tmp_path / "a.csv")
    with pytest.raises(ValueError, match=r"a\.xls: its name must end in one of \.parquet"):
        export_table(folder, "slots", tmp_path / "a.xls")
    (tmp_path / "a.csv").write_text("mine")
    with pytest.raises(FileExistsError, match="exists already"):
        export_table(folder, "slots", tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "mine"
    with pytest.raises(NotEnoughDataError, match="there are no slots in"):
        export_table(tmp_path / "none", "slots", tmp_path / "b.csv")


def test_an_export_that_fails_leaves_no_file(folder: Path, tmp_path: Path) -> None:
    for file in (folder / "transitions.lance" / "data").iterdir():
        file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(DamagedTableError, match="'transitions'"):
        export_table(folder, "transitions", tmp_path / "life.parquet", pixels=True)
    assert [p for p in tmp_path.iterdir() if p.is_file()] == []


def test_compaction_of_all_tables_keeps_their_rows(folder: Path) -> None:
    before = {name: pa.table(table) for name, table in open_tables(folder).items()}
    done = {table.name: table for table in compact_tables(folder)}
    assert set(done) == set(before)
    assert (done["transitions"].fragments_before, done["transitions"].fragments) == (3, 1)
    for name, table in open_tables(folder).items():
        key = before[name].column_names[0]
        names = [column for column in before[name].column_names if column != "surprise"]  # NaN
        after = pa.table(table).select(names).sort_by(key)
        assert after.equals(before[name].select(names).sort_by(key)), name
