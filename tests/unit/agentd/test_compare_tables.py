"""The tables of a comparison fit a screen, whatever the number of metrics."""

from agentd.compare.tables import NOTHING, narrow


def test_a_wide_table_becomes_several_that_begin_with_the_names() -> None:
    headers = ["recipe", *(f"metric_{i:02}" for i in range(30))]
    rows = [[name, *(f"{i}.123 ±0.45" for i in range(30))] for name in ("one", "another")]
    parts = list(narrow((headers, rows)))
    assert len(parts) > 2
    assert all(part[0][0] == "recipe" for part in parts)
    assert [name for part in parts for name in part[0][1:]] == headers[1:]
    for part_headers, part_rows in parts:
        assert [row[0] for row in part_rows] == ["one", "another"]
        assert sum(max(len(h), 12) + 2 for h in part_headers) <= 130
    assert [cell for part in parts for cell in part[1][1][1:]] == rows[1][1:]


def test_columns_without_a_value_are_left_out() -> None:
    cells = ["recipe", "planning", "k1"], [["one", NOTHING, "0.5"], ["two", NOTHING, NOTHING]]
    assert list(narrow(cells)) == [(["recipe", "k1"], [["one", "0.5"], ["two", NOTHING]])]


def test_a_table_of_names_alone_stays() -> None:
    assert list(narrow((["recipe"], [["one"]]))) == [(["recipe"], [["one"]])]
