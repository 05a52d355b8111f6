"""What belongs together: stamps, clocks, transforms, poses between two times."""

import math
import time

import numpy as np
import pytest
from robot_tools import CODEC, LENS, NS, raw_of, settings

from agentd.worlds.ros2 import compose
from agentd.worlds.ros2.messages import BOOL, TF, Link3D
from agentd.worlds.ros2.optics import Optics
from agentd.worlds.ros2.stale import Frozen, Stall
from agentd.worlds.ros2.sync import Intake, RobotClock
from agentd.worlds.ros2.transforms import NoTransformError, Poses, Transforms, between
from memory.frames import se3_from_pose
from memory.records import Action

MS = 1_000_000
EPOCH_NS = 1_700_000_000 * NS


def pose(x: float, yaw: float = 0.0) -> np.ndarray:
    return se3_from_pose(np.array([x, 0.0, yaw]))


class Feed:
    """Messages that arrive at given times: ms of the robot's clock and of ours."""

    def __init__(self, **values) -> None:
        self.intake = Intake(CODEC, settings(**values))

    def _take(self, name: str, message, ms: float, late_ms: float) -> None:
        received_ns = round((ms + late_ms) * MS)
        self.intake.take(name, raw_of(f"/{name}", message, received_ns))

    def odom(self, ms: float, x: float = 0.0, yaw: float = 0.0, late_ms: float = 0) -> None:
        stamp_ns = EPOCH_NS + round(ms * MS)
        frames = ("odom", "base_link")
        said = compose.odometry(CODEC, stamp_ns, frames, pose(x, yaw), (0.0, 0.0))
        self._take("odom", said, ms, late_ms)

    def image(self, name: str, ms: float, late_ms: float = 0) -> None:
        stamp_ns = EPOCH_NS + round(ms * MS)
        pixels = np.ones((2, 2), np.float32) if name == "depth" else np.ones((2, 2, 3), np.uint8)
        encoding = "32FC1" if name == "depth" else "rgb8"
        said = compose.image(CODEC, stamp_ns, "camera", encoding, pixels)
        self._take(name, said, ms, late_ms)

    def newest_ms(self, after_ms: float = -1, sensed_after_ms: float = -1) -> float | None:
        after_ns = EPOCH_NS + round(after_ms * MS)
        moment = self.intake.newest(after_ns, round(sensed_after_ms * MS))
        return None if moment is None else (moment.stamp_ns - EPOCH_NS) / MS


def test_colour_is_the_master_and_the_pose_is_that_of_its_stamp() -> None:
    feed = Feed()
    feed.odom(0, x=0.0)
    feed.image("rgb", 40)
    feed.image("depth", 70)
    assert feed.newest_ms() is None
    feed.odom(100, x=0.2)
    assert feed.newest_ms() == 40
    moment = feed.intake.newest(-1, -1)
    assert moment.T_world_base[0, 3] == pytest.approx(0.08)
    assert moment.sensed_ns == 40 * MS


def test_depth_that_is_too_far_off_does_not_belong() -> None:
    feed = Feed()
    feed.odom(0)
    feed.image("rgb", 40)
    feed.image("depth", 95)
    feed.odom(100)
    assert feed.newest_ms() is None
    assert "no depth within 0.05 s" in feed.intake.why_incomplete(EPOCH_NS)
    feed.image("depth", 85)
    assert feed.newest_ms() == 40


def test_an_image_that_is_too_new_for_the_pose_waits() -> None:
    feed = Feed()
    for ms in (0, 100):
        feed.odom(ms)
        feed.image("rgb", ms + 50)
        feed.image("depth", ms + 50)
    assert feed.newest_ms() == 50
    assert feed.newest_ms(after_ms=50) is None
    assert "no pose" in feed.intake.why_incomplete(EPOCH_NS + 50 * MS)
    feed.odom(200)
    assert feed.newest_ms(after_ms=50) == 150


def test_poses_far_apart_are_not_interpolated_between() -> None:
    feed = Feed(pose_gap_s=0.15)
    feed.odom(0)
    feed.image("rgb", 100)
    feed.image("depth", 100)
    feed.odom(200)
    assert feed.newest_ms() is None


def test_what_was_sensed_before_the_call_is_old() -> None:
    feed = Feed()
    feed.odom(0)
    feed.image("rgb", 50, late_ms=500)
    feed.image("depth", 50, late_ms=500)
    feed.odom(100)
    assert feed.newest_ms(sensed_after_ms=40) == 50
    # It arrived at 550, but what counts is when it was sensed.
    assert feed.newest_ms(sensed_after_ms=60) is None


def test_a_stamp_that_stands_still_is_no_news() -> None:
    feed = Feed()
    for ms in (0, 100):
        feed.odom(ms)
    for _ in range(3):
        feed.image("rgb", 50)
        feed.image("depth", 50)
    assert feed.newest_ms() == 50
    assert feed.newest_ms(after_ms=50) is None
    feed.odom(150)
    assert "nothing arrived on /rgb for" in feed.intake.why_incomplete(EPOCH_NS + 50 * MS)
    feed.intake.heard["rgb"] = time.monotonic_ns()
    assert "stand still" in feed.intake.why_incomplete(EPOCH_NS + 50 * MS)


def test_a_clock_that_leaps_ahead_is_told_and_one_set_back_is_silence() -> None:
    feed = Feed()
    feed.odom(0)
    assert feed.intake.happened() == ()
    feed.odom(1100, late_ms=-1000)
    assert any("forward by 1.00 s" in text for text in feed.intake.happened())
    feed.odom(50, late_ms=150)
    assert feed.intake.happened() == ()
    assert feed.intake.odometry.stamp_ns == EPOCH_NS + 1100 * MS


@pytest.mark.parametrize("x", [0.5, 5.0])
def test_odometry_that_begins_anew_is_taken_up_where_the_body_was(x: float) -> None:
    feed = Feed()
    feed.odom(0, x=x - 0.1, yaw=1.0)
    feed.odom(100, x=x, yaw=1.0)
    feed.odom(3000, x=0.0)
    assert any(f"leapt by {x:.2f} m" in text for text in feed.intake.happened())
    feed.odom(3100, x=0.1)
    for name in ("rgb", "depth"):
        feed.image(name, 3100)
    T = feed.intake.newest(-1, -1).T_world_base
    ahead = [x + 0.1 * math.cos(1.0), 0.1 * math.sin(1.0)]
    assert T[:2, 3] == pytest.approx(ahead)
    assert feed.intake.happened() == ()


def test_the_least_delay_of_the_last_minute_counts() -> None:
    clock = RobotClock()
    clock.hear(1000 * MS, 40 * MS)
    clock.hear(1100 * MS, 110 * MS)
    assert clock.offset_ns == 990 * MS
    assert clock.late_s(1200 * MS, 260 * MS) == pytest.approx(0.05)
    # The robot's clock is slow: a minute later what was true then is forgotten.
    for second in range(1, 95):
        clock.hear(1000 * MS + second * NS - second * MS, 40 * MS + second * NS)
    assert clock.offset_ns == pytest.approx(960 * MS - 64 * MS, abs=32 * MS)


def test_what_is_wrong_is_told_until_it_is_right() -> None:
    feed = Feed()
    bad = compose.camera_info(CODEC, 1, "camera", LENS)
    bad.k[0] = 0.0
    feed.intake.take("camera_info", raw_of("/info", bad))
    assert "not calibrated" in feed.intake.wrong["camera_info"]
    feed.intake.take("camera_info", raw_of("/info", compose.camera_info(CODEC, 1, "c", LENS)))
    assert not feed.intake.wrong
    assert feed.intake.lens.fx_px == 30


def test_a_short_press_is_not_missed() -> None:
    feed = Feed()
    for is_pressed in (False, True, False):
        feed.intake.take("bumper", raw_of("/bumper", CODEC.type(BOOL)(data=is_pressed)))
    assert feed.intake.felt().is_bumped
    assert not feed.intake.felt().is_bumped


# ---------------------------------------------------------------------- transforms
def link(parent: str, child: str, T: np.ndarray, ms: float = 0) -> Link3D:
    return Link3D(stamp_ns=round(ms * MS), parent=parent, child=child, T_parent_child=T)


def test_frames_are_chained_up_and_down() -> None:
    tree = Transforms(gap_ns=NS)
    tree.add([link("base", "mast", pose(1.0, math.pi / 2))], is_static=True)
    tree.add([link("mast", "camera", pose(2.0))], is_static=True)
    tree.add([link("base", "laser", pose(0.5))], is_static=True)
    assert tree.lookup("base", "camera")[:2, 3] == pytest.approx([1.0, 2.0])
    assert tree.lookup("laser", "camera")[:2, 3] == pytest.approx([0.5, 2.0])
    assert np.allclose(tree.lookup("camera", "base") @ tree.lookup("base", "camera"), np.eye(4))
    assert np.allclose(tree.lookup("base", "base"), np.eye(4))
    with pytest.raises(NoTransformError, match=r"'camera' to 'map'.*known"):
        tree.lookup("map", "camera")


def test_a_moving_frame_is_where_it_was_at_that_time() -> None:
    tree = Transforms(gap_ns=200 * MS)
    for ms, x in ((0, 0.0), (100, 1.0), (500, 5.0)):
        tree.add([link("map", "base", pose(x), ms)], is_static=False)
    assert tree.lookup("map", "base", 50 * MS)[0, 3] == pytest.approx(0.5)
    assert tree.lookup("map", "base")[0, 3] == pytest.approx(5.0)
    for ms in (300, 600, -10):
        with pytest.raises(NoTransformError, match="not known at"):
            tree.lookup("map", "base", ms * MS)


def test_a_circle_of_frames_ends() -> None:
    tree = Transforms(gap_ns=NS)
    tree.add([link("a", "b", pose(1)), link("b", "a", pose(1))], is_static=True)
    with pytest.raises(NoTransformError):
        tree.lookup("c", "a")


def test_headings_are_interpolated_the_short_way() -> None:
    T = between(pose(0, math.radians(170)), pose(1, math.radians(-170)), 0.5)
    assert abs(math.atan2(T[1, 0], T[0, 0])) == pytest.approx(math.pi)
    assert T[0, 3] == pytest.approx(0.5)


def test_poses_that_come_out_of_order_are_sorted_and_old_ones_dropped() -> None:
    poses = Poses(gap_ns=NS)
    for ms in (100, 0, 200, 100):
        poses.add(ms * MS, pose(ms / 100))
    assert len(poses) == 3
    assert poses.at(150 * MS)[0, 3] == pytest.approx(1.5)
    poses.add(60 * NS, pose(9))
    assert len(poses) == 1


def test_a_localised_pose_comes_from_the_transforms() -> None:
    feed = Feed(pose="tf", frames={"world": "map"})
    for ms, x in ((0, 0.0), (100, 1.0)):
        feed.odom(ms, x=x)
        stamp_ns = EPOCH_NS + ms * MS
        said = compose.transform(CODEC, stamp_ns, "odom", "base_link", pose(x))
        feed._take("tf", said, ms, 0)
        feed._take("tf", compose.transform(CODEC, stamp_ns, "map", "odom", pose(7.0)), ms, 0)
    assert said.__msgtype__ == TF
    feed.image("rgb", 50)
    feed.image("depth", 50)
    assert feed.intake.newest(-1, -1).T_world_base[0, 3] == pytest.approx(7.5)


# ---------------------------------------------------------------------- stale
def test_frozen_means_the_same_bits_elsewhere_for_a_while() -> None:
    frozen, data = Frozen(0.5), np.zeros(8, np.uint8)
    assert frozen.for_s("rgb", data, 0, np.zeros(3)) is None
    assert frozen.for_s("rgb", data, NS, np.zeros(3)) is None
    assert frozen.for_s("rgb", data, NS // 4, np.array([1.0, 0, 0])) is None
    assert frozen.for_s("rgb", data, NS, np.array([0, 0, 0.2])) == pytest.approx(1.0)
    assert frozen.for_s("rgb", data + 1, NS, np.array([0, 0, 0.2])) is None


def test_a_stall_takes_a_while() -> None:
    stall = Stall(0.4)
    told = Action(v_mps=0.5, w_radps=0.0, duration_s=0.2)
    turning = Action(v_mps=0.0, w_radps=1.0, duration_s=0.2)
    assert [stall.feel(told, 0.0), stall.feel(told, 0.0)] == [False, True]
    assert not stall.feel(told, 0.1)
    assert [stall.feel(told, 0.0), stall.feel(turning, 0.0), stall.feel(told, 0.0)] == [False] * 3


# ---------------------------------------------------------------------- optics
def test_depth_keeps_where_things_are() -> None:
    """A point that the robot's camera sees lies on the same ray in the agent's image."""
    optics = Optics(LENS, 16, None)
    u = np.tile(np.arange(40), (30, 1))
    x = ((u - LENS.cx_px) / LENS.fx_px).astype(np.float32)
    found = optics.depth(x + 5, 0.1, 20.0)
    centre = (np.arange(16) + 0.5 - 8) / optics.focal_px
    assert np.abs(found - 5 - centre[None, :]).max() <= 0.51 / LENS.fx_px
    assert np.isnan(optics.depth(x + 50, 0.1, 20.0)).all()


def test_a_field_wider_than_the_camera_is_black_around() -> None:
    optics = Optics(LENS, 16, 100.0)
    seen = optics.colour(np.full((30, 40, 3), 200, np.uint8))
    assert not seen[0].any()
    assert (seen[8, 8] == 200).all()
    assert np.isnan(optics.depth(np.full((30, 40), 2.0, np.float32), 0.1, 8.0)[0]).all()


def test_images_of_another_size_than_the_camera_info_fit() -> None:
    optics = Optics(LENS, 16, None)
    big = np.zeros((60, 80, 3), np.uint8)
    big[:, 40:] = 255
    seen = optics.colour(big)
    assert (seen[:, :8] == 0).all()
    assert (seen[:, 8:] == 255).all()


@pytest.mark.parametrize(
    ("model", "d"),
    [
        ("plumb_bob", (0.1, -0.05, 0.001, -0.002, 0.01)),
        ("rational_polynomial", (0.1, -0.05, 0.001, -0.002, 0.01, 0.02, 0.01, 0.0)),
        ("equidistant", (0.02, -0.01, 0.003, -0.001)),
    ],
)
def test_distorted_images_are_straightened(model: str, d: tuple[float, ...]) -> None:
    from dataclasses import replace

    lens = replace(LENS, width_px=400, height_px=300, fx_px=300.0, fy_px=300.0)
    lens = replace(lens, cx_px=199.5, cy_px=149.5)
    bent = replace(lens, distortion=d, model=model)
    optics = Optics(bent, 32, None)
    assert optics.focal_px != pytest.approx(Optics(lens, 32, None).focal_px, rel=1e-4)
    whole = optics.colour(np.full((300, 400, 3), 90, np.uint8))
    assert (whole == 90).all()
