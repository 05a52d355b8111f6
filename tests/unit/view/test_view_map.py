"""The map in characters: what is where, at any size, with and without colour."""

import base64
import math
import time
import zlib

import numpy as np
import pytest
from fakes_view import FakeLife

from agentd.view import palette
from agentd.view.grid import GridMap, Viewport, cell_shares, decode_map, fit
from agentd.view.mapimage import letters_of, map_lines, slot_legend
from agentd.view.palette import Glyphs

ASCII = Glyphs(is_unicode=False, has_colour=False)
BLOCKS = Glyphs()


def answer(cells, cell_m=1.0, origin_m=(0.0, 0.0), **more):
    """A `map` answer from rows with the largest y first, as one draws them."""
    codes = np.array([["?.#".index(c) for c in row] for row in cells[::-1]], dtype=np.uint8)
    return {
        "height": codes.shape[0],
        "width": codes.shape[1],
        "cell_m": cell_m,
        "origin_m": list(origin_m),
        "cells": base64.b64encode(zlib.compress(codes.tobytes())).decode(),
        **more,
    }


def words(lines):
    return ["".join(segment.text for segment in line) for line in lines]


def test_a_small_map_is_drawn_exactly_with_the_largest_y_on_top():
    facts = answer(
        ["######", "#....#", "#....#", "######"],
        trail_m=[[1.5, 1.5], [2.5, 1.5]],
        frontiers_m=[[4.5, 2.5]],
        pose={"x_m": 2.5, "y_m": 1.5, "yaw_rad": math.pi / 2},
        target_m=[3.5, 2.5],
    )
    slots = {
        "slots": [{"slot_id": 1, "label": "cup", "state": "tentative", "xyz_m": [1.5, 2.5, 0]}]
    }
    drawn = words(map_lines(facts, slots, width=16, height=6, glyphs=ASCII))
    assert drawn == [
        "                ",
        "  ############  ",
        "  ##.c...X.+##  ",
        "  ##.,,^....##  ",
        "  ############  ",
        "                ",
    ]


@pytest.mark.parametrize(("yaw_rad", "arrow"), [(0, ">"), (math.pi, "<"), (-math.pi / 2, "v")])
def test_the_robot_points_where_it_heads(yaw_rad, arrow):
    facts = answer(["...", "...", "..."], pose={"x_m": 1.5, "y_m": 1.5, "yaw_rad": yaw_rad})
    assert arrow in "".join(words(map_lines(facts, None, width=20, height=10, glyphs=ASCII)))


def test_two_pixels_share_a_character_in_colour():
    facts = answer(["....", "....", "????", "????"])
    lines = map_lines(facts, None, width=6, height=3, glyphs=BLOCKS)
    backs = {segment.style.bgcolor.get_truecolor() for line in lines for segment in line}
    assert palette.FREE in backs
    assert palette.UNKNOWN in backs


def test_a_wall_much_thinner_than_a_character_stays_in_the_picture():
    cells = np.ones((200, 200), dtype=np.uint8)
    cells[:, 100] = 2
    grid = GridMap(cells=cells, cell_m=0.05, origin_m=(0.0, 0.0))
    view = fit(grid, 30, 30)
    _, occupied = cell_shares(grid, view)
    inside = occupied[5:-5]
    assert (inside.max(axis=1) > 0.1).all()


def looking_at(left_m, top_m, px_m, width_px, height_px):
    return Viewport(
        left_m=left_m,
        top_m=top_m,
        px_width_m=px_m,
        px_height_m=px_m,
        width_px=width_px,
        height_px=height_px,
    )


def test_shares_of_free_and_occupied_cells_are_exact():
    cells = np.array([[1, 1, 2, 0], [1, 2, 2, 0]], dtype=np.uint8)
    grid = GridMap(cells=cells, cell_m=2.0, origin_m=(-4.0, 0.0))
    free, occupied = cell_shares(grid, looking_at(-4.0, 4.0, 2.0, 4, 2))
    assert (free == (cells == 1)[::-1]).all()
    assert (occupied == (cells == 2)[::-1]).all()
    free, occupied = cell_shares(grid, looking_at(-8.0, 4.0, 4.0, 4, 1))
    assert free.tolist() == [[0, 0.75, 0, 0]]
    assert occupied.tolist() == [[0, 0.25, 0.5, 0]]
    free, _ = cell_shares(grid, looking_at(-4.0, 4.0, 1.0, 8, 4))
    assert (free == np.kron((cells == 1)[::-1], np.ones((2, 2)))).all()


def test_a_view_beside_the_map_is_empty():
    grid = GridMap(cells=np.ones((3, 3), dtype=np.uint8), cell_m=1.0, origin_m=(0.0, 0.0))
    for left_m, top_m in ((50.0, 3.0), (-50.0, 3.0), (0.0, 50.0), (0.0, -50.0)):
        free, occupied = cell_shares(grid, looking_at(left_m, top_m, 1.0, 4, 4))
        assert not free.any()
        assert not occupied.any()


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (7, 3), (46, 13), (300, 90)])
@pytest.mark.parametrize("glyphs", [ASCII, BLOCKS])
def test_every_line_has_the_asked_width_at_any_size(size, glyphs):
    facts = FakeLife(seed=2, step=400).answers()
    width, height = size
    lines = map_lines(facts["map"], facts["slots"], width=width, height=height, glyphs=glyphs)
    assert len(lines) == height
    assert {sum(segment.cell_length for segment in line) for line in lines} == {width}


@pytest.mark.parametrize("facts", [None, {}, {"width": 0, "height": 0}, {"cells": None}])
def test_without_a_map_the_area_stays_dark(facts):
    lines = map_lines(facts, None, width=8, height=2, glyphs=BLOCKS)
    assert words(lines) == [" " * 8] * 2
    assert lines[0][0].style.bgcolor.get_truecolor() == palette.UNKNOWN


def test_a_map_without_anything_known_is_drawn():
    drawn = words(map_lines(answer(["??", "??"]), None, width=8, height=2, glyphs=ASCII))
    assert drawn == [" " * 8] * 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cells": "no base64!"}, "not base64 of zlib"),
        ({"cells": base64.b64encode(b"no zlib").decode()}, "not base64 of zlib"),
        ({"width": 7}, "hold 8 bytes, width x height needs 14"),
        ({"width": 10**9}, "at most"),
    ],
)
def test_damaged_cells_are_refused_with_a_reason(change, said):
    with pytest.raises(ValueError, match=said):
        decode_map(answer(["....", "...."]) | change)


def test_cells_that_inflate_beyond_the_map_are_refused_without_being_inflated():
    bomb = base64.b64encode(zlib.compress(bytes(50_000_000))).decode()
    with pytest.raises(ValueError, match="hold 9 bytes"):
        decode_map(answer(["....", "...."]) | {"cells": bomb})


def test_positions_far_outside_are_left_out():
    facts = answer(
        ["...", "..."],
        trail_m=[[1e300, 0], [1.0, 1.0]],
        frontiers_m=[[-1e9, 4]],
        pose={"x_m": 1e12, "y_m": 0, "yaw_rad": 0},
        target_m=[None, 3],
    )
    drawn = "".join(words(map_lines(facts, None, width=20, height=6, glyphs=ASCII)))
    assert set(drawn) == {" ", "."}


def test_a_jump_between_episodes_is_no_trail():
    row = "." * 30
    facts = answer([row, row], trail_m=[[0.5, 0.5], [1.2, 0.5], [28.5, 0.5], [29.0, 0.5]])
    drawn = "".join(words(map_lines(facts, None, width=62, height=5, glyphs=ASCII)))
    assert 2 <= drawn.count(",") <= 8


def test_letters_stay_with_their_label_when_a_new_one_comes():
    slots = [{"slot_id": 5, "label": "chair"}, {"slot_id": 9, "label": "table"}]
    before = letters_of(slots)
    after = letters_of([{"slot_id": 11, "label": "cabinet"}, *slots])
    assert before == {"chair": "C", "table": "T"}
    assert after == {"chair": "C", "table": "T", "cabinet": "A"}


def test_more_labels_than_letters_share_a_star():
    letters = letters_of([{"slot_id": i, "label": f"thing {i}"} for i in range(40)])
    assert len({letter for letter in letters.values() if letter != "*"}) == 36
    assert letters["thing 39"] == "*"


def test_a_slot_at_the_target_keeps_its_letter():
    facts = answer(["...", "..."], target_m=[1.5, 0.5])
    slots = {"slots": [{"slot_id": 1, "label": "bed", "state": "confirmed", "xyz_m": [1.5, 0.5]}]}
    drawn = "".join(words(map_lines(facts, slots, width=20, height=6, glyphs=ASCII)))
    assert "B" in drawn
    assert "X" not in drawn


def test_archived_slots_are_neither_drawn_nor_explained():
    slots = {"slots": [{"slot_id": 1, "label": "bed", "state": "archived", "xyz_m": [1.5, 0.5]}]}
    drawn = "".join(words(map_lines(answer(["..."]), slots, width=20, height=6, glyphs=ASCII)))
    assert "b" not in drawn.lower()
    assert slot_legend(slots).plain == ""


def test_the_legend_counts_labels_most_frequent_first():
    slots = FakeLife(seed=1).slots()
    legend = slot_legend(slots).plain
    counts = [int(word) for word in legend.split() if word.isdigit()]
    assert counts == sorted(counts, reverse=True)


def test_a_huge_map_takes_no_longer_than_a_look_may_take(capsys):
    cells = np.random.default_rng(0).integers(0, 3, (4000, 4000), dtype=np.uint8)
    facts = answer(["."]) | {
        "width": 4000,
        "height": 4000,
        "cells": base64.b64encode(zlib.compress(cells.tobytes(), 1)).decode(),
    }
    start = time.perf_counter()
    lines = map_lines(facts, None, width=120, height=40, glyphs=BLOCKS)
    with capsys.disabled():
        print(f"\n4000 x 4000 cells drawn in {time.perf_counter() - start:.3f} s")
    assert len(lines) == 40
