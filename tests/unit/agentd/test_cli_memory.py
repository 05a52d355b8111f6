"""`agentd memory` reads the tables of a home, whether its life runs or not."""

import json

import pytest
from fake_life import born
from typer.testing import CliRunner

from agentd.cli import app
from agentd.doctor import check_home
from agentd.exit_codes import ExitCode
from memory.format import FORMAT_FILE, prepare_folder
from memory.schema import SLOTS, slots_schema
from memory.tables import create_table


def slot(slot_id, label, existence=4.0):
    return {
        "slot_id": slot_id,
        "label": label,
        "xyz_m": [1.25, -2.0, 0.5],
        "extent_m": [0.5, 0.5, 1.0],
        "state": "confirmed",
        "existence": existence,
        "num_hits": 7,
        "num_views": 3,
        "first_seen_step": 2,
        "last_seen_step": 40,
        "last_seen_ns": 40,
    }


@pytest.fixture
def home(tmp_path):
    return born(tmp_path / "h")


@pytest.fixture
def _remembered(monkeypatch):
    slots = [slot(1, "chair"), slot(2, "oven"), slot(3, "chair", 1.0)]
    monkeypatch.setattr("memory.search.home.list_slots", lambda folder: slots)


@pytest.fixture
def tables(home):
    prepare_folder(home.memory_folder)
    create_table(home.memory_folder, SLOTS, slots_schema())
    return home.memory_folder


def invoke(home, *words):
    return CliRunner().invoke(app, [*words, "--home", str(home.path)])


@pytest.mark.usefixtures("_remembered")
def test_list(home):
    text = invoke(home, "memory", "list").stdout
    assert text.splitlines()[0].split()[:3] == ["id", "label", "state"]
    words = ["1", "chair", "confirmed", "1.25", "-2", "0.5", "4", "7", "40"]
    assert text.splitlines()[1].split() == words
    data = json.loads(invoke(home, "memory", "list", "--json").stdout)
    assert [s["slot_id"] for s in data["slots"]] == [1, 2, 3]


def test_a_young_life_remembers_nothing_yet(home):
    result = invoke(home, "memory", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing is remembered yet" in result.stderr
    assert invoke(home, "memory", "search", "chair").exit_code == ExitCode.NOT_FOUND


def test_empty_tables_are_read(home, tables):
    assert json.loads(invoke(home, "memory", "list", "--json").stdout) == {"slots": []}
    findings = {finding.check: finding for finding in check_home(home)}
    assert (findings["tables"].level, findings["tables"].found) == ("ok", "0 slots")


def test_a_damaged_table_is_named(home, tables):
    for manifest in (tables / f"{SLOTS}.lance" / "_versions").glob("*"):
        manifest.write_bytes(b"damaged")
    result = invoke(home, "memory", "list")
    assert result.exit_code == ExitCode.DAMAGED
    assert "table 'slots'" in result.stderr
    assert str(tables) in result.stderr
    findings = {finding.check: finding for finding in check_home(home)}
    assert findings["tables"].level == "fail"


def test_newer_tables_are_refused(home, tables):
    (tables / FORMAT_FILE).write_text('{"format": 99}')
    result = invoke(home, "memory", "list")
    assert result.exit_code == ExitCode.DAMAGED
    assert "format 99" in result.stderr
    findings = {finding.check: finding for finding in check_home(home)}
    assert findings["tables"].level == "fail"
