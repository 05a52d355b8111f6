"""Bags of every format, whole and damaged: what is read, and what is said."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from bags import (
    CAMERA,
    EPOCH_NS,
    MOUNT,
    Drive,
    Entry,
    Messages,
    entries,
    jpeg,
    png,
    write_bag1,
    write_drive,
)

from agentd.worlds.recorded.spec import describe
from configs.bodies.recorded import RecordedConfig
from memory.frames import camera_mount, se3_from_pose
from memory.logs.config import ResampleConfig, StreamsConfig
from memory.logs.errors import LogError
from memory.logs.open import fingerprint, open_log
from memory.logs.samples import Command, Kind, LogReader, Pose, Sample
from memory.logs.survey import survey
from memory.logs.transforms import matrix_of
from memory.rotations import quaternions_of, rotation_of

FORMATS = ("mcap", "sqlite3", "rosbag1")
DRIVE = Drive(seconds=3.0)


_OPEN: list[LogReader] = []


@pytest.fixture(autouse=True)
def closing() -> Iterator[None]:
    yield
    while _OPEN:
        _OPEN.pop().close()


def opened(path: Path, **streams) -> LogReader:
    _OPEN.append(open_log(path, StreamsConfig(**streams), ResampleConfig()))
    return _OPEN[-1]


def path_of(tmp_path: Path, format_: str) -> Path:
    return tmp_path / ("drive.bag" if format_ == "rosbag1" else "drive")


def read(reader: LogReader) -> dict[Kind, list[Sample]]:
    found: dict[Kind, list[Sample]] = {kind: [] for kind in Kind}
    for sample in reader.samples(set(Kind)):
        found[sample.kind].append(sample)
    return found


@pytest.mark.parametrize("format_", FORMATS)
def test_all_formats_say_the_same(tmp_path, format_):
    path = write_drive(path_of(tmp_path, format_), DRIVE, format_=format_)
    reader = opened(path)
    summary = reader.summary
    camera = summary.camera
    assert (camera.width_px, camera.height_px) == DRIVE.size
    assert (camera.fx_px, camera.cx_px, camera.cy_px) == (60.0, 48.0, 32.0)
    np.testing.assert_allclose(summary.T_body_camera, MOUNT, atol=1e-9)
    assert summary.T_colour_depth is None
    assert summary.role(Kind.COLOUR) == ("/camera/image_raw",)
    assert summary.role(Kind.DEPTH) == ("/camera/depth/image_raw",)
    assert summary.role(Kind.POSE) == ("/odom",)
    assert summary.role(Kind.COMMAND) == ("/cmd_vel",)
    assert summary.period_s == pytest.approx(0.1, rel=0.05)
    found = read(reader)
    counts = {kind: len(samples) for kind, samples in found.items()}
    assert counts == {"colour": 30, "depth": 30, "pose": 150, "command": 60, "bump": 0}
    for k in (0, 17):
        image = np.asarray(found[Kind.COLOUR][k].value.colour((96, 64)))
        np.testing.assert_array_equal(image, DRIVE.rgb(k))
        units, unit_m = found[Kind.DEPTH][k].value.depth()
        np.testing.assert_allclose(units * unit_m, DRIVE.depth_m(k), atol=1e-3)
        assert found[Kind.COLOUR][k].stamp_ns == DRIVE.stamps()[k]
    assert found[Kind.COMMAND][3].value == Command(0.3, 0.2)
    assert found[Kind.COMMAND][3].stamp_ns is None
    T = matrix_of(found[Kind.POSE][40].value)
    np.testing.assert_allclose(T, se3_from_pose(DRIVE.pose(DRIVE.stamps(50)[40])), atol=1e-9)
    assert reader.broken == ""
    reader.close()
    reader.close()


def test_files_are_read_without_their_folder(tmp_path):
    folder = write_drive(tmp_path / "drive", DRIVE)
    (folder / "metadata.yaml").unlink()
    for path in (folder, next(folder.glob("*.mcap"))):
        assert opened(path).summary.role(Kind.COLOUR)


def test_a_survey_finds_the_limits(tmp_path):
    found = survey(opened(write_drive(tmp_path / "a", DRIVE)))
    assert (found.v_mps, found.w_radps) == pytest.approx((0.3, 0.2))
    found = survey(opened(write_drive(tmp_path / "b", DRIVE, command=True)))
    assert (found.v_mps, found.w_radps) == pytest.approx((0.3, 0.2), rel=0.02)


def test_an_mcap_with_channels_of_others_is_read(tmp_path):
    """As this program's own export writes it: ROS messages, and JSON of the agent's thoughts."""
    from mcap.writer import Writer

    messages = Messages()
    path = tmp_path / "life.mcap"
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start(profile="ros2")
        schema = writer.register_schema("agentd.Surprise", "jsonschema", b"{}")
        other = writer.register_channel("/agentd/surprise", "json", schema)
        channels: dict[str, int] = {}
        for topic, at, message in entries(DRIVE, messages):
            name = message.__msgtype__
            if topic not in channels:
                text = messages.store.generate_msgdef(name)[0].encode()
                schema = writer.register_schema(name, "ros2msg", text)
                channels[topic] = writer.register_channel(topic, "cdr", schema)
            data = bytes(messages.store.serialize_cdr(message, name))
            writer.add_message(channels[topic], at, data, at)
            writer.add_message(other, at, b"{}", at)
        writer.finish()
    reader = opened(path)
    assert {s.name for s in reader.summary.streams} == set(channels)
    found = read(reader)
    assert len(found[Kind.COLOUR]) == 30
    assert len(found[Kind.POSE]) == 150
    assert reader.broken == ""


# ---------------------------------------------------------------- what is chosen
Change = Callable[[list[Entry], Messages], list[Entry]]


def replaced(topic: str, make: Callable[[int, Entry, Messages], Entry | None]) -> Change:
    """Return a change of every message of a topic; `make` gets its number."""

    def change(found: list[Entry], messages: Messages) -> list[Entry]:
        number, out = 0, []
        for entry in found:
            if entry[0] != topic:
                out.append(entry)
                continue
            made = make(number, entry, messages)
            number += 1
            if made is not None:
                out.append(made)
        return sorted(out, key=lambda e: e[1])

    return change


def test_compressed_images(tmp_path):
    def packed(found: list[Entry], messages: Messages) -> list[Entry]:
        out = []
        for topic, at, message in found:
            stamp = at - 30_000_000
            k = round((stamp - EPOCH_NS) / 1e8)
            if topic == "/camera/image_raw":
                data = jpeg(DRIVE.rgb(k))
                message = messages.compressed(stamp, data, "rgb8; jpeg compressed bgr8")
                topic += "/compressed"
            elif topic == "/camera/depth/image_raw":
                mm = np.rint(DRIVE.depth_m(k) * 1000).astype(np.uint16)
                data = bytes(12) + png(mm)
                message = messages.compressed(stamp, data, "16UC1; compressedDepth")
                topic += "/compressedDepth"
            out.append((topic, at, message))
        return out

    reader = opened(write_drive(tmp_path / "drive", DRIVE, packed))
    assert reader.summary.role(Kind.DEPTH) == ("/camera/depth/image_raw/compressedDepth",)
    assert reader.summary.camera is not None
    found = read(reader)
    units, unit_m = found[Kind.DEPTH][4].value.depth()
    np.testing.assert_allclose(units * unit_m, DRIVE.depth_m(4), atol=1e-3)


def test_an_unknown_encoding_is_named_with_its_topic(tmp_path):
    change = replaced(
        "/camera/image_raw",
        lambda k, e, m: (e[0], e[1], m.image(e[1], DRIVE.rgb(k)[..., :2], "yuv422_yuy2")),
    )
    with pytest.raises(LogError, match=r"/camera/image_raw \('yuv422_yuy2'\); known: rgb8"):
        opened(write_drive(tmp_path / "drive", DRIVE, change))


def test_named_topics_are_checked(tmp_path):
    path = write_drive(tmp_path / "drive", DRIVE)
    with pytest.raises(LogError, match=r"colour = '/nothing'.*/camera/image_raw"):
        opened(path, colour="/nothing")
    with pytest.raises(LogError, match=r"'/odom' has the type nav_msgs/msg/Odometry; accepted"):
        opened(path, command="/odom")
    with pytest.raises(LogError, match=r"/camera/depth/image_raw has the encoding '16UC1'"):
        opened(path, colour="/camera/depth/image_raw")
    with pytest.raises(LogError, match="ros_distro = 'hydro'"):
        opened(path, ros_distro="hydro")
    assert not opened(path, depth="none").summary.role(Kind.DEPTH)
    assert not opened(path, command="none").summary.role(Kind.COMMAND)


def test_of_several_topics_one_is_taken_and_the_others_told(tmp_path):
    def more(found: list[Entry], messages: Messages) -> list[Entry]:
        extra = [("/infra/image_raw", at, m) for t, at, m in found if t == "/camera/image_raw"]
        extra += [("/other/odom", at, m) for t, at, m in found if t == "/odom"]
        return sorted([*found, *extra], key=lambda e: e[1])

    summary = opened(write_drive(tmp_path / "drive", DRIVE, more)).summary
    assert summary.role(Kind.COLOUR) == ("/camera/image_raw",)
    assert summary.role(Kind.POSE) == ("/odom",)
    assert "colour: /camera/image_raw is read, not /infra/image_raw" in summary.notes


# ---------------------------------------------------------------- frames
def test_the_pose_comes_from_transforms_where_there_is_no_odometry(tmp_path):
    drift = se3_from_pose(np.array([1.0, 2.0, 0.5]))

    def with_tf(found: list[Entry], messages: Messages) -> list[Entry]:
        for stamp in DRIVE.stamps(50):
            T = se3_from_pose(DRIVE.pose(stamp))
            ahead = messages.transform(stamp + 10**8, "map", "odom", drift)
            moved = messages.transform(stamp, "odom", "base_link", T)
            found.append(("/tf", stamp + 1, messages.tf(ahead, moved)))
        return sorted(found, key=lambda e: e[1])

    path = write_drive(tmp_path / "drive", DRIVE, with_tf, odometry=True)
    reader = opened(path)
    poses = read(reader)[Kind.POSE]
    assert [p.stamp_ns for p in poses] == DRIVE.stamps(50)
    expected = drift @ se3_from_pose(DRIVE.pose(poses[60].stamp_ns))
    np.testing.assert_allclose(matrix_of(poses[60].value), expected, atol=1e-9)
    in_odom = read(opened(path, world_frame="odom"))[Kind.POSE]
    expected = se3_from_pose(DRIVE.pose(poses[60].stamp_ns))
    np.testing.assert_allclose(matrix_of(in_odom[60].value), expected, atol=1e-9)
    with pytest.raises(LogError, match=r"no transforms lead from earth to base_link; frames.*map"):
        opened(path, world_frame="earth")


def test_the_body_is_on_the_floor_where_the_robot_says_where_that_is(tmp_path):
    def lifted(found: list[Entry], messages: Messages) -> list[Entry]:
        up = np.eye(4)
        up[2, 3] = 0.1
        tf = messages.tf(messages.transform(EPOCH_NS, "base_footprint", "base_link", up))
        return [("/tf_static", EPOCH_NS, tf), *found]

    summary = opened(write_drive(tmp_path / "drive", DRIVE, lifted)).summary
    assert summary.T_body_camera[2, 3] == pytest.approx(MOUNT[2, 3] + 0.1)


def test_a_camera_frame_with_x_forward_is_turned(tmp_path):
    T = np.eye(4)
    T[:3, 3] = 0.1, 0.0, 0.4
    change = replaced(
        "/tf_static", lambda k, e, m: (e[0], e[1], m.tf(m.transform(e[1], "base_link", CAMERA, T)))
    )
    summary = opened(write_drive(tmp_path / "drive", DRIVE, change)).summary
    np.testing.assert_allclose(summary.T_body_camera, camera_mount(0.1, 0.4), atol=1e-12)
    assert any("x forward" in note for note in summary.notes)


def test_what_is_missing_is_told_with_the_frames_there_are(tmp_path):
    summary = opened(write_drive(tmp_path / "a", DRIVE, mount=True)).summary
    assert summary.T_body_camera is None
    assert f"from base_link to {CAMERA}" in summary.missing["mount"]
    summary = opened(write_drive(tmp_path / "b", DRIVE, info=True)).summary
    assert summary.camera is None
    assert "/camera/image_raw" in summary.missing["camera"]
    path = write_drive(tmp_path / "c", DRIVE, odometry=True)
    with pytest.raises(LogError, match=r"tells no pose: neither.*transforms that move"):
        opened(path)
    path = write_drive(tmp_path / "d", DRIVE, odometry=True, mount=True)
    with pytest.raises(LogError, match="the log tells no pose"):
        opened(path)


def test_depth_of_another_frame_brings_its_place(tmp_path):
    aside = np.eye(4)
    aside[0, 3] = 0.05

    def beside(found: list[Entry], messages: Messages) -> list[Entry]:
        out = [
            ("/tf_static", EPOCH_NS, messages.tf(messages.transform(EPOCH_NS, CAMERA, "ir", aside)))
        ]
        for topic, at, message in found:
            if topic.startswith("/camera/depth"):
                message.header.frame_id = "ir"
            out.append((topic, at, message))
        return out

    summary = opened(write_drive(tmp_path / "drive", DRIVE, beside)).summary
    np.testing.assert_allclose(summary.T_colour_depth, aside, atol=1e-9)


def test_rotations_and_quaternions_agree():
    rng = np.random.default_rng(0)
    for _ in range(50):
        q = rng.normal(size=4)
        q = q / np.linalg.norm(q) * (1 if q[3] >= 0 else -1)
        R = rotation_of(tuple(q))
        np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
        np.testing.assert_allclose(quaternions_of(R), q, atol=1e-12)


# ---------------------------------------------------------------- damage
def cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def test_an_mcap_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path):
    big = Drive(seconds=10.0, size=(320, 240), focal_px=200.0)
    folder = write_drive(tmp_path / "drive", big)
    file = next(folder.glob("*.mcap"))
    cut(file, 0.6)
    for path in (folder, file):
        reader = opened(path)
        found = read(reader)
        assert 40 <= len(found[Kind.COLOUR]) <= 60
        assert "cut off" in reader.broken
        assert "s of the recorder's clock" in reader.broken
        assert survey(reader).broken


def test_an_mcap_damaged_in_the_middle_ends_there(tmp_path):
    big = Drive(seconds=10.0, size=(320, 240), focal_px=200.0)
    folder = write_drive(tmp_path / "drive", big)
    file = next(folder.glob("*.mcap"))
    data = bytearray(file.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200_000] = bytes(200_000)
    file.write_bytes(bytes(data))
    reader = opened(folder)
    found = read(reader)
    assert 0 < len(found[Kind.COLOUR]) <= 100
    assert reader.broken or reader.undecodable or len(found[Kind.COLOUR]) == 100


@pytest.mark.parametrize("how", ["cut off", "middle"])
def test_a_damaged_database_is_read_as_far_as_it_goes(tmp_path, how):
    big = Drive(seconds=10.0, size=(160, 120), focal_px=100.0)
    folder = write_drive(tmp_path / "drive", big, format_="sqlite3")
    file = next(folder.glob("*.db3"))
    if how == "cut off":
        cut(file, 0.6)
    else:
        data = bytearray(file.read_bytes())
        begin = len(data) // 2 // 4096 * 4096
        data[begin : begin + 4096 * 400] = b"\xff" * 4096 * 400
        file.write_bytes(bytes(data))
    for path in (folder, file):
        reader = opened(path)
        found = read(reader)
        assert 20 < len(found[Kind.COLOUR]) < 80
        assert "cut off or damaged after 1700000" in reader.broken
        assert reader.summary.camera is not None
        image = np.asarray(found[Kind.COLOUR][10].value.colour((160, 120)))
        np.testing.assert_array_equal(image, big.rgb(10))


@pytest.mark.parametrize("compression", [None, "BZ2", "LZ4"])
def test_a_ros1_bag_without_its_index_is_read_as_far_as_it_goes(tmp_path, compression):
    long = Drive(seconds=20.0)
    messages = Messages(ros1=True)
    path = write_bag1(tmp_path / "a.bag", entries(long, messages), messages, compression)
    whole = read(opened(path))
    cut(path, 0.6)
    reader = opened(path)
    found = read(reader)
    count = len(found[Kind.COLOUR])
    assert 20 < count < 190
    assert "cut off or damaged after 1700000" in reader.broken
    assert reader.summary.format == "rosbag1"
    for kind, samples in found.items():
        stamps = [(s.stamp_ns, s.logged_ns) for s in whole[kind]]
        assert [(s.stamp_ns, s.logged_ns) for s in samples] == stamps[: len(samples)]
    image = np.asarray(found[Kind.COLOUR][-1].value.colour((96, 64)))
    np.testing.assert_array_equal(image, long.rgb(count - 1))
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(LogError, match="no sound message"):
        opened(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89MCAP0\r\n", b"SQLite format 3\x00" * 10])
def test_what_is_no_log_is_refused(tmp_path, content):
    path = tmp_path / "thing"
    path.write_bytes(content)
    with pytest.raises(LogError, match=str(path)):
        opened(path)
    with pytest.raises(LogError, match="does not exist"):
        opened(tmp_path / "nothing")
    with pytest.raises(LogError, match="neither a rosbag2"):
        opened(tmp_path)


def test_messages_that_cannot_be_decoded_are_counted(tmp_path):
    folder = write_drive(tmp_path / "drive", DRIVE, format_="sqlite3")
    base = sqlite3.connect(next(folder.glob("*.db3")))
    topic = base.execute("SELECT id FROM topics WHERE name = '/odom'").fetchone()[0]
    rows = base.execute("SELECT id FROM messages WHERE topic_id = ? LIMIT 30", (topic,)).fetchall()
    base.executemany("UPDATE messages SET data = x'00010000' WHERE id = ?", rows[20:])
    base.commit()
    base.close()
    reader = opened(folder)
    found = read(reader)
    assert len(found[Kind.POSE]) == 140
    assert sum(reader.undecodable.values()) == 10
    assert all("/odom: no nav_msgs/msg/Odometry" in what for what in reader.undecodable)


def test_poses_that_are_none_are_left_out(tmp_path):
    def spoil(k: int, entry: Entry, messages: Messages) -> Entry:
        if k in (3, 4):
            entry[2].pose.pose.position.x = float("nan")
        if k == 5:
            entry[2].pose.pose.orientation.w = 7.0
        return entry

    reader = opened(write_drive(tmp_path / "drive", DRIVE, replaced("/odom", spoil)))
    found = read(reader)
    assert len(found[Kind.POSE]) == 147
    assert sum(reader.undecodable.values()) == 3
    assert all(isinstance(s.value, Pose) for s in found[Kind.POSE])


def test_a_log_is_known_again_wherever_it_lies(tmp_path):
    path = write_drive(tmp_path / "drive", DRIVE)
    known = fingerprint(path)
    moved = tmp_path / "moved"
    shutil.copytree(path, moved)
    assert fingerprint(moved) == known
    file = next(moved.glob("*.mcap"))
    cut(file, 0.9)
    assert fingerprint(moved) != known
    assert fingerprint(file) == fingerprint(shutil.copy(file, tmp_path / "other.mcap"))


def test_topics_of_a_wrong_type_are_named(tmp_path):
    def of_flags(topic: str) -> Change:
        return replaced(topic, lambda _, entry, made: (entry[0], entry[1], made.flag(True)))

    log = opened(write_drive(tmp_path / "command", change=of_flags("/cmd_vel")))
    assert any("/cmd_vel has the type std_msgs/msg/Bool" in note for note in log.summary.notes)
    with pytest.raises(LogError, match="/odom has the type std_msgs/msg/Bool"):
        opened(write_drive(tmp_path / "pose", change=of_flags("/odom")))


def test_damage_is_told_with_what_is_missing_by_it(tmp_path):
    path = write_drive(tmp_path / "bag", format_="sqlite3")
    cut(next(path.glob("*.db3")), 0.5)
    with pytest.raises(LogError, match=r"no transform leads.*damaged") as caught:
        describe(RecordedConfig(), opened(path))
    assert "camera_height_m" in str(caught.value)
