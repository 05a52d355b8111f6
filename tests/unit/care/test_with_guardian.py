"""Care and the real guardian, tick by tick: what no motion cures is waited for, not climbed out of.

The body is on the spot throughout: whatever is sent, it does not come away.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from line_life import observe

from agentd.care.care import Care
from agentd.goals import GoalBook
from agentd.guardian.core import Guardian
from agentd.guardian.records import Battery, Command, Inputs, MapPose, Odometry, Ranges, held_by
from agentd.worlds.base import StepResult
from configs.care import CareConfig
from configs.guardian import GuardianConfig
from memory.records import Action, Observation

TICK_S = 0.1
Sense = Callable[[float], dict[str, Any]]


@dataclass
class Lived:
    """What was said and done, by the second."""

    goals: GoalBook
    goal_id: str
    told: list[str] = field(default_factory=list)
    reasons: list[tuple[float, str]] = field(default_factory=list)
    turned_rad: float = 0.0
    is_armed: bool = True


def live(seconds: float, sense: Sense, *, turns: bool = False, **guardian: Any) -> Lived:
    """Let care and a guardian live on a body that wants to drive to a goal."""
    judge = Guardian(GuardianConfig.model_validate(guardian), 0.17, TICK_S)
    judge.arm()
    goals = GoalBook(100_000)
    lived = Lived(goals=goals, goal_id=goals.add_point((3.0, 0.0)))
    care = Care(
        CareConfig(), goals, lived.told.append, tick_s=TICK_S, w_max_radps=0.8, has_ladder=True
    )
    yaw = w_sent = 0.0
    for k in range(round(seconds / TICK_S)):
        t, pose = k * TICK_S, (0.0, 0.0, yaw)
        standing = care.instead(pose, round(t * 1e9), has_goal=goals.active() is not None)
        v, w, source = (0.3, 0.0, "planner")
        if standing is not None:
            v, w, source = standing.v_mps, standing.w_radps, standing.source
        reason = "" if standing is None else standing.reason
        if not lived.reasons or lived.reasons[-1][1] != reason:
            lived.reasons.append((t, reason))
        command = Command(
            v_mps=v, w_radps=w, stamp_s=t, seq=k, source=source, is_recovery=source == "recovery"
        )
        stamps = {"stamp_s": t, "arrival_s": t}
        odom = Odometry(**stamps, x_m=0.0, y_m=0.0, yaw_rad=yaw, v_mps=0.0, w_radps=w_sent)
        senses = sense(t)
        verdict = judge.step(Inputs(clock_s=t, odom=odom, command=command, **senses), t)
        w_sent = verdict.w_radps if turns else 0.0
        yaw += w_sent * TICK_S
        lived.turned_rad += abs(w_sent) * TICK_S
        charge = senses["battery"].charge if "battery" in senses else math.nan
        seen = observation(round(t * 1e9), charge)
        applied = Action(v_mps=verdict.v_mps, w_radps=verdict.w_radps, duration_s=TICK_S)
        advice = tuple(map(str, verdict.advice))
        result = StepResult(observation=seen, applied=applied, advice=advice, held=held_by(verdict))
        care.note(pose, seen, v, result)
    lived.is_armed = judge.latch.memory.is_armed and not judge.latch.memory.faults
    return lived


def observation(stamp_ns: int, charge: float) -> Observation:
    plain = observe(0.0, 0.0, 0)
    values = {name: getattr(plain, name) for name in plain.__slots__}
    return Observation(
        **{
            **values,
            "stamp_ns": stamp_ns,
            "battery": charge,
            "egomotion": np.zeros(3, np.float32),
        }
    )


def let_go(t: float) -> dict[str, Any]:
    return {"heartbeat_s": t if t < 2.0 or t > 200.0 else 2.0}


def empty(t: float) -> dict[str, Any]:
    return {"battery": Battery(stamp_s=t, arrival_s=t, charge=0.08)}


def silent_scan(t: float) -> dict[str, Any]:
    if 2.0 < t < 200.0:
        return {}
    return {"scan": Ranges(stamp_s=t, arrival_s=t, xy_m=np.array([[3.0, t * 1e-3]]))}


@pytest.mark.parametrize(
    ("sense", "guardian", "told"),
    [
        (let_go, {"deadman": {"enabled": True}}, "stands: dead_man: "),
        (empty, {}, "stands: battery_empty: 8%"),
        (silent_scan, {}, "stands: stale: "),
    ],
)
def test_what_no_motion_cures_is_waited_for(
    sense: Sense, guardian: dict[str, Any], told: str
) -> None:
    lived = live(195.0, sense, **guardian)
    assert lived.reasons[-1][1].startswith(told)
    assert not any("boxed in" in reason for _, reason in lived.reasons)
    assert lived.is_armed
    assert lived.goals.find(lived.goal_id).state in ("active", "queued")


@pytest.mark.parametrize("sense", [let_go, silent_scan])
def test_it_goes_on_by_itself_when_that_is_over(sense: Sense) -> None:
    lived = live(210.0, sense, deadman={"enabled": sense is let_go})
    assert lived.reasons[-1][1] == ""
    assert lived.reasons[-1][0] == pytest.approx(200.0, abs=1.5)


def test_wheels_that_stall_use_up_the_budget_before_the_ladder() -> None:
    lived = live(100.0, lambda t: {})
    assert "budget_pause" in lived.reasons[-1][1]
    assert lived.goals.find(lived.goal_id).state in ("active", "queued")


def test_a_body_that_is_really_boxed_in_climbs_and_the_guardian_lets_it() -> None:
    lived = live(400.0, lambda t: {}, budget={"enabled": False})
    assert lived.is_armed
    rounds = [reason for _, reason in lived.reasons if "rung 1 of 4" in reason]
    assert len(rounds) == 3
    assert "waits for a hand" in lived.reasons[-1][1]
    assert lived.goals.find(lived.goal_id).state == "failed"


@pytest.mark.parametrize("turns", [True, False])
def test_lost_by_the_votes_of_the_map_it_turns_at_most_once_then_reports(turns: bool) -> None:
    def sense(t: float) -> dict[str, Any]:
        is_lost = 2.0 < t < 100.0
        std_m, match = (0.9, 0.1) if is_lost else (0.05, 0.9)
        stamps = {"stamp_s": t, "arrival_s": t}
        return {"pose": MapPose(**stamps, x_m=0.0, y_m=0.0, yaw_rad=0.0, std_m=std_m, match=match)}

    lived = live(103.0, sense, turns=turns, budget={"enabled": False})
    reasons = [reason for _, reason in lived.reasons]
    assert "does not know where it is: looks around once" in reasons
    stands_s = next(t for t, reason in lived.reasons if reason.endswith("is: stands"))
    assert stands_s < 2.0 + 3.0 + 16.0 + 1.0
    assert lived.turned_rad < 2 * math.pi + 0.5
    assert sum("carry it" in text for text in lived.told) == 1
    assert lived.is_armed
    assert reasons[-1] == ""  # found again, it goes on
    assert lived.goals.find(lived.goal_id).state in ("active", "queued")
