"""`agentd memory stats|show|changes|compact|export` on real tables."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from fake_life import FakeLife, born, living
from fakes_stored import furnish
from rich.console import Console
from typer.testing import CliRunner, Result

from agentd.cli import app
from agentd.commands.progress import Progress
from agentd.exit_codes import ExitCode
from agentd.home import Home
from agentd.view.blocks import BlockPicture


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home without a memory."""
    return born(tmp_path / "h")


@pytest.fixture
def furnished(home: Home) -> Home:
    """A home with a memory."""
    furnish(home.memory_folder)
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
    assert read(furnished, "changes", "--since", "0.5s")["changes"] == late != rows
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


def test_a_young_life_has_nothing_to_look_at(home: Home, tmp_path: Path) -> None:
    assert read(home, "stats")["tables"] == []
    assert read(home, "changes")["changes"] == []
    assert read(home, "compact")["tables"] == []
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
