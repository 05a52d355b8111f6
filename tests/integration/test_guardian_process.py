"""The guardian's process with a robot and a policy beside it: killed, frozen, shouted at.

S1, S2, S6, S14, S21, S22, S23. Times are those of the wire; the margins are for a loaded machine.
"""

import itertools
import json
import os
import signal
import socket
import stat

import pytest
from guardian_trio import Trio, wait_for
from typer.testing import CliRunner

from agentd.cli import app
from agentd.exit_codes import ExitCode
from agentd.guardian.places import Places
from agentd.home import Home

MARGIN_S = 0.35
RAMP_S = 0.3 / 1.0


@pytest.fixture
def trio(tmp_path):
    with Trio(tmp_path) as trio:
        yield trio


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_s1_a_policy_that_hangs_or_dies_is_ramped_to_zero(trio, number):
    trio.drive()
    at_s = trio.signal("policy", number)
    zero_s = wait_for(lambda: next((t for t, v in trio.wire() if t > at_s and v == 0), None))
    assert zero_s - at_s <= 0.20 + RAMP_S + 2 * 0.05 + MARGIN_S
    assert trio.rest_s(at_s) - at_s <= 0.20 + 2 * RAMP_S + 2 * 0.05 + MARGIN_S
    speeds = [v for t, v in trio.wire() if t > at_s]
    assert all(b <= a + 1e-9 for a, b in itertools.pairwise(speeds))
    if number == signal.SIGSTOP:
        trio.signal("policy", signal.SIGCONT)
        wait_for(lambda: trio.robot_v() > 0.29)


def test_s2_a_guardian_that_is_killed_leaves_a_robot_that_stops_by_itself(trio):
    trio.drive()
    at_s = trio.signal("guardian", signal.SIGKILL)
    assert trio.rest_s(at_s) - at_s <= 0.5 + 0.3 / 1.0 + MARGIN_S
    trio.children["guardian"].wait(10)
    trio.start("guardian")
    state = trio.ask("status")["state"]
    assert (state["is_armed"], state["is_estop"]) == (False, False)
    assert trio.robot_v() == 0


def test_s6_a_robot_that_stalls_hears_no_motion_that_is_late(trio):
    trio.drive()
    at_s = trio.signal("robot", signal.SIGSTOP)
    wait_for(lambda: trio.ask("status")["state"]["counts"].get("stale", 0) > 20)
    on_s = trio.signal("robot", signal.SIGCONT)
    wait_for(lambda: [1 for r in trio.rows() if r.get("sent", 0) > on_s and r["v"] > 0.1])
    rows = [r for r in trio.rows() if r["t"] > at_s + 0.05 and "v" in r]
    backlog = [r for r in rows if r["sent"] < on_s]
    assert sum(r["v"] != 0 for r in backlog) <= (0.3 + MARGIN_S) * 20
    assert not [r for r in backlog if r["v"] != 0 and r["sent"] > at_s + 0.3 + MARGIN_S]
    after = [r for r in rows if r["sent"] > on_s]
    first = next(r["sent"] for r in after if r["v"] != 0)
    zeros = [r for r in after if r["sent"] < first]
    assert len(zeros) >= 5
    assert first - zeros[0]["sent"] > 0.3


def test_s14_an_estop_outlives_the_process_that_was_told(trio):
    trio.drive()
    assert trio.ask("estop", "the test")["ok"]
    at_s = trio.wire()[-1][0]
    trio.rest_s(at_s)
    wait_for(lambda: trio.ask("status")["state"]["is_saved"])
    trio.signal("guardian", signal.SIGKILL)
    trio.children["guardian"].wait(10)
    trio.start("guardian")
    state = trio.ask("status")["state"]
    assert state["is_estop"]
    assert state["reason"] == "the test"
    refused = wait_for(lambda: "release" in trio.ask("arm")["text"] and trio.ask("arm"))
    assert not refused["ok"]
    assert trio.ask("release")["ok"]
    assert trio.robot_v() == 0
    trio.arm()
    wait_for(lambda: trio.robot_v() > 0.29)


def test_sigterm_leaves_zeros_and_loads_nothing_that_learns(trio):
    trio.drive()
    trio.signal("guardian", signal.SIGTERM)
    assert trio.children["guardian"].wait(10) == 0
    wait_for(lambda: [v for _, v in trio.wire()[-3:]] == [0.0] * 3)
    modules = json.loads((trio.folder / "modules.json").read_text())
    heads = {name.split(".")[0] for name in modules}
    assert "shapely" in heads
    assert not heads & {"torch", "ray", "lancedb", "textual", "mujoco", "pickle5"}
    assert not Places(Home(trio.folder)).socket.exists()


def test_s23_garbage_on_the_socket_is_refused_and_nothing_else_happens(trio):
    trio.drive()
    path = Places(Home(trio.folder)).socket
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    good = {"v": 1, "kind": "ask", "do": "status"}
    garbage = [
        os.urandom(3000),
        b"x" * 100_000,
        b"{}",
        b"[" * 4000,
        json.dumps({**good, "v": 2}).encode(),
        json.dumps({**good, "do": "fly"}).encode(),
        json.dumps({**good, "reason": 5}).encode(),
        b'{"v": 1, "kind": "command", "v_mps": "fast"}',
        b"\x80\x04\x95",  # a pickle's first bytes
    ]
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(10)
        sock.connect(str(path))
        for data in garbage:
            sock.send(data)
            answer = json.loads(sock.recv(65536))
            assert not answer["ok"]
            assert "refused" in answer["text"]
    # bad packets are bad commands: three within a second are a fault, until someone arms
    state = wait_for(lambda: (s := trio.ask("status")["state"])["counts"].get("command_bad") and s)
    assert state["is_armed"]
    trio.arm()
    wait_for(lambda: trio.robot_v() > 0.29)


def test_s21_what_the_self_test_finds_is_told_and_nothing_moves(trio):
    (trio.folder / "other_publisher").touch()
    trio.start("robot", "guardian", "policy")
    answer = wait_for(lambda: (a := trio.ask("arm")) and "publisher" in a["text"] and a)
    assert not answer["ok"]
    assert trio.robot_v() == 0
    (trio.folder / "other_publisher").unlink()
    trio.arm()


def test_s2_the_robots_own_timeout_is_measured_before_it_is_armed(trio):
    (trio.folder / "unmeasured").touch()
    trio.start("robot", "guardian", "policy")
    refused = wait_for(lambda: (a := trio.ask("arm")) and "never measured" in a["text"] and a)
    assert not refused["ok"]
    wait_for(lambda: trio.ask("measure")["ok"])
    state = wait_for(
        lambda: (s := trio.ask("status")["state"])["watchdog_s"] and not s["is_measuring"] and s
    )
    # 0.4 s of watchdog and 0.1 s of ramp
    assert 0.40 <= state["watchdog_s"] <= 0.5 + MARGIN_S
    assert not state["is_armed"]
    wait_for(lambda: trio.robot_v() == 0)
    speeds = [v for _, v in trio.wire()]
    last = max(i for i, v in enumerate(speeds) if v)
    assert speeds[last] == pytest.approx(0.1)  # what comes after the silence are zeros


def test_s22_every_intervention_is_in_the_log_and_told_to_the_agent(trio):
    trio.drive()
    trio.signal("policy", signal.SIGSTOP)
    wait_for(lambda: trio.robot_v() == 0)
    trio.signal("policy", signal.SIGCONT)
    wait_for(lambda: trio.robot_v() > 0.29)

    def told():
        lines = (trio.folder / "told.jsonl").read_text().splitlines()
        return any("command_old" in json.loads(line)["causes"] for line in lines if line[-1] == "}")

    wait_for(told)
    events = (trio.folder / "guardian.jsonl").read_text().splitlines()
    texts = [json.loads(line)["text"] for line in events]
    assert any("command_old" in text for text in texts)
    assert texts[-1] == "guardian: lets go on"


def _agentd(*words):
    return CliRunner().invoke(app, ["guardian", *words])


def test_the_command_line_drives_the_guardian(trio):
    home = ["--home", str(trio.folder)]
    assert _agentd("arm", *home).exit_code == ExitCode.NOT_RUNNING
    assert _agentd("estop", *home, "--reason", "before the start").exit_code == 0
    trio.start("robot", "guardian")
    assert "e-stop pressed by before the start" in _agentd("status", *home).output
    refused = wait_for(lambda: (r := _agentd("arm", *home)) and "release" in r.output and r)
    assert refused.exit_code == ExitCode.NOT_YET
    assert _agentd("release", *home).exit_code == 0
    wait_for(lambda: _agentd("arm", *home).exit_code == 0)
    state = json.loads(_agentd("status", *home, "--json").stdout)
    assert state["is_armed"]
    assert _agentd("disarm", *home).exit_code == 0
    assert "not armed" in _agentd("status", *home).output


def test_a_second_guardian_is_refused(trio):
    trio.start("robot", "guardian")
    second = Trio(trio.folder)
    with pytest.raises(AssertionError, match="a guardian already answers"):
        _start_second(second)


def _start_second(second: Trio) -> None:
    with second:
        second.start("guardian")
        second.children["guardian"].wait(20)
        assert second.children["guardian"].poll() is None, (
            second.folder / "guardian.log"
        ).read_text()
