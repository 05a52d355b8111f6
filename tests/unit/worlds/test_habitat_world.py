"""The Habitat body: what it senses, how it moves, what it says of a poor scene, and its truth."""

import math

import numpy as np
import pytest
from habitat_dataset import write_dataset
from habitat_worlds import fake_world, settings
from pydantic import ValidationError

from agentd.build import build_oracle
from agentd.exit_codes import ExitCode
from agentd.worlds.base import WorldClosedError
from agentd.worlds.habitat.drive import Primitives, chords, progress
from agentd.worlds.habitat.errors import HabitatError
from agentd.worlds.habitat.place import configured
from agentd.worlds.habitat.truth import HabitatOracle
from agentd.worlds.oracle import Oracle
from configs.errors import ConfigError
from configs.load import load_config
from configs.worlds import birth_keys
from memory.frames import body_pose, pixel_rays
from memory.records import Action, ImageGoal, ObjectGoal, PointGoal

TICK = 0.2


def at(world, x, y, yaw=0.0):
    world.place(np.array([x, y, yaw]))
    return world.reset()


def forward(v, w=0.0, duration_s=TICK):
    return Action(v_mps=v, w_radps=w, duration_s=duration_s, source="planner")


@pytest.fixture
def world():
    world = fake_world()
    yield world
    world.close()


# ------------------------------------------------------------------ senses
def test_the_floor_lies_at_zero_in_the_world(world):
    observation = at(world, 2.0, -3.0)
    points = pixel_rays(world.spec) * observation.depth_m[..., None]
    T = observation.T_world_camera
    height_m = (points @ T[:3, :3].T + T[:3, 3])[..., 2]
    floor = height_m[-1]  # the lowest row looks at the floor
    np.testing.assert_allclose(floor, 0.0, atol=1e-5)


def test_the_wall_ahead_is_where_it_is(world):
    observation = at(world, 2.0, -1.2)
    points = pixel_rays(world.spec) * observation.depth_m[..., None]
    T = observation.T_world_camera
    seen = (points @ T[:3, :3].T + T[:3, 3])[9, 16]
    np.testing.assert_allclose(seen[:2], [4.0, -1.2], atol=0.06)  # x = 4 is Habitat's z = -4


def test_no_surface_and_far_surfaces_are_no_return():
    world = fake_world(depth_max_m=3.0)
    depth = at(world, 1.0, -3.0).depth_m
    assert np.isnan(depth).any()
    assert 0 < np.nanmin(depth) < np.nanmax(depth) <= 3.0


def test_things_have_the_names_of_the_task_and_structure_is_none(world):
    seen = set()
    for yaw in np.arange(0, 6.3, 0.4):
        observation = at(world, 5.0, -2.0, yaw)
        seen |= set(observation.labels)
        assert set(np.unique(observation.instances)) | {0} == set(range(len(observation.labels)))
    assert {"sofa", "bed"} <= seen
    assert not seen & {"wall", "couch", "tv"}


def test_instance_numbers_carry_no_identity(world):
    at(world, 5.0, -2.0)
    world.place(np.array([5.0, -3.0, 0.0]))
    orders = {world.reset().labels for _ in range(12)}
    assert len({frozenset(labels) for labels in orders}) == 1
    assert len(orders) > 1


def test_a_body_never_starts_on_furniture(world):
    for seed in range(10):
        world.reset(seed)
        assert world.height_m == pytest.approx(0.1)


# ------------------------------------------------------------------ motion
def test_an_arc_ends_where_a_circle_does(world):
    at(world, 2.0, -3.0)
    result = world.step(forward(0.5, 1.0, 1.0))
    # radius 0.5 m, one radian
    expected = [2 + 0.5 * math.sin(1), -3 + 0.5 * (1 - math.cos(1)), 1.0]
    np.testing.assert_allclose(
        body_pose(result.observation.T_world_camera, world.spec), expected, atol=5e-5
    )
    assert result.applied == forward(0.5, 1.0, 1.0)
    assert not result.observation.bumped


def test_a_wall_stops_the_body_and_the_applied_speed_tells(world):
    at(world, 3.0, -1.0)
    results = [world.step(forward(0.75)) for _ in range(12)]
    last = results[-1]
    assert last.observation.bumped
    assert last.applied.v_mps == pytest.approx(0.0, abs=0.05)
    assert world.pose[0] == pytest.approx(4.0 - world.spec.radius_m, abs=0.02)
    world.step(forward(0.0, 1.0))
    assert not world.reset().bumped


def test_sliding_is_a_setting():
    ends = {}
    for sliding in (True, False):
        world = fake_world(sliding=sliding)
        at(world, 3.7, -1.0, 0.6)
        for _ in range(5):
            result = world.step(forward(0.75))
        ends[sliding] = world.pose
        assert result.observation.bumped
    assert ends[True][1] > ends[False][1] + 0.2


def test_backing_away_moves_backwards(world):
    at(world, 2.0, -3.0)
    result = world.step(forward(-0.5))
    np.testing.assert_allclose(result.observation.egomotion, [-0.1, 0, 0], atol=1e-6)


@pytest.mark.parametrize("bad", [forward(math.nan), forward(0.1, duration_s=0.0)])
def test_impossible_actions_are_refused(world, bad):
    with pytest.raises(ValueError, match=r"finite|positive"):
        world.step(bad)


def test_chords_of_a_turn_are_nothing_to_walk():
    arc = chords(0.5, 0.0, 1.0, 1.0)
    assert len(arc.steps_m) == 0
    assert progress(arc, np.zeros((1, 3))) == (1.0, False)
    assert arc.yaw_rad == pytest.approx(1.5)


def test_primitives_come_nearest_to_what_is_asked():
    turn = math.radians(30)

    def chosen(*asked):
        primitives = Primitives(0.25, turn)
        return [primitives.choose(way, angle * turn) for way, angle in asked]

    assert chosen((0.25, 0.0)) == ["move_forward"]
    assert chosen((0.25, 0.4)) == ["move_forward"]  # the error is left to grow
    assert chosen((0.25, 0.5), (0.0, -1.0)) == ["turn_left", "turn_right"]
    assert chosen((0.05, 0.0), (0.05, 0.0), (0.05, 0.0)) == ["", "", "move_forward"]
    assert chosen((0.0, 0.2), (0.0, 0.2), (0.0, 0.2)) == ["", "", "turn_left"]
    assert chosen((0.0, 0.3), (0.0, -0.3), (0.0, 0.3)) == ["", "", ""]
    assert chosen((0.1, 0.0), (0.0, 0.0), (0.1, 0.0)) == ["", "", ""]  # a stop forgets
    assert chosen((-0.25, 0.0)) == [""]


def test_discrete_control_applies_whole_primitives():
    world = fake_world(control="discrete")
    assert world.spec.v_max_mps == 0.25
    assert world.spec.w_max_radps == pytest.approx(math.radians(30))
    at(world, 2.0, -3.0)
    left = world.step(forward(0.0, 0.4, 1.0))
    assert left.applied.w_radps == pytest.approx(math.radians(30))
    assert world.pose[2] == pytest.approx(math.radians(30))
    ahead = world.step(forward(0.2, 0.0, 1.0))
    assert ahead.applied == forward(0.25, 0.0, 1.0)
    np.testing.assert_allclose(ahead.observation.egomotion, [0.25, 0, 0], atol=1e-6)
    still = world.step(forward(0.0, 0.0, 1.0))
    assert not still.observation.egomotion.any()


# ------------------------------------------------------------------ scenes
def test_a_scene_without_annotation_is_explained_and_lives():
    world = fake_world(scene="bare")
    observation = world.reset(1)
    assert observation.instances is None
    assert observation.labels == ("",)
    (event,) = world.step(forward(0.1)).events
    assert "bare has no annotation" in event
    assert "components or open_vocabulary" in event
    assert world.step(forward(0.1)).events == ()
    oracle = HabitatOracle(world)
    assert oracle.objects() == []
    assert oracle.geodesic_m(ObjectGoal(goal_id="a", label="chair")) == math.inf
    assert not oracle.success(ObjectGoal(goal_id="a", label="chair"))


def test_a_scene_without_navmesh_is_refused():
    with pytest.raises(
        HabitatError, match=r"no navmesh .* radius 0\.18 m.*world\.habitat\.navmesh"
    ):
        fake_world(scene="solid")


def test_no_scene_at_all_is_explained():
    with pytest.raises(HabitatError, match=r"needs world\.habitat\.scene") as caught:
        fake_world(scene="")
    assert caught.value.exit_code is ExitCode.USAGE


def test_episodes_give_scene_and_start(tmp_path):
    folder = write_dataset(tmp_path)
    world = fake_world(scene="", episodes=str(folder), scenes_folder="/scans")
    assert world.config.scene == "/scans/hm3d/val/00800-rooms/rooms.basis.glb"
    world.reset(1)
    np.testing.assert_allclose(world.pose, [1, -3, 0], atol=1e-9)
    assert "bed" in world.step(forward(0.0)).events[-1]
    world.reset(3)  # of three episodes the first again
    np.testing.assert_allclose(world.pose, [3, -5, math.pi / 2], atol=1e-9)
    config, found = configured(settings(scene="x/rooms2.basis.glb", episodes=str(folder)))
    assert config.scene == "x/rooms2.basis.glb"
    assert found.file.name == "rooms2.json.gz"
    with pytest.raises(HabitatError, match="no episode in the scene 'attic'; it has rooms, rooms2"):
        configured(settings(scene="attic.glb", episodes=str(folder)))


def test_a_state_of_another_scene_is_refused(world):
    state = world.save_state()
    other = fake_world(scene="rooms_too")
    with pytest.raises(ValueError, match="another world"):
        other.load_state(state)
    moved = fake_world(scene="/elsewhere/rooms")
    moved.load_state(state)
    np.testing.assert_array_equal(moved.pose, world.pose)


# ------------------------------------------------------------------ truth
def test_the_oracle_knows_what_is_there(world):
    oracle = build_oracle(world)
    assert isinstance(oracle, Oracle)
    things = {thing.label: thing for thing in oracle.objects()}
    assert set(things) == {"chair", "sofa", "bed", "tv_monitor", "toilet"}
    np.testing.assert_allclose(things["chair"].xyz_m, [0.95, -0.85, 0.45])
    np.testing.assert_allclose(things["bed"].extent_m, [2.0, 1.8, 0.6])


def test_ways_lead_through_the_doorway(world):
    oracle = HabitatOracle(world)
    at(world, 1.0, -3.0)
    assert oracle.geodesic_m(PointGoal(goal_id="p", xy_m=(3.0, -3.0))) == pytest.approx(1.75)
    round_the_wall = oracle.geodesic_m(PointGoal(goal_id="p", xy_m=(5.0, -1.0)))
    assert round_the_wall > math.hypot(4, 2) + 0.1
    start = np.array([5.0, -1.0, 0.0])
    back = oracle.geodesic_m(PointGoal(goal_id="p", xy_m=(1.0, -3.0)), start)
    assert back == pytest.approx(round_the_wall, abs=0.15)
    goal = PointGoal(goal_id="p", xy_m=(1.2, -3.0))
    assert oracle.success(goal)
    assert not oracle.success(PointGoal(goal_id="p", xy_m=(1.5, -3.0)))


def test_an_object_goal_succeeds_within_a_metre_of_its_box_on_its_side_of_walls(world):
    oracle = HabitatOracle(world)
    chair = ObjectGoal(goal_id="c", label="chair")  # its box: x 0.7 .. 1.2, y -1.1 .. -0.6
    at(world, 2.1, -0.8)
    assert oracle.success(chair)
    at(world, 2.6, -0.8)
    assert not oracle.success(chair)
    assert oracle.geodesic_m(chair) == pytest.approx(0.4, abs=0.15)
    toilet = ObjectGoal(goal_id="b", label="toilet")  # its box: x 3.4 .. 3.9, y -5.6 .. -5.1
    at(world, 3.2, -4.6)
    assert oracle.success(toilet)
    at(world, 4.4, -5.3)  # half a metre from it, behind the wall
    assert not oracle.success(toilet)
    assert oracle.geodesic_m(toilet) > 2.0
    assert oracle.geodesic_m(ObjectGoal(goal_id="x", label="piano")) == math.inf
    with pytest.raises(ValueError, match="names no place"):
        oracle.geodesic_m(ImageGoal(goal_id="i", rgb=np.zeros((4, 4, 3), dtype=np.uint8)))


def test_the_true_map_is_the_floor(world):
    at(world, 1.0, -3.0)
    truth = HabitatOracle(world).true_map()
    cell = truth.cell_m

    def free(x, y):
        i, j = int((x - truth.origin_m[0]) / cell), int((y - truth.origin_m[1]) / cell)
        return bool(truth.navigable[i, j])

    assert free(1.0, -3.0)
    assert free(4.05, -3.0)  # the doorway
    assert not free(4.05, -1.0)  # the wall beside it
    assert not free(0.95, -0.85)  # the chair
    area_m2 = truth.navigable.sum() * cell**2
    assert 30 < area_m2 < 45


def test_a_closed_world_answers_nothing(world):
    world.close()
    with pytest.raises(WorldClosedError):
        HabitatOracle(world).true_map()


# ------------------------------------------------------------------ settings
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"process": "same", "python": "/x"}, "process of its own"),
        ({"camera_height_m": 2.5}, "more than 0.5 m above"),
        ({"control": "tank"}, "velocity"),
        ({"width_px": 8}, "greater than or equal to 16"),
        ({"gpu_device_id": -2}, "greater than or equal to -1"),
        ({"colour": 1}, "Extra inputs"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, words):
    with pytest.raises(ValidationError, match=words):
        settings(**changes)


def test_the_settings_are_part_of_the_tree():
    overrides = ["world.kind=habitat", "world.habitat.scene=/scans/a.glb"]
    loaded = load_config(None, None, {}, overrides)
    assert loaded.config.world.body.place == "habitat a.glb"
    assert "world.habitat.scene" in birth_keys("habitat")


def test_a_life_is_not_born_without_a_scene(tmp_path):
    with pytest.raises(ConfigError, match=r'kind = "habitat" needs world\.habitat\.scene'):
        load_config(None, None, {}, ["world.kind=habitat"])
