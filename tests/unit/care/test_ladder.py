"""The recovery ladder: noticed, climbed in order, bounded, and left as soon as the body is free."""

import math

import pytest

from agentd.care.ladder import RUNGS, Ladder
from agentd.care.standing import Standing
from configs.care import LadderConfig

TICK_S = 0.2
CONFIG = LadderConfig(stuck_s=5.0, try_s=3.0, wait_s=1.0)


class Body:
    """A body in a corner: turns and, if it is let, backs off; forwards it comes nowhere."""

    def __init__(self, config: LadderConfig = CONFIG, *, is_loose: bool = False) -> None:
        self.ladder = Ladder(config)
        self.x = self.yaw = self.now_s = 0.0
        self.is_loose = is_loose
        self.told: list[tuple[float, str]] = []
        self.commands: list[Standing | None] = []

    def live(self, seconds: float, wanted_mps: float = 0.3) -> None:
        for _ in range(round(seconds / TICK_S)):
            pose = (self.x, 0.0, self.yaw)
            standing = self.ladder.climb(pose, 1.0, self.now_s)
            self.commands.append(standing)
            v, w = (wanted_mps, 0.0) if standing is None else (standing.v_mps, standing.w_radps)
            if standing is not None and (not self.told or self.told[-1][1] != self.ladder.rung):
                self.told.append((self.now_s, self.ladder.rung))
            self.ladder.note(pose, wanted_mps, TICK_S, self.now_s)
            self.yaw += w * TICK_S
            if v < 0 and self.is_loose:
                self.x += v * TICK_S
            self.now_s += TICK_S

    @property
    def rungs(self) -> list[str]:
        return [rung for _, rung in self.told]


def test_a_body_that_moves_or_rests_is_not_boxed_in() -> None:
    body = Body()
    body.live(20.0, wanted_mps=0.0)
    assert not body.told
    for k in range(200):
        body.x = 0.06 * k
        body.live(TICK_S)
    assert not body.told


def test_the_rungs_come_in_order_each_bounded_then_it_holds() -> None:
    body = Body()
    body.live(300.0)
    round_ = [*RUNGS[:3]]  # another goal takes no time
    assert body.rungs == [*round_ * CONFIG.rounds, "hold"]
    assert body.ladder.is_holding
    assert body.ladder.wants_another_goal
    spans = {}
    for standing in body.commands:
        if standing is not None and "rung" in standing.reason:
            spans[standing.reason] = spans.get(standing.reason, 0) + 1
    assert all(count * TICK_S <= CONFIG.rung_s + 2 * TICK_S for count in spans.values())
    assert all(s is None or s.source in ("recovery", "none") for s in body.commands)
    held = body.commands[-1]
    assert held is not None
    assert (held.v_mps, held.w_radps) == (0.0, 0.0)


def test_a_body_that_gets_free_goes_on_and_begins_anew_next_time() -> None:
    body = Body(is_loose=True)
    body.live(18.0)
    assert body.rungs == ["wait", "turn", "back off"]
    assert abs(body.x) >= CONFIG.back_m - 0.05
    body.x -= 1.0
    body.live(1.0)
    assert body.commands[-1] is None
    told = len(body.told)
    body.is_loose = False
    body.live(8.0)
    assert body.rungs[told] == "wait"


def test_it_holds_until_somebody_moves_it_or_the_window_has_passed() -> None:
    body = Body()
    body.live(200.0)
    assert body.ladder.is_holding
    body.x += 1.0
    body.live(TICK_S)
    assert not body.ladder.is_holding
    body.live(200.0)
    assert body.ladder.is_holding
    body.live(CONFIG.window_s)
    assert body.rungs.count("hold") >= 2
    assert len([r for r in body.rungs if r == "wait"]) > 2 * CONFIG.rounds


def test_a_lost_pose_is_no_reason() -> None:
    ladder = Ladder(CONFIG)
    for k in range(100):
        ladder.note((math.nan, 0.0, 0.0), 0.3, TICK_S, k * TICK_S)
        assert ladder.climb((math.nan, 0.0, 0.0), 1.0, k * TICK_S) is None


@pytest.mark.parametrize("key", ["rung_s", "wait_s"])
def test_no_rung_may_be_longer_than_the_guardian_allows(key: str) -> None:
    with pytest.raises(ValueError, match="less than or equal to 10"):
        LadderConfig.model_validate({key: 11.0})
