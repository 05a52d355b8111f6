import math

import numpy as np
import pytest

from agentd.worlds.house.truth import HouseOracle
from agentd.worlds.house.world import HouseWorld
from agentd.worlds.oracle import Oracle
from configs.worlds import HouseConfig
from memory.records import Action, ImageGoal, ObjectGoal, PointGoal

AHEAD = Action(v_mps=0.7, w_radps=0.0, duration_s=0.2)


@pytest.fixture(scope="module")
def world() -> HouseWorld:
    config = {"seed": 2, "num_rooms": 6, "image_px": 16, "caster": "mujoco"}
    return HouseWorld(HouseConfig.model_validate(config))


@pytest.fixture
def oracle(world: HouseWorld) -> HouseOracle:
    world.reset(0)
    return HouseOracle(world)


def _goal(label: str) -> ObjectGoal:
    return ObjectGoal(goal_id="g", label=label)


def test_it_is_an_oracle(oracle: HouseOracle) -> None:
    assert isinstance(oracle, Oracle)


def test_objects_are_what_stands_in_the_house(oracle: HouseOracle, world: HouseWorld) -> None:
    house = world.stage.scene.house
    objects = oracle.objects()
    labels = {o.label for o in objects}
    assert not labels & {"wall", "floor", "door", "rug", "picture", "window"}
    assert len(objects) == sum(not o.piece.flat for o in house.objects)
    for true in objects:
        placed = house.objects[true.object_id]
        assert true.label == placed.piece.category
        assert true.room == house.rooms[placed.room].name
        np.testing.assert_allclose(true.xyz_m[:2], (placed.x, placed.y), atol=1e-3)
        x0, y0, x1, y1 = placed.rect()
        np.testing.assert_allclose(true.extent_m[:2], (x1 - x0, y1 - y0), atol=1e-6)


def test_seen_points_lie_on_true_objects(oracle: HouseOracle, world: HouseWorld) -> None:
    """The instance camera and the oracle tell the same story."""
    from memory.frames import pixel_rays

    boxes: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for true in oracle.objects():
        boxes.setdefault(true.label, []).append((true.xyz_m, true.extent_m / 2 + 0.12))
    num_checked = 0
    for seed in range(6):
        o = world.reset(seed)
        points = pixel_rays(world.spec) * o.depth_m[..., None]
        points = points @ o.T_world_camera[:3, :3].T + o.T_world_camera[:3, 3]
        for number, label in enumerate(o.labels[1:], start=1):
            for point in points[o.instances == number]:
                assert any((np.abs(point - c) <= h).all() for c, h in boxes[label]), label
                num_checked += 1
    assert num_checked > 50


def test_every_object_can_be_reached_and_no_path_is_shorter_than_the_line(
    oracle: HouseOracle,
) -> None:
    pose = oracle.pose()
    for label in {o.label for o in oracle.objects()}:
        length = oracle.geodesic_m(_goal(label))
        assert math.isfinite(length), label
        gaps = []
        for o in oracle.objects():
            if o.label == label:
                off = np.maximum(np.abs(o.xyz_m[:2] - pose[:2]) - o.extent_m[:2] / 2, 0)
                gaps.append(float(np.hypot(*off)))
        assert length >= min(gaps) - 1.0 - 0.1


def test_success_is_where_the_geodesic_ends(oracle: HouseOracle, world: HouseWorld) -> None:
    goal = _goal("bed")
    bed = next(o for o in oracle.objects() if o.label == "bed")
    spots = np.argwhere(oracle.true_map().navigable) * 0.05 + 0.025
    gap = np.hypot(*(np.maximum(np.abs(spots - bed.xyz_m[:2]) - bed.extent_m[:2] / 2, 0).T))
    rooms = [r.name for r in world.stage.scene.house.rooms]
    inside = np.array([rooms[world.stage.scene.house.room_at(*s)] == bed.room for s in spots])
    for index, expected in ((gap + 9 * ~inside).argmin(), True), (gap.argmax(), False):
        oracle.place(np.array([*spots[index], 0.0]))
        assert oracle.success(goal) is expected
        assert (oracle.geodesic_m(goal) == 0) is expected
    neighbours = spots[~inside & (gap < 0.8)]
    for spot in neighbours[:3]:
        oracle.place(np.array([*spot, 0.0]))
        apart = np.hypot(*(spots[inside & (gap < 1)] - spot).T).min()
        if apart > 0.2:
            assert not oracle.success(goal), "through a wall"


def test_points_can_be_goals(oracle: HouseOracle) -> None:
    cells = np.argwhere(oracle.true_map().navigable)
    x, y = cells[len(cells) // 3] * 0.05 + 0.025
    goal = PointGoal(goal_id="p", xy_m=(float(x), float(y)))
    assert math.isfinite(oracle.geodesic_m(goal))
    assert oracle.geodesic_m(goal, np.array([x, y, 0.0])) == 0
    oracle.place(np.array([x, y, 1.0]))
    assert oracle.success(goal)
    assert oracle.geodesic_m(PointGoal(goal_id="q", xy_m=(-3.0, -3.0))) == math.inf


def test_what_is_not_there_is_infinitely_far(oracle: HouseOracle) -> None:
    assert oracle.geodesic_m(_goal("piano")) == math.inf
    assert not oracle.success(_goal("piano"))


def test_an_image_goal_names_no_place(oracle: HouseOracle) -> None:
    goal = ImageGoal(goal_id="i7", rgb=np.zeros((4, 4, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match='"i7"'):
        oracle.geodesic_m(goal)


def test_the_map_is_where_the_body_fits(oracle: HouseOracle, world: HouseWorld) -> None:
    true_map = oracle.true_map()
    x, y, _ = oracle.pose()
    assert true_map.navigable[int(x / true_map.cell_m), int(y / true_map.cell_m)]
    model, contacts = world.stage.scene.model, world.stage.data.contact
    base = model.geom("base").id
    balls = [k for k, o in world.stage.standing() if o.piece.category == "ball"]
    pushable = [model.body(f"obj{k}").id for k in balls]
    rng = np.random.default_rng(0)
    cells = np.argwhere(true_map.navigable)
    for i, j in cells[rng.integers(len(cells), size=100)]:
        oracle.place(np.array([(i + 0.5) * 0.05, (j + 0.5) * 0.05, 0.0]))
        world.stage.base.drive(0.0, 0.0, 0.01)
        mine = (contacts.geom == base).any(axis=1)
        fixed = ~np.isin(model.geom_bodyid[contacts.geom], pushable).any(axis=1)
        assert (contacts.dist[mine & fixed] > -0.01).all()


def test_truth_follows_change(oracle: HouseOracle, world: HouseWorld) -> None:
    goal = _goal("toilet")
    before = oracle.geodesic_m(goal)
    index = next(o.object_id for o in oracle.objects() if o.label == "toilet")
    state = world.save_state()
    world.stage.remove_object(index)
    assert oracle.geodesic_m(goal) == math.inf
    world.load_state(state)
    assert oracle.geodesic_m(goal) == before


def test_a_placed_body_is_localised_there(oracle: HouseOracle, world: HouseWorld) -> None:
    x, y, yaw = oracle.pose()
    world.step(AHEAD)
    oracle.place(np.array([x, y, yaw]))
    np.testing.assert_allclose(oracle.pose(), (x, y, yaw))
    observation = world.step(Action(v_mps=0.0, w_radps=0.0, duration_s=0.1)).observation
    assert np.abs(observation.egomotion).max() < 0.02
