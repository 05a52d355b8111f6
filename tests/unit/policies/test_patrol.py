"""Goals about the place itself: explore all of it, look at all of it again, stand at a point."""

import numpy as np
from box_drive import CONFIG, Drive
from fakes_policies import Box, room

from memory.records import ExploreGoal, PatrolGoal, PointGoal
from policies.free_points import why_not_at
from policies.protocols import Mode


def known_room(extra: Box | None = None) -> Drive:
    drive = Drive([*room(4.5, 3.5), *([extra] if extra else [])], [1.0, 1.0, 0.0])
    last = drive.run(ExploreGoal(goal_id="e"), 120)
    assert last.done
    return drive


def test_exploring_ends_when_nothing_is_left_and_says_what_is_known() -> None:
    drive = known_room()
    last = drive.decisions[-1]
    assert last.mode == Mode.STOP
    assert "nothing within reach is left to explore" in last.reason
    assert (last.action.v_mps, last.action.w_radps) == (0.0, 0.0)
    assert all(d.why is not None for d in drive.decisions if d.mode == Mode.EXPLORE)


def test_a_patrol_looks_at_every_place_again_and_counts_its_rounds() -> None:
    drive = known_room()
    begun = drive.navigator._step
    last = drive.run(PatrolGoal(goal_id="p", rounds=2), 300)
    assert last.done
    assert "round 2 done" in last.reason
    occupancy = drive.navigator.map
    floor = occupancy.grid() == 0
    assert (occupancy.seen_step[floor] > begun).mean() > 0.9
    chosen = [d.why for d in drive.decisions if d.why is not None and d.mode == Mode.REVISIT]
    assert all(why.chosen.age_s is not None for why in chosen)


def test_a_point_in_an_obstacle_is_ruled_out_with_the_nearest_free_one() -> None:
    drive = known_room(Box(2.0, 1.4, 3.0, 2.4))
    spec, occupancy = drive.world.spec, drive.navigator.map

    def why(x: float, y: float) -> str:
        return why_not_at(occupancy, spec, CONFIG.map, drive.world.pose[:2], (x, y))

    assert why(1.0, 2.5) == ""
    text = why(2.1, 1.5)
    assert "(2.10, 1.50) lies in a wall or an obstacle" in text
    free = np.array([float(v) for v in text.split("point is (")[1].split(")")[0].split(", ")])
    assert np.hypot(*(free - (2.1, 1.5))) < 0.6
    assert drive.world.gap_m(free) > 0
    assert "lies in a wall or an obstacle" in why(2.5, 1.9)  # what no ray can meet
    assert "outside the map" in why(100.0, 0.0)
    begun = len(drive.decisions)
    last = drive.run(PointGoal(goal_id="q", xy_m=(2.1, 1.5)), 60)
    assert "obstacle; the nearest free point is" in last.failed
    assert len(drive.decisions) - begun < 10
