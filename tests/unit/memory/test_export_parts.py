"""Quaternions, statistics, speeds and the belief of exports."""

from dataclasses import replace

import numpy as np
import pytest
from fakes_memory import make_transition

from memory.export.belief import BeliefTrack
from memory.export.extras import MissingExtraError, require
from memory.export.feature_stats import QUANTILES, ImageCounts, quantile_key, vector_stats
from memory.export.ros import measured_speed
from memory.frames import camera_mount, se3_from_pose
from memory.objects.changes import Change, ChangeKind
from memory.rotations import quaternions_of


def rotation_of(q) -> np.ndarray:
    x, y, z, w = q
    v = np.array([x, y, z])
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return (w * w - v @ v) * np.eye(3) + 2 * np.outer(v, v) + 2 * w * cross


# ---------------------------------------------------------------------- quaternions
def test_quaternions_turn_as_their_matrices_do():
    rng = np.random.default_rng(0)
    poses = [se3_from_pose(rng.normal(size=3) * 3) @ camera_mount(0, 1, p) for p in (-2, 0, 1, 3)]
    half_turns = [np.diag([1.0, -1, -1, 1]), np.diag([-1.0, 1, -1, 1]), np.diag([-1.0, -1, 1, 1])]
    T = np.stack([np.eye(4), *poses, *half_turns])
    q = quaternions_of(T[:, :3, :3])
    np.testing.assert_allclose(np.linalg.norm(q, axis=1), 1.0)
    assert (q[:, 3] >= 0).all()
    for matrix, quaternion in zip(T, q, strict=True):
        np.testing.assert_allclose(rotation_of(quaternion), matrix[:3, :3], atol=1e-12)


# ---------------------------------------------------------------------- statistics
def test_statistics_of_vectors_are_exact():
    values = np.random.default_rng(0).normal(size=(101, 3)).astype(np.float32)
    stats = vector_stats(values)
    np.testing.assert_allclose(stats["mean"], values.astype(float).mean(axis=0))
    np.testing.assert_allclose(stats["std"], values.astype(float).std(axis=0))
    np.testing.assert_array_equal(stats["max"], values.max(axis=0))
    np.testing.assert_allclose(stats["q50"], np.median(values, axis=0))
    assert stats["count"].tolist() == [101]
    assert [quantile_key(q) for q in QUANTILES] == ["q01", "q10", "q50", "q90", "q99"]


def test_statistics_of_images_are_those_of_all_their_pixels():
    rng = np.random.default_rng(0)
    images = rng.integers(3, 250, (7, 6, 5, 3), dtype=np.uint8)
    first, second = ImageCounts(), ImageCounts()
    for image in images[:3]:
        first.add(image)
    for image in images[3:]:
        second.add(image)
    first.merge(second)
    stats = first.stats()
    pixels = images.reshape(-1, 3) / 255
    for name, wanted in (
        ("min", pixels.min(axis=0)),
        ("max", pixels.max(axis=0)),
        ("mean", pixels.mean(axis=0)),
        ("std", pixels.std(axis=0)),
        ("q10", np.quantile(pixels, 0.1, axis=0, method="inverted_cdf")),
        ("q99", np.quantile(pixels, 0.99, axis=0, method="inverted_cdf")),
    ):
        assert stats[name].shape == (3, 1, 1)
        np.testing.assert_allclose(stats[name].ravel(), wanted, atol=1e-12)
    assert stats["count"].tolist() == [7]


# ---------------------------------------------------------------------- speeds
def test_speed_is_the_measured_motion_over_the_time_it_took():
    row = make_transition(5, 1)
    motion = row.observation.egomotion.astype(float)
    taken_s = 0.25
    before_ns = row.observation.stamp_ns - round(taken_s * 1e9)
    np.testing.assert_allclose(measured_speed(row, (4, before_ns), 0.2), motion / taken_s)
    # without the row before, a step took as long as it should have
    for unknown in (None, (3, before_ns)):
        np.testing.assert_allclose(measured_speed(row, unknown, 0.2), motion / 0.2)
    # an episode that is only cut goes on; one with nothing before it begins at rest
    first = replace(row, is_first=True)
    np.testing.assert_allclose(measured_speed(first, (4, before_ns), 0.2), motion / taken_s)
    assert measured_speed(first, None, 0.2).tolist() == [0, 0, 0]
    # nor does a clock that was set back make it drive backwards
    late_ns = row.observation.stamp_ns + 1
    assert measured_speed(row, (4, late_ns), 0.2).tolist() == [0, 0, 0]


# ---------------------------------------------------------------------- belief
def change(event_id, step, kind, slot_id, x=0.0, other_id=None, label="cup") -> Change:
    return Change(
        event_id=event_id,
        step=step,
        stamp_ns=1_000 * step,
        kind=kind,
        slot_id=slot_id,
        label=label,
        xyz_m=np.array([x, 0.0, 0.0]),
        other_id=other_id,
    )


CHANGES = [
    change(1, 1, ChangeKind.CREATED, 1),
    change(2, 3, ChangeKind.CONFIRMED, 1, 0.1),
    change(3, 4, ChangeKind.CREATED, 2, 0.2),
    change(4, 5, ChangeKind.CONFIRMED, 2, 0.2),
    change(5, 6, ChangeKind.FAILED, 0),
    change(6, 7, ChangeKind.MERGED, 2, 0.2, other_id=1),
    change(7, 9, ChangeKind.SUSPECT, 1, 0.1),
    change(8, 11, ChangeKind.MOVED, 1, 5.0),
    change(9, 12, ChangeKind.ARCHIVED, 1, 5.0),
]
TODAY = [{"slot_id": 1, "last_seen_ns": 11_000, "extent_m": [1.0, 2.0, 3.0], "existence": 2.0}]


def told(track: BeliefTrack, stamp_ns: int, **options):
    return [
        (item.slot.slot_id, item.slot.state.value, float(item.slot.xyz_m[0]))
        for item in track.now(stamp_ns, **options)
    ]


def test_the_belief_follows_the_log():
    track = BeliefTrack(CHANGES, TODAY)
    steps = {}
    for step in range(13):
        has_news = track.advance(step)
        assert has_news == any(c.step == step for c in CHANGES)
        steps[step] = told(track, 1_000 * step)
    assert steps[2] == []
    assert steps[3] == steps[4] == [(1, "confirmed", 0.1)]
    assert steps[6] == [(1, "confirmed", 0.1), (2, "confirmed", 0.2)]
    assert steps[8] == [(1, "confirmed", 0.1)]
    assert steps[10] == [(1, "suspect", 0.1)]
    assert steps[11] == [(1, "confirmed", 5.0)]
    assert steps[12] == []


def test_sightings_of_a_slot_go_on_under_the_id_that_it_was_merged_into():
    track = BeliefTrack(CHANGES, TODAY)
    track.advance(6)
    row = make_transition(6, 0)
    ids = np.zeros_like(row.object_slots)
    ids[0] = 2
    track.see(replace(row, object_slots=ids))
    assert [item.last_seen_ns for item in track.now(6_000)] == [None, 6_000]
    track.advance(7)
    assert [item.last_seen_ns for item in track.now(7_000)] == [6_000]
    # what is stored of today counts once it is past
    fresh = BeliefTrack(CHANGES[:2], TODAY)
    fresh.advance(3)
    assert [item.last_seen_ns for item in fresh.now(3_000)] == [None]
    assert [item.last_seen_ns for item in fresh.now(11_000)] == [11_000]


def test_certainty_is_told_of_the_present_alone():
    track = BeliefTrack(CHANGES[:2], TODAY)
    track.advance(3)
    assert [item.as_dict()["probability"] for item in track.now(3_000)] == [None]
    (item,) = track.now(3_000, is_newest=True)
    assert item.as_dict()["existence"] == 2.0
    assert item.as_dict()["probability"] == pytest.approx(0.8808)
    assert item.as_dict()["extent_m"] == [1.0, 2.0, 3.0]


def test_a_missing_library_is_named_with_what_installs_it():
    with pytest.raises(MissingExtraError, match=r"no_such_lib.*pip install 'agentd\[logs\]'"):
        require("no_such_lib.writer", "writing MCAP")
