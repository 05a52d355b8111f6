import numpy as np
import pytest

from agentd.worlds.house import pictures
from agentd.worlds.house import world as world_module
from agentd.worlds.house.furniture import OBJECT_CATEGORIES
from agentd.worlds.house.pictures import plan_picture, rooms_picture, view_of_room
from agentd.worlds.house.state import FORMAT, pack_state, unpack_state
from agentd.worlds.house.world import HouseWorld
from configs.worlds import HouseConfig
from memory.frames import body_pose
from memory.records import Action, Observation


def _world(**settings: object) -> HouseWorld:
    base = {"seed": 3, "num_rooms": 5, "image_px": 48, "caster": "mujoco"}
    return HouseWorld(HouseConfig.model_validate(base | settings))


@pytest.fixture(scope="module")
def world() -> HouseWorld:
    return _world()


def _rich_view(world: HouseWorld) -> Observation:
    world.place(view_of_room(world, 0))
    return world.reset()


def test_instance_numbers_carry_no_identity(world: HouseWorld) -> None:
    first = _rich_view(world)
    assert len(first.labels) > 3
    images = {first.instances.tobytes()}
    shapes = {frozenset(_masks(first))}
    for _ in range(8):
        again = world.reset()
        images.add(again.instances.tobytes())
        shapes.add(frozenset(_masks(again)))
    assert len(images) > 3
    assert len(shapes) == 1


def _masks(o: Observation) -> list[tuple[str, bytes]]:
    return [(label, (o.instances == n).tobytes()) for n, label in enumerate(o.labels)]


def test_a_wild_command_is_carried_out_at_the_limits(world: HouseWorld) -> None:
    _rich_view(world)
    tick_s = world.spec.tick_s
    wild = Action(v_mps=50.0, w_radps=-90.0, duration_s=tick_s, source="operator")
    applied = world.step(wild).applied
    assert 0 <= applied.v_mps <= world.spec.v_max_mps
    assert applied.w_radps == -world.spec.w_max_radps
    assert applied.duration_s == pytest.approx(tick_s)


def test_the_building_is_no_object(world: HouseWorld) -> None:
    for seed in range(5):
        observation = world.reset(seed)
        assert set(observation.labels[1:]) <= set(OBJECT_CATEGORIES)
        assert (observation.instances == 0).any()


def test_what_is_too_far_has_no_depth(monkeypatch: pytest.MonkeyPatch, world: HouseWorld) -> None:
    before = _rich_view(world)
    monkeypatch.setattr(world_module, "DEPTH_MAX_M", 1.5)
    after = world.reset()
    assert not np.isnan(before.depth_m).any()
    np.testing.assert_array_equal(np.isnan(after.depth_m), before.depth_m > 1.5)


def test_sensor_noise_is_as_configured() -> None:
    noisy = _world(noise={"depth_rel": 0.05, "depth_dropout": 0.3, "rgb": 8.0})
    clean = _world()
    a, b = clean.reset(3), noisy.reset(3)
    lost = np.isnan(b.depth_m)
    assert lost.mean() == pytest.approx(0.3, abs=0.05)
    assert np.std((b.depth_m / a.depth_m)[~lost]) == pytest.approx(0.05, rel=0.2)
    mid = (a.rgb > 40) & (a.rgb < 215)
    assert np.std((b.rgb.astype(int) - a.rgb)[mid]) == pytest.approx(8, rel=0.2)


def test_noisy_odometry_drifts_and_the_pose_with_it() -> None:
    world = _world(noise={"odometry_rel": 0.2})
    start = body_pose(world.reset(1).T_world_camera, world.spec)
    np.testing.assert_allclose(start, world.stage.base.pose(), atol=1e-6)
    turn = Action(v_mps=0.2, w_radps=1.0, duration_s=0.2)
    for _ in range(10):
        observation = world.step(turn).observation
    believed = body_pose(observation.T_world_camera, world.spec)
    assert np.abs(believed - world.stage.base.pose()).max() > 0.01
    again = body_pose(world.reset(2).T_world_camera, world.spec)
    np.testing.assert_allclose(again, world.stage.base.pose(), atol=1e-6)


@pytest.mark.parametrize(
    "bad",
    [
        {"v_mps": float("nan"), "w_radps": 0.0, "duration_s": 0.2},
        {"v_mps": 0.0, "w_radps": float("inf"), "duration_s": 0.2},
        {"v_mps": 0.0, "w_radps": 0.0, "duration_s": 0.0},
    ],
)
def test_an_impossible_action_is_refused(world: HouseWorld, bad: dict) -> None:
    with pytest.raises(ValueError, match=r"not finite|must be positive"):
        world.step(Action(**bad))


def test_pushing_a_wall_is_reported_as_standing_still(world: HouseWorld) -> None:
    world.reset(0)
    ahead = Action(v_mps=0.75, w_radps=0.0, duration_s=0.2, source="explorer")
    results = [world.step(ahead) for _ in range(60)]
    last = results[-1]
    assert last.observation.bumped
    assert last.applied.v_mps < 0.3
    assert np.abs(last.observation.egomotion).max() < 0.01


def test_a_state_of_another_house_or_format_is_refused(world: HouseWorld) -> None:
    state = world.save_state()
    other = _world(seed=4)
    with pytest.raises(ValueError, match="another world"):
        other.load_state(state)
    changed = _world(scenario={"events": [{"at_step": 3, "action": "wheel_slip"}]})
    with pytest.raises(ValueError, match="another world"):
        changed.load_state(state)
    fields = {"a": np.zeros(3)}
    newer = pack_state(fields, "w").replace(
        np.array(FORMAT).tobytes(), np.array(FORMAT + 1).tobytes()
    )
    with pytest.raises(ValueError):
        unpack_state(newer, "w", fields)
    with pytest.raises(ValueError, match='"a"'):
        unpack_state(pack_state(fields, "w"), "w", {"a": np.zeros(4)})
    with pytest.raises(ValueError, match="holds"):
        unpack_state(pack_state(fields, "w"), "w", {"b": np.zeros(3)})


def test_pictures_can_be_drawn(monkeypatch: pytest.MonkeyPatch, world: HouseWorld) -> None:
    monkeypatch.setattr(pictures, "_NUM_VIEWS", 3)
    rooms, plan = rooms_picture(world), plan_picture(world)
    assert rooms.dtype == plan.dtype == np.uint8
    assert rooms.shape[1] == 2 * 3 * world.spec.width_px
    assert len(np.unique(plan.reshape(-1, 3), axis=0)) > 20
