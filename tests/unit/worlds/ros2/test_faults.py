"""The faults of a simulated robot, and the socket that they are asked for at."""

import stat

import pytest
from robot_tools import CODEC

from agentd.worlds.ros2 import compose
from agentd.worlds.ros2.faults import Faults, FaultSocket, ask_fault
from agentd.worlds.ros2.link import LinkError
from agentd.worlds.ros2.simulate import _restamp

LONG_S = 60.0


def message(number: int):
    return compose.battery(CODEC, number, number / 100)


def sent(faults: Faults, number: int) -> list[tuple[int, float]]:
    """Return stamp and value of what is sent in place of a message."""
    altered = faults.alter("/battery", message(number), _restamp)
    return [(m.header.stamp.nanosec, round(100 * m.percentage)) for m in altered]


@pytest.fixture
def faults() -> Faults:
    faults = Faults(("/battery",))
    assert sent(faults, 1) == [(1, 1)]
    return faults


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("freeze", [(1, 1)]), ("stale", [(2, 1)]), ("drop", []), ("delay", [])],
)
def test_what_is_sent_instead(faults: Faults, kind: str, expected: list) -> None:
    faults.begin(kind, "/battery", LONG_S, 0.0)
    assert sent(faults, 2) == expected


def test_what_is_delayed_comes_later(faults: Faults) -> None:
    faults.begin("delay", "/battery", LONG_S, 1e-9)
    assert sent(faults, 2) == []
    assert sent(faults, 3) == [(2, 2)]


def test_a_fault_ends(faults: Faults) -> None:
    faults.begin("drop", "/battery", 1e-9, 0.0)
    assert sent(faults, 2) == [(2, 2)]


def test_faults_of_the_whole_robot(faults: Faults) -> None:
    assert not faults.ignores_commands
    faults.begin("ignore-commands", "", LONG_S, 0.0)
    faults.begin("clock", "", LONG_S, -2.5)
    assert faults.ignores_commands
    assert faults.clock_ns == -2_500_000_000


def test_a_socket_of_one_user(faults: Faults, tmp_path) -> None:
    path = tmp_path / "own" / "robot.sock"
    listener = FaultSocket(path, faults)
    try:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert "drop /battery" in ask_fault(path, "drop", "/battery", LONG_S, 0.0)
        assert sent(faults, 2) == []
        for kind, topic, for_s, told in (
            ("melt", "", 1.0, "'melt'; accepted: freeze"),
            ("drop", "/eye", 1.0, "'/eye'; accepted: /battery"),
            ("drop", "/battery", -1.0, "accepted: up to 3600"),
        ):
            with pytest.raises(ValueError, match=told):
                ask_fault(path, kind, topic, for_s, 0.0)
        with pytest.raises(LinkError, match="another simulated robot"):
            FaultSocket(path, faults)
    finally:
        listener.close()
    assert not path.exists()
    with pytest.raises(LinkError, match="agentd robot simulate"):
        ask_fault(path, "drop", "/battery", 1.0, 0.0)


def test_a_folder_that_others_may_write_to_is_refused(faults: Faults, tmp_path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(LinkError, match="not this user's alone"):
        FaultSocket(tmp_path / "robot.sock", faults)
