import math

import numpy as np
import pytest

from agentd.worlds.house.layout import make_house
from agentd.worlds.house.maps import cell_centres, main_component
from agentd.worlds.house.mjcf import build_scene
from agentd.worlds.house.stage import Stage
from agentd.worlds.house.wear import TRACK_M

V_MPS, TICK_S = 0.75, 0.2


@pytest.fixture
def stage() -> Stage:
    return Stage(build_scene(make_house(3, 5)))


def _free_spots(stage: Stage) -> np.ndarray:
    return cell_centres(np.argwhere(main_component(stage.maps.navigable())))


def _open_line(stage: Stage, length_m: float) -> np.ndarray:
    """Return a pose with free floor ahead for a while."""
    grid = stage.maps.navigable()
    span = round((length_m + 0.3) / 0.05)
    for i, j in np.argwhere(grid):
        if grid[i : i + span, j].all() and i + span < grid.shape[0]:
            x, y = cell_centres(np.array([i, j]))
            balls = [o for _, o in stage.standing() if o.piece.category == "ball"]
            if all(math.hypot(b.x - x, b.y - y) > 2 for b in balls):
                return np.array([x, y, 0.0])
    raise AssertionError("no free line in this house")


def _drive(stage: Stage, v: float, w: float, seconds: float, **wear: float):
    for name, value in (
        {"slip": 0.0, "drift_radpm": 0.0, "delay_s": 0.0, "lag_s": 0.0} | wear
    ).items():
        setattr(stage.wear, name, value)
    return stage.base.drive(v, w, seconds)


def test_it_drives_and_turns_as_told(stage: Stage) -> None:
    start = _open_line(stage, 0.6)
    stage.base.place(start)
    driven = _drive(stage, V_MPS, 0.0, 0.8)
    _drive(stage, 0.0, 0.0, 0.4)
    x, y, yaw = stage.base.pose()
    assert x - start[0] == pytest.approx(0.6, abs=0.03)
    assert abs(y - start[1]) < 0.005
    assert abs(yaw) < 0.01
    assert not driven.bumped
    assert driven.v_mps == V_MPS
    _drive(stage, 0.0, 1.0, 1.0)
    assert stage.base.pose()[2] == pytest.approx(1.0, abs=0.03)


def test_slipping_wheels_cover_less_ground_than_they_report(stage: Stage) -> None:
    start = _open_line(stage, 0.6)
    ways = []
    for slip in (0.0, 0.5):
        stage.base.place(start)
        driven = _drive(stage, V_MPS, 0.0, 0.8, slip=slip)
        ways.append(stage.base.pose()[0] - start[0])
        assert driven.v_mps == V_MPS
        assert not driven.bumped
    assert ways[1] == pytest.approx(0.5 * ways[0], rel=0.1)


def test_drifting_wheels_turn_by_the_metre(stage: Stage) -> None:
    start = _open_line(stage, 0.6)
    stage.base.place(start)
    _drive(stage, V_MPS, 0.0, 0.8, drift_radpm=0.3)
    assert stage.base.pose()[2] == pytest.approx(0.3 * 0.6, abs=0.04)


def test_a_weak_motor_slows_and_bends_the_way(stage: Stage) -> None:
    start = _open_line(stage, 0.6)
    stage.base.place(start)
    stage.wear.gain[:] = 0.5, 1.0
    try:
        driven = _drive(stage, V_MPS, 0.0, 0.4)
    finally:
        stage.wear.gain[:] = 1.0
    turned = 0.5 * V_MPS / TRACK_M * 0.4
    assert stage.base.pose()[2] == pytest.approx(turned, rel=0.1)
    assert stage.base.pose()[0] - start[0] < 0.75 * V_MPS * 0.4
    assert driven.v_mps == V_MPS


def test_late_commands_act_when_their_time_has_come(stage: Stage) -> None:
    start = _open_line(stage, 0.6)
    stage.base.place(start)
    ways = []
    for v in (V_MPS, 0.0, 0.0, 0.0):
        _drive(stage, v, 0.0, 0.2, delay_s=0.4)
        ways.append(stage.base.pose()[0] - start[0])
    assert abs(ways[1]) < 0.01
    assert ways[3] == pytest.approx(0.2 * V_MPS, rel=0.2)
    stage.base.place(start)
    _drive(stage, 0.0, 0.0, 0.4, delay_s=0.4)
    assert abs(stage.base.pose()[0] - start[0]) < 0.005


def test_a_payload_takes_its_time_to_start_and_to_stop(stage: Stage) -> None:
    start = _open_line(stage, 0.6)
    stage.base.place(start)
    _drive(stage, V_MPS, 0.0, 0.4, lag_s=0.4)
    first = stage.base.pose()[0] - start[0]
    assert first == pytest.approx(V_MPS * 0.4 * math.exp(-1), rel=0.15)
    _drive(stage, 0.0, 0.0, 0.4, lag_s=0.4)
    assert stage.base.pose()[0] - start[0] > 1.3 * first


def test_carpet_brakes_in_its_room_alone(stage: Stage) -> None:
    start = _open_line(stage, 0.6)
    house = stage.scene.house
    room, ways = house.room_at(float(start[0]), float(start[1])), []
    for covered in (room, (room + 1) % len(house.rooms)):
        stage.base.place(start)
        stage.wear.carpet[covered] = 0.5
        try:
            _drive(stage, V_MPS, 0.0, 0.4)
        finally:
            stage.wear.carpet[covered] = 0.0
        ways.append(stage.base.pose()[0] - start[0])
    assert ways[0] == pytest.approx(0.5 * ways[1], rel=0.15)


def test_a_wall_stops_it_at_its_radius(stage: Stage) -> None:
    room = stage.scene.house.rooms[0]
    spots = _free_spots(stage)
    inside = spots[(spots[:, 0] < room.rect[2]) & (spots[:, 1] < room.rect[3])]
    x, y = inside[inside[:, 0].argmin()]
    stage.base.place(np.array([x, y, math.pi]))
    outcomes = [_drive(stage, V_MPS, 0.0, TICK_S) for _ in range(6)]
    assert outcomes[-1].bumped
    assert abs(outcomes[-1].v_mps) < 0.25 * V_MPS
    assert stage.base.pose()[0] > 0.0 + 0.06 + 0.18 - 0.02


@pytest.mark.parametrize("seed", [3, 5])
def test_bump_and_turn_never_wedges_it(seed: int) -> None:
    stage = Stage(build_scene(make_house(seed, 5)))
    rng = np.random.default_rng(seed)
    spots = _free_spots(stage)
    x, y = spots[rng.integers(len(spots))]
    stage.base.place(np.array([x, y, 0.0]))
    deepest, stuck_for, longest_stuck = 0.0, 0, 0
    for _ in range(500):
        before = stage.base.pose()
        bumped = _drive(stage, V_MPS, 0.0, TICK_S).bumped
        contacts = stage.data.contact.dist[: stage.data.ncon]
        mine = (stage.data.contact.geom == stage.scene.model.geom("base").id).any(axis=1)
        deepest = min([deepest, *contacts[mine]])
        moved = np.hypot(*(stage.base.pose() - before)[:2])
        stuck_for = stuck_for + 1 if moved < 0.01 else 0
        longest_stuck = max(longest_stuck, stuck_for)
        if bumped or moved < 0.01:
            _drive(stage, 0.0, float(rng.choice([-2.0, 2.0])), float(rng.uniform(0.3, 1.2)))
    assert deepest > -0.015
    assert longest_stuck < 12


def test_contacts_push_sideways_and_outwards(stage: Stage) -> None:
    """A cylinder's edge against a box edge would give a normal that is turned by 90 deg."""
    model = stage.scene.model
    kinds = set(model.geom_type[(model.geom_conaffinity & 1) == 1])
    assert 5 not in kinds
    base = model.geom("base").id
    for k, placed in stage.standing():
        if placed.piece.category == "ball":
            continue
        for side, left in ((1, 0.3), (1, -0.5), (-1, 0.5)):
            out = side * (placed.piece.depth_m / 2 + 0.17)
            x, y = placed.at(out, left * placed.piece.width_m * (not placed.piece.is_round))
            stage.base.place(np.array([x, y, 0.0]))
            _drive(stage, 0.0, 0.0, 0.01)
            for c in range(stage.data.ncon):
                geoms = stage.data.contact.geom[c]
                other = geoms[0] if geoms[1] == base else geoms[1]
                if base in geoms and model.geom_bodyid[other] == model.body(f"obj{k}").id:
                    normal = stage.data.contact.frame[c][:3] * (1 if geoms[1] == base else -1)
                    assert abs(normal[2]) < 0.05, placed.piece.category
                    away = np.array([x - placed.x, y - placed.y])
                    assert normal[:2] @ away > 0, placed.piece.category


def test_the_ball_is_pushed_and_does_not_count_as_a_bump(stage: Stage) -> None:
    ball = next(k for k, o in stage.standing() if o.piece.category == "ball")
    x, y, _ = _open_line(stage, 1.0)
    stage.move_object(ball, x + 0.45, y, 0.0)
    stage.base.place(np.array([x, y, 0.0]))
    bumps = [_drive(stage, 0.5, 0.0, TICK_S).bumped for _ in range(6)]
    assert stage.object_pose(ball)[0] > x + 0.6
    assert not any(bumps)
