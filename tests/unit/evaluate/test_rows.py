from pathlib import Path

import pytest
from unit.evaluate.results import result

from agentd.evaluate.rows import HouseResult, ResultFile
from agentd.exit_codes import UsageError

SETTINGS = {"goals": 2, "seed": 0}


def test_finished_houses_are_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "new" / "goals.jsonl"
    file = ResultFile(path, SETTINGS, HouseResult)
    file.append(result(1, "kept", [0.5, 0.0]))
    file.append(result(2, "kept", [0.25, 1.0]))
    again = ResultFile(path, SETTINGS, HouseResult)
    assert again.results == file.results
    assert [r.house for r in again.results] == [1, 2]


def test_a_line_cut_by_a_crash_is_dropped_and_the_file_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "goals.jsonl"
    file = ResultFile(path, SETTINGS, HouseResult)
    file.append(result(1, "kept", [0.5]))
    with path.open("a") as raw:
        raw.write(result(2, "kept", [0.5]).model_dump_json()[:40])
    again = ResultFile(path, SETTINGS, HouseResult)
    assert [r.house for r in again.results] == [1]
    again.append(result(3, "kept", [0.5]))
    assert [r.house for r in ResultFile(path, SETTINGS, HouseResult).results] == [1, 3]


def test_other_settings_are_refused_by_name_and_nothing_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "goals.jsonl"
    ResultFile(path, SETTINGS, HouseResult).append(result(1, "kept", [0.5]))
    before = path.read_text()
    with pytest.raises(UsageError, match="played with seed = 0, not 1"):
        ResultFile(path, SETTINGS | {"seed": 1}, HouseResult)
    assert path.read_text() == before


@pytest.mark.parametrize("text", ["", "hello\n", "[]\n", '{"format": 1}\n'])
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "goals.jsonl"
    path.write_text(text)
    with pytest.raises(UsageError, match="choose another --out"):
        ResultFile(path, SETTINGS, HouseResult)
    assert path.read_text() == text


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "goals.jsonl"
    path.write_text('{"format": 99, "settings": {}}\n')
    with pytest.raises(UsageError, match="has format 99"):
        ResultFile(path, SETTINGS, HouseResult)


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "goals.jsonl"
    ResultFile(path, SETTINGS, HouseResult)
    with path.open("a") as raw:
        raw.write("{}\n")
    with pytest.raises(UsageError, match=r"line 2 of .* is damaged"):
        ResultFile(path, SETTINGS, HouseResult)
