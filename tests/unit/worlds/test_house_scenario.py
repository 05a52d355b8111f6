from collections.abc import Iterable

import numpy as np
import pytest

from agentd.worlds.house.placement import is_reachable
from agentd.worlds.house.plan import Door
from agentd.worlds.house.truth import HouseOracle
from agentd.worlds.house.world import HouseWorld
from configs.worlds import HouseConfig
from memory.records import Action, ObjectGoal

REST = Action(v_mps=0.0, w_radps=0.0, duration_s=0.02)
AHEAD = Action(v_mps=0.75, w_radps=0.0, duration_s=0.2)
SEED = 3


def _world(*events: dict, scenario_seed: int = 1) -> HouseWorld:
    settings = {
        "seed": SEED,
        "num_rooms": 5,
        "image_px": 32,
        "caster": "mujoco",
        "scenario": {"seed": scenario_seed, "events": events},
    }
    return HouseWorld(HouseConfig.model_validate(settings))


def _event(action: str, target: str = "", value: float | None = None, at_step: int = 0) -> dict:
    return {"at_step": at_step, "action": action, "target": target, "value": value}


def _positions(world: HouseWorld) -> dict[int, tuple[float, float]]:
    return {o.object_id: (o.xyz_m[0], o.xyz_m[1]) for o in HouseOracle(world).objects()}


def _leaf_doors(world: HouseWorld) -> Iterable[tuple[int, Door]]:
    return [(k, d) for k, d in enumerate(world.stage.scene.house.doors) if d.has_leaf]


def _before_door(door: Door, side: int) -> np.ndarray:
    """Return a pose that faces a doorway from 0.8 m away."""
    yaw = (0.0 if side < 0 else np.pi) if door.axis == "x" else -side * np.pi / 2
    dx, dy = (side * 0.8, 0.0) if door.axis == "x" else (0.0, side * 0.8)
    return np.array([door.x + dx, door.y + dy, yaw])


def _seen(world: HouseWorld, index: int) -> bool:
    """Return whether an object's pixels appear from a metre in front of it."""
    placed = world.stage.placed(index)
    room = world.stage.scene.house.rooms[placed.room]
    for angle in np.linspace(0, 2 * np.pi, 12, endpoint=False):
        x, y = placed.x + np.cos(angle), placed.y + np.sin(angle)
        if room.rect[0] + 0.3 < x < room.rect[2] - 0.3 and room.rect[1] + 0.3 < y < room.rect[3]:
            world.place(np.array([x, y, angle + np.pi]))
            if placed.piece.category in world.reset().labels:
                return True
    return False


def test_nothing_happens_before_its_step() -> None:
    world = _world(_event("move_object", "chair", at_step=2))
    world.reset(0)
    start = _positions(world)
    assert world.step(REST).events == ()
    assert world.step(REST).events == ()
    assert _positions(world) == start
    assert len(world.step(REST).events) == 1
    assert _positions(world) != start
    assert world.step(REST).events == ()


def test_a_moved_object_is_elsewhere_for_oracle_and_camera() -> None:
    world = _world(_event("move_object", "plant"))
    world.reset(0)
    before, room_before = _positions(world), {}
    room_before = {o.object_id: o.room for o in HouseOracle(world).objects()}
    (line,) = world.step(REST).events
    after = _positions(world)
    moved = [k for k in after if after[k] != before[k]]
    assert len(moved) == 1
    room_after = next(o.room for o in HouseOracle(world).objects() if o.object_id == moved[0])
    assert room_after != room_before[moved[0]]
    assert line == f"scenario: moved plant {moved[0]} from {room_before[moved[0]]} to {room_after}"
    assert is_reachable(world.stage.house_now())
    assert _seen(world, moved[0])


def test_large_furniture_is_moved_to_a_wall_and_by_number() -> None:
    world = _world()
    index = next(o.object_id for o in HouseOracle(world).objects() if o.label == "bookcase")
    world = _world(_event("move_object", str(index)))
    before = _positions(world)[index]
    world.step(REST)
    assert _positions(world)[index] != before
    assert is_reachable(world.stage.house_now())


def test_a_removed_object_is_gone() -> None:
    world = _world(_event("remove_object", "refrigerator"))
    oracle, goal = HouseOracle(world), ObjectGoal(goal_id="g", label="refrigerator")
    assert np.isfinite(oracle.geodesic_m(goal))
    (line,) = world.step(REST).events
    assert "removed refrigerator" in line
    assert "refrigerator" not in {o.label for o in oracle.objects()}
    assert oracle.geodesic_m(goal) == np.inf
    assert not oracle.success(goal)


def test_an_added_object_was_not_there_before() -> None:
    world = _world(_event("add_object", "washer"), _event("add_object"))
    before = _positions(world)
    lines = world.step(REST).events
    new = set(_positions(world)) - set(before)
    assert len(new) == len(lines) == 2
    labels = {o.object_id: o.label for o in HouseOracle(world).objects()}
    assert "washer" in {labels[k] for k in new}
    assert is_reachable(world.stage.house_now())
    assert all(_seen(world, k) for k in new)


@pytest.mark.parametrize("side", [-1, 1])
def test_a_shut_door_blocks_and_an_open_one_does_not(side: int) -> None:
    world = _world()
    index, door = _leaf_doors(world)[0]
    start = _before_door(door, side)
    ahead = np.array([np.cos(start[2]), np.sin(start[2])])
    outcomes = {}
    for opening in (1.0, 0.0):
        world.stage.set_door(index, opening)
        world.place(start)
        bumped = [world.step(AHEAD).observation.bumped for _ in range(12)]
        outcomes[opening] = (world.stage.base.pose()[:2] - start[:2]) @ ahead, any(bumped)
    assert outcomes[1.0][0] > 1.2
    way, bumped = outcomes[0.0]
    assert way == pytest.approx(0.8 - 0.18, abs=0.06)
    assert bumped


@pytest.mark.parametrize("side", [-1, 1])
def test_an_unlatched_leaf_is_pushed_open(side: int) -> None:
    world = _world()
    index, door = _leaf_doors(world)[0]
    start = _before_door(door, side)
    ahead = np.array([np.cos(start[2]), np.sin(start[2])])
    world.stage.set_door(index, 0.03)
    world.place(start)
    for _ in range(24):
        world.step(AHEAD)
    assert (world.stage.base.pose()[:2] - start[:2]) @ ahead > 1.2


def test_a_door_event_shuts_and_latches() -> None:
    index, _ = _leaf_doors(_world())[0]
    world = _world(_event("set_door", str(index)), _event("set_door", str(index), 0.5, at_step=1))
    world.place(np.array([*_room_far_from(world, index), 0.0]))
    reachable = int(HouseOracle(world).true_map().navigable.sum())
    (line,) = world.step(REST).events
    assert line.startswith(f"scenario: door {index} (")
    assert line.endswith("shut")
    assert world.stage.door_opening(index) == pytest.approx(0, abs=1e-3)
    assert int(HouseOracle(world).true_map().navigable.sum()) != reachable
    (line,) = world.step(REST).events
    assert line.endswith("opened to 50%")
    assert world.stage.door_opening(index) == pytest.approx(0.5, abs=0.02)


def _room_far_from(world: HouseWorld, index: int) -> tuple[float, float]:
    door = world.stage.scene.house.doors[index]
    spots = np.argwhere(HouseOracle(world).true_map().navigable) * 0.05 + 0.025
    x, y = spots[np.hypot(spots[:, 0] - door.x, spots[:, 1] - door.y).argmax()]
    return float(x), float(y)


def test_a_door_waits_until_the_robot_is_out_of_its_way() -> None:
    index, door = _leaf_doors(_world())[0]
    world = _world(_event("set_door", str(index)))
    world.place(np.array([door.x, door.y, 0.0]))
    assert world.step(REST).events == ()
    assert world.stage.door_opening(index) > 0.9
    world.place(np.array([*_room_far_from(world, index), 0.0]))
    assert len(world.step(REST).events) == 1


@pytest.mark.parametrize(
    ("action", "target"), [("set_light", "kitchen"), ("set_light", "0"), ("set_daylight", "")]
)
def test_light_changes_the_picture(action: str, target: str) -> None:
    world = _world(_event(action, target, 0.0, at_step=0))
    rooms = world.stage.scene.house.rooms
    index = int(target) if target.isdecimal() else [r.name for r in rooms].index(target or "office")
    x0, y0, x1, y1 = rooms[index].rect
    spots = np.argwhere(HouseOracle(world).true_map().navigable) * 0.05 + 0.025
    inside = spots[
        (spots[:, 0] > x0) & (spots[:, 0] < x1) & (spots[:, 1] > y0) & (spots[:, 1] < y1)
    ]
    world.place(np.array([*inside[len(inside) // 2], 1.0]))
    before = world.reset()
    after = world.step(REST).observation
    assert after.rgb.mean() < 0.95 * before.rgb.mean()
    np.testing.assert_allclose(after.depth_m, before.depth_m, atol=1e-3)


def test_worn_wheels_and_a_dirty_camera() -> None:
    events = [
        _event("wheel_slip", value=0.6),
        _event("wheel_drift", value=1.5),
        _event("camera_noise", value=0.1),
    ]
    clean, worn = _world(), _world(*events)
    ways = []
    for world in (clean, worn):
        pose = world.stage.base.pose()
        for _ in range(8):
            result = world.step(Action(v_mps=0.1, w_radps=0.0, duration_s=0.1))
            assert result.applied.v_mps == pytest.approx(0.1)
        ways.append(world.stage.base.pose() - pose)
    assert np.hypot(*ways[1][:2]) == pytest.approx(0.4 * np.hypot(*ways[0][:2]), rel=0.15)
    assert abs(ways[0][2]) < 0.005
    assert ways[1][2] == pytest.approx(1.5 * 0.08 * 1.0, rel=0.4)
    worn.place(clean.stage.base.pose())
    a, b = clean.reset(), worn.reset()
    error = np.abs(a.rgb.astype(int) - b.rgb.astype(int))
    assert 1 < error.mean() < 12
    relative = np.nanstd(b.depth_m / a.depth_m)
    assert relative == pytest.approx(0.1, rel=0.25)


def test_a_tilted_camera_sees_what_the_mount_does_not_say() -> None:
    straight, tilted = _world(), _world(_event("camera_tilt", value=0.2))
    for world in (straight, tilted):
        world.step(REST)
    a, b = straight.reset(), tilted.reset()
    np.testing.assert_array_equal(a.T_world_camera, b.T_world_camera)
    low = slice(3 * len(a.depth_m) // 4, None)
    assert np.nanmedian(b.depth_m[low]) < 0.95 * np.nanmedian(a.depth_m[low])


def test_what_is_on_its_way_to_the_motors_is_part_of_the_state() -> None:
    events = (
        _event("actuation_delay", value=0.4),
        _event("payload", value=0.3),
        _event("motor_gain", "left", value=0.6),
        _event("carpet", "0", value=0.3),
    )
    lived, restored = _world(*events), _world(*events)
    for v in (0.3, 0.5):
        lived.step(Action(v_mps=v, w_radps=0.4, duration_s=0.2))
    restored.load_state(lived.save_state())
    for world in (lived, restored):
        for _ in range(3):
            world.step(Action(v_mps=0.0, w_radps=0.0, duration_s=0.2))
    np.testing.assert_array_equal(lived.stage.base.pose(), restored.stage.base.pose())
    assert lived.stage.wear.carpet[0] == 0.3


def test_a_script_is_seeded() -> None:
    events = [_event("move_object"), _event("remove_object"), _event("add_object")]
    outcomes = []
    for scenario_seed in (5, 5, 6):
        world = _world(*events, scenario_seed=scenario_seed)
        world.reset(0)
        lines = world.step(REST).events
        outcomes.append((lines, _positions(world)))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0] != outcomes[2]


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (_event("move_object", "sofa"), r'events\[0\] \(move_object\).*"sofa".*accepted.*couch'),
        (_event("remove_object", "999"), '"999"'),
        (_event("add_object", "piano"), '"piano".*accepted.*bed'),
        (_event("set_door", "77"), '"77"'),
        (_event("set_light", "cellar"), '"cellar".*accepted.*kitchen'),
        (_event("wheel_slip", "left"), '"left".*leave it empty'),
        (_event("motor_gain", "middle"), '"middle".*accepted are left, right'),
        (_event("actuation_delay", value=1.5), "value is 1.5; accepted are 0.0 to 1.0"),
        (_event("set_door", value=1.5), "value is 1.5; accepted are 0.0 to 1.0"),
        (_event("set_light", value=-1), "value is -1"),
        (_event("camera_noise", value=float("nan")), "value is nan"),
    ],
)
def test_a_script_for_another_house_is_refused(event: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _world(event)
