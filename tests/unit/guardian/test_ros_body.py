"""What the guardian reads from ROS messages, and what it sends: real CDR bytes, no transport."""

import math
import time

import numpy as np
import pytest

from agentd.guardian.records import Flags
from agentd.guardian.ros import RosBody
from agentd.worlds.ros2.codec import Codec
from agentd.worlds.ros2.link import LinkError, Raw
from configs.guardian import GuardianConfig

CODEC = Codec("humble")
T = CODEC.type


class FakeLink:
    def __init__(self, command_type="geometry_msgs/msg/Twist"):
        self.takes, self.sent, self.closed, self.broken = {}, [], 0, False
        self.types = {"/cmd_vel": command_type, "/bumper": "std_msgs/msg/Bool"}

    def subscribe(self, topic, msgtype, take):
        self.takes[topic] = (msgtype, take)

    def advertise(self, topic, msgtype):
        self.advertised = (topic, msgtype)
        return self

    def send(self, data):
        if self.broken:
            raise LinkError("broken")
        self.sent.append(bytes(data))

    def topics(self):
        return self.types

    def publishers(self, topic):
        return 0

    def close(self):
        self.closed += 1

    def deliver(self, topic, message, received_s=None):
        msgtype, take = self.takes[topic]
        data = CODEC.encode(message)
        received_ns = time.monotonic_ns() if received_s is None else int(received_s * 1e9)
        take(Raw(topic=topic, msgtype=msgtype, data=data, received_ns=received_ns))


TOPICS = {
    "depth": "/depth",
    "depth_info": "/depth_info",
    "rgb": "/rgb",
    "imu": "/imu",
    "pose": "/pose",
    "battery": "/battery",
    "bumper": "/bumper",
    "estop": "/estop",
    "heartbeat": "/heartbeat",
}


def with_bumper():
    return GuardianConfig.model_validate({"topics": {"bumper": "/bumper"}})


@pytest.fixture
def link():
    return FakeLink()


@pytest.fixture
def body(link):
    config = GuardianConfig.model_validate({"topics": TOPICS, "mount": {"depth_height_m": 0.3}})
    return RosBody(link, CODEC, config, height_m=0.5)


def _header(stamp_s=12.25):
    stamp = T("builtin_interfaces/msg/Time")(sec=int(stamp_s), nanosec=int(stamp_s % 1 * 1e9))
    return T("std_msgs/msg/Header")(stamp=stamp, frame_id="base")


def _vector(x=0.0, y=0.0, z=0.0):
    return T("geometry_msgs/msg/Vector3")(x=x, y=y, z=z)


def _pose(x, y, yaw):
    point = T("geometry_msgs/msg/Point")(x=x, y=y, z=0.0)
    q = T("geometry_msgs/msg/Quaternion")(x=0.0, y=0.0, z=math.sin(yaw / 2), w=math.cos(yaw / 2))
    return T("geometry_msgs/msg/Pose")(position=point, orientation=q)


def _odometry(v=0.2):
    twist = T("geometry_msgs/msg/Twist")(linear=_vector(x=v), angular=_vector(z=0.1))
    return T("nav_msgs/msg/Odometry")(
        header=_header(),
        child_frame_id="base",
        pose=T("geometry_msgs/msg/PoseWithCovariance")(
            pose=_pose(1.0, 2.0, 0.5), covariance=np.zeros(36)
        ),
        twist=T("geometry_msgs/msg/TwistWithCovariance")(twist=twist, covariance=np.zeros(36)),
    )


def _scan(ranges):
    return T("sensor_msgs/msg/LaserScan")(
        header=_header(),
        angle_min=-math.pi / 2,
        angle_max=math.pi / 2,
        angle_increment=math.pi / (len(ranges) - 1),
        time_increment=0.0,
        scan_time=0.1,
        range_min=0.1,
        range_max=8.0,
        ranges=np.array(ranges, dtype=np.float32),
        intensities=np.zeros(0, dtype=np.float32),
    )


def _image(pixels, encoding):
    return T("sensor_msgs/msg/Image")(
        header=_header(),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=pixels.strides[0],
        data=pixels.reshape(-1).view(np.uint8),
    )


def _info(width=64, height=48, f=50.0):
    k = np.array([f, 0, width / 2, 0, f, height / 2, 0, 0, 1], dtype=np.float64)
    roi = T("sensor_msgs/msg/RegionOfInterest")(
        x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
    )
    return T("sensor_msgs/msg/CameraInfo")(
        header=_header(),
        height=height,
        width=width,
        distortion_model="",
        d=np.zeros(0),
        k=k,
        r=np.zeros(9),
        p=np.zeros(12),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


def test_odometry(body, link):
    link.deliver("/odom", _odometry())
    odom = body.newest()["odom"]
    assert (odom.x_m, odom.y_m, odom.v_mps, odom.w_radps) == (1.0, 2.0, 0.2, 0.1)
    assert odom.yaw_rad == pytest.approx(0.5)
    assert odom.stamp_s == pytest.approx(12.25)
    assert odom.arrival_s == pytest.approx(time.monotonic(), abs=5)


def test_scan(body, link):
    link.deliver("/scan", _scan([math.inf, 1.0, 2.0, math.nan, 0.01]))
    scan = body.newest()["scan"]
    np.testing.assert_allclose(scan.xy_m, [[0.707, -0.707], [2.0, 0.0]], atol=1e-3)
    assert not scan.is_blind
    link.deliver("/scan", _scan([math.nan] * 5))
    assert body.newest()["scan"].is_blind


@pytest.mark.parametrize(
    ("encoding", "dtype", "one_m"), [("16UC1", "u2", 1000), ("32FC1", "f4", 1)]
)
def test_depth_sees_what_stands_and_not_the_floor(body, link, encoding, dtype, one_m):
    image = np.full((48, 64), 1.0 * one_m, dtype=dtype)
    link.deliver("/depth", _image(image, encoding))
    assert "no lens yet" in body.problems["/depth"]
    link.deliver("/depth_info", _info())
    link.deliver("/depth", _image(image, encoding))
    depth = body.newest()["depth"]
    assert not body.problems
    assert depth.xy_m[:, 0] == pytest.approx(1.0)
    # between 0.06 and 0.5 m high, seen from 0.3 m: rows 14 to 36 of 48
    assert 21 * 64 <= len(depth.xy_m) <= 24 * 64
    link.deliver("/depth", _image(np.zeros((48, 64), dtype), encoding))
    assert body.newest()["depth"].is_blind


def test_the_rest_of_the_senses(body, link):
    imu = T("sensor_msgs/msg/Imu")(
        header=_header(),
        orientation=_pose(0, 0, 0).orientation,
        orientation_covariance=np.zeros(9),
        angular_velocity=_vector(z=-0.4),
        angular_velocity_covariance=np.zeros(9),
        linear_acceleration=_vector(),
        linear_acceleration_covariance=np.zeros(9),
    )
    link.deliver("/imu", imu)
    assert body.newest()["imu"].w_radps == -0.4
    covariance = np.zeros(36)
    covariance[0] = 0.25
    pose = T("geometry_msgs/msg/PoseWithCovarianceStamped")(
        header=_header(),
        pose=T("geometry_msgs/msg/PoseWithCovariance")(pose=_pose(3, 4, 1), covariance=covariance),
    )
    link.deliver("/pose", pose)
    assert body.newest()["pose"].std_m == pytest.approx(0.5)
    boolean = T("std_msgs/msg/Bool")
    link.deliver("/bumper", boolean(data=True))
    assert body.newest()["flags"] == Flags(bump=True)
    link.deliver("/bumper", boolean(data=False))
    assert body.newest()["flags"] == Flags()
    link.deliver("/estop", boolean(data=True))
    assert body.newest()["is_estop"]
    link.deliver("/rgb", _image(np.zeros((4, 4, 3), np.uint8), "rgb8"))
    assert body.newest()["rgb"].fingerprint is not None


def test_a_switch_is_subscribed_once_the_robot_tells_of_it(monkeypatch):
    now_s = 100.0
    monkeypatch.setattr("agentd.guardian.ros.time.monotonic", lambda: now_s)
    link = FakeLink()
    del link.types["/bumper"]
    body = RosBody(link, CODEC, with_bumper(), height_m=0.5)
    assert "is not published by anybody" in body.problems["/bumper"]
    link.types["/bumper"] = "irobot_create_msgs/msg/HazardDetectionVector"
    now_s += 2
    body.newest()
    assert link.takes["/bumper"][0] == "irobot_create_msgs/msg/HazardDetectionVector"
    assert not body.problems
    hazard = T("irobot_create_msgs/msg/HazardDetection")
    vector = T("irobot_create_msgs/msg/HazardDetectionVector")
    told = [hazard(header=_header(), type=kind) for kind in (1, 2)]
    link.deliver("/bumper", vector(header=_header(), detections=told), received_s=now_s)
    assert body.newest()["flags"] == Flags(bump=True, cliff=True)
    link.deliver("/bumper", vector(header=_header(), detections=[]), received_s=now_s)
    assert body.newest()["flags"] == Flags()


def test_a_switch_of_an_unknown_kind_is_told():
    link = FakeLink()
    link.types["/bumper"] = "std_msgs/msg/String"
    body = RosBody(link, CODEC, with_bumper(), height_m=0.5)
    assert "accepted: std_msgs/msg/Bool" in body.problems["/bumper"]


def test_what_cannot_be_read_did_not_come(body, link):
    msgtype, take = link.takes["/odom"]
    take(Raw(topic="/odom", msgtype=msgtype, data=b"\x00\x01\x00\x00rubbish", received_ns=1))
    assert "odom" not in body.newest()
    assert "/odom" in body.problems
    link.deliver("/odom", _odometry())
    assert not body.problems


@pytest.mark.parametrize("msgtype", ["geometry_msgs/msg/Twist", "geometry_msgs/msg/TwistStamped"])
def test_the_command_goes_out_as_the_robot_listens(msgtype):
    link = FakeLink(msgtype)
    body = RosBody(link, CODEC, GuardianConfig(), height_m=0.5)
    body.send(0.25, -0.5)
    assert link.advertised == ("/cmd_vel", msgtype)
    raw = Raw(topic="/cmd_vel", msgtype=msgtype, data=link.sent[0], received_ns=0)
    message = CODEC.decode(raw)
    twist = getattr(message, "twist", message)
    assert (twist.linear.x, twist.angular.z) == (0.25, -0.5)
    if message is not twist:
        assert message.header.stamp.sec == pytest.approx(time.time(), abs=5)
    link.broken = True
    body.send(0.0, 0.0)
    assert body.problems["/cmd_vel"] == "broken"
    body.close()
    assert link.closed == 1
