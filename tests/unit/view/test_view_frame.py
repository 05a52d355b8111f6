"""The live view fits its terminal, says what matters, and survives what is missing."""

import copy
import io
import re

import pytest
from fakes_view import FakeLife
from rich.console import Console

from agentd.view.frame import frame

SIZES = [(80, 24), (100, 30), (140, 45), (250, 70)]


def console(width=80, height=24, *, encoding="utf-8", **more):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    more.setdefault("color_system", "truecolor")
    return Console(
        width=width, height=height, file=stream, force_terminal=True, _environ={}, **more
    )


def drawn(answers, width=80, height=24, error=None, **more):
    lines = frame(answers, console(width, height, **more), width=width, height=height, error=error)
    assert len(lines) == height
    assert {sum(segment.cell_length for segment in line) for line in lines} == {width}
    return ["".join(segment.text for segment in line) for line in lines]


@pytest.fixture(scope="module")
def answers():
    return FakeLife(seed=1, step=2200).answers()


@pytest.mark.parametrize("size", [*SIZES, (60, 20), (20, 8)])
def test_every_line_fits_every_terminal(answers, size):
    drawn(answers, *size)


@pytest.mark.parametrize("size", SIZES)
def test_the_view_says_what_the_agent_does_and_why(answers, size):
    text = re.sub(r"\s+", " ", "\n".join(line[size[0] // 2 :] for line in drawn(answers, *size)))
    whole = "\n".join(drawn(answers, *size))
    for words in ("first-life", "house 1", "step 2 200", "up 7:20"):
        assert words in whole
    for words in (
        "NAVIGATE",
        "the memory knows chair",
        "chair",
        "5.0/s",
        "p99 49 ms",
        "0 missed",
        "2 188 rows",
        "41.3 MB",
        "15 sure",
        "c-0006 trusted",
        "freshness 1:36",
        "training 0:42",
        "accepted",
    ):
        assert words in text
    assert "chair reached and verified in 85 steps" in whole


def test_the_learning_curve_shows_where_there_is_room(answers):
    for size, has_errors, has_coverage in (
        ((80, 24), False, False),
        ((100, 30), True, False),
        ((140, 45), True, True),
    ):
        text = "\n".join(drawn(answers, *size))
        assert ("k=8 0.42" in text) == has_errors
        assert ("explored  89" in text) == has_coverage


def test_a_paused_life_and_a_refused_round_are_seen(answers):
    changed = copy.deepcopy(answers)
    changed["status"]["steps"]["paused"] = True
    changed["status"]["learning"]["rounds"][-1] |= {"accepted": False, "reason": "rank collapsed"}
    text = "\n".join(drawn(changed, 100, 30))
    assert "PAUSED" in text
    assert "refused rank collapsed" in text


def test_the_last_error_is_shown(answers):
    changed = copy.deepcopy(answers)
    changed["status"]["health"]["last_error"] = "disk is full"
    assert "last error: disk is full" in "\n".join(drawn(changed, error="view broke"))
    assert "last error: view broke" in "\n".join(drawn(answers, error="view broke"))


def _leaves(facts, path=()):
    for key, value in facts.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from _leaves(value, (*path, key))


def test_any_missing_or_empty_field_of_the_status_is_survived(answers):
    for path in list(_leaves(answers["status"])):
        for replaced in (None, "missing"):
            changed = copy.deepcopy(answers)
            parent = changed["status"]
            for key in path[:-1]:
                parent = parent[key]
            if replaced is None:
                parent[path[-1]] = None
            else:
                del parent[path[-1]]
            changed["map"] = {}
            drawn(changed, 100, 30)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("nothing", [{}, {"status": {}, "map": {}, "slots": {}, "events": {}}])
def test_a_life_that_has_said_nothing_yet_is_drawn(nothing, size):
    text = "\n".join(drawn(nothing, *size))
    assert "no round finished yet" in text
    assert "none yet, geometry drives" in text


def test_a_terminal_without_unicode_gets_ascii_only(answers):
    for size in SIZES:
        "".join(drawn(answers, *size, encoding="ascii")).encode("ascii")


def test_no_color_prints_no_colour(answers, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Console(width=80, height=24, file=io.StringIO(), force_terminal=True)
    lines = frame(answers, plain, width=80, height=24)
    text = "".join(segment.text for line in lines for segment in line)
    assert "\N{UPPER HALF BLOCK}" not in text
    assert "#" in text
    for line in lines:
        for segment in line:
            plain.print(segment.text, style=segment.style, end="")
    assert re.search(r"\x1b\[[0-9;]*(3[0-9]|4[0-9]|38|48)[;m]", plain.file.getvalue()) is None


def test_words_from_outside_cannot_steer_the_terminal(answers):
    changed = copy.deepcopy(answers)
    changed["status"]["doing"]["reason"] = "\x1b[2Jgone\n\nnext [bold]"
    changed["events"]["events"][-1]["text"] = "wide \u4e2d\u6587 \x07 line\nbreak"
    text = "".join(drawn(changed, 100, 30))
    assert "\x1b" not in text
    assert "[bold]" in text


@pytest.mark.parametrize(
    ("care", "words"),
    [
        ({"charge": 0.18, "doing": "to the dock"}, "18% TO THE DOCK"),
        ({"charge": 0.28, "doing": ""}, "28%"),
        ({"charge": 0.8, "doing": "", "is_lost": True}, "LOST"),
        ({"charge": None, "doing": "", "rung": "turn"}, "BOXED IN"),
    ],
)
def test_what_the_body_needs_stands_in_the_first_line(answers, care, words):
    changed = copy.deepcopy(answers)
    changed["status"]["care"] = care
    assert words in drawn(changed, 140, 45)[0]


def test_a_body_that_needs_nothing_has_nothing_said_of_it(answers):
    changed = copy.deepcopy(answers)
    changed["status"]["care"] = {"charge": 0.8, "doing": "", "rung": "", "is_lost": False}
    assert drawn(changed)[0] == drawn(answers)[0]
