"""Charts: points land where their axes say."""

import math

import pytest

from agentd.view import palette
from agentd.view.charts import Series, line_chart, sparkline
from agentd.view.palette import Glyphs

ASCII = Glyphs(is_unicode=False, has_colour=False)
BRAILLE = Glyphs()


def series(points, mark="*"):
    floats = [(float(x), float(y)) for x, y in points]
    return Series(name="s", points=floats, colour=palette.ORANGE, mark=mark)


def test_a_falling_line_is_drawn_exactly_with_labelled_axes():
    chart = line_chart(
        [series([(1, 3.0), (2, 2.0), (3, 1.0)])],
        width=16,
        height=4,
        glyphs=ASCII,
        x_word="round",
        y_digits=1,
    )
    assert chart.plain.split("\n") == [
        "3.0 *           ",
        "          *     ",
        "1.0            *",
        "    1  round   3",
    ]


def test_outcomes_stand_under_their_round():
    chart = line_chart(
        [series([(1, 1.0), (3, 0.5)])],
        width=16,
        height=5,
        glyphs=ASCII,
        x_word="round",
        outcomes=[(1.0, True), (2.0, False), (3.0, True), (99.0, True)],
    )
    assert chart.plain.split("\n")[-2] == "     o    x    o"


def test_the_reference_is_dotted_and_bounds_the_range():
    chart = line_chart(
        [series([(1, 0.8), (2, 0.4)])], width=30, height=8, glyphs=ASCII, x_word="", reference=1.0
    )
    lines = chart.plain.split("\n")
    assert lines[0].startswith("0.90 ")
    chart = line_chart(
        [series([(1, 1.8), (2, 0.4)])], width=30, height=8, glyphs=ASCII, x_word="", reference=1.0
    )
    assert ". . . ." in chart.plain


@pytest.mark.parametrize("points", [[(5, 2.0)], [(5, 2.0), (5, 2.0)], [(1, 0.0), (2, 0.0)]])
@pytest.mark.parametrize("glyphs", [ASCII, BRAILLE])
def test_a_flat_line_or_a_single_point_has_a_range(points, glyphs):
    chart = line_chart([series(points)], width=24, height=5, glyphs=glyphs, x_word="round")
    assert len(chart.plain.split("\n")) == 5
    assert any(c not in " \n" for c in chart.plain)


def test_no_points_are_said_in_words():
    chart = line_chart([series([])], width=24, height=5, glyphs=BRAILLE, x_word="round")
    assert chart.plain == "nothing measured yet"


def test_braille_dots_rise_with_the_values():
    chart = line_chart(
        [series([(0, 0.0), (1, 1.0)])], width=20, height=5, glyphs=BRAILLE, x_word="step"
    )
    lines = chart.plain.split("\n")[:4]
    starts = [min(i for i, c in enumerate(line) if ord(c) > 0x2800) for line in lines]
    assert starts == sorted(starts, reverse=True)


@pytest.mark.parametrize("num", [1, 7, 40, 100_000])
def test_lines_never_exceed_the_width(num):
    points = [(i, math.sin(i / 9)) for i in range(num)]
    chart = line_chart(
        [series(points)], width=33, height=9, glyphs=BRAILLE, x_word="step", outcomes=[(0.0, True)]
    )
    lines = chart.plain.split("\n")
    assert len(lines) == 9
    assert max(map(len, lines)) <= 33


def test_sparkline_keeps_the_last_value_of_each_bin():
    assert sparkline([0.0, 5.0, 1.0, 7.0], 2, BRAILLE) == "\u2581\u2588"
    assert sparkline([9.0, 0.0, 9.0, 1.0], 2, ASCII) == "_#"
    assert sparkline([1.0, 2.0, 3.0], 10, ASCII) == "_=#"
    assert sparkline([], 10, ASCII) == ""
    assert sparkline([float("nan"), 3.0], 5, ASCII) == "_"
