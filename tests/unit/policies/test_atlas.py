"""A robot that is carried between homes keeps one map of each."""

import numpy as np
import pytest
from box_drive import CONFIG, Drive
from fakes_policies import Box, FixedSlots, fake_slot, room

from memory.objects.listing import RankedSlots
from memory.records import ObjectGoal, PointGoal
from policies.atlas import Atlas
from policies.navigator import Navigator
from policies.protocols import Mode

AWAY_M = 100.0


def shifted(boxes: list[Box], x_m: float) -> list[Box]:
    return [Box(b.x0 + x_m, b.y0, b.x1 + x_m, b.y1, b.top_m, b.label) for b in boxes]


def two_homes(slots: FixedSlots | None = None) -> Drive:
    plant = Box(AWAY_M + 4.0, 2.0, AWAY_M + 4.4, 2.4, 0.8, "plant")
    lamp = Box(4.0, 2.0, 4.4, 2.4, 0.8, "lamp")
    boxes = [*room(6, 4), lamp, *shifted(room(5, 4), AWAY_M), plant]
    return Drive(boxes, [1.0, 1.0, 0.0], slots)


def carry(drive: Drive, x_m: float, y_m: float) -> None:
    drive.world.pose = np.array([x_m, y_m, 0.0])
    drive.observation = drive.world.observe()


def known(drive: Drive) -> dict[str, np.ndarray]:
    return {
        key: value
        for key, value in drive.navigator.save().items()
        if not key.startswith("region") and key not in ("policy_step", "policy_visits")
    }


def test_each_home_has_its_own_map_and_gets_it_back_bit_for_bit() -> None:
    drive = two_homes()
    drive.run(None, 40)
    drive.navigator.explorer.unreachable.add((5.5, 0.5), "test", 3)
    first = known(drive)
    carry(drive, AWAY_M + 1.0, 1.0)
    assert drive.step(None).mode == Mode.INITIALISE
    drive.run(None, 40)
    away = known(drive)
    assert drive.navigator.map.origin_m[0] > AWAY_M / 2
    assert not drive.navigator.explorer.unreachable.items
    carry(drive, 1.0, 1.0)
    assert drive.step(None).mode != Mode.INITIALISE
    back = known(drive)
    for key in ("map_origin_m", "explore_unreachable", "view_pose", "view_rgb"):
        np.testing.assert_array_equal(back[key][: len(first[key])], first[key], err_msg=key)
    unseen = back["map_seen_step"] != drive.navigator.save()["policy_step"]
    for key in ("map_log_odds", "map_lintels", "map_seen_step"):
        np.testing.assert_array_equal(back[key][unseen], first[key][unseen], err_msg=key)
    saved = drive.navigator.save()
    np.testing.assert_array_equal(saved["region0_map_log_odds"], away["map_log_odds"])


def test_a_goal_goes_on_in_the_other_home() -> None:
    drive = two_homes(FixedSlots([fake_slot(1, "plant", (4.2, 2.2, 0.4))]))
    goal = ObjectGoal(goal_id="g", label="plant")
    drive.run(goal, 12)
    carry(drive, AWAY_M + 1.0, 1.0)
    last = drive.run(goal, 120)
    assert last.done, last.reason
    assert all(d.slot_id is None for d in drive.decisions[20:])  # that of the first home is far
    assert abs(drive.world.pose[0] - AWAY_M - 4.2) < 1.5


def test_a_point_in_another_home_fails_with_a_reason() -> None:
    drive = two_homes()
    last = drive.run(PointGoal(goal_id="p", xy_m=(AWAY_M + 1.0, 1.0)), 200)
    assert "no way" in last.failed


def test_all_homes_are_saved_and_loaded() -> None:
    drive = two_homes()
    drive.run(None, 25)
    carry(drive, AWAY_M + 1.0, 1.0)
    drive.run(None, 25)
    saved = drive.navigator.save()
    other = Navigator(drive.world.spec, CONFIG, FixedSlots(), np.random.default_rng(0))
    other.load(saved)
    for key, value in other.save().items():
        np.testing.assert_array_equal(value, saved[key], err_msg=key)
    assert {key for key in saved if key.startswith("region0_map")}
    # A state of before there were regions is one region.
    other.load({key: a for key, a in saved.items() if not key.startswith("region")})
    assert not any(key.startswith("region") for key in other.save())
    other.reset(keep_map=False)
    assert other.map.is_empty


def test_maps_are_swapped_with_hysteresis() -> None:
    atlas = Atlas(size_m=20.0)
    atlas.put({"map_origin_m": np.array([-10.0, -10.0])})
    here = (0.0, -10.0)  # a square that overlaps by half
    assert not atlas.is_elsewhere(np.array([4.0, 0.0]), here)
    assert atlas.is_elsewhere(np.array([2.0, 0.0]), here)
    assert atlas.is_elsewhere(np.array([21.0, 0.0]), here)
    assert atlas.take(np.array([21.0, 0.0])) is None
    assert atlas.take(np.array([2.0, 0.0])) is not None
    assert len(atlas) == 0
    with pytest.raises(ValueError, match="region 0 lacks map_origin_m"):
        atlas.load({"region0_map_cell_m": np.array(0.05)})


def test_slots_of_a_rectangle_follow_their_moves() -> None:
    ranked = RankedSlots()
    ranked.fill([fake_slot(1, "plant", (1.0, 1.0, 0.4)), fake_slot(2, "plant", (150.0, 1.0, 0.4))])
    here = (-14.0, -14.0, 14.0, 14.0)
    assert [s.slot_id for s in ranked.within(here)] == [1]
    ranked.put(fake_slot(2, "plant", (-3.0, 1.0, 0.4), existence=4.0))
    assert [s.slot_id for s in ranked.within(here)] == [2, 1]
    ranked.put(fake_slot(1, "plant", (14.5, 1.0, 0.4)))
    assert [s.slot_id for s in ranked.within(here)] == [2]
    ranked.discard(2)
    assert ranked.within(here) == []


def test_a_home_is_kept_when_the_body_is_carried_off_while_it_looks_around_once_more() -> None:
    drive = two_homes()
    drive.run(None, 30)
    explored_m2 = drive.navigator.map.explored_m2
    carry(drive, 2.0, 3.0)
    assert drive.step(None).mode == Mode.INITIALISE
    carry(drive, AWAY_M + 1.0, 1.0)
    drive.run(None, 3)
    carry(drive, 2.0, 3.0)
    drive.step(None)
    assert drive.navigator.map.explored_m2 > 0.9 * explored_m2
    # The place that was seen for a moment only is not kept.
    assert not any(key.startswith("region") for key in drive.navigator.save())
