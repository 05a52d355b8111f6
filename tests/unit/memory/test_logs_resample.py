"""From streams to steps: rates, clocks, gaps, commands; with hand-made samples."""

import math
from collections.abc import Iterable

import numpy as np
import pytest

from memory.logs.config import ResampleConfig
from memory.logs.report import LogReport
from memory.logs.resample import Resampler, Tick
from memory.logs.samples import Bump, Command, Kind, Picture, Pose, Sample

BEGIN = 1_000 * 10**9
MS = 10**6


class Plain:
    """Develops nothing: the picture's number becomes the colour."""

    def develop(self, colour: Picture, depth: Picture | None):
        rgb = np.full((2, 2, 3), colour.colour((2, 2)), dtype=np.uint8)
        number = np.nan if depth is None else depth.depth()[0]
        return rgb, np.full((2, 2), number, dtype=np.float32)


def sample(kind: Kind, at_ms: float, value, *, logged_ms: float | None = None) -> Sample:
    stamp_ns = BEGIN + round(at_ms * MS)
    logged_ns = stamp_ns if logged_ms is None else BEGIN + round(logged_ms * MS)
    return Sample(
        kind=kind, topic=f"/{kind.value}", stamp_ns=stamp_ns, logged_ns=logged_ns, value=value
    )


def colour(at_ms: float, number: int = 0, **more) -> Sample:
    return sample(Kind.COLOUR, at_ms, Picture(colour=lambda enough: number), **more)


def depth(at_ms: float, number: float = 1.0, **more) -> Sample:
    return sample(Kind.DEPTH, at_ms, Picture(depth=lambda: (number, 1.0)), **more)


def pose(at_ms: float, x: float = 0.0, yaw: float = 0.0, **more) -> Sample:
    turned = (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2))
    return sample(Kind.POSE, at_ms, Pose((x, 0.0, 0.3), turned), **more)


def command(at_ms: float, v: float, w: float = 0.0, **more) -> Sample:
    return sample(Kind.COMMAND, at_ms, Command(v, w), **more)


def bump(at_ms: float, pressed: bool) -> Sample:
    return sample(Kind.BUMP, at_ms, Bump(pressed))


def drive(seconds: float = 3.0, hz: float = 10.0, v: float = 0.5) -> list[Sample]:
    """Colour at a rate, poses at 50 Hz with the body driving straight on."""
    found = [colour(k * 1000 / hz, k) for k in range(round(seconds * hz))]
    found += [pose(k * 20, v * k / 50) for k in range(-5, round(seconds * 50) + 5)]
    return found


def ticks_of(
    samples: Iterable[Sample],
    *,
    tick_s: float = 0.2,
    period_s: float = 0.1,
    kinds: set[Kind] | None = None,
    first: int = 0,
    **config,
) -> tuple[list[Tick], LogReport]:
    ordered = sorted(samples, key=lambda s: s.logged_ns)
    resampler = Resampler(
        ResampleConfig(**config),
        tick_s=tick_s,
        period_s=period_s,
        kinds=kinds or {s.kind for s in ordered},
        lens=Plain(),
        report=LogReport(),
    )
    return list(resampler.ticks(ordered, first)), resampler.report


def times_ms(ticks: list[Tick]) -> list[float]:
    return [(t.stamp_ns - BEGIN) / MS for t in ticks]


@pytest.mark.parametrize("hz", [10.0, 30.0, 7.0, 4.0])
def test_steps_come_at_the_control_rate_or_as_images_do(hz):
    ticks, report = ticks_of(drive(4.0, hz), period_s=1 / hz)
    steps_ms = np.diff(times_ms(ticks))
    assert steps_ms.mean() == pytest.approx(max(200, 1000 / hz), rel=0.08)
    assert steps_ms.min() >= 100
    assert report.steps == len(ticks)
    assert report.between_ticks + report.steps == round(4 * hz)


def test_the_pose_is_interpolated_and_flat():
    ticks, _ = ticks_of([colour(105), *(pose(k * 50, k * 0.1, k * 0.1) for k in range(20))])
    T = ticks[0].T_world_body
    assert T[0, 3] == pytest.approx(0.21)
    assert T[2, 3] == 0
    assert math.atan2(T[1, 0], T[0, 0]) == pytest.approx(0.21)


def test_the_pose_turns_the_short_way():
    poses = [pose(0, 0, math.pi - 0.1), pose(100, 0, math.pi + 0.1)]
    ticks, _ = ticks_of([colour(50), *poses])
    yaw = math.atan2(*ticks[0].T_world_body[[1, 0], 0])
    assert abs(abs(yaw) - math.pi) < 1e-6


def test_the_nearest_depth_is_taken_within_the_tolerance():
    found = [*drive(2.0), *(depth(k * 100 + 40, k) for k in range(20))]
    ticks, report = ticks_of(found)
    assert [t.depth_m[0, 0] for t in ticks[:3]] == [0, 2, 4]
    assert report.as_dict()["depth_off_s"]["median"] == pytest.approx(0.04)
    late = [*drive(2.0), *(depth(k * 100 + 40 + 300_000, k) for k in range(20))]
    ticks, report = ticks_of(late)
    assert not ticks
    assert any("depth image" in why for why in report.dropped)


def test_images_wait_for_what_was_written_late():
    """Depth arrives 300 ms after its time: it is still found by its stamp."""
    found = drive(2.0)
    found += [depth(k * 100, k, logged_ms=k * 100 + 300) for k in range(20)]
    ticks, _ = ticks_of(found)
    assert [t.depth_m[0, 0] for t in ticks] == [t.rgb[0, 0, 0] for t in ticks]


def test_stamps_count_not_the_order_of_writing():
    """Two neighbouring images were written in the wrong order: they are sorted in."""
    found = drive(2.0, 5.0)
    swapped = [colour(k * 200, k, logged_ms=k * 200 + (250 if k == 3 else 0)) for k in range(10)]
    found = [s for s in found if s.kind is not Kind.COLOUR] + swapped
    ticks, report = ticks_of(found, period_s=0.2)
    assert [int(t.rgb[0, 0, 0]) for t in ticks] == list(range(10))
    assert report.streams["/colour"].out_of_order == 1


def test_an_image_that_comes_too_late_is_dropped_and_told():
    found = [colour(k * 200, k) for k in range(10) if k != 3]
    found += [colour(600, 3, logged_ms=1500)]
    found += [s for s in drive(2.0) if s.kind is Kind.POSE]
    ticks, report = ticks_of(found, period_s=0.2)
    assert 3 not in [int(t.rgb[0, 0, 0]) for t in ticks]
    assert report.dropped == {"it came after a later one was taken": 1}


def test_repeated_stamps_make_no_steps():
    found = [s for s in drive(2.0) if s.kind is Kind.POSE]
    found += [colour(400, k, logged_ms=400 + k * 100) for k in range(12)]
    ticks, report = ticks_of(found)
    assert len(ticks) == 1
    assert report.streams["/colour"].duplicates == 11
    assert report.dropped["its stamp is that of the one before"] == 11
    again, _ = ticks_of(found, clock="log")
    assert len(again) > 4


def test_a_gap_cuts_the_episode():
    found = [s for s in drive(6.0) if not 2000 < (s.stamp_ns - BEGIN) / MS < 4000]
    ticks, report = ticks_of(found)
    cut = [t for t in ticks if t.cut]
    assert len(cut) == 1
    assert "gap" in cut[0].cut
    assert cut[0].led is None
    assert sum(report.cuts.values()) == 1
    assert all(t.led is not None for t in ticks[1:] if not t.cut)


def test_a_pose_that_jumps_cuts_the_episode():
    found = [colour(k * 100, k) for k in range(30)]
    found += [pose(k * 20, 0.01 * k + (3 if k >= 75 else 0)) for k in range(150)]
    ticks, _ = ticks_of(found)
    assert [t.cut for t in ticks if t.cut] == ["the pose jumped (limit 4 m/s, resample.jump_mps)"]


def test_a_clock_that_was_set_back_cuts_the_episode_and_loses_nothing():
    later = [
        Sample(
            kind=s.kind,
            topic=s.topic,
            stamp_ns=s.stamp_ns,
            logged_ns=s.logged_ns + 10 * 10**9,
            value=s.value,
        )
        for s in drive(3.0)
    ]
    ticks, report = ticks_of([*drive(3.0), *later])
    assert [t.cut for t in ticks if t.cut] == ["the clock was set back"]
    assert len(ticks) == 30
    assert sum(s.set_back for s in report.streams.values()) == 1


def test_images_without_a_pose_are_dropped_with_the_reason():
    found = [colour(k * 200, k) for k in range(20)] + [pose(k * 20) for k in range(100)]
    ticks, report = ticks_of(found, period_s=0.2)
    assert times_ms(ticks)[-1] <= 2200
    assert any("pose is too far away" in why and "resample.pose_s" in why for why in report.dropped)


def test_commands_hold_and_are_averaged_over_the_step():
    found = [*drive(2.0), command(0, 0.4), command(300, 0.2, 0.5)]
    found += [command(400, 0.2, 0.5), command(700, 0.0)]
    ticks, report = ticks_of(found, command_s=0.5)
    led = [(t.led.v_mps, t.led.w_radps) for t in ticks[1:5]]
    assert led[0] == pytest.approx((0.4, 0.0))  # 0 to 200 ms
    assert led[1] == pytest.approx((0.3, 0.25))  # changed in the middle
    assert led[2] == pytest.approx((0.2, 0.5))
    assert led[3] == pytest.approx((0.1, 0.25))
    assert report.commanded == len(ticks) - 1
    assert report.derived == 0


def test_an_old_command_counts_as_none_and_moving_without_one_is_told():
    ticks, report = ticks_of([*drive(3.0), command(0, 0.4)], command_s=0.5)
    assert ticks[1].led.v_mps == pytest.approx(0.4)
    assert ticks[3].led.v_mps == pytest.approx(0.2)
    assert ticks[4].led.v_mps == 0
    assert report.moved_without_command == len(ticks) - 4


def test_without_commands_the_action_is_what_was_driven():
    ticks, report = ticks_of(drive(2.0, v=0.5))
    assert all(t.led.derived for t in ticks[1:])
    assert all(t.led.v_mps == pytest.approx(0.5) for t in ticks[1:])
    assert report.derived == len(ticks) - 1


def test_bumps_between_two_steps_are_felt_by_the_second():
    found = [*drive(2.0), bump(0, False), bump(450, True), bump(470, False), bump(950, True)]
    ticks, report = ticks_of(found)
    felt = [t for t, tick in zip(times_ms(ticks), ticks, strict=True) if tick.bumped]
    assert felt[0] == 600
    assert felt[1:] == [1000, 1200, 1400, 1600, 1800]
    assert report.bumps == 6


def test_messages_without_a_header_go_by_the_headers_clock():
    """Headers in simulated time, the recorder in the real: commands are put where they belong."""
    shift = 5_000_000 * 1000
    found = []
    for s in [*drive(2.0), command(0, 0.4), command(600, 0.1)]:
        stamp = s.stamp_ns if s.kind is not Kind.COMMAND else None
        found.append(
            Sample(
                kind=s.kind,
                topic=s.topic,
                stamp_ns=stamp,
                logged_ns=s.logged_ns + shift * MS,
                value=s.value,
            )
        )
    ticks, _ = ticks_of(found, command_s=2.0)
    assert [round(t.led.v_mps, 6) for t in ticks[1:6]] == [0.4, 0.4, 0.4, 0.1, 0.1]


def test_passing_over_ticks_finds_the_same_ones():
    whole, _ = ticks_of(drive(3.0))
    rest, _ = ticks_of(drive(3.0), first=6)
    assert [t.stamp_ns for t in rest] == [t.stamp_ns for t in whole]
    assert [t.index for t in rest] == list(range(15))
    assert all(t.rgb is None for t in rest[:6])
    assert all(t.rgb is not None for t in rest[6:])
    assert [t.led for t in rest] == [t.led for t in whole]


def test_the_origin_places_a_log_in_the_lifes_world():
    ticks, _ = ticks_of(drive(1.0, v=1.0), origin=(5.0, 1.0, math.pi / 2))
    T = ticks[-1].T_world_body
    assert T[0, 3] == pytest.approx(5.0)
    assert T[1, 3] == pytest.approx(1.8)


def test_a_report_is_of_the_whole_log_wherever_it_went_on():
    whole = ticks_of(drive(2.0))[1].as_dict()
    assert ticks_of(drive(2.0), first=5)[1].as_dict() == whole
    assert whole["streams"]["/colour"]["received"] == 20
