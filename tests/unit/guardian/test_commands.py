"""S1, S3, S4: old commands, limits and ramps, commands that are no numbers."""

import math

import numpy as np
import pytest
from guardian_robot import Course

from agentd.guardian.core import TICK_S, Guardian
from agentd.guardian.limits import Commands, Envelope
from agentd.guardian.records import Cause, Command, Inputs, Odometry, State
from configs.guardian import CommandConfig, GuardianConfig, LimitConfig

LIMIT = LimitConfig()


@pytest.mark.parametrize("silent_at", [1.5, 2.03])
def test_s1_a_policy_that_falls_silent_is_ramped_to_zero(silent_at):
    course = Course(policy=lambda t: (0.3, 0.5) if t < silent_at else None).run(4)
    sent = [(t, v.v_mps) for t, v in course.verdicts]
    assert max(v for t, v in sent if t < silent_at) == pytest.approx(0.3)
    rest_s = next(t for t, v in sent if t > silent_at and v == 0)
    assert rest_s <= silent_at + 0.20 + 0.3 / LIMIT.decel_mps2 + 2 * TICK_S
    assert course.last.causes == (Cause.COMMAND_OLD,)
    assert course.last.state is State.STOPPED


def test_s1_commands_count_once_and_in_order():
    commands = Commands(CommandConfig(), 0.1)
    assert not commands.take(Command(v_mps=0.2, w_radps=0, stamp_s=10.0, seq=5), 0, 10.0)
    assert not commands.take(Command(v_mps=0.1, w_radps=0, stamp_s=9.9, seq=4), 0, 10.1)
    assert commands.memory.v_mps == 0.2
    again = commands.take(Command(v_mps=0.2, w_radps=0, stamp_s=10.0, seq=5), 0, 10.25)
    assert [r.cause for r in again] == [Cause.COMMAND_OLD]
    # another process of the policy counts anew
    restarted = Command(v_mps=0.3, w_radps=0, stamp_s=10.3, seq=0, session=9)
    assert not commands.take(restarted, 0, 10.3)
    assert commands.memory.v_mps == 0.3


def test_s1_a_command_from_the_future_is_none():
    commands = Commands(CommandConfig(), 0.1)
    rulings = commands.take(Command(v_mps=0.2, w_radps=0, stamp_s=70.0, seq=1), 0, 10.0)
    assert {r.cause for r in rulings} == {Cause.COMMAND_BAD, Cause.COMMAND_OLD}


def _wild(rng: np.random.Generator, n: int) -> list[tuple[float, float]]:
    """Random commands, extremes, sign flips at every tick, tiny numbers and what is no number."""
    v = rng.normal(0, 1, n) * rng.choice([0.01, 0.3, 10, 1e30], n)
    w = rng.normal(0, 1, n) * rng.choice([0.01, 0.8, 10, 1e30], n)
    flips = np.where(np.arange(n) % 2, 1.0, -1.0)
    is_flip = rng.random(n) < 0.3
    v, w = np.where(is_flip, 5 * flips, v), np.where(is_flip, -5 * flips, w)
    v[rng.random(n) < 0.01], w[rng.random(n) < 0.01] = math.nan, math.inf
    v[rng.random(n) < 0.05] = 0.0
    return list(zip(v.tolist(), w.tolist(), strict=True))


class _Bounds:
    """Asserts the limits over a stream of sent speeds; cheap, as it sees a million of them."""

    def __init__(self) -> None:
        self.v = self.w = 0.0
        self.num = 0

    def see(self, v: float, w: float, dt_s: float, *, hard: bool = False) -> None:
        e = 1e-9
        up, down = LIMIT.accel_mps2 * dt_s + e, LIMIT.decel_mps2 * dt_s + e
        turn = LIMIT.w_accel_radps2 * dt_s + e
        fine = -LIMIT.v_rev_mps - e <= v <= LIMIT.v_fwd_mps + e and abs(w) <= LIMIT.w_radps + e
        if v * self.v < 0:  # through zero: down first, then up in what is left of the tick
            fine = fine and abs(self.v) / down + abs(v) / up <= 1 + 1e-6
        else:
            fine = fine and abs(v) - abs(self.v) <= up and (hard or abs(self.v) - abs(v) <= down)
        fine = fine and (hard or abs(w - self.w) <= turn)
        assert fine, (self.num, self.v, self.w, v, w, dt_s)
        self.v, self.w = v, w
        self.num += 1


@pytest.mark.slow
def test_s3_no_limit_is_exceeded_in_a_million_ticks():
    rng = np.random.default_rng(0)
    envelope, commands, bounds = (
        Envelope(LIMIT, TICK_S),
        Commands(CommandConfig(), 0.1),
        _Bounds(),
    )
    now_s, seq = 0.0, 0
    for _ in range(20):
        late = rng.random(50_000) < 0.01
        holds = rng.random(50_000) < 0.1
        for (v, w), is_late, is_hold in zip(
            _wild(rng, 50_000), late.tolist(), holds.tolist(), strict=True
        ):
            dt_s = 1.7 if is_late else TICK_S
            now_s += dt_s
            seq += not is_hold
            command = Command(v_mps=v, w_radps=w, stamp_s=now_s, seq=seq)
            rulings = commands.take(command, 0, now_s)
            wanted = (0.0, 0.0) if rulings else (commands.memory.v_mps, commands.memory.w_radps)
            sent = envelope.ramp(*envelope.clip(*wanted), now_s, hard_v=False, hard_w=False)
            bounds.see(*sent, min(dt_s, 2 * TICK_S))
    assert bounds.num == 1_000_000


def test_s3_s4_the_whole_guardian_keeps_the_limits_and_sends_numbers_only():
    rng = np.random.default_rng(1)
    guardian = Guardian(GuardianConfig(), 0.2)
    bounds, now_s, moved = _Bounds(), 10.0, 0
    x = yaw = 0.0
    for k, (v, w) in enumerate(_wild(rng, 30_000)):
        if guardian.latch.memory.faults or guardian.budget.memory.is_paused or k == 0:
            guardian.arm()
        now_s += TICK_S
        x, yaw = x + bounds.v * TICK_S, yaw + bounds.w * TICK_S
        odom = Odometry(
            stamp_s=now_s,
            arrival_s=now_s,
            x_m=x,
            y_m=0.0,
            yaw_rad=yaw,
            v_mps=bounds.v,
            w_radps=bounds.w,
        )
        command = Command(v_mps=v, w_radps=w, stamp_s=now_s, seq=k)
        verdict = guardian.step(Inputs(clock_s=now_s, command=command, odom=odom), now_s)
        bounds.see(verdict.v_mps, verdict.w_radps, TICK_S, hard=verdict.is_hard)
        moved += verdict.v_mps > 0.05
    assert moved > 500  # it was no test of standing still


@pytest.mark.parametrize("bad", [(math.nan, 0.0), (0.1, math.inf), (-math.inf, math.nan)])
def test_s4_one_bad_command_is_a_stop_three_are_a_fault_until_armed(bad):
    at = iter(())

    def policy(t):
        return bad if any(abs(t - x) < 0.02 for x in at) else (0.3, 0.0)

    at = (2.0,)
    course = Course(policy=policy).run(2.5)
    seen = {c for _, v in course.verdicts for c in v.causes}
    assert Cause.COMMAND_BAD in seen
    assert course.robot.v_mps > 0
    at = (2.6, 2.7, 2.8)
    course.run(1.5)
    assert course.last.causes == (Cause.COMMAND_FAULT,)
    assert course.robot.v_mps == 0
    assert not course.guardian.arm()
    assert course.run(1.5).robot.v_mps > 0


def test_s4_what_cannot_be_read_counts_as_bad():
    course = Course().run(2)
    course.extra["num_bad_commands"] = 3
    course.run(0.05)
    course.extra.clear()
    assert Cause.COMMAND_FAULT in course.last.causes
    assert course.run(2).robot.v_mps == 0


def test_a_limit_may_be_lowered_and_holds():
    config = GuardianConfig(limit=LimitConfig(v_fwd_mps=0.1))
    course = Course(config).run(3)
    assert course.robot.v_mps == pytest.approx(0.1)
    assert course.last.causes == (Cause.LIMIT,)
