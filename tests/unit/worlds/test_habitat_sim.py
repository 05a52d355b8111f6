"""The adapter itself, on a stub that behaves as habitat-sim was measured to."""

import sys
from pathlib import Path

import numpy as np
import pytest
from habitat_worlds import settings

from agentd.worlds.habitat import sim
from agentd.worlds.habitat.backend import LocalCaller, Simulator
from agentd.worlds.habitat.errors import HabitatError, SimulatorLostError
from agentd.worlds.habitat.opening import open_caller, plain
from agentd.worlds.habitat.remote import RemoteCaller
from agentd.worlds.habitat.world import HabitatWorld
from memory.records import Action

STUBS = Path(__file__).parents[2] / "stubs"
FEET, AHEAD = np.array([3.0, 0.1, -3.0]), np.array([0.0, 0, 0, 1])


@pytest.fixture
def scene(tmp_path, monkeypatch):
    """Return a function that makes the file of a scene; the stub is habitat_sim meanwhile."""
    monkeypatch.syspath_prepend(STUBS)

    def make(name="rooms"):
        path = tmp_path / f"{name}.glb"
        path.touch()
        return str(path)

    yield make
    sys.modules.pop("habitat_sim", None)


@pytest.fixture
def opened(scene):
    callers = []

    def make(name="rooms", **changes):
        config = settings(scene=scene(name), process="same", **changes)
        callers.append(LocalCaller(sim, plain(config), start_timeout_s=30, timeout_s=30))
        return Simulator(callers[-1], config.width_px, config.height_px)

    yield make
    for caller in callers:
        caller.close()


def test_a_scene_is_described(opened):
    facts = opened().describe()
    assert facts.simulator == "habitat-sim 0.3.3"
    assert facts.navmesh == "scene"
    np.testing.assert_allclose(facts.bounds_m, [[0, 0.1, -8], [6, 0.1, 0]])
    labels = [thing.label for thing in facts.objects]
    assert labels[0] == ""  # what has no name in the annotation
    assert {"chair", "couch", "bed", "tv"} <= set(labels)
    chair = facts.objects[labels.index("chair")]
    np.testing.assert_allclose(chair.centre_m, [0.85, 0.45, -0.95])
    np.testing.assert_allclose(chair.size_m, [0.5, 0.9, 0.5])
    assert chair.room == "_6"


def test_images_are_those_of_the_sensors(opened):
    images = opened().observe(FEET, AHEAD)
    assert images.rgb.shape == (24, 32, 3)
    assert images.depth_m.dtype == np.float32
    assert images.semantic is not None
    assert (images.depth_m == 0).any()  # the sky above the walls
    blind = opened(semantics=False).observe(FEET, AHEAD)
    assert blind.semantic is None
    np.testing.assert_array_equal(blind.rgb, images.rgb)


def test_a_positive_pitch_looks_down(opened):
    level, down = (opened(camera_pitch_deg=p).observe(FEET, AHEAD) for p in (0, 30))
    assert (down.depth_m == 0).sum() < (level.depth_m == 0).sum()  # less sky
    assert down.depth_m[-1].max() < level.depth_m[-1].max()


def test_primitives_slide_only_where_it_is_set(opened):
    turned = np.array([0, -np.sin(np.pi / 8), 0, np.cos(np.pi / 8)])  # 45 degrees to the right
    start, ends = np.array([1.0, 0.1, -3.75]), {}
    for sliding in (True, False):
        acted = opened(sliding=sliding, forward_m=0.5).act("move_forward", start, turned)
        assert acted.collided
        ends[sliding] = acted.position_m[0]
    assert ends[True] == pytest.approx(1.35, abs=0.02)
    assert ends[False] == pytest.approx(1.07, abs=0.02)


def test_primitives_move_and_collide(opened):
    simulator = opened(forward_m=0.5)
    acted = simulator.act("turn_left", FEET, AHEAD)
    np.testing.assert_allclose(acted.rotation, [0, np.sin(np.pi / 12), 0, np.cos(np.pi / 12)], 1e-6)
    acted = simulator.act("move_forward", FEET, AHEAD)
    np.testing.assert_allclose(acted.position_m, [3, 0.1, -3.5], atol=1e-6)
    assert not acted.collided
    acted = simulator.act("move_forward", np.array([1.0, 0.1, -3.5]), AHEAD)
    assert acted.collided
    np.testing.assert_allclose(acted.position_m, [1, 0.1, -3.82], atol=0.01)


def test_feet_walk_with_and_without_sliding(opened):
    start, steps = np.array([1.0, 0.1, -3.7]), np.array([[0.2, 0.0, -0.2], [0.2, 0.0, -0.2]])
    slid = opened().walk(start, steps, sliding=True)
    stopped = opened().walk(start, steps, sliding=False)
    assert slid.shape == stopped.shape == (3, 3)
    np.testing.assert_allclose(slid[-1], [1.4, 0.1, -3.82], atol=0.02)
    np.testing.assert_allclose(stopped[-1], [1.12, 0.1, -3.82], atol=0.02)


def test_questions_about_the_floor(opened):
    simulator = opened()
    points = np.array([[3, 0.1, -3], [3, 5, -3], [0.8, 0.1, -1], [50, 0, 0]])
    assert simulator.navigable(points, 0.5).tolist() == [True, False, False, False]
    snapped = simulator.snap(points)
    assert np.isfinite(snapped[:3]).all()
    assert np.isnan(snapped[3]).all()
    assert simulator.snap(np.zeros((0, 3))).shape == (0, 3)
    lengths, nearest = simulator.geodesics(points[:1], points[[3, 0]])
    assert (lengths[0], nearest[0]) == (pytest.approx(0, abs=1e-6), 1)
    assert simulator.geodesics(points, np.zeros((0, 3)))[0].tolist() == [np.inf] * 4


def test_the_same_seed_draws_the_same_places(opened):
    simulator = opened()
    (a, islands), (b, _), (c, _) = (simulator.sample(seed, 5) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)
    assert set(islands) <= {5.0, 0.9}
    np.testing.assert_array_equal(islands == 5.0, a[:, 1] < 0.5)


def test_a_missing_navmesh_is_computed_or_said_to_be_missing(opened):
    assert opened("unmeshed").describe().navmesh == "computed"
    assert opened(rebuild_navmesh=True).describe().navmesh == "computed"
    solid = opened("solid")
    assert solid.describe().navmesh == ""
    for ask in (  # each of them would end the process
        lambda: solid.snap(FEET[None]),
        lambda: solid.navigable(FEET[None], 0.5),
        lambda: solid.sample(0, 1),
        lambda: solid.geodesics(FEET[None], FEET[None]),
        lambda: solid.walk(FEET, FEET[None], sliding=True),
    ):
        with pytest.raises(HabitatError, match="no navmesh"):
            ask()
    assert solid.observe(FEET, AHEAD).rgb.any()


def test_a_navmesh_of_its_own(opened, tmp_path):
    good, bad = tmp_path / "a.navmesh", tmp_path / "b.navmesh"
    good.write_bytes(b"MSET....")
    bad.write_bytes(b"nothing")
    assert opened("solid", navmesh=str(good)).describe().navmesh == "file"
    with pytest.raises(HabitatError, match=r"b.navmesh is no navmesh"):
        opened(navmesh=str(bad))


@pytest.mark.parametrize("key", ["navmesh", "dataset"])
def test_missing_files_are_named(opened, key):
    with pytest.raises(HabitatError, match=f"there is no {key} /no/file"):
        opened(**{key: "/no/file"})


def test_a_missing_scene_is_named_but_a_dataset_may_know_it_by_name(opened, tmp_path):
    config = settings(scene="nowhere", process="same")
    with pytest.raises(HabitatError, match=r"there is no scene .*nowhere"):
        LocalCaller(sim, plain(config), start_timeout_s=30, timeout_s=30)
    dataset = tmp_path / "a.scene_dataset_config.json"
    dataset.touch()
    named = plain(config.model_copy(update={"dataset": str(dataset)}))
    assert named["scene"] == "nowhere"


def test_light_is_prepared_only_where_it_is_asked_for(opened):
    before = Path.cwd()
    opened()
    opened(lighting=True)
    assert sys.modules["habitat_sim"].LOADED_WITH_LIGHT[-2:] == [False, True]
    assert Path.cwd() == before


def test_a_scene_without_annotation_has_no_objects(opened):
    assert opened("bare").describe().objects == ()


def test_a_world_in_this_process(scene):
    world = HabitatWorld(settings(scene=scene(), process="same"), open_caller)
    observation = world.reset(1)
    assert {"chair", "sofa", "bed", "tv_monitor"} & set(world._labels.values())
    moved = world.step(Action(v_mps=0.5, w_radps=0.5, duration_s=0.2)).observation
    assert moved.egomotion[2] == pytest.approx(0.1)
    assert observation.instances is not None
    world.close()
    world.close()


def test_a_world_served_by_a_python_that_has_it(scene, tmp_path):
    """The real sim.py by the real serve.py, in a process where the stub is installed."""
    backend = tmp_path / "backend.py"
    backend.write_text(
        f"import sys; sys.path[:0] = [{str(STUBS)!r}, {str(STUBS.parent)!r}]\n"
        f"exec(open({sim.__file__!r}).read())\n"
    )
    config = settings(scene=scene(), gpu_device_id=-1)

    def opener(config):
        return RemoteCaller(
            sys.executable, plain(config), start_timeout_s=30, timeout_s=30, backend=backend
        )

    world = HabitatWorld(config, opener)
    assert world.facts.simulator == "habitat-sim 0.3.3"
    world.reset(1)
    world.step(Action(v_mps=0.5, w_radps=0.5, duration_s=0.2))
    world.close()
    with pytest.raises(SimulatorLostError, match=r"exit code 1.*gpu_device_id = -1"):
        HabitatWorld(settings(scene=scene(), gpu_device_id=0), opener)
