"""An exported MCAP, opened by the libraries of others."""

import io
import json
from collections import defaultdict
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from exported_life import (
    CHECKPOINT,
    HOLE,
    MODEL_STEP,
    SAFE_STEP,
    STEPS,
    V_MPS,
    W_RADPS,
    exported_life,
    pose_at,
    stamp_at,
)
from fakes_memory import SPEC, make_transition, observe
from fakes_stored import BOXES
from mcap.reader import make_reader
from PIL import Image
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from agentd.export.happenings import read_record
from agentd.export.mcap import McapReport, Source, export_mcap
from agentd.home import Home
from memory.config import ReplayConfig
from memory.export.mcap_file import JSON_SCHEMA_KEY, LogClock
from memory.export.span import Calendar, read_calendar
from memory.frames import pixel_rays, se3_from_pose
from memory.replay.rows import to_millimetres
from memory.replay.store import LanceReplay

ROS_TOPICS = {
    "/camera/color/image_raw/compressed": "sensor_msgs/msg/CompressedImage",
    "/camera/color/camera_info": "sensor_msgs/msg/CameraInfo",
    "/camera/depth/image_raw/compressed": "sensor_msgs/msg/CompressedImage",
    "/camera/depth/camera_info": "sensor_msgs/msg/CameraInfo",
    "/tf": "tf2_msgs/msg/TFMessage",
    "/tf_static": "tf2_msgs/msg/TFMessage",
    "/odom": "nav_msgs/msg/Odometry",
    "/cmd_vel": "geometry_msgs/msg/TwistStamped",
    "/agentd/belief_markers": "visualization_msgs/msg/MarkerArray",
    "/rosout": "rcl_interfaces/msg/Log",
}


def write(home: Home, target: Path, span: Calendar | None = None, **options) -> McapReport:
    whole = read_calendar(home.memory_folder)
    source = Source(
        folder=home.memory_folder,
        span=span or whole,
        newest_step=whole.last_step,
        spec=SPEC,
        record=read_record(home),
        facts={"life_id": "abc"},
    )
    return export_mcap(source, target, **options)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return exported_life(tmp_path_factory.mktemp("export") / "life")


@pytest.fixture(scope="module")
def file(home):
    path = home.path.parent / "life.mcap"
    write(home, path)
    return path


@pytest.fixture(scope="module")
def ros(file):
    """Messages of every ROS topic, decoded by rosbags from the definitions in the file."""
    found = defaultdict(list)
    with AnyReader([file]) as reader:
        for connection, log_ns, raw in reader.messages():
            if connection.ext.serialization_format == "cdr":
                message = reader.deserialize(raw, connection.msgtype)
                found[connection.topic].append((log_ns, message))
    return found


@pytest.fixture(scope="module")
def told(file):
    """Messages of every JSON topic, each checked against the schema that the file carries."""
    found = defaultdict(list)
    with file.open("rb") as stream:
        for _, channel, message in make_reader(stream).iter_messages():
            if channel.message_encoding == "json":
                content = json.loads(message.data)
                jsonschema.validate(content, json.loads(channel.metadata[JSON_SCHEMA_KEY]))
                found[channel.topic].append(content)
    return found


def stamp_of(header) -> int:
    return header.stamp.sec * 10**9 + header.stamp.nanosec


def matrix_of(transform) -> np.ndarray:
    at, q = transform.translation, transform.rotation
    x, y, z, w = q.x, q.y, q.z, q.w
    T = np.eye(4)
    T[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    T[:3, 3] = at.x, at.y, at.z
    return T


# ---------------------------------------------------------------------- the file
def test_the_file_is_chunked_compressed_indexed_and_of_the_profile_ros2(file):
    with file.open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        assert reader.get_header().profile == "ros2"
        summary = reader.get_summary()
        assert summary.chunk_indexes
        assert {chunk.compression for chunk in summary.chunk_indexes} == {"zstd"}
        times = [m.log_time for _, _, m in reader.iter_messages(log_time_order=False)]
        assert times == sorted(times)
        assert summary.statistics.message_count == len(times)
        assert [m.name for m in reader.iter_metadata()] == ["agentd"]


def test_every_ros_topic_has_its_type_and_the_definition_in_the_file(file):
    with AnyReader([file]) as reader:
        types = {c.topic: c.msgtype for c in reader.connections}
        theirs = get_typestore(Stores.ROS2_HUMBLE)
        for topic, msgtype in ROS_TOPICS.items():
            assert types[topic] == msgtype
            if msgtype != "visualization_msgs/msg/MarkerArray":  # a constant came later
                assert reader.typestore.hash_rihs01(msgtype) == theirs.hash_rihs01(msgtype)
        static = next(c for c in reader.connections if c.topic == "/tf_static")
        assert static.ext.offered_qos_profiles[0].durability.name == "TRANSIENT_LOCAL"


def test_json_channels_get_schema_records_where_they_are_asked_for(home, tmp_path):
    write(home, tmp_path / "a.mcap", json_schemas=True)
    with (tmp_path / "a.mcap").open("rb") as stream:
        summary = make_reader(stream).get_summary()
    found = {
        channel.topic: summary.schemas[channel.schema_id]
        for channel in summary.channels.values()
        if channel.message_encoding == "json"
    }
    assert len(found) == 7
    for schema in found.values():
        assert schema.encoding == "jsonschema"
        jsonschema.Draft202012Validator.check_schema(json.loads(schema.data))


def test_a_file_appears_whole_or_not_at_all(home, tmp_path):
    target = tmp_path / "a.mcap"

    def interrupt(done, total):
        assert not target.exists()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(home, target, on_progress=interrupt)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------- ROS
def test_stamps_are_those_of_the_rows(ros):
    wanted = [stamp_at(step) for step in STEPS]
    for topic in set(ROS_TOPICS) - {"/tf", "/tf_static", "/agentd/belief_markers", "/rosout"}:
        assert [stamp_of(m.header) for _, m in ros[topic]] == wanted, topic
        assert [log_ns for log_ns, _ in ros[topic]] == wanted
    assert [stamp_of(m.transforms[0].header) for _, m in ros["/tf"]] == wanted
    assert len(ros["/tf_static"]) == 1


def test_transforms_lead_from_the_map_to_the_camera(ros):
    static = {
        (t.header.frame_id, t.child_frame_id): matrix_of(t.transform)
        for t in ros["/tf_static"][0][1].transforms
    }
    mount = static["base_link", "camera_color_optical_frame"]
    for step, (_, message) in zip(STEPS, ros["/tf"], strict=True):
        (moving,) = message.transforms
        assert (moving.header.frame_id, moving.child_frame_id) == ("odom", "base_link")
        T = static["map", "odom"] @ matrix_of(moving.transform) @ mount
        np.testing.assert_allclose(T, se3_from_pose(pose_at(step)) @ SPEC.T_body_camera, atol=1e-9)


def test_odometry_and_commands_are_pose_measured_speed_and_applied_action(ros):
    for step, (_, odom), (_, command) in zip(STEPS, ros["/odom"], ros["/cmd_vel"], strict=True):
        assert (odom.header.frame_id, odom.child_frame_id) == ("odom", "base_link")
        at = odom.pose.pose.position
        np.testing.assert_allclose([at.x, at.y], pose_at(step)[:2], atol=1e-9)
        speed = odom.twist.twist
        np.testing.assert_allclose(
            [speed.linear.x, speed.angular.z],
            [0.0, 0.0] if step == 0 else [V_MPS, W_RADPS],
            rtol=1e-6,
        )
        assert command.header.frame_id == "base_link"
        wanted = 0.0 if step == SAFE_STEP else V_MPS
        assert command.twist.linear.x == wanted
        assert command.twist.angular.z == W_RADPS


def test_pictures_are_those_that_were_seen(ros):
    for step, (_, color), (_, depth) in zip(
        STEPS,
        ros["/camera/color/image_raw/compressed"],
        ros["/camera/depth/image_raw/compressed"],
        strict=True,
    ):
        seen, _ = observe(BOXES, pose_at(step), 0)
        assert color.format.startswith("rgb8; jpeg")
        assert depth.format.startswith("16UC1; png")
        picture = np.asarray(Image.open(io.BytesIO(color.data.tobytes())))
        assert np.abs(picture.astype(int) - seen.rgb.astype(int)).mean() < 2.0
        depth_mm = np.asarray(Image.open(io.BytesIO(depth.data.tobytes())))
        np.testing.assert_array_equal(depth_mm, to_millimetres(seen.depth_m))
        assert color.header.frame_id == depth.header.frame_id == "camera_color_optical_frame"


def test_the_intrinsics_project_as_ros_counts_pixels(ros):
    _, info = ros["/camera/color/camera_info"][0]
    assert (info.width, info.height) == (SPEC.width_px, SPEC.height_px)
    K = info.k.reshape(3, 3)
    ray = pixel_rays(SPEC)[20, 41]  # through the middle of the pixel in row 20, column 41
    np.testing.assert_allclose(K @ ray, [41.0, 20.0, 1.0])
    np.testing.assert_array_equal(info.p.reshape(3, 4)[:, :3], K)


def test_raw_depth_is_a_plain_image(home, tmp_path):
    write(home, tmp_path / "a.mcap", depth="raw")
    with AnyReader([tmp_path / "a.mcap"]) as reader:
        topics = {c.topic: c for c in reader.connections}
        assert "/camera/depth/image_raw/compressed" not in topics
        image = next(
            reader.deserialize(raw, connection.msgtype)
            for connection, _, raw in reader.messages([topics["/camera/depth/image_raw"]])
        )
    seen, _ = observe(BOXES, pose_at(0), 0)
    assert (image.encoding, image.step, image.is_bigendian) == ("16UC1", 128, 0)
    depth_mm = image.data.view("<u2").reshape(image.height, image.width)
    np.testing.assert_array_equal(depth_mm, to_millimetres(seen.depth_m))


# ---------------------------------------------------------------------- the agent
def test_surprise_is_told_where_it_is_stored(told):
    wanted = [(step, 0.5 * step) for step in STEPS if step >= MODEL_STEP]
    assert [(m["step"], m["surprise"]) for m in told["/agentd/surprise"]] == wanted


def test_interventions_are_actions_of_safety_and_events_of_it(told):
    action, happened = told["/agentd/interventions"]
    assert (action["step"], action["source"], action["bumped"]) == (SAFE_STEP, "action", True)
    assert (happened["step"], happened["source"]) == (30, "event")
    assert happened["text"] == "100 commands held back so far"


def test_the_plan_is_the_story_of_goals_and_what_was_done_without(told):
    free, chosen = told["/agentd/plan"]
    assert (free["mode"], free["reason"], free["goal_id"]) == ("explore", "looks around", None)
    assert (chosen["step"], chosen["goal_id"], chosen["goal"]) == (20, "g1", "chair")
    assert chosen["chosen"]["name"] == "chair #1"
    assert chosen["others"][0]["note"] == "opens 2 m2"
    assert chosen["refused"] == [{"name": "chair #2", "reason": "not reachable"}]
    assert chosen["timestamp"] == {"sec": stamp_at(20) // 10**9, "nsec": stamp_at(20) % 10**9}


def test_goals_begin_and_end(told):
    states = [(m["step"], m["state"], m["reason"]) for m in told["/agentd/goals"]]
    assert states == [(20, "active", ""), (24, "reached", "chair #1 seen")]


def test_learning_tells_which_checkpoint_acts_and_what_was_promoted(told):
    promoted, acting = told["/agentd/learning"]
    assert (promoted["step"], promoted["checkpoint_id"]) == (34, CHECKPOINT)
    assert (acting["step"], acting["before"], acting["checkpoint_id"]) == (35, "", CHECKPOINT)


def test_all_events_of_the_span_are_told_with_the_clock_of_the_computer(told):
    events = told["/agentd/events"]
    assert [m["step"] for m in events] == [0, 0, 20, 24, 30, 34, 50]
    assert [m["wall_ns"] for m in events] == [7 + m["step"] for m in events]


def test_events_are_lines_of_the_log_of_ros_too(ros, told):
    lines = [message for _, message in ros["/rosout"]]
    assert [m.msg for m in lines] == [m["text"] for m in told["/agentd/events"]]
    assert [m.name for m in lines][:2] == ["agentd.life", "agentd.mode"]
    assert [m.msg for m in lines if m.level == m.WARN] == ["100 commands held back so far"]
    assert lines[2].stamp.sec * 10**9 + lines[2].stamp.nanosec == stamp_at(20)


def test_the_belief_grows_and_is_sure_at_the_end_only(told, ros):
    beliefs = told["/agentd/belief"]
    assert [len(m["slots"]) for m in beliefs] == sorted(len(m["slots"]) for m in beliefs)
    assert {slot["label"] for slot in beliefs[-1]["slots"]} == {"chair", "dining_table"}
    assert all(slot["probability"] > 0.5 for slot in beliefs[-1]["slots"])
    assert all(slot["existence"] is None for m in beliefs[:-1] for slot in m["slots"])
    last_step = beliefs[-1]["step"]
    for slot in beliefs[-1]["slots"]:
        assert slot["first_seen_ns"] <= slot["last_seen_ns"] <= stamp_at(last_step)
    assert len(ros["/agentd/belief_markers"]) == len(beliefs)


def test_markers_are_boxes_where_the_objects_are(ros, told):
    _, array = ros["/agentd/belief_markers"][-1]
    clear, *markers = array.markers
    assert clear.action == clear.DELETEALL
    boxes = {m.id: m for m in markers if m.ns == "objects"}
    names = {m.id: m.text for m in markers if m.ns == "names"}
    for slot in told["/agentd/belief"][-1]["slots"]:
        box = boxes[slot["slot_id"]]
        at, size = box.pose.position, box.scale
        np.testing.assert_allclose([at.x, at.y, at.z], slot["xyz_m"], atol=1e-3)
        np.testing.assert_allclose([size.x, size.y, size.z], slot["extent_m"], atol=1e-3)
        assert names[slot["slot_id"]] == f"{slot['label']} #{slot['slot_id']}"
        assert box.header.frame_id == "map"


# ---------------------------------------------------------------------- spans
def test_a_span_holds_what_happened_in_it_alone(home, tmp_path):
    span = read_calendar(home.memory_folder).part(first_step=15, last_step=25)
    report = write(home, tmp_path / "a.mcap", span)
    assert report.rows == 11
    assert report.counts["/cmd_vel"] == 11
    assert report.counts["/agentd/events"] == 2
    assert report.counts["/agentd/goals"] == 2
    for topic in ("/agentd/surprise", "/agentd/interventions", "/agentd/learning"):
        assert report.counts[topic] == 0
        assert report.empty[topic]
    assert report.counts["/agentd/belief"] >= 1  # what was known before is told at its beginning


def test_a_span_begins_with_what_holds_already(home, tmp_path):
    span = read_calendar(home.memory_folder).part(first_step=22, last_step=26)
    write(home, tmp_path / "a.mcap", span)
    with (tmp_path / "a.mcap").open("rb") as stream:
        topics = ["/agentd/plan", "/agentd/goals"]
        found = [
            (json.loads(m.data)["step"], json.loads(m.data).get("state"), m.log_time)
            for *_, m in make_reader(stream).iter_messages(topics=topics)
        ]
    assert found == [
        (20, None, stamp_at(22)),
        (20, "active", stamp_at(22)),
        (24, "reached", stamp_at(24)),
    ]


def test_a_clock_that_was_set_back_does_not_set_the_log_back(tmp_path):
    home = exported_life(tmp_path / "life")
    replay = LanceReplay(home.memory_folder, ReplayConfig())
    size = SPEC.width_px
    late = make_transition(50, 2, is_first=True, size=size)  # its clock begins at 0
    replay.append([late, make_transition(51, 2, is_last=True, size=size)])
    replay.close()
    report = write(home, tmp_path / "a.mcap")
    assert any("set back 1 times" in note for note in report.notes)
    with AnyReader([tmp_path / "a.mcap"]) as reader:
        odom = [c for c in reader.connections if c.topic == "/odom"]
        times = [
            (log_ns, stamp_of(reader.deserialize(raw, c.msgtype).header))
            for c, log_ns, raw in reader.messages(odom)
        ]
    assert [t for t, _ in times] == sorted(t for t, _ in times)
    assert [stamp for _, stamp in times[-2:]] == [50_000, 51_000]


def test_the_log_clock_goes_on_by_a_tick_where_the_body_goes_back():
    clock = LogClock(gap_ns=5)
    assert [clock.at(t) for t in (10, 12, 3, 4, 1)] == [10, 12, 17, 18, 23]
    assert clock.num_jumps == 2


def test_steps_of_a_hole_are_not_made_up(ros):
    stamps = {stamp_of(m.header) for _, m in ros["/odom"]}
    assert not stamps & {stamp_at(step) for step in HOLE}
