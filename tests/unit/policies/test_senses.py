"""What cannot be believed moves no wheel and leaves no trace in the map."""

from dataclasses import replace

import numpy as np
from box_drive import Drive
from fakes_policies import Box, room

from memory.records import ObjectGoal, PointGoal
from policies.protocols import Decision, Mode
from policies.senses import LOST_STEPS

WALL = Box(4.0, 0.0, 4.1, 2.4)
PLANT = Box(7.0, 1.0, 7.3, 1.3, 0.8, "plant")


def explored(ticks: int = 90) -> Drive:
    drive = Drive([*room(8, 4), WALL, PLANT], [1.0, 1.0, 0.0])
    drive.run(None, ticks)
    return drive


def log_odds(drive: Drive) -> np.ndarray:
    return drive.navigator.map.log_odds.copy()


def see(drive: Drive, **changed: np.ndarray) -> Decision:
    drive.observation = replace(drive.observation, **changed)
    return drive.step(PointGoal(goal_id="p", xy_m=(1.0, 3.0)))


def test_a_pose_that_is_no_number_stops_the_body_and_is_not_mapped() -> None:
    drive = explored(40)
    before = log_odds(drive)
    at = drive.world.pose.copy()
    for _ in range(5):
        lost = np.full((4, 4), np.nan)
        decision = see(drive, T_world_camera=lost)
        assert decision.reason.startswith("the pose is not a number")
    np.testing.assert_array_equal(drive.world.pose, at)
    np.testing.assert_array_equal(log_odds(drive), before)
    last = drive.run(PointGoal(goal_id="p", xy_m=(1.0, 3.0)), 80)
    assert last.done


def test_a_camera_without_depth_stops_the_body_until_the_goal_fails() -> None:
    drive = explored(40)
    before = log_odds(drive)
    at = drive.world.pose.copy()
    blank = np.full_like(drive.observation.depth_m, np.nan)
    for _ in range(LOST_STEPS):
        assert not (decision := see(drive, depth_m=blank)).done
    assert decision.failed == f"the camera returns no depth, for {LOST_STEPS} steps: standing still"
    np.testing.assert_array_equal(drive.world.pose, at)
    np.testing.assert_array_equal(log_odds(drive), before)
    drive.navigator.reset()
    drive.observation = drive.world.observe()
    assert drive.run(PointGoal(goal_id="q", xy_m=(1.0, 3.0)), 80).done


def test_a_pose_that_is_off_by_metres_for_a_moment_does_not_spoil_the_map() -> None:
    drive = explored()
    before = log_odds(drive)
    for _ in range(4):
        off = drive.observation.T_world_camera.copy()
        off[:2, 3] += (1.3, 0.9)
        decision = see(drive, T_world_camera=off)
        assert "does not fit the map" in decision.reason
        assert decision.action.v_mps == 0.0
    np.testing.assert_array_equal(log_odds(drive), before)
    drive.step(None)
    assert "jumped by 1.6 m" in drive.decisions[-1].reason
    changed = np.sign(log_odds(drive)) != np.sign(before)
    assert changed.sum() < 40
    drive.run(None, 20)
    assert drive.decisions[-1].mode != Mode.INITIALISE


def test_a_body_that_is_carried_within_its_home_finds_what_it_knows() -> None:
    drive = explored(130)
    free_before = drive.navigator.map.explored_m2
    goal = ObjectGoal(goal_id="g", label="plant")
    drive.run(goal, 3)
    drive.world.pose = np.array([1.0, 3.0, 2.0])
    drive.observation = drive.world.observe()
    assert "jumped" in drive.step(goal).reason
    assert drive.run(goal, 150).done
    assert drive.navigator.map.explored_m2 > 0.97 * free_before


def test_a_pose_that_stays_wrong_is_taken_for_right_in_the_end() -> None:
    """A place whose furniture was rearranged while the body was carried must be mapped again."""
    drive = explored()
    turned = Drive([*room(8, 4), Box(2.0, 1.6, 2.1, 4.0), Box(5.5, 0.5, 6.0, 3.5)], [3.5, 2.0, 0.0])
    drive.world, drive.observation = turned.world, turned.observation
    reasons = [drive.step(None).reason for _ in range(140)]
    doubtful = [r for r in reasons if "does not fit" in r]
    assert 0 < len(doubtful) <= 60
    face = np.stack([np.linspace(5.44, 5.56, 4), np.full(4, 2.0)], axis=-1)
    assert drive.navigator.map.is_state(face)[1].any()
