"""What the guardian advises is obeyed: charging, saving, looking around, standing."""

import math

import numpy as np
import pytest
from line_life import observe

from agentd.care.care import Care
from agentd.goals import GoalBook
from agentd.worlds.base import StepResult
from configs.care import CareConfig
from memory.records import Action, Observation

TICK_S = 0.2


class Cared:
    """A body whose every step is written down here."""

    def __init__(self, **config: object) -> None:
        self.goals, self.told = GoalBook(100), []
        self.care = Care(
            CareConfig.model_validate(config),
            self.goals,
            self.told.append,
            tick_s=TICK_S,
            w_max_radps=1.0,
            has_ladder=False,
        )
        self.pose = (1.0, 2.0, 0.0)
        self.charge, self.t = 0.8, 0
        self.goal_state = ""

    def live(self, seconds: float, *advice: str, held: str = "", charges: float = 0.0) -> str:
        """Return the reason of the last tick, "" where the policy acted."""
        reason = ""
        for _ in range(round(seconds / TICK_S)):
            entry = self.goals.active()
            stamp_ns = self.t * 200_000_000
            standing = self.care.instead(self.pose, stamp_ns, has_goal=entry is not None)
            reason = "" if standing is None else standing.reason
            w = 0.0 if standing is None else standing.w_radps
            self.charge += charges * TICK_S
            seen = self._seen(stamp_ns)
            applied = Action(v_mps=0.0, w_radps=w, duration_s=TICK_S)
            result = StepResult(observation=seen, applied=applied, advice=advice, held=held)
            self.care.note(self.pose, seen, 0.0, result)
            self.pose = (*self.pose[:2], self.pose[2] + w * TICK_S)
            self.t += 1
        return reason

    def _seen(self, stamp_ns: int) -> Observation:
        plain = observe(0.0, 0.0, 0)
        values = {name: getattr(plain, name) for name in plain.__slots__}
        still = np.zeros(3, np.float32)
        return Observation(
            **{**values, "stamp_ns": stamp_ns, "battery": self.charge, "egomotion": still}
        )


def test_a_low_battery_ends_exploring_but_not_goals() -> None:
    cared = Cared()
    assert cared.live(1.0) == ""
    cared.charge = 0.28
    assert cared.live(1.0, "no_exploring").startswith("28% charge: explores no more")
    assert cared.care.is_saving
    cared.goals.add_point((3.0, 0.0))
    assert cared.live(1.0, "no_exploring") == ""


def test_it_goes_to_the_dock_before_all_goals_charges_and_goes_on() -> None:
    cared = Cared()
    cared.live(1.0)  # here it began: here is its dock
    cared.pose = (5.0, 5.0, 0.0)
    asked = cared.goals.add_point((9.0, 9.0))
    cared.charge = 0.18
    assert cared.live(1.0, "dock", "no_exploring") == ""
    way = cared.goals.active()
    assert way is not None
    assert (way.origin, way.goal.xy_m) == ("care", (1.0, 2.0))
    assert cared.goals.find(asked).state == "queued"
    cared.goals.finish(way.goal.goal_id, "reached", "there")
    cared.pose = (1.0, 2.0, 0.0)
    assert cared.live(2.0, "dock", charges=0.01).startswith("charges at the dock: 20%")
    cared.live(10.0, charges=0.04)  # above the threshold, not yet full
    assert cared.live(TICK_S, charges=0.0).startswith("charges at the dock")
    cared.charge = 0.95
    assert cared.live(2 * TICK_S) == ""
    assert cared.goals.active().goal.goal_id == asked
    assert [text.partition(":")[0] for text in cared.told] == ["g2", "at the dock", "charged"]


def test_a_dock_that_does_not_charge_is_told_once() -> None:
    cared = Cared(dock={"wait_s": 5.0})
    cared.live(1.0)
    cared.charge = 0.15
    cared.live(1.0, "dock")
    cared.goals.finish(cared.goals.active().goal.goal_id, "reached", "there")
    assert cared.live(30.0, "dock") == "at the dock and not charging: 15% charge"
    assert sum("does it touch its contacts" in text for text in cared.told) == 1
    assert cared.live(2.0, "dock", charges=0.01).startswith("charges at the dock")


def test_a_dock_that_cannot_be_reached_is_tried_again_and_then_no_more() -> None:
    cared = Cared(dock={"xy_m": (7.0, 7.0), "tries": 2, "retry_s": 3.0})
    for k in range(2):
        cared.live(10.0 if k else 1.0, "dock")
        way = cared.goals.active()
        assert way.goal.xy_m == (7.0, 7.0)
        cared.goals.finish(way.goal.goal_id, "failed", "no way")
        assert "cannot reach the dock" in cared.live(1.0, "dock")
    assert "2 of 2 tries failed" in cared.live(60.0, "dock")
    assert not cared.goals.busy
    assert cared.live(1.0) == ""


def test_the_dock_is_where_it_charged_last_and_outlives_the_process() -> None:
    cared = Cared()
    cared.live(1.0)
    cared.pose = (4.0, 4.0, 0.0)
    cared.live(8.0, charges=0.01)
    assert cared.care.as_dict()["dock_m"] == [4.0, 4.0]
    after = Cared()
    after.care.restore(cared.care.kept())
    after.live(1.0)
    assert after.care.as_dict()["dock_m"] == [4.0, 4.0]


def test_a_body_without_a_battery_is_left_alone() -> None:
    cared = Cared()
    cared.charge = math.nan
    assert cared.live(5.0) == ""
    assert cared.care.as_dict()["charge"] is None


def test_lost_it_turns_once_and_then_stands() -> None:
    cared = Cared()
    cared.live(1.0)
    assert cared.live(2.0, "relocalise") == ""  # a moment's doubt
    assert "looks around once" in cared.live(4.0, "relocalise")
    assert cared.pose[2] > 0.5
    assert cared.live(20.0, "relocalise") == "does not know where it is: stands"
    assert 2 * math.pi <= cared.pose[2] < 2 * math.pi + 0.5
    assert cared.care.as_dict()["is_lost"]
    assert sum("carry it" in text for text in cared.told) == 1
    assert cared.live(1.0) == ""


@pytest.mark.parametrize("held", ["estop: a command", "not_armed: to allow motion"])
def test_held_it_stands_and_its_goals_wait(held: str) -> None:
    cared = Cared()
    goal = cared.goals.add_point((3.0, 0.0))
    cared.live(1.0, held=held)
    assert cared.live(1.0, held=held) == f"stands: {held}"
    assert cared.goals.find(goal).state in ("active", "queued")
    cared.live(TICK_S)
    assert cared.live(TICK_S) == ""


@pytest.mark.parametrize("yaw_rad", [0.0, math.nan])
def test_looking_around_ends_though_the_body_does_not_turn(yaw_rad: float) -> None:
    cared = Cared(look_s=4.0)
    cared.live(1.0)
    for _ in range(60):
        cared.pose = (1.0, 2.0, yaw_rad)
        reason = cared.live(TICK_S, "relocalise")
    assert reason == "does not know where it is: stands"
    assert sum("carry it" in text for text in cared.told) == 1


def test_a_little_that_comes_back_at_rest_makes_no_dock() -> None:
    cared = Cared()
    cared.live(1.0)
    cared.pose = (4.0, 4.0, 0.0)
    cared.live(10.0, charges=0.003)
    assert cared.care.as_dict()["dock_m"] == [1.0, 2.0]


def test_an_empty_battery_stands_reports_once_and_goes_on_when_carried_to_the_dock() -> None:
    cared = Cared()
    cared.live(1.0)
    cared.charge, held = 0.08, "battery_empty: 8%"
    goal = cared.goals.add_point((3.0, 0.0))
    assert cared.live(60.0, "report", "dock", held=held) == f"stands: {held}"
    assert [text for text in cared.told if "carry it there" in text] == cared.told
    assert cared.goals.find(goal).state in ("active", "queued")
    cared.charge = 0.16
    assert cared.live(2 * TICK_S, "dock", "no_exploring") == ""
    assert cared.goals.active().origin == "care"


def test_at_the_dock_an_empty_battery_is_being_charged() -> None:
    cared = Cared()
    cared.live(1.0)
    cared.charge = 0.15
    cared.live(1.0, "dock")
    cared.goals.finish(cared.goals.active().goal.goal_id, "reached", "there")
    cared.live(1.0, "dock")
    cared.charge = 0.08
    reason = cared.live(1.0, "report", "dock", held="battery_empty: 8%", charges=0.01)
    assert reason.startswith("charges at the dock")
