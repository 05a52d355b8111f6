"""With a real build: AGENTD_TEST_HABITAT_SCENE names a scene (such as the repository's
simple_room.glb), AGENTD_TEST_HABITAT_PYTHON the Python that has habitat_sim, and
AGENTD_TEST_HABITAT_DATASET a scene_dataset_config.json, if the scene has one.

    pytest -m habitat tests/integration/test_habitat_build.py
"""

import os

import numpy as np
import pytest

from agentd.worlds.habitat.examination import examine_habitat
from agentd.worlds.habitat.truth import HabitatOracle
from agentd.worlds.habitat.world import HabitatWorld
from configs.bodies.habitat import HabitatConfig
from memory.frames import body_pose, compose, pixel_rays
from memory.records import Action, PointGoal

pytestmark = [pytest.mark.habitat, pytest.mark.timeout(600)]


def settings(**changes):
    scene = os.environ.get("AGENTD_TEST_HABITAT_SCENE")
    if not scene:
        pytest.skip("AGENTD_TEST_HABITAT_SCENE names no scene")
    chosen = {
        "scene": scene,
        "python": os.environ.get("AGENTD_TEST_HABITAT_PYTHON", ""),
        "dataset": os.environ.get("AGENTD_TEST_HABITAT_DATASET", ""),
        "camera_pitch_deg": 10,
    }
    return HabitatConfig.model_validate(chosen | changes)


@pytest.fixture(params=["velocity", "discrete"])
def world(request):
    world = HabitatWorld(settings(control=request.param))
    yield world
    world.close()


def _random(world, count, seed=0):
    rng, spec = np.random.default_rng(seed), world.spec
    for v, w in zip(rng.uniform(0, 1, count), rng.uniform(-1, 1, count), strict=True):
        yield Action(v_mps=v * spec.v_max_mps, w_radps=w * spec.w_max_radps, duration_s=spec.tick_s)


def test_the_doctor_is_content():
    assert [f for f in examine_habitat(settings()) if f.level == "fail"] == []


def test_the_same_seed_gives_the_same_images(world):
    first, second = world.reset(7), world.reset(7)
    np.testing.assert_array_equal(first.T_world_camera, second.T_world_camera)
    np.testing.assert_array_equal(first.depth_m, second.depth_m)
    np.testing.assert_array_equal(first.rgb, second.rgb)


def test_motion_adds_up_to_the_pose(world):
    pose = np.asarray(body_pose(world.reset(4).T_world_camera, world.spec), dtype=np.float64)
    for action in _random(world, 40):
        result = world.step(action)
        pose = compose(pose, result.observation.egomotion)
        there = body_pose(result.observation.T_world_camera, world.spec)
        np.testing.assert_allclose(pose[:2], there[:2], atol=1e-4)
        assert 0 <= result.applied.v_mps <= world.spec.v_max_mps


def test_the_floor_is_where_the_world_says(world):
    world.reset(1)
    heights = []
    for action in _random(world, 20, seed=1):
        seen = world.step(action).observation
        T = seen.T_world_camera
        points = pixel_rays(world.spec) * seen.depth_m[..., None]
        z = (points @ T[:3, :3].T + T[:3, 3])[..., 2]
        heights.append(z[np.isfinite(z) & (abs(z) < 0.3)])
    assert abs(np.median(np.concatenate(heights))) < 0.1, "set world.habitat.floor_gap_m"


def test_truth_and_the_body_agree_on_the_floor(world):
    world.reset(2)
    oracle = HabitatOracle(world)
    x, y, _ = oracle.pose()
    assert oracle.success(PointGoal(goal_id="here", xy_m=(x, y)))
    assert oracle.true_map().navigable.any()


def test_it_goes_on_after_its_simulator_was_killed(world):
    before = world.reset(3)
    world._lasting._simulator._caller._process.kill()
    np.testing.assert_array_equal(before.depth_m, world.reset().depth_m)
