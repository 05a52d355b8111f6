import importlib.util
import math
from functools import cache

import mujoco  # noqa: TID251 - single rays are the reference
import numpy as np
import pytest

from agentd.worlds.house import casters
from agentd.worlds.house.casters import MujocoCaster, make_caster
from agentd.worlds.house.world import HouseWorld
from configs.worlds import HouseConfig
from memory.frames import pixel_rays, se3_from_pose

HAS_NUMBA = importlib.util.find_spec("numba") is not None
needs_numba = pytest.mark.skipif(not HAS_NUMBA, reason="the compiled caster needs numba")


@cache
def world_of(seed: int) -> HouseWorld:
    config = {"seed": seed, "num_rooms": 6, "image_px": 64, "caster": "mujoco"}
    return HouseWorld(HouseConfig.model_validate(config))


def _turn_everything(world: HouseWorld, seed: int) -> None:
    """Turn doors and furniture by odd angles: off-centre parts must not vanish."""
    rng = np.random.default_rng(seed)
    for k, door in enumerate(world.stage.scene.house.doors):
        if door.has_leaf:
            world.stage.set_door(k, float(rng.random()))
    for k, placed in world.stage.standing():
        world.stage.move_object(k, placed.x, placed.y, placed.yaw_rad + rng.uniform(-1, 1))


def _views(world: HouseWorld, count: int) -> list[np.ndarray]:
    mount = world.spec.T_body_camera
    views = []
    for seed in range(count):
        world.reset(seed)
        views.append(se3_from_pose(world.stage.base.pose()) @ mount)
    return views


@needs_numba
@pytest.mark.parametrize("seed", [1, 2])
def test_both_casters_see_the_same_pixel_by_pixel(seed: int) -> None:
    world = world_of(seed)
    _turn_everything(world, seed)
    compiled = make_caster("numba", world.stage.scene, world.spec)
    plain = make_caster("mujoco", world.stage.scene, world.spec)
    num_different, num_pixels = 0, 0
    for view in _views(world, 10):
        depth_a, geom_a = compiled.cast(world.stage.data, view)
        depth_b, geom_b = plain.cast(world.stage.data, view)
        same = geom_a == geom_b
        # Coplanar faces may name either geom: what counts is the object and its distance.
        owner = world.stage.scene.table.owner
        close = np.isclose(depth_a, depth_b, atol=2e-3) & (owner[geom_a] == owner[geom_b])
        num_different += int((~(same | close)).sum())
        num_pixels += same.size
        np.testing.assert_allclose(depth_a[same], depth_b[same], rtol=1e-3, atol=1e-3)
    assert num_different <= num_pixels * 2e-4


@pytest.mark.parametrize("name", ["mujoco", pytest.param("numba", marks=needs_numba)])
def test_turned_furniture_loses_no_pixels(name: str) -> None:
    world = world_of(3)
    _turn_everything(world, 5)
    caster = make_caster(name, world.stage.scene, world.spec)
    model, data = world.stage.scene.model, world.stage.data
    groups = np.array([1, 1, 1, 0, 0, 0], dtype=np.uint8)
    rays = pixel_rays(world.spec).reshape(-1, 3)
    rng, hit = np.random.default_rng(0), np.zeros(1, dtype=np.int32)
    num_lost = 0
    for view in _views(world, 4):
        depth, _ = caster.cast(data, view)
        for k in rng.integers(len(rays), size=60):
            ray = view[:3, :3] @ rays[k]
            length = float(np.linalg.norm(ray))
            distance = mujoco.mj_ray(
                model, data, view[:3, 3], ray / length, groups, 1, model.body("robot").id, hit
            )
            num_lost += abs(distance / length - depth.ravel()[k]) > 0.01
    assert num_lost <= 1


def test_rays_see_what_does_not_collide() -> None:
    world = world_of(1)
    model = world.stage.scene.model
    ghosts = (model.geom_conaffinity == 4) & (model.geom_contype == 0)
    assert ghosts.sum() > 300
    _, geom = world.camera.caster.cast(world.stage.data, _views(world, 1)[0])
    assert ghosts[geom[geom >= 0]].any()


def test_depth_is_along_the_optical_axis() -> None:
    world = world_of(2)
    view = _views(world, 1)[0]
    depth, _ = world.camera.caster.cast(world.stage.data, view)
    points = pixel_rays(world.spec) * depth[..., None]
    heights = (points @ view[:3, :3].T + view[:3, 3])[..., 2]
    assert heights.min() > -0.01
    assert (np.abs(heights[-1]) < 0.02).any()
    assert heights.max() < 2.56


def test_a_camera_looking_down_measures_its_own_height() -> None:
    world = world_of(2)
    world.reset(0)
    x, y, _ = world.stage.base.pose()
    down = np.array([[0.0, 1, 0, x], [1.0, 0, 0, y], [0, 0, -1, 0.88], [0, 0, 0, 1]])
    centre = world.spec.width_px // 2
    for name in ["mujoco", "numba"] if HAS_NUMBA else ["mujoco"]:
        caster = make_caster(name, world.stage.scene, world.spec)
        depth, _ = caster.cast(world.stage.data, down)
        assert math.isclose(depth[centre, centre], 0.88, abs_tol=0.02)


def test_auto_works_without_numba_and_asking_for_it_is_explained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = world_of(1)
    monkeypatch.setattr(casters, "find_spec", lambda name: None)
    assert isinstance(make_caster("auto", world.stage.scene, world.spec), MujocoCaster)
    with pytest.raises(ValueError, match=r"agentd\[fast\]"):
        make_caster("numba", world.stage.scene, world.spec)


@needs_numba
def test_the_kernel_compiles_where_nothing_can_be_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    from agentd.worlds.house.cast_kernel import compiled

    real = numba.njit

    def njit(*, cache: bool = False, **options: object) -> object:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return real(**options)

    monkeypatch.setattr(numba, "njit", njit)
    assert compiled(lambda x: x + 1)(2) == 3
