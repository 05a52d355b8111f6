"""What every World must do; a new body is enrolled by one line in WORLDS."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from habitat_worlds import fake_world, served

from agentd.worlds.base import Resumable, World, WorldClosedError
from agentd.worlds.house.world import HouseWorld
from configs.worlds import HouseConfig
from memory.frames import body_pose, compose, wrap_rad
from memory.records import Action, BodySpec, Observation

NOISE = {"depth_rel": 0.02, "depth_dropout": 0.02, "rgb": 3.0, "odometry_rel": 0.05}
CHANGES = {
    "seed": 4,
    "events": [
        {"at_step": 2, "action": "wheel_slip", "value": 0.4},
        {"at_step": 3, "action": "actuation_delay", "value": 0.3},
        {"at_step": 5, "action": "move_object", "target": "chair"},
        {"at_step": 8, "action": "set_daylight", "value": 0.1},
        {"at_step": 9, "action": "camera_noise", "value": 0.05},
    ],
}


def _house(**settings: object) -> Callable[[], HouseWorld]:
    settings = {"seed": 3, "num_rooms": 5, "image_px": 32} | settings
    return lambda: HouseWorld(HouseConfig.model_validate(settings))


WORLDS = {
    "house": _house(),
    "house-mujoco": _house(caster="mujoco"),
    "house-noise": _house(noise=NOISE),
    "house-changing": _house(noise=NOISE, scenario=CHANGES),
    "habitat-fake": fake_world,
    "habitat-fake-discrete": partial(fake_world, control="discrete"),
    "habitat-fake-served": partial(fake_world, served),
}
Factory = Callable[[], World]


@pytest.fixture(params=WORLDS.values(), ids=WORLDS.keys())
def factory(request: pytest.FixtureRequest) -> Factory:
    return request.param


@pytest.fixture
def world(factory: Factory) -> Iterator[World]:
    world = factory()
    yield world
    world.close()


def _actions(spec: BodySpec, count: int, seed: int) -> list[Action]:
    rng = np.random.default_rng(seed)
    v, w = rng.uniform(-0.3, 1, count), rng.uniform(-1, 1, count)
    return [
        Action(
            v_mps=float(a) * spec.v_max_mps,
            w_radps=float(b) * spec.w_max_radps,
            duration_s=spec.tick_s,
            source="planner",
        )
        for a, b in zip(v, w, strict=True)
    ]


def _assert_same(a: Observation, b: Observation, *, stamps: bool = True) -> None:
    assert not stamps or a.stamp_ns == b.stamp_ns
    assert a.labels == b.labels
    assert a.bumped == b.bumped
    for name in ("rgb", "depth_m", "instances", "T_world_camera", "egomotion"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def _assert_fits(o: Observation, spec: BodySpec) -> None:
    shape = (spec.height_px, spec.width_px)
    assert o.rgb.shape == (*shape, 3)
    assert o.rgb.dtype == np.uint8
    assert o.depth_m.shape == shape
    assert o.depth_m.dtype == np.float32
    seen = o.depth_m[~np.isnan(o.depth_m)]
    assert seen.min() > 0
    assert seen.max() <= spec.depth_max_m
    assert o.T_world_camera.shape == (4, 4)
    assert o.T_world_camera.dtype == np.float64
    np.testing.assert_allclose(
        o.T_world_camera[:3, :3] @ o.T_world_camera[:3, :3].T, np.eye(3), atol=1e-9
    )
    assert o.egomotion.shape == (3,)
    assert o.egomotion.dtype == np.float32
    assert isinstance(o.bumped, bool)
    if o.instances is not None:
        assert o.instances.shape == shape
        assert o.instances.dtype == np.int32
        assert o.labels[0] == ""
        assert all(o.labels[1:])
        present = set(np.unique(o.instances)) | {0}
        assert present == set(range(len(o.labels)))


def test_it_is_a_world(world: World) -> None:
    assert isinstance(world, World)


def test_every_observation_matches_the_spec(world: World) -> None:
    _assert_fits(world.reset(1), world.spec)
    for action in _actions(world.spec, 12, seed=0):
        _assert_fits(world.step(action).observation, world.spec)


def test_reset_with_a_seed_is_repeatable(world: World) -> None:
    first = world.reset(7)
    second = world.reset(7)
    _assert_same(first, second, stamps=False)


def test_two_worlds_agree_byte_for_byte(factory: Factory) -> None:
    streams = []
    for _ in range(2):
        world = factory()
        stream = [world.reset(5)]
        stream += [world.step(a).observation for a in _actions(world.spec, 12, seed=1)]
        streams.append(stream)
        world.close()
    for a, b in zip(*streams, strict=True):
        _assert_same(a, b)


def test_reset_without_a_seed_leaves_the_body_where_it_is(world: World) -> None:
    world.reset(2)
    before = world.step(_actions(world.spec, 1, seed=2)[0]).observation
    after = world.reset()
    np.testing.assert_array_equal(before.T_world_camera, after.T_world_camera)
    assert not after.egomotion.any()
    assert not after.bumped


def test_stamps_never_stand_still(world: World) -> None:
    stamps = [world.reset(1).stamp_ns, world.reset().stamp_ns]
    stamps += [world.step(a).observation.stamp_ns for a in _actions(world.spec, 6, seed=3)]
    stamps.append(world.reset(1).stamp_ns)
    assert all(a < b for a, b in pairwise(stamps))


def test_the_applied_action_is_reported_and_within_the_limits(world: World) -> None:
    spec = world.spec
    world.reset(1)
    wild = Action(v_mps=50.0, w_radps=-90.0, duration_s=spec.tick_s, source="operator")
    applied = world.step(wild).applied
    assert 0 <= applied.v_mps <= spec.v_max_mps
    assert applied.w_radps == -spec.w_max_radps
    assert applied.duration_s == pytest.approx(spec.tick_s)
    assert applied.source == "operator"


def test_egomotion_composes_to_the_pose(world: World) -> None:
    spec = world.spec
    pose = np.asarray(body_pose(world.reset(4).T_world_camera, spec), dtype=np.float64)
    for action in _actions(spec, 20, seed=4):
        observation = world.step(action).observation
        pose = compose(pose, observation.egomotion)
        there = body_pose(observation.T_world_camera, spec)
        np.testing.assert_allclose(pose[:2], there[:2], atol=1e-4)
        assert abs(wrap_rad(float(pose[2] - there[2]))) < 1e-4


def test_closing_twice_is_quiet_and_using_it_then_is_refused(world: World) -> None:
    world.reset(1)
    world.close()
    world.close()
    with pytest.raises(WorldClosedError):
        world.reset(1)
    with pytest.raises(WorldClosedError):
        world.step(_actions(world.spec, 1, seed=0)[0])


def test_a_saved_world_goes_on_as_if_nothing_had_happened(factory: Factory) -> None:
    world, other = factory(), factory()
    if not isinstance(world, Resumable) or not isinstance(other, Resumable):
        pytest.skip("a robot is where it is")
    actions = _actions(world.spec, 14, seed=5)
    world.reset(6)
    last = world.step(actions[0]).observation
    for action in actions[1:4]:
        last = world.step(action).observation
    state = world.save_state()
    other.reset(9)
    _assert_same(other.load_state(state), last)
    for action in actions[4:]:
        a, b = world.step(action), other.step(action)
        _assert_same(a.observation, b.observation)
        assert a.applied == b.applied
        assert a.events == b.events


def test_a_damaged_state_is_refused_and_changes_nothing(factory: Factory) -> None:
    world = factory()
    if not isinstance(world, Resumable):
        pytest.skip("a robot is where it is")
    world.reset(6)
    state = world.save_state()
    flipped = bytearray(state)
    flipped[len(state) // 2] ^= 0xFF
    for broken in (b"", b"nonsense", state[: len(state) // 2], bytes(flipped)):
        with pytest.raises(ValueError, match="damaged"):
            world.load_state(broken)
    assert world.save_state() == state
