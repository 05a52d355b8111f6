"""Any field of an answer may be missing or odd; numbers are written for people."""

import pytest

from agentd.view import fields


@pytest.mark.parametrize("facts", [None, {}, {"a": None}, {"a": {"b": None}}, {"a": [1, 2]}])
def test_a_missing_field_is_none_and_text_falls_back(facts):
    assert fields.pick(facts, "a.b") is None
    assert fields.number(facts, "a.b") is None
    assert fields.text(facts, "a.b", "nothing") == "nothing"
    assert fields.rows(facts, "a.b") == []
    assert fields.points(facts, "a.b") == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "12", True, [1]])
def test_what_is_no_finite_number_is_none(value):
    assert fields.number({"a": value}, "a") is None


def test_points_keep_the_good_pairs_only():
    facts = {"p": [[1, 2], [3], None, "ab", [float("nan"), 1], (4.5, 6, 7)]}
    assert fields.points(facts, "p") == [(1.0, 2.0), (4.5, 6.0)]


def test_control_characters_never_reach_the_terminal():
    assert fields.text({"label": "ch\x1b[31mair\n"}, "label") == "ch [31mair "


@pytest.mark.parametrize(
    ("value_s", "written"),
    [(None, "-"), (5.4, "0:05"), (61.0, "1:01"), (3661.0, "1:01:01"), (180_000.0, "2 d 2:00")],
)
def test_durations(value_s, written):
    assert fields.format_duration(value_s) == written


@pytest.mark.parametrize(
    ("value_bytes", "written"),
    [(None, "-"), (7.0, "7 B"), (41.3e6, "41.3 MB"), (413e6, "413 MB"), (2e15, "2000.0 TB")],
)
def test_sizes(value_bytes, written):
    assert fields.format_bytes(value_bytes) == written


def test_counts_are_grouped():
    assert fields.format_count(1234567.0) == "1 234 567"
    assert fields.format_count(None) == "-"
