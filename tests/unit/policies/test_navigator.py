import math
from dataclasses import replace

import numpy as np
import pytest
from box_drive import CONFIG, Drive, two_rooms
from fakes_policies import Box, BoxWorld, FixedSlots, UnicycleModel, fake_slot, room

from memory.records import ImageGoal, ObjectGoal, PointGoal
from policies.body_model import BodyModel
from policies.config import GoalConfig, PlannerConfig
from policies.navigator import Navigator
from policies.protocols import Mode, Policy

PLANT = Box(7.0, 3.2, 7.4, 3.6, top_m=0.9, label="plant")
CHAIR = Box(6.8, 0.4, 7.2, 0.8, top_m=0.9, label="chair")


def gap_to(world: BoxWorld, box: Box) -> float:
    x, y = world.pose[:2]
    return float(np.hypot(max(box.x0 - x, 0, x - box.x1), max(box.y0 - y, 0, y - box.y1)))


def test_it_is_a_policy() -> None:
    assert isinstance(Drive(room(4, 3), [1, 1, 0]).navigator, Policy)


def test_two_rooms_are_explored_through_the_door_and_then_visited_again() -> None:
    drive = Drive([*two_rooms(), PLANT], [1.0, 1.0, 2.0])
    drive.run(None, 160, until=lambda d: d.mode == Mode.REVISIT)
    assert drive.modes()[:2] == [Mode.INITIALISE, Mode.EXPLORE]
    assert drive.decisions[-1].mode in (Mode.REVISIT, Mode.IDLE)
    floor = 2 * 4 * 4 - 0.4
    assert drive.navigator.map.explored_m2 == pytest.approx(floor, rel=0.12)
    assert drive.world.num_bumps == 0
    explored = [d for d in drive.decisions if d.mode == Mode.EXPLORE]
    assert all(d.target_m is not None and d.path_m for d in explored)
    assert all("frontier" in d.reason or "seen from afar" in d.reason for d in explored)


def test_an_unknown_object_is_found_verified_and_reached() -> None:
    drive = Drive([*two_rooms(), PLANT], [1.0, 1.0, 2.0])
    goal = ObjectGoal(goal_id="g", label="plant")
    last = drive.run(goal, 160)
    assert last.done
    assert last.mode == Mode.STOP
    assert last.goal_id == "g"
    assert gap_to(drive.world, PLANT) <= 1.0
    assert "no plant known" in next(d.reason for d in drive.decisions if d.mode == Mode.EXPLORE)


def test_a_remembered_object_is_gone_for_directly() -> None:
    slots = FixedSlots([fake_slot(12, "plant", (7.2, 3.4, 0.45))])
    drive = Drive([*two_rooms(), PLANT], [1.0, 1.0, 2.0], slots)
    drive.run(None, 100, until=lambda d: d.mode == Mode.REVISIT)
    drive.world.pose[:] = (1.0, 2.0, 3.0)
    drive.observation = drive.world.observe()
    drive.navigator.reset()
    drive.decisions.clear()
    drive.world.path_m = 0.0
    last = drive.run(ObjectGoal(goal_id="g", label="plant"), 80)
    assert last.done
    assert last.slot_id == 12
    assert drive.modes()[0] == Mode.INITIALISE  # it was carried
    assert set(drive.modes()[1:]) <= {Mode.GOTO, Mode.VERIFY, Mode.STOP}
    assert "plant #12 remembered" in next(d.reason for d in drive.decisions if d.slot_id)
    assert drive.world.path_m < 1.15 * (5.6 - 0.2)


def test_memory_can_be_switched_off() -> None:
    slots = FixedSlots([fake_slot(12, "plant", (7.2, 3.4, 0.45))])
    config = CONFIG.model_copy(update={"goals": GoalConfig(use_memory=False)})
    drive = Drive([*two_rooms(), PLANT], [1.0, 1.0, 2.0], slots, config)
    drive.run(ObjectGoal(goal_id="g", label="plant"), 20)
    assert all(d.slot_id is None for d in drive.decisions)
    assert Mode.EXPLORE in drive.modes()


def test_a_moved_object_is_given_up_and_searched_for() -> None:
    """Memory says lower right; it stands upper right now."""
    slots = FixedSlots([fake_slot(3, "plant", (7.0, 0.6, 0.45))])
    drive = Drive([*two_rooms(), replace_box(PLANT, 1.0, 3.2)], [3.0, 2.0, 0.0], slots)
    last = drive.run(ObjectGoal(goal_id="g", label="plant"), 220)
    assert last.done
    assert gap_to(drive.world, replace_box(PLANT, 1.0, 3.2)) <= 1.0
    # It is seen on the way or found after the memory turned out to be wrong, but never declared
    # at the old place.
    assert drive.world.pose[0] < 4.0


def test_an_object_that_is_gone_is_not_declared_reached() -> None:
    slots = FixedSlots([fake_slot(3, "plant", (7.0, 0.6, 0.45))])
    drive = Drive(two_rooms(), [3.0, 2.0, 0.0], slots)
    last = drive.run(ObjectGoal(goal_id="g", label="plant"), 400)
    assert not last.done
    assert "no plant found" in last.failed
    assert Mode.VERIFY in drive.modes()
    assert Mode.SEARCH in drive.modes() or Mode.REVISIT in drive.modes()
    assert any("not where it was remembered" in d.reason for d in drive.decisions)
    visits = [m for m in drive.modes() if m == Mode.VERIFY]
    assert len(visits) <= 2


def test_stop_waits_until_the_object_was_seen_from_close_by() -> None:
    """It stands beside the object already, but looks the other way."""
    plant = replace_box(PLANT, 4.0, 1.8)
    slots = FixedSlots([fake_slot(1, "plant", (4.2, 2.0, 0.45))])
    drive = Drive([*room(6, 4), plant], [3.45, 2.0, 3.1], slots)
    drive.run(None, 30, until=lambda d: d.mode != Mode.INITIALISE)
    drive.world.pose[:] = (3.45, 2.0, 3.1)
    drive.observation = drive.world.observe()
    drive.decisions.clear()
    last = drive.run(ObjectGoal(goal_id="g", label="plant"), 40)
    assert last.done
    assert Mode.VERIFY in drive.modes()
    assert "0 of 2 sightings" in drive.decisions[0].reason
    assert abs(drive.world.pose[2] % (2 * np.pi) - np.pi) > 2.0  # it turned to look


def test_a_point_is_reached() -> None:
    drive = Drive(two_rooms(), [1.0, 1.0, 2.0])
    last = drive.run(PointGoal(goal_id="p", xy_m=(6.5, 1.2)), 120)
    assert last.done
    np.testing.assert_allclose(drive.world.pose[:2], (6.5, 1.2), atol=0.15)


def test_a_point_inside_a_wall_fails_with_its_reason() -> None:
    drive = Drive(room(4, 3), [1.0, 1.0, 2.0])
    last = drive.run(PointGoal(goal_id="p", xy_m=(9.5, 9.0)), 200)
    assert not last.done
    assert "(9.5, 9.0)" in last.failed


def test_a_deadline_ends_a_goal() -> None:
    drive = Drive(two_rooms(), [1.0, 1.0, 2.0])
    last = drive.run(ObjectGoal(goal_id="g", label="tv", deadline_steps=12), 40)
    assert last.failed == "not reached within 12 steps"
    assert len(drive.decisions) == 13


def test_an_image_goal_needs_a_model_and_then_leads_to_the_view() -> None:
    drive = Drive(two_rooms(), [1.0, 1.0, 2.0])
    drive.run(None, 120, until=lambda d: d.mode == Mode.REVISIT)
    kept = drive.navigator._place.keyframes.items[-1]
    image = ImageGoal(goal_id="i", rgb=kept.rgb)
    assert "no model" in drive.step(image).reason
    drive.navigator.reset()

    class Painter(UnicycleModel):
        """Tells views apart by their pixels."""

        def encode(self, observation, objects):
            z = super().encode(observation, objects)
            z[3:] = observation.rgb[::8, ::8].mean(axis=(1, 2)) / 20
            return z

        def distance(self, z, z_goal):
            return np.abs(z[:, 3:] - z_goal[3:]).sum(axis=1).astype(np.float32)

    drive.navigator.use_model(Painter(drive.world.spec, trusted=False))
    last = drive.run(image, 150)
    assert last.done
    assert Mode.GOTO in drive.modes()


def test_a_stuck_body_recovers_and_marks_what_it_cannot_see() -> None:
    glass = Box(3.0, 0.0, 3.05, 4.0)
    drive = Drive([*room(8, 4), glass], [1.5, 2.0, 0.0])
    drive.world.blind_to = {4}
    last = drive.run(PointGoal(goal_id="p", xy_m=(6.0, 2.0)), 160)
    assert Mode.RECOVER in drive.modes()
    assert drive.navigator.map.bumps.any()
    assert not last.done


def test_a_body_that_does_not_move_is_noticed() -> None:
    drive = Drive(room(8, 4), [1.5, 2.0, 0.0])
    drive.run(None, 20)
    drive.world.frozen = True
    goal = PointGoal(goal_id="p", xy_m=(6.0, 2.0))
    drive.run(goal, 40, until=lambda d: d.mode == Mode.RECOVER)
    assert drive.decisions[-1].mode == Mode.RECOVER
    assert "stuck" in drive.decisions[-1].reason


def test_a_trusted_model_steers_and_an_untrusted_one_does_not() -> None:
    for trusted in (False, True):
        planner = PlannerConfig(open_m=math.inf)
        config = CONFIG.model_copy(update={"planner": planner})
        drive = Drive(two_rooms(), [1.0, 1.0, 2.0], config=config)
        drive.navigator.use_model(UnicycleModel(drive.world.spec, trusted=trusted))
        last = drive.run(PointGoal(goal_id="p", xy_m=(6.5, 1.2)), 150)
        assert last.done
        assert drive.world.num_bumps == 0
        sources = {d.action.source for d in drive.decisions}
        assert ("planner" in sources) == trusted
        assert ("not trusted" in drive.navigator.planner.reason) == (not trusted)


def test_a_model_that_knows_nothing_of_what_is_on_its_way_does_not_steer_a_late_body(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(BodyModel, "late_s", 0.4)
    config = CONFIG.model_copy(update={"planner": PlannerConfig(open_m=math.inf)})
    drive = Drive(two_rooms(), [1.0, 1.0, 2.0], config=config)
    drive.navigator.use_model(UnicycleModel(drive.world.spec, trusted=True))
    drive.run(PointGoal(goal_id="p", xy_m=(3.0, 1.2)), 40)
    assert "planner" not in {d.action.source for d in drive.decisions}
    assert drive.navigator.planner.reason == "the body acts 0.4 s late"


def test_save_and_load_continue_the_same_life() -> None:
    drive = Drive([*two_rooms(), PLANT], [1.0, 1.0, 2.0])
    drive.run(None, 60)
    drive.navigator.note_learning_progress([(1.0, 1.0, 0.2)])
    drive.navigator.explorer.unreachable.add((7.5, 0.5), "test", 3)
    saved = drive.navigator.save()
    assert all(a.dtype != object for a in saved.values())
    other = Navigator(drive.world.spec, CONFIG, FixedSlots(), np.random.default_rng(0))
    other.load(saved)
    for key, value in other.save().items():
        np.testing.assert_array_equal(value, saved[key], err_msg=key)
    detections = drive.detector.detect(drive.observation)
    decision = other.act(drive.observation, detections, None)
    assert decision.mode != Mode.INITIALISE
    assert other.explorer.unreachable.reason_at((7.5, 0.5)) == "test"


def test_a_damaged_save_is_refused() -> None:
    navigator = Drive(room(4, 3), [1, 1, 0]).navigator
    saved = navigator.save()
    del saved["map_log_odds"]
    with pytest.raises(ValueError, match="map_log_odds"):
        navigator.load(saved)


def test_reset_without_the_map_looks_around_again() -> None:
    drive = Drive(room(4, 3), [1.0, 1.0, 0.0])
    drive.run(None, 30)
    drive.navigator.reset(keep_map=True)
    assert drive.step(None).mode != Mode.INITIALISE
    drive.navigator.reset(keep_map=False)
    assert drive.step(None).mode == Mode.INITIALISE


def replace_box(box: Box, x0: float, y0: float) -> Box:
    return replace(box, x0=x0, y0=y0, x1=x0 + box.x1 - box.x0, y1=y0 + box.y1 - box.y0)


def test_looking_on_maps_what_somebody_else_drives_through() -> None:
    """The map is the same as if it had driven itself, and nothing is decided."""
    drive = Drive([*two_rooms(), PLANT], [1.0, 1.0, 2.0])
    looker = Drive([*two_rooms(), PLANT], [1.0, 1.0, 2.0]).navigator
    for _ in range(60):
        seen = drive.observation
        assert looker.look_on(seen, drive.detector.detect(seen)) == ""
        drive.step(None)
        looker.note_applied(drive.decisions[-1].action)
    np.testing.assert_array_equal(looker.map.log_odds > 0, drive.navigator.map.log_odds > 0)
    assert looker.map.explored_m2 == pytest.approx(drive.navigator.map.explored_m2)
    blind = replace(drive.observation, depth_m=np.full_like(drive.observation.depth_m, np.nan))
    assert "no depth" in looker.look_on(blind, [])
    assert looker.map.explored_m2 == pytest.approx(drive.navigator.map.explored_m2)
