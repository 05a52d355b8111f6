"""What the planner may rely on in any LatentModel.

Enrol a model with one line in MODELS: a factory that takes a body and returns the model.
"""

from collections.abc import Callable

import numpy as np
import pytest
from fakes_policies import BoxWorld, UnicycleModel, fake_spec, room

from memory.records import NUM_OBJECTS, OBJECT_FEATURES, BodySpec
from policies.protocols import LatentModel

MODELS: list[Callable[[BodySpec], LatentModel]] = [UnicycleModel]


@pytest.fixture(params=MODELS, ids=lambda factory: factory.__name__)
def model(request: pytest.FixtureRequest) -> LatentModel:
    return request.param(fake_spec())


@pytest.fixture
def latents(model: LatentModel) -> np.ndarray:
    objects = np.zeros((NUM_OBJECTS, len(OBJECT_FEATURES)), dtype=np.float32)
    zs = []
    for yaw in (0.0, 1.0, 2.5):
        world = BoxWorld(room(4, 3), [2.0, 1.5, yaw])
        zs.append(model.encode(world.observe(), objects))
    return np.stack(zs)


def plans(num: int, horizon: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    out = rng.uniform((0, -2, 0.2), (0.75, 2, 0.2000001), (num, horizon, 3))
    return out.astype(np.float32)


def test_satisfies_the_protocol(model: LatentModel) -> None:
    assert isinstance(model, LatentModel)
    assert model.checkpoint_id
    assert isinstance(model.trusted, bool)


def test_latents_are_finite_vectors_and_repeat(model: LatentModel, latents: np.ndarray) -> None:
    assert latents.dtype == np.float32
    assert latents.ndim == 2
    assert np.isfinite(latents).all()
    world = BoxWorld(room(4, 3), [2.0, 1.5, 0.0])
    objects = np.zeros((NUM_OBJECTS, len(OBJECT_FEATURES)), dtype=np.float32)
    np.testing.assert_array_equal(model.encode(world.observe(), objects), latents[0])


def test_different_views_have_different_latents(latents: np.ndarray) -> None:
    assert not np.allclose(latents[0], latents[1])


def test_depth_without_any_return_is_encoded(model: LatentModel) -> None:
    world = BoxWorld([], [0.0, 0.0, 0.0])
    objects = np.zeros((NUM_OBJECTS, len(OBJECT_FEATURES)), dtype=np.float32)
    assert np.isfinite(model.encode(world.observe(), objects)).all()


@pytest.mark.parametrize(("num", "horizon"), [(1, 1), (5, 8)])
def test_rollouts_have_the_shape_of_the_plans(
    model: LatentModel, latents: np.ndarray, num: int, horizon: int
) -> None:
    out = model.rollout(latents[0], plans(num, horizon))
    assert out.z.shape == (num, horizon, latents.shape[1])
    assert out.egomotion.shape == (num, horizon, 3)
    assert out.p_collision.shape == (num, horizon)
    assert {out.z.dtype, out.egomotion.dtype, out.p_collision.dtype} == {np.dtype(np.float32)}
    assert np.isfinite(out.z).all()
    assert np.isfinite(out.egomotion).all()
    assert ((out.p_collision >= 0) & (out.p_collision <= 1)).all()


def test_rollouts_repeat_and_do_not_depend_on_their_neighbours(
    model: LatentModel, latents: np.ndarray
) -> None:
    many = plans(6, 4)
    together = model.rollout(latents[0], many)
    again = model.rollout(latents[0], many)
    alone = model.rollout(latents[0], many[2:3])
    np.testing.assert_array_equal(together.egomotion, again.egomotion)
    np.testing.assert_allclose(together.z[2], alone.z[0], rtol=1e-4, atol=1e-4)


def test_the_past_of_a_plan_does_not_depend_on_its_future(
    model: LatentModel, latents: np.ndarray
) -> None:
    one = plans(2, 6)
    other = one.copy()
    other[:, 3:, 1] *= -1
    a, b = model.rollout(latents[0], one), model.rollout(latents[0], other)
    np.testing.assert_allclose(a.egomotion[:, :3], b.egomotion[:, :3], rtol=1e-4, atol=1e-4)


def test_distance_is_a_quasi_distance(model: LatentModel, latents: np.ndarray) -> None:
    for z in latents:
        steps = model.distance(latents, z)
        assert steps.shape == (len(latents),)
        assert steps.dtype == np.float32
        assert (steps >= 0).all()
        assert model.distance(z[None], z)[0] == pytest.approx(0.0, abs=1e-3)
