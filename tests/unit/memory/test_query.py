"""One question, any mixture of conditions; the life and other processes answer alike."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes_memory import SPEC, Box, look_at, make_episode, observe

from memory.config import ObjectConfig, ReplayConfig
from memory.errors import EncoderVersionMismatchError
from memory.objects.memory import SlotMemory
from memory.objects.places import read_places
from memory.records import Embedding, SlotState
from memory.replay.store import LanceReplay
from memory.search.home import SlotSearch
from memory.search.query import SlotQuery, matches
from memory.vectors.colour_encoder import ColourEncoder

S = 1_000_000_000
RED = Box(label="chair", xyz_m=(2.0, -0.8, 0.45), extent_m=(0.5, 0.5, 0.9), rgb=(200, 30, 30))
BLUE = Box(label="chair", xyz_m=(2.0, 0.8, 0.45), extent_m=(0.5, 0.5, 0.9), rgb=(30, 30, 200))
TABLE = Box(label="dining_table", xyz_m=(12.0, 0.0, 0.4), extent_m=(0.9, 0.9, 0.8), rgb=(9, 200, 9))


@pytest.fixture
def memory(tmp_path: Path) -> SlotMemory:
    """Two chairs seen at 0 to 5 s, a table elsewhere seen at 100 to 105 s."""
    made = SlotMemory(tmp_path, ObjectConfig(), SPEC)
    for step in range(6):
        made.update(*observe([RED, BLUE], look_at((0.0, 0.0), (2.0, 0.0)), step * S), step)
    for step in range(100, 106):
        boxes = [TABLE, Box(label="", xyz_m=(15.0, 0, 1), extent_m=(0.1, 9, 2))]
        made.update(*observe(boxes, look_at((9.5, 0.0), (12.0, 0.0)), step * S), step)
    made.flush()
    return made


def like(rgb: tuple[int, int, int]) -> Embedding:
    crop = np.full((1, 32, 32, 3), rgb, dtype=np.uint8)
    encoder = ColourEncoder()
    return Embedding(encoder_version=encoder.encoder_version, vector=encoder.embed(crop)[0])


QUERIES: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [1, 2, 3]),
    ({"text": "chairs"}, [1, 2]),
    ({"text": "Dining-Tables"}, [3]),
    ({"text": "sofa"}, []),
    ({"label": "chair"}, [1, 2]),
    ({"label": "chairs"}, []),
    ({"near_xy_m": (2.0, 0.8), "radius_m": 0.5}, [2]),
    ({"near_xy_m": (2.0, 0.7), "radius_m": 5.0}, [2, 1]),
    ({"last_seen_ns": (50 * S, None)}, [3]),
    ({"last_seen_ns": (None, 5 * S)}, [1, 2]),
    ({"first_seen_ns": (0, 0)}, [1, 2]),
    ({"first_seen_ns": (1, 99 * S)}, []),
    ({"states": (SlotState.ARCHIVED, SlotState.SUSPECT)}, []),
    ({"states": (SlotState.CONFIRMED,), "limit": 2}, [1, 2]),
    ({"like": like(BLUE.rgb)}, [2, 1, 3]),
    ({"like": like(BLUE.rgb), "limit": 1}, [2]),
    ({"like": like(BLUE.rgb), "text": "table"}, [3]),
    ({"like": like(TABLE.rgb), "near_xy_m": (2.0, -0.8), "radius_m": 1.0}, [1]),
    ({"text": "chair", "near_xy_m": (2.0, 0.8), "radius_m": 1.0, "first_seen_ns": (0, 9)}, [2]),
]


@pytest.mark.parametrize(("conditions", "expected"), QUERIES)
def test_the_life_and_another_process_find_the_same(
    memory: SlotMemory, tmp_path: Path, conditions: dict[str, Any], expected: list[int]
) -> None:
    query = SlotQuery(**conditions)
    ids = [slot.slot_id for slot in memory.find(query)]
    found = [row["slot_id"] for row in SlotSearch(tmp_path).find(query)]
    if "like" in conditions:
        assert ids[:1] == found[:1] == expected[:1]
        assert sorted(ids) == sorted(found) == sorted(expected)
    else:
        assert ids == found == expected


def test_what_was_written_just_now_is_found_without_opening_again(
    memory: SlotMemory, tmp_path: Path
) -> None:
    search = SlotSearch(tmp_path)
    asked = SlotQuery(like=like((200, 200, 10)), limit=1)
    assert search.find(asked)[0]["label"] != "lamp"
    lamp = Box(label="lamp", xyz_m=(2.0, 4.0, 0.5), extent_m=(0.3, 0.3, 1.0), rgb=(200, 200, 10))
    for step in range(200, 204):
        memory.update(*observe([lamp], look_at((0.0, 4.0), (2.0, 4.0)), step * S), step)
    memory.flush()
    assert search.find(asked)[0]["label"] == "lamp"
    assert [row["label"] for row in search.find(SlotQuery(text="lamps"))] == ["lamp"]


def test_a_label_that_only_got_votes_is_found_after_those_that_have_it(tmp_path: Path) -> None:
    memory = SlotMemory(tmp_path, ObjectConfig(), SPEC)
    stool = Box(label="stool", xyz_m=BLUE.xyz_m, extent_m=BLUE.extent_m, rgb=BLUE.rgb)
    pose = look_at((0.0, 0.0), (2.0, 0.0))
    for step, second in enumerate((BLUE, BLUE, BLUE, stool)):
        memory.update(*observe([RED, second], pose, step * S), step)
    memory.flush()
    voted = [s.slot_id for s in memory.slots() if "stool" in s.votes]
    assert voted == [s.slot_id for s in memory.find(SlotQuery(text="stool"))]
    assert voted == [row["slot_id"] for row in SlotSearch(tmp_path).find(SlotQuery(text="stools"))]
    assert len(voted) == 1


def test_a_room_is_searched_by_the_places_of_the_replay(memory: SlotMemory, tmp_path: Path) -> None:
    rows = make_episode(0, 0, 40)
    for i, row in enumerate(rows):
        x = 0.25 * i if i < 20 else 20.0
        object.__setattr__(row, "pose", np.array([x, 0.2, 0.0], dtype=np.float32))
    LanceReplay(tmp_path, ReplayConfig()).append(rows)
    search = SlotSearch(tmp_path)
    places = read_places(tmp_path)
    room = places.room_of((2.0, 0.0))
    assert room in search.rooms()
    expected = [s.slot_id for s in memory.find(SlotQuery(room=room), places)]
    assert [row["slot_id"] for row in search.find(SlotQuery(room=room))] == expected == [1, 2]
    assert {row["room"] for row in search.find(SlotQuery(room=room))} == {room}


def test_a_vector_of_another_encoder_is_refused(memory: SlotMemory, tmp_path: Path) -> None:
    other = Embedding(encoder_version="other", vector=like((1, 2, 3)).vector)
    for find in (memory.find, SlotSearch(tmp_path).find):
        with pytest.raises(EncoderVersionMismatchError, match="'other'"):
            find(SlotQuery(like=other))


def test_a_vector_of_another_length_is_refused(memory: SlotMemory, tmp_path: Path) -> None:
    short = Embedding(encoder_version="colour-1", vector=np.ones(7, dtype=np.float32))
    for find in (memory.find, SlotSearch(tmp_path).find):
        with pytest.raises(ValueError, match=r"\(7,\).*\(270,\)"):
            find(SlotQuery(like=short))


def test_the_vector_of_a_slot_finds_the_slot(memory: SlotMemory, tmp_path: Path) -> None:
    search = SlotSearch(tmp_path)
    vector = search.vector_of(2)
    assert vector is not None
    best = search.find(SlotQuery(like=vector, limit=1))[0]
    assert (best["slot_id"], best["cosine"]) == (2, pytest.approx(1, abs=1e-2))
    assert search.vector_of(99) is None


def test_a_memory_that_is_not_there_finds_nothing(tmp_path: Path) -> None:
    search = SlotSearch(tmp_path / "none")
    assert search.find(SlotQuery(text="chair")) == []
    assert (search.labels(), search.rooms()) == ([], [])


@pytest.mark.parametrize(
    ("conditions", "sentence"),
    [
        ({"limit": 0}, "limit 0"),
        ({"radius_m": 2.0}, "needs both"),
        ({"near_xy_m": (0.0, 1.0)}, "needs both"),
        ({"near_xy_m": (0.0, float("nan")), "radius_m": 1.0}, "not two finite"),
        ({"near_xy_m": (0.0, 0.0), "radius_m": -1.0}, "-1.0 m must be"),
        ({"last_seen_ns": (9 * S, 2 * S)}, "ends 7 s before it begins"),
    ],
)
def test_a_query_that_cannot_be_meant_says_why(conditions: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        SlotQuery(**conditions)


@pytest.mark.parametrize(
    ("text", "label", "expected"),
    [
        ("Chairs", "chair", True),
        ("armchairs", "armchair", True),
        ("chair", "office_chair", True),
        ("office chairs", "office-chair", True),
        ("couch", "sofa", True),
        ("TVs", "television", True),
        ("boxes", "box", True),
        ("glass", "glasses", True),
        ("berries", "berry", True),
        ("shelves", "bookshelf", False),
        ("shelves", "book shelf", True),
        ("art", "cart", False),
        ("tab", "table", True),
        ("chair table", "chair", False),
        ("", "chair", False),
        ("sofa", "", False),
    ],
)
def test_words_and_labels(text: str, label: str, expected: bool) -> None:
    assert matches(text, label) is expected
