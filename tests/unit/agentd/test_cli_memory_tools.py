"""`agentd memory stats|show|changes|compact|export` on real tables."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from fake_life import FakeLife, born, living
from fakes_stored import furnish, store_episodes
from rich.console import Console
from typer.testing import CliRunner, Result

from agentd.cli import app
from agentd.commands.progress import Progress
from agentd.exit_codes import ExitCode
from agentd.home import Home
from agentd.view.blocks import BlockPicture
from memory.care.stats import newest_stamp_ns


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home without a memory."""
    return born(tmp_path / "h")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound memory to copy."""
    made = tmp_path_factory.mktemp("template") / "memory"
    furnish(made)
    return made


@pytest.fixture
def furnished(template: Path, home: Home) -> Home:
    """A home with a memory."""
    shutil.copytree(template, home.memory_folder, dirs_exist_ok=True)
    return home


def invoke(home: Home, *words: str) -> Result:
    return CliRunner().invoke(app, ["memory", *words, "--home", str(home.path)])


def read(home: Home, *words: str) -> dict:
    result = invoke(home, *words, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_stats(furnished: Home) -> None:
    data = read(furnished, "stats")
    assert (data["steps"], data["episodes"]) == (40, 3)
    assert {table["name"] for table in data["tables"]} >= {"transitions", "slots", "views"}
    text = invoke(furnished, "stats").stdout
    assert "steps      40 in 3 episodes, 0 to 39" in text
    assert text.splitlines()[0].split()[:3] == ["table", "rows", "bytes"]


def test_show_tells_a_slot_as_text_and_json(furnished: Home) -> None:
    data = read(furnished, "show", "1")
    label = data["slot"]["label"]
    assert len(data["views"]) == sum(data["encoders"].values())
    text = invoke(furnished, "show", "1").stdout
    assert f"object     {label} (id 1)" in text
    assert f"votes      {label}" in text
    assert "sigma" in text
    assert "created" in text


def test_what_is_not_there_is_told_with_its_exit_code(furnished: Home) -> None:
    result = invoke(furnished, "show", "99")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "no object has the id 99; ids: agentd memory list" in result.stderr


def test_changes_filters(furnished: Home) -> None:
    rows = read(furnished, "changes")["changes"]
    assert [row["event_id"] for row in rows] == sorted(row["event_id"] for row in rows)
    assert len(read(furnished, "changes", "--kind", "created")["changes"]) == 2
    newest = rows[-1]
    late = [r for r in rows if r["stamp_ns"] >= newest["stamp_ns"] - 500_000_000]
    quiet_s = (newest_stamp_ns(furnished.memory_folder) - newest["stamp_ns"]) / 1e9
    assert read(furnished, "changes", "--since", f"{quiet_s + 0.5}s")["changes"] == late != rows
    by_step = [r for r in rows if r["step"] >= newest["step"]]
    assert read(furnished, "changes", "--since", str(newest["step"]))["changes"] == by_step
    chairs = read(furnished, "changes", "--label", "chair")["changes"]
    assert {row["label"] for row in chairs} == {"chair"}
    assert "created" in invoke(furnished, "changes").stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("changes", "--kind", "eaten"), "--kind eaten: expected one of created, confirmed"),
        (("changes", "--since", "yesterday"), "--since yesterday: expected a span like 90s"),
        (("export", "slots", "slots.xls"), "must end in one of .parquet, .arrow, .csv, .jsonl"),
        (("export", "slots", "nowhere/slots.csv"), "there is no folder"),
        (("export", "walls", "walls.csv"), "cannot export 'walls': expected one of slots"),
    ],
)
def test_wrong_usage_is_one_sentence(
    furnished: Home, words: tuple[str, ...], sentence: str
) -> None:
    result = invoke(furnished, *words)
    assert result.exit_code == ExitCode.USAGE
    assert sentence in result.stderr


def test_export_says_what_it_wrote(furnished: Home, tmp_path: Path) -> None:
    target = tmp_path / "slots.parquet"
    result = invoke(furnished, "export", "slots", str(target))
    assert result.exit_code == 0
    assert f"wrote 2 rows of slots ({target.stat().st_size} bytes) to {target}" in result.stderr
    assert sorted(pq.read_table(target)["slot_id"].to_pylist()) == [1, 2]
    again = invoke(furnished, "export", "slots", str(target))
    assert again.exit_code == ExitCode.USAGE
    assert "exists already" in again.stderr


def test_compact_tells_what_became_fewer(furnished: Home) -> None:
    tables = {table["name"]: table for table in read(furnished, "compact")["tables"]}
    assert tables["transitions"]["fragments_before"] == 3
    assert tables["transitions"]["fragments"] == 1


FLOORS = [
    *("--set", "memory.retention.min_training_rows=0"),
    *("--set", "memory.retention.min_probe_rows=0"),
]


def test_plan_explains_and_drops_nothing(home: Home) -> None:
    store_episodes(home.memory_folder, (800, 600, 100))
    text = invoke(home, "plan")
    assert "no budget is set" in text.stderr
    fits = invoke(home, "plan", "--set", "memory.retention.budget_bytes=100000000")
    assert "of 100000000 bytes: nothing has to go" in fits.stderr
    tight = ("plan", "--set", "memory.retention.budget_bytes=1048576", *FLOORS)
    data = read(home, *tight)
    dropped = sum(data["dropped"].values())
    assert 0 < dropped < 1500
    assert dropped == sum(last - first + 1 for first, last in data["ranges"])
    assert sum(stratum["rows"] for stratum in data["strata"]) == 1500
    assert sum(stratum["kept"] for stratum in data["strata"]) == 1500 - dropped
    told = invoke(home, *tight, "--limit", "2")
    assert f"{dropped} of 1500 rows go" in told.stderr
    assert len(told.stdout.splitlines()) == 3
    assert "over quota" in told.stdout
    assert f"and {len(data['strata']) - 2} more" in told.stderr
    short = invoke(home, "plan", "--set", "memory.retention.budget_bytes=1048576")
    assert "the rows that the learner needs take" in short.stderr
    assert read(home, "stats")["steps"] == 1500


def test_an_impossible_budget_is_refused_with_its_key(home: Home) -> None:
    result = invoke(home, "plan", "--set", "memory.retention.budget_bytes=5")
    assert result.exit_code == ExitCode.USAGE
    assert "memory.retention.budget_bytes" in result.stderr


def test_fsck_has_an_exit_code_for_each_outcome(furnished: Home) -> None:
    sound = invoke(furnished, "fsck", "--deep")
    assert (sound.exit_code, sound.stdout) == (0, "")
    assert "the memory is sound" in sound.stderr
    counters = furnished.memory_folder / "objects.json"
    counters.unlink()
    found = invoke(furnished, "fsck")
    assert found.exit_code == ExitCode.DAMAGED
    assert "ERROR  objects.json: it is missing, but there are slots" in found.stdout
    assert "repair would: write it anew" in found.stdout
    dry = invoke(furnished, "fsck", "--repair", "--dry-run")
    assert (dry.exit_code, dry.stdout) == (ExitCode.DAMAGED, found.stdout)
    assert not counters.exists()
    done = invoke(furnished, "fsck", "--repair")
    assert done.exit_code == 0
    assert "DONE   wrote objects.json" in done.stdout
    assert read(furnished, "fsck") == {"done": [], "findings": []}


def test_a_running_life_is_checked_but_not_repaired(furnished: Home) -> None:
    with living(furnished, FakeLife().handlers()):
        assert invoke(furnished, "fsck").exit_code == 0
        refused = invoke(furnished, "fsck", "--repair")
    assert refused.exit_code == ExitCode.LOCKED
    assert "already running" in refused.stderr


def test_dry_run_alone_is_refused(furnished: Home) -> None:
    result = invoke(furnished, "fsck", "--dry-run")
    assert result.exit_code == ExitCode.USAGE
    assert "--dry-run says what --repair would do: give both" in result.stderr


def test_a_young_life_has_nothing_to_look_at(home: Home, tmp_path: Path) -> None:
    assert read(home, "stats")["tables"] == []
    assert read(home, "changes")["changes"] == []
    assert read(home, "compact")["tables"] == []
    assert read(home, "plan")["strata"] == []
    assert invoke(home, "show", "1").exit_code == ExitCode.NOT_FOUND
    result = invoke(home, "export", "slots", str(tmp_path / "slots.csv"))
    assert result.exit_code == ExitCode.NOT_YET
    assert list(home.memory_folder.iterdir()) == []


def test_tools_beside_a_running_life_do_not_disturb_it(furnished: Home) -> None:
    life = FakeLife()
    with living(furnished, life.handlers()):
        for words in (("stats",), ("show", "1"), ("changes",), ("compact",)):
            assert invoke(furnished, *words).exit_code == 0
    assert life.calls == []


def test_a_damaged_table_is_named(furnished: Home) -> None:
    for manifest in (furnished.memory_folder / "slots.lance" / "_versions").glob("*"):
        manifest.write_bytes(b"damaged")
    for words in (("stats",), ("show", "1"), ("compact",)):
        result = invoke(furnished, *words)
        assert result.exit_code == ExitCode.DAMAGED
        assert "table 'slots'" in result.stderr


def test_a_crop_is_drawn_with_two_pixels_per_character() -> None:
    rgb = np.arange(4 * 2 * 3, dtype=np.uint8).reshape(4, 2, 3)
    console = Console(width=20, color_system="truecolor", force_terminal=True)
    with console.capture() as drawn:
        console.print(BlockPicture(rgb))
    text = drawn.get()
    assert len(text.splitlines()) == 2
    assert "38;2;0;1;2;48;2;6;7;8m" in text
    assert "48;2;21;22;23m" in text


def test_a_large_crop_is_shrunk_by_the_mean_of_areas() -> None:
    rgb = np.zeros((8, 8, 3), dtype=np.uint8)
    rgb[::2] = 200
    lines = list(BlockPicture(rgb, max_width=4).lines())
    assert [len(line) for line in lines] == [4, 4]
    style = lines[0][0].style
    assert style is not None
    assert style.color is not None
    assert style.color.get_truecolor().red == 100


def test_progress_says_how_far_it_is() -> None:
    progress = Progress("exporting slots")
    assert progress.line(3.2) == "exporting slots: 3 s"
    progress(10, 40)
    assert progress.line(3.2) == "exporting slots: 10 of 40 rows, 3 s"
    progress.doing("compacting views")
    assert progress.line(5) == "compacting views: 5 s"
