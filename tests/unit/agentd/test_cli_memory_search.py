"""`agentd memory search` asks the tables of a home, whether its life runs or not."""

import json
import re

import pytest
import typer
from fake_life import FakeLife, born, living
from fakes_memory import SPEC, Box, look_at, observe
from typer.testing import CliRunner

from agentd.cli import app
from agentd.commands.memory_search import parse_point, parse_time
from agentd.doctor import check_home
from agentd.exit_codes import ExitCode
from memory.config import ObjectConfig
from memory.objects.memory import SlotMemory

S = 1_000_000_000
HOUR = 3600 * S
NOW = 10 * HOUR
"""Of a simulated clock, which began at 0."""
ROW = [
    Box(label="chair", xyz_m=(2.0, -0.8, 0.4), extent_m=(0.4, 0.4, 0.8), rgb=(200, 30, 30)),
    Box(label="oven", xyz_m=(2.0, 0.0, 0.4), extent_m=(0.4, 0.4, 0.8), rgb=(30, 200, 30)),
    Box(label="chair", xyz_m=(2.0, 0.8, 0.4), extent_m=(0.4, 0.4, 0.8), rgb=(30, 30, 200)),
]
"""Slots 1, 2 and 3: seen five hours ago; slot 3 until two hours ago."""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    made = born(tmp_path_factory.mktemp("life") / "h")
    memory = SlotMemory(made.memory_folder, ObjectConfig(), SPEC)
    for step in range(5):
        pose = look_at((0.0, 0.0), (2.0, 0.0))
        memory.update(*observe(ROW, pose, NOW - 5 * HOUR + step * S), step)
    for step in range(5, 8):
        pose = look_at((0.0, 2.5), (2.0, 1.4))
        memory.update(*observe(ROW[2:], pose, NOW - 2 * HOUR + step * S), step)
    memory.flush()
    return made


def invoke(home, *words):
    return CliRunner().invoke(app, ["memory", "search", *words, "--home", str(home.path)])


def ids(home, *words):
    return [s["slot_id"] for s in json.loads(invoke(home, *words, "--json").stdout)["slots"]]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["chair"], [1, 3]),
        (["Chairs", "--limit", "1"], [1]),
        ([], [1, 2, 3]),
        (["--label", "oven"], [2]),
        (["--near", "2,0.8", "--radius", "0.5"], [3]),
        (["--near", "2,0.8"], [3, 2, 1]),
        (["chair", "--near", "2.0, 0.7", "--radius", "3"], [3, 1]),
        (["--since", "1h"], [3]),
        (["--until", "1h"], [1, 2]),
        (["--until", "4h"], []),
        (["--state", "confirmed", "--state", "suspect", "chair"], [1, 3]),
        (["--state", "archived"], []),
        (["--similar", "2", "--limit", "1"], [2]),
        (["--similar", "2", "chair", "--limit", "1"], [1]),
        (["--at", "4h"], []),
        (["--at", "2h", "chair"], [1, 3]),
        (["--at", "2h", "--near", "2,0", "--radius", "0.5"], [2]),
    ],
)
def test_conditions(home, words, expected):
    found = ids(home, *words)
    if "--similar" in words:
        assert len(found) == len(expected)
        assert found == expected or "chair" in words
    else:
        assert found == expected


def test_the_tables_are_for_people(home):
    lines = invoke(home, "oven").stdout.splitlines()
    assert lines[0].split()[:3] == ["id", "label", "state"]
    assert lines[1].split()[:3] == ["2", "oven", "confirmed"]
    assert "likeness" in invoke(home, "--similar", "2").stdout.splitlines()[0]
    past = invoke(home, "--at", "2h", "oven").stdout.splitlines()
    assert past[0].split()[-2:] == ["since", "id_today"]
    assert re.search(r"(2 h 59|3 h 00) min ago", past[1])


def test_beside_a_running_life_it_does_not_disturb_it(home):
    life = FakeLife()
    with living(home, life.handlers()):
        assert "chair" in invoke(home, "chair").stdout
    assert life.calls == []


def test_what_is_not_remembered_has_its_exit_code_and_a_hint(home):
    result = invoke(home, "zebra", "--json")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert json.loads(result.stdout) == {"query": "zebra", "slots": []}
    assert "no zebra is remembered; it knows: chair, oven" in result.stderr
    assert "there is no room 7, rooms are: none yet" in invoke(home, "--room", "7").stderr
    unknown = invoke(home, "--similar", "99")
    assert unknown.exit_code == ExitCode.NOT_FOUND
    assert "slot 99 has no vector" in unknown.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--near", "here"], "'here' is no point; --near takes two numbers"),
        (["--near", "1,nan"], "not two finite numbers"),
        (["--near", "1,2", "--radius", "-1"], "radius -1.0 m must be"),
        (["--radius", "1"], "--radius needs the point"),
        (["--since", "tuesday"], "'tuesday' is no time; --since takes a time as 2026-11-24"),
        (["--since", "1h", "--until", "2h"], "ends 3600 s before it begins"),
        (["--state", "gone"], "one of: tentative, confirmed, suspect, archived"),
        (["--at", "1h", "--room", "1"], "--at does not go with"),
        (["--at", "1h", "--similar", "1"], "--at does not go with --similar"),
        (["--limit", "0"], "--limit"),
    ],
)
def test_bad_values_are_refused_with_what_is_accepted(home, words, sentence):
    result = invoke(home, *words)
    assert result.exit_code == ExitCode.USAGE
    words_of = " ".join(result.stderr.replace("│", " ").split())
    assert sentence in words_of


def test_the_doctor_counts_vectors_by_encoder(home):
    findings = {finding.check: finding for finding in check_home(home)}
    assert findings["tables"].level == "ok"
    assert "vectors of colour-1" in findings["tables"].found


def test_times(home):
    folder = home.memory_folder
    now = parse_time("0s", "--at", folder)
    assert NOW - 2 * HOUR <= now < NOW - 2 * HOUR + 60 * S
    assert parse_time("90s", "--at", folder) == now - 90 * S
    assert parse_time("1.5h", "--at", folder) == now - 5400 * S
    assert parse_time("2d", "--at", folder) == now - 172_800 * S
    assert parse_time("2026-11-24T18:30+00:00", "--at", folder) == 1_795_545_000 * S
    with pytest.raises(typer.BadParameter, match="as 90s"):
        parse_time("2 fortnights", "--at", folder)
    assert parse_point("2.5,-1", "--near") == (2.5, -1.0)
