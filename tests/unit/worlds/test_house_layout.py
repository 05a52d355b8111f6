import hashlib
import subprocess
import sys
from functools import cache

import numpy as np
import pytest

from agentd.worlds.house.furniture import DECORATION, MAKERS, OBJECT_CATEGORIES, make_piece
from agentd.worlds.house.layout import make_house
from agentd.worlds.house.mjcf import build_scene
from agentd.worlds.house.placement import is_reachable
from agentd.worlds.house.plan import House, rects_meet
from agentd.worlds.house.textures import TEXTURES

SEEDS = range(30)
MUST_HAVE = {
    "bedroom": {"bed"},
    "kitchen": {"refrigerator", "oven"},
    "bathroom": {"toilet", "sink"},
    "living_room": {"couch", "tv"},
    "office": {"desk"},
    "dining_room": {"table"},
    "laundry": {"washer"},
}


@cache
def house_of(seed: int) -> House:
    return make_house(seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_house_is_valid(seed: int) -> None:
    house = house_of(seed)
    assert 5 <= len(house.rooms) <= 8
    assert len({r.name for r in house.rooms}) == len(house.rooms)
    assert sum(r.area_m2 for r in house.rooms) == pytest.approx(np.prod(house.size_m), rel=1e-6)
    assert is_reachable(house)
    for index, room in enumerate(house.rooms):
        own = [o for o in house.objects if o.room == index]
        assert {o.piece.category for o in own} >= MUST_HAVE[room.kind]
        assert all(house.room_at(o.x, o.y) == index for o in own)
    categories = {o.piece.category for o in house.objects if not o.piece.flat}
    assert len(categories) >= 14
    assert categories <= set(OBJECT_CATEGORIES)


@pytest.mark.parametrize("seed", SEEDS[:8])
def test_no_two_objects_share_floor(seed: int) -> None:
    solid = [o for o in house_of(seed).objects if not o.piece.flat]
    for k, a in enumerate(solid):
        assert not any(rects_meet(a.rect(-0.005), b.rect(-0.005)) for b in solid[:k])


def test_houses_differ() -> None:
    plans = {repr((h.rooms, h.doors, h.objects)) for h in map(house_of, SEEDS)}
    assert len(plans) == len(SEEDS)


def test_an_object_behind_a_barricade_makes_the_house_invalid() -> None:
    house = house_of(0)
    door = house.doors[0]
    block = next(o for o in house.objects if o.piece.category == "bed")
    moved = type(block)(block.piece, door.x, door.y, block.yaw_rad, block.room)
    blocked = House(house.seed, house.size_m, house.rooms, house.doors, (*house.objects, moved))
    assert not is_reachable(blocked)


def test_the_number_of_rooms_can_be_asked_for() -> None:
    assert len(make_house(1, 6).rooms) == 6
    large = make_house(1, 16)
    assert len(large.rooms) == 16
    assert large.size_m[0] * large.size_m[1] > 200
    assert is_reachable(large)
    with pytest.raises(ValueError, match="5 to 16 rooms"):
        make_house(1, 17)


def test_the_same_seed_is_the_same_bytes_in_another_process() -> None:
    code = (
        "import hashlib; from agentd.worlds.house.layout import make_house;"
        "from agentd.worlds.house.mjcf import build_scene;"
        "print(hashlib.sha256(build_scene(make_house(4)).xml.encode()).hexdigest())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = hashlib.sha256(build_scene(house_of(4)).xml.encode()).hexdigest()
    assert done.stdout.strip() == here


@pytest.mark.parametrize("kind", MAKERS)
def test_every_piece_fits_its_footprint(kind: str) -> None:
    for seed in range(5):
        piece = make_piece(kind, np.random.default_rng(seed))
        assert piece.category in {*OBJECT_CATEGORIES, *DECORATION}
        assert piece.flat == (piece.category in DECORATION)
        for part in piece.parts:
            assert part.texture in TEXTURES
            assert min(part.half_m) > 0
            assert all(0 <= c <= 1 for c in part.rgb)
            assert part.centre_m[2] + min(part.half_m) <= piece.height_m + 0.1
            assert abs(part.centre_m[0]) <= piece.depth_m / 2 + 0.02
            assert abs(part.centre_m[1]) <= piece.width_m / 2 + 0.02
