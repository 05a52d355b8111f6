"""Ways that are blocked: noticed on the way, gone around, told, and tried again later."""

import math

import numpy as np
from box_drive import Drive
from fakes_policies import Box, BoxWorld, FixedSlots, room
from unit.policies.test_frontiers import view

from memory.records import Action, Observation, PointGoal
from policies.navigator import Navigator
from policies.occupancy import BUMP_KEEP_STEPS
from policies.passages import AGAIN_STEPS, FELT_TIMES, Barrier, Passages
from policies.protocols import Decision

DOOR = Box(4.0, 0.8, 4.1, 1.8, label="")
FAR = PointGoal(goal_id="far", xy_m=(6.5, 1.3))
BACK = PointGoal(goal_id="back", xy_m=(1.5, 1.3))


def two_rooms(*, second_door: bool) -> list[Box]:
    top = 4.0 if second_door else 5.0
    return [*room(8, 5), Box(4.0, 0.0, 4.1, 0.8), Box(4.0, 1.8, 4.1, top)]


class OneWayWorld(BoxWorld):
    """Boxes, and a step at x = 4 m that can be driven down but not up."""

    def step(self, action: Action) -> Observation:
        before = self.pose.copy()
        seen = super().step(action)
        edge_m = 4.0 - self.spec.radius_m
        if before[0] <= edge_m < self.pose[0] and 0.8 < self.pose[1] < 1.8:
            self.pose[:2] = before[:2]
            return self.observe()
        return seen


def one_way(*, second_door: bool) -> Drive:
    drive = Drive(two_rooms(second_door=second_door), [1.5, 1.3, 0.0])
    drive.world = OneWayWorld(drive.world.boxes, drive.world.pose)
    return drive


def explored(*, second_door: bool) -> Drive:
    drive = Drive(two_rooms(second_door=second_door), [1.5, 1.3, 0.0])
    drive.run(None, 260)
    drive.run(BACK, 200)
    return drive


def near_door(drive: Drive) -> bool:
    return math.dist(drive.world.pose[:2], (4.0, 1.3)) < 1.5


def test_a_one_way_passage_is_avoided_after_it_failed_and_gone_around() -> None:
    drive = one_way(second_door=True)
    last = drive.run(FAR, 400)
    assert last.done, last.reason
    barriers = drive.navigator._place.router.passages.barriers
    assert [b for b in barriers if b.times >= 2]
    # From the other side the same passage is used, although it is remembered.
    drive.navigator._step += BUMP_KEEP_STEPS + 1
    crossed = []
    for _ in range(200):
        decision = drive.step(BACK)
        crossed.append(tuple(drive.world.pose[:2]))
        if decision.done:
            break
    assert decision.done
    at_edge = [y for x, y in crossed if 3.9 < x < 4.2]
    assert at_edge
    assert max(at_edge) < 1.8


def test_a_one_way_passage_without_a_way_around_ends_with_a_reason() -> None:
    drive = one_way(second_door=False)
    last = drive.run(FAR, 500)
    assert "stuck" in last.failed
    assert "before (4." in last.failed or "before (3.9" in last.failed


def close(drive: Drive) -> None:
    drive.world.boxes.append(DOOR)


def run_until_near(drive: Drive) -> Decision:
    return drive.run(FAR, 60, until=lambda d: near_door(drive))


def test_a_door_that_closed_on_the_way_is_gone_around() -> None:
    drive = explored(second_door=True)
    run_until_near(drive)
    assert not drive.decisions[-1].done
    close(drive)
    last = drive.run(FAR, 200)
    assert last.done, last.reason
    assert drive.world.num_bumps == 0
    assert drive.navigator._place.router.passages.closed


def test_the_only_door_that_closed_is_told_and_used_again_once_open() -> None:
    drive = explored(second_door=False)
    run_until_near(drive)
    close(drive)
    last = drive.run(FAR, 300)
    assert "(4." in last.failed
    saved = drive.navigator.save()
    other = Navigator(drive.world.spec, drive.config, FixedSlots(), np.random.default_rng(0))
    other.load(saved)
    for key, value in other.save().items():
        np.testing.assert_array_equal(value, saved[key], err_msg=key)
    drive.navigator.reset()
    # Shut still: after a while the body goes and looks, and says again that it is blocked.
    drive.navigator._step += AGAIN_STEPS + 1
    drive.run(BACK, 100)
    again = drive.run(FAR, 300)
    assert "(4." in again.failed
    drive.run(BACK, 100)
    drive.world.boxes.remove(DOOR)
    drive.run(None, 1)  # the frame in hand still shows the door
    drive.navigator.reset()
    drive.navigator._step += AGAIN_STEPS + 1
    assert drive.run(FAR, 200).done


def test_marks_of_earlier_goals_are_tried_again_before_a_goal_is_given_up() -> None:
    drive = explored(second_door=False)
    navigator = drive.navigator
    step = navigator._step
    for y in np.arange(0.4, 2.4, 0.1):  # the body wobbled in the only door, and nothing is there
        navigator.map.mark_bump(np.array([3.75, y, 0.0]), step)
    last = drive.run(FAR, 200)
    assert last.done, last.reason
    assert any("looked at again" in d.reason for d in drive.decisions)


def occupied(drive: Drive, x: float, y: float) -> bool:
    return bool(drive.navigator.map.is_state(np.array([[x, y]]))[1][0])


def test_furniture_that_left_the_only_way_is_doubted_and_what_stands_elsewhere_is_not() -> None:
    in_door, elsewhere = Box(4.0, 0.8, 4.1, 1.8, top_m=0.4), Box(1.0, 3.6, 1.8, 4.2, top_m=0.4)
    drive = explored(second_door=False)
    drive.world.boxes += [in_door, elsewhere]
    drive.navigator.reset()
    for yaw in np.arange(0, 2 * np.pi, 0.2):
        drive.world.pose[2] = yaw
        drive.observation = drive.world.observe()
        drive.step(None)
    assert occupied(drive, 4.02, 1.3)
    assert occupied(drive, 1.4, 3.62)
    drive.world.boxes.remove(in_door)
    drive.world.pose[:] = [1.5, 1.3, np.pi / 2]
    drive.observation = drive.world.observe()
    drive.navigator.reset()
    last = drive.run(FAR, 300)
    assert last.done, last.reason
    assert any("looked at again" in d.reason for d in drive.decisions)
    assert occupied(drive, 1.4, 3.62)


def test_a_body_on_a_barrier_is_not_walled_in_by_it() -> None:
    terrain, _ = view(room(6, 4), (2.0, 2.0, 0.0), 16)
    passages = Passages(0.18, 10)
    points = np.stack([np.full(40, 2.02), np.linspace(0.1, 3.9, 40)], axis=-1)
    passages.barriers.append(
        Barrier(xy_m=np.array([2.02, 2.0]), yaw_rad=0.0, points_m=points, step=1, times=FELT_TIMES)
    )
    body = np.array([2.0, 2.0])
    passages.block(terrain, body)
    field = terrain.field(terrain.cells(body[None]))
    assert field is not None
    assert np.isfinite(field.at(np.array([[1.0, 2.0]])))[0]
    assert not terrain.passable[tuple(terrain.cells(np.array([[2.02, 1.0]]))[0])]
