"""LeRobot datasets of version 3, written by hand as lerobot lays them out."""

import math
from pathlib import Path

import numpy as np
import pytest
from lerobot_sets import KEY, SIZE, grey, write_dataset, write_video

from memory.logs.config import ResampleConfig, StreamsConfig
from memory.logs.errors import LogError
from memory.logs.open import open_log
from memory.logs.samples import Command, Kind


def opened(path: Path, **streams):
    return open_log(path, StreamsConfig(**streams), ResampleConfig())


def read(reader):
    found = {kind: [] for kind in Kind}
    for sample in reader.samples(set(Kind)):
        found[sample.kind].append(sample)
    return found


@pytest.mark.parametrize("images", ["video", "image"])
def test_frames_of_episodes_follow_each_other_with_a_pause(tmp_path, images):
    reader = opened(write_dataset(tmp_path / "set", images=images))
    summary = reader.summary
    assert summary.format == "lerobot"
    assert summary.size_px == SIZE
    assert summary.camera is None
    assert set(summary.missing) == {"camera", "mount"}
    colours = []
    found = {kind: [] for kind in Kind}
    for sample in reader.samples(set(Kind)):
        found[sample.kind].append(sample)
        if sample.kind is Kind.COLOUR:
            colours.append(int(np.asarray(sample.value.colour(SIZE))[24, 32, 1]))
    np.testing.assert_allclose(colours, [grey(k)[0, 0, 1] for k in range(21)], atol=4)
    stamps = np.array([s.stamp_ns for s in found[Kind.COLOUR]])
    steps_s = np.diff(stamps) / 1e9
    assert steps_s[11] > 30
    np.testing.assert_allclose(np.delete(steps_s, 11), 0.1)
    assert isinstance(found[Kind.COMMAND][3].value, Command)
    assert found[Kind.COMMAND][3].value.v_mps == pytest.approx(0.3)
    assert found[Kind.POSE][5].value.xyz_m[0] == pytest.approx(0.15)
    assert reader.broken == ""


def test_single_frames_can_be_looked_at_in_any_order(tmp_path):
    reader = opened(write_dataset(tmp_path / "set", (40,)))
    pictures = [s.value for s in reader.samples({Kind.COLOUR})]
    assert len(pictures) == 40
    later = [s.value for s in reader.samples({Kind.COLOUR})]
    assert len(later) == 40


def test_a_passed_over_frame_does_not_shift_the_next(tmp_path):
    reader = opened(write_dataset(tmp_path / "set", (60,)))
    for k, sample in enumerate(reader.samples({Kind.COLOUR})):
        if k in (0, 7, 8, 45, 59):
            colour = int(np.asarray(sample.value.colour(SIZE))[24, 32, 1])
            assert colour == pytest.approx(int(grey(k)[0, 0, 1]), abs=4)


def test_speeds_alone_are_integrated_and_that_is_told(tmp_path):
    path = write_dataset(
        tmp_path / "set",
        (11, 5),
        state=("x.vel", "y.vel", "theta.vel"),
        action=("x.vel", "y.vel", "theta.vel"),
        state_of=lambda t: (0.5, 0.0, 90.0),
        action_of=lambda t: (0.5, 0.0, 90.0),
    )
    reader = opened(path)
    assert any("integrated from the speeds" in note for note in reader.summary.notes)
    for _ in range(2):  # every reading begins anew
        found = read(reader)
        yaw = [
            2 * math.atan2(s.value.quaternion[2], s.value.quaternion[3]) for s in found[Kind.POSE]
        ]
        assert yaw[10] == pytest.approx(math.pi / 2, abs=0.02)
        assert yaw[11] == 0
    assert found[Kind.COMMAND][0].value.w_radps == pytest.approx(math.pi / 2)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(LogError, match=r"version v2\.1"):
        opened(write_dataset(tmp_path / "old", version="v2.1"))
    path = write_dataset(
        tmp_path / "arm", state=("shoulder", "elbow", "wrist"), action=("shoulder", "elbow")
    )
    with pytest.raises(LogError, match=r"no pose of a body that drives.*shoulder"):
        opened(path)
    path = write_dataset(tmp_path / "set", action=("left", "right"))
    assert not opened(path).summary.role(Kind.COMMAND)
    with pytest.raises(LogError, match=r"command = 'action' has no forward speed.*left, right"):
        opened(path, command="action")
    with pytest.raises(LogError, match=f"no such images; it has {KEY}"):
        opened(path, colour="observation.images.rear")


def test_damaged_files_end_the_reading_or_are_refused(tmp_path):
    path = write_dataset(tmp_path / "set")
    data = path / "data/chunk-000/file-000.parquet"
    data.write_bytes(data.read_bytes()[:-20])
    reader = opened(path)
    assert read(reader)[Kind.COLOUR] == []
    assert "damaged after its beginning" in reader.broken
    (path / "meta/info.json").write_text("{")
    with pytest.raises(LogError, match="cannot be read"):
        opened(path)


def test_a_short_video_is_told_frame_by_frame(tmp_path):
    from memory.logs.errors import ImageError

    path = write_dataset(tmp_path / "set", (20,))
    video = path / f"videos/{KEY}/chunk-000/file-000.mp4"
    video.unlink()
    write_video(video, 10)
    missing = 0
    for sample in opened(path).samples({Kind.COLOUR}):
        try:
            sample.value.colour(SIZE)
        except ImageError:
            missing += 1
    assert missing == 10
