"""A log as a world: it shows what was recorded, ends, begins again, and goes on where it was."""

from itertools import pairwise

import numpy as np
import pytest
from bags import Drive, Messages, recorded_world, write_drive

from agentd.worlds.base import WorldClosedError, WorldEndedError
from agentd.worlds.recorded.world import RecordedWorld
from configs.bodies.recorded import RecordedConfig
from memory.frames import body_pose
from memory.logs.errors import LogError
from memory.records import Action

WILD = Action(v_mps=9.0, w_radps=-9.0, duration_s=0.2, source="planner")


@pytest.fixture
def world():
    made = recorded_world()
    yield made
    made.close()


def test_it_shows_the_recording_whatever_it_is_asked(world):
    first = world.reset(1)
    drive = Drive(seconds=8.0)
    np.testing.assert_allclose(
        body_pose(first.T_world_camera, world.spec), drive.pose(first.stamp_ns), atol=1e-5
    )
    assert first.rgb[..., 0].max() == 0
    for k in range(1, 30):
        result = world.step(WILD)
        assert result.applied.v_mps == pytest.approx(0.3)
        assert result.applied.source == "operator"
        seen = result.observation
        assert int(np.median(seen.rgb[..., 0])) == 2 * k
        pose = body_pose(seen.T_world_camera, world.spec)
        np.testing.assert_allclose(pose, drive.pose(seen.stamp_ns), atol=1e-4)
        assert seen.instances is None
        assert not result.is_first


def test_at_its_end_it_says_so_and_closes(world):
    world.reset(0)
    results = []
    while not world.is_over:
        results.append(world.step(WILD))
    assert len(results) == 40
    last = results[-1]
    assert last.is_first
    assert last.events == ("the log is over",)
    assert last.applied.v_mps == 0
    np.testing.assert_array_equal(last.observation.rgb, results[-2].observation.rgb)
    for _ in range(2):
        with pytest.raises(WorldEndedError, match="the log is over"):
            world.step(WILD)
    assert issubclass(WorldEndedError, WorldClosedError)
    assert world.reset(0).rgb[..., 0].max() == 0  # and can be played again


def test_it_may_begin_again():
    world = recorded_world(at_end="again")
    stamps = [world.reset(0).stamp_ns]
    cuts = []
    for k in range(90):
        result = world.step(WILD)
        stamps.append(result.observation.stamp_ns)
        if result.is_first:
            cuts.append((k, result.events))
            assert not result.observation.egomotion.any()
    assert [k for k, _ in cuts] == [39, 79]
    assert cuts[0][1] == ("the log is over: it begins again",)
    assert all(a < b for a, b in pairwise(stamps))
    world.close()


def test_a_gap_ends_the_episode(tmp_path):
    def gap(found, messages):
        begin = found[0][1]
        return [e for e in found if not 2e9 < e[1] - begin < 4e9]

    log = write_drive(tmp_path / "log", Drive(seconds=6.0), gap)
    world = RecordedWorld(RecordedConfig(log=str(log)))
    world.reset(0)
    results = [world.step(WILD) for _ in range(18)]
    cut = [r for r in results if r.is_first]
    assert len(cut) == 1
    assert "a gap" in cut[0].events[0]
    assert cut[0].applied.v_mps == 0
    assert not cut[0].observation.egomotion.any()
    world.close()


def test_bumps_are_felt(tmp_path):
    def bumps(found, messages: Messages):
        begin = found[0][1]
        pressed = [(1.1, True), (1.3, False)]
        more = [("/bumper", begin + round(t * 1e9), messages.flag(on)) for t, on in pressed]
        return sorted([*found, *more], key=lambda e: e[1])

    log = write_drive(tmp_path / "log", Drive(seconds=3.0), bumps)
    world = RecordedWorld(RecordedConfig(log=str(log)))
    world.reset(0)
    felt = [world.step(WILD).observation.bumped for _ in range(12)]
    assert [k + 1 for k, bumped in enumerate(felt) if bumped] == [6, 7]
    world.close()


def test_the_end_of_a_log_needs_no_log(world):
    """What an import leaves: the life opens without the file, and has ended."""
    world.reset(0)
    while not world.is_over:
        world.step(WILD)
    state = world.save_state()
    spec = world.spec
    config = RecordedConfig(
        width_px=spec.width_px,
        height_px=spec.height_px,
        fx_px=spec.fx_px,
        fy_px=spec.fy_px,
        cx_px=spec.cx_px,
        cy_px=spec.cy_px,
        mount=tuple(spec.T_body_camera[:3].ravel().tolist()),
        v_max_mps=spec.v_max_mps,
        w_max_radps=spec.w_max_radps,
    )
    alone = RecordedWorld(config)
    assert alone.spec.name == spec.name
    np.testing.assert_array_equal(alone.spec.T_body_camera, spec.T_body_camera)
    seen = alone.load_state(state)
    np.testing.assert_array_equal(seen.rgb, world.reset().rgb)
    with pytest.raises(WorldEndedError):
        alone.step(WILD)
    empty = RecordedWorld(config)
    assert np.isnan(empty.reset(0).depth_m).all()
    with pytest.raises(WorldEndedError):
        empty.step(WILD)
    with pytest.raises(ValueError, match="48 x 32"):
        RecordedWorld(config.model_copy(update={"width_px": 32})).load_state(state)
    for made in (alone, empty):
        made.close()


def test_without_a_log_and_a_body_it_says_what_to_set():
    with pytest.raises(LogError, match=r"world\.recorded\.log"):
        RecordedWorld(RecordedConfig())


def test_settings_that_do_not_fit_together_are_refused():
    with pytest.raises(ValueError, match="set all or none"):
        RecordedConfig(fx_px=3.0)
    with pytest.raises(ValueError, match="expected 12"):
        RecordedConfig(mount=(1.0, 2.0))
