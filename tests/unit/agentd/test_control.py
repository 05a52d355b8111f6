"""The control socket: only for the user, and unimpressed by whatever comes in."""

import contextlib
import json
import logging
import os
import socket
import stat
import threading
import time
from pathlib import Path

import pytest
from fake_life import born, living

from agentd.client import Client, NotRunningError, RefusedError
from agentd.control import ControlError, ControlLimits, ControlServer, SocketInUseError
from agentd.exit_codes import AgentdError, ExitCode


def refuse(args):
    raise ControlError("not_found", "no goal g9")


def break_down(args):
    raise ZeroDivisionError("by zero")


HANDLERS = {
    "status": lambda args: {"ok": 1},
    "echo": lambda args: args,
    "nan": lambda args: {"a": float("nan"), "b": [1.0, float("inf")], "c": {"d": (2,)}},
    "refuse": refuse,
    "break": break_down,
    "unsendable": lambda args: {"a": object()},
}


@pytest.fixture
def home(tmp_path):
    return born(tmp_path / "h")


@pytest.fixture
def server(home):
    with living(home, HANDLERS) as running:
        yield running


def raw(server: ControlServer) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(str(server.path))
    return connection


def ask(connection: socket.socket, data: bytes) -> dict:
    connection.sendall(data)
    with connection.makefile("rb") as file:
        return json.loads(file.readline())


def test_only_the_user_may_open_the_socket(server):
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.path.parent.stat().st_mode) == 0o700


def test_the_umask_does_not_open_the_socket(home):
    before = os.umask(0)
    try:
        with living(home, HANDLERS) as server:
            assert stat.S_IMODE(server.path.stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_request_and_answer(server):
    with raw(server) as connection:
        answer = ask(connection, b'{"id": 7, "cmd": "echo", "args": {"a": 1}}\n')
    assert answer == {"id": 7, "ok": True, "result": {"a": 1}}


def test_args_may_be_left_out(server):
    with raw(server) as connection:
        assert ask(connection, b'{"id": "x", "cmd": "echo"}\n')["result"] == {}


@pytest.mark.parametrize(
    ("line", "code", "part"),
    [
        (b"hello", "bad_json", "one JSON object per line"),
        (b"\xff\xfe\x00", "bad_json", "JSON"),
        (b"[" * 100_000, "bad_json", "JSON"),
        (b"[1]", "bad_request", "object"),
        (b"null", "bad_request", "object"),
        (b'{"id": 1}', "bad_request", '"cmd"'),
        (b'{"cmd": 3}', "bad_request", '"cmd"'),
        (b'{"cmd": "echo", "args": [1]}', "bad_request", '"args"'),
        (b'{"cmd": "echo", "id": {}}', "bad_request", '"id"'),
        (b"", "bad_json", "JSON"),
    ],
)
def test_malformed_requests_are_answered_and_the_connection_goes_on(server, line, code, part):
    with raw(server) as connection:
        answer = ask(connection, line + b"\n")
        assert not answer["ok"]
        assert answer["error"]["code"] == code
        assert part in answer["error"]["message"]
        assert ask(connection, b'{"id": 1, "cmd": "status"}\n')["ok"]


def test_an_unknown_command_is_refused_with_a_guess(server):
    with raw(server) as connection:
        error = ask(connection, b'{"id": 1, "cmd": "statsu"}\n')["error"]
    assert error["code"] == "unknown_command"
    assert "did you mean status?" in error["message"]


def test_a_failing_handler_is_an_answer_and_a_log_line(server, home, caplog):
    with Client(home.path) as client, caplog.at_level(logging.ERROR):
        with pytest.raises(RefusedError, match="ZeroDivisionError") as caught:
            client.call("break")
        with pytest.raises(RefusedError, match="unsendable failed"):
            client.call("unsendable")
        assert client.call("status") == {"ok": 1}
    assert caught.value.code == "internal"
    assert caught.value.exit_code == ExitCode.UNEXPECTED
    assert "control command break failed" in caplog.text


def test_a_refusal_keeps_its_code(server, home):
    with Client(home.path) as client, pytest.raises(RefusedError, match="no goal g9") as caught:
        client.call("refuse")
    assert (caught.value.code, caught.value.exit_code) == ("not_found", ExitCode.NOT_FOUND)


def test_numbers_that_json_cannot_write_become_null(server, home):
    with Client(home.path) as client:
        assert client.call("nan") == {"a": None, "b": [1.0, None], "c": {"d": [2]}}


@pytest.mark.parametrize("ends", [b"", b"\n"])
def test_a_line_over_the_limit_is_refused_and_cut_off(home, ends):
    limits = ControlLimits(max_line_bytes=1000)
    with living(home, HANDLERS, limits) as server, raw(server) as connection:
        assert ask(connection, b"x" * 1001 + ends)["error"]["code"] == "too_large"
        assert connection.recv(1) == b""


def test_a_line_at_the_limit_is_taken(home):
    request = b'{"cmd": "status"}'
    limits = ControlLimits(max_line_bytes=len(request))
    with living(home, HANDLERS, limits) as server, raw(server) as connection:
        assert ask(connection, request + b"\n")["ok"]


def test_several_requests_in_one_packet_are_answered_in_order(server):
    lines = b"".join(b'{"id": %d, "cmd": "status"}\n' % n for n in range(20))
    with raw(server) as connection, connection.makefile("rb") as file:
        connection.sendall(lines)
        assert [json.loads(file.readline())["id"] for _ in range(20)] == list(range(20))


def test_two_clients_at_once_get_their_own_answers(server, home):
    wrong = []

    def talk(name):
        with Client(home.path) as client:
            for n in range(50):
                if client.call("echo", who=name, n=n) != {"who": name, "n": n}:
                    wrong.append((name, n))

    threads = [threading.Thread(target=talk, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_handlers_are_called_one_at_a_time(home):
    inside = threading.Semaphore(1)
    overlaps = []

    def count(args):
        if not inside.acquire(blocking=False):
            overlaps.append(1)
            return {}
        threading.Event().wait(0.001)  # lets the others come in, if they can
        inside.release()
        return {}

    def talk():
        with Client(home.path) as client:
            for _ in range(10):
                client.call("count")

    with living(home, {"count": count}):
        threads = [threading.Thread(target=talk) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert overlaps == []


def test_too_many_clients_are_turned_away_and_let_in_later(home):
    limits = ControlLimits(max_clients=2)
    request = b'{"cmd": "status"}\n'
    with living(home, HANDLERS, limits) as server:
        with raw(server) as one, raw(server) as two:
            assert ask(one, request)["ok"]
            assert ask(two, request)["ok"]
            with raw(server) as three, three.makefile("rb") as file:
                assert json.loads(file.readline())["error"]["code"] == "busy"
                assert file.readline() == b""
        deadline = time.monotonic() + 10
        is_let_in = False
        while not is_let_in and time.monotonic() < deadline:  # it notices that two have gone
            # turned away before it has asked, a client may also find the line cut
            with raw(server) as four, contextlib.suppress(ConnectionError):
                is_let_in = ask(four, request)["ok"]
        assert is_let_in


def test_a_silent_client_is_cut_off(home):
    with living(home, HANDLERS, ControlLimits(idle_s=0.05)) as server, raw(server) as connection:
        connection.sendall(b'{"cmd": ')
        assert connection.recv(1) == b""


def test_a_client_that_drips_bytes_is_cut_off(home):
    limits = ControlLimits(idle_s=0.1)
    with living(home, HANDLERS, limits) as server, raw(server) as connection:
        connection.settimeout(0.01)
        for _ in range(1000):
            try:
                connection.sendall(b"x")
                assert connection.recv(1) == b""
                break
            except TimeoutError:  # still open
                continue
            except ConnectionError:
                break
        else:
            pytest.fail("the connection stayed open for 1000 bytes")


def test_a_flood_is_slowed_down():
    from agentd.control import _Throttle

    throttle = _Throttle(max_per_s=3)
    assert [throttle.delay_s(100.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert throttle.delay_s(100.25) == pytest.approx(0.75)
    assert throttle.delay_s(101.0) == 0.0


def test_the_socket_of_a_killed_life_is_replaced_by_the_holder_of_the_lock(home):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(home.socket_path()))
    with Client(home.path) as client:
        assert not client.is_running()
    with living(home, HANDLERS), Client(home.path) as client:
        assert client.call("status") == {"ok": 1}
    assert not home.socket_path().exists()
    assert not home.control_file.exists()


def test_without_the_lock_a_stale_socket_stays(tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(SocketInUseError):
        ControlServer(path, HANDLERS).start()
    assert path.exists()


def test_a_living_socket_is_never_replaced(server):
    second = ControlServer(server.path, HANDLERS, replace_stale=True)
    with pytest.raises(SocketInUseError, match="already answers"):
        second.start()
    with raw(server) as connection:
        assert ask(connection, b'{"cmd": "status"}\n')["ok"]


def test_close_is_quiet_when_called_twice_and_cuts_clients_off(home):
    with living(home, HANDLERS) as server:
        with raw(server) as connection:
            assert ask(connection, b'{"cmd": "status"}\n')["ok"]
            server.close()
            assert connection.recv(1) == b""
        server.close()
    assert not any(thread.name.startswith("control") for thread in threading.enumerate())


def test_a_long_home_is_reached_through_the_runtime_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("agentd.home.tempfile.gettempdir", lambda: str(tmp_path))
    home = born(tmp_path / ("long" * 30))
    with living(home, HANDLERS) as server:
        assert server.path.parent != home.path
        monkeypatch.setattr("agentd.home.tempfile.gettempdir", lambda: "/nowhere")
        with Client(home.path) as client:  # control.json says where, not the environment
            assert client.call("status") == {"ok": 1}


def test_no_life_says_what_to_type(home):
    with pytest.raises(NotRunningError, match="start it with: agentd start --home") as caught:
        Client(home.path).call("status")
    assert caught.value.exit_code == ExitCode.NOT_RUNNING


def test_a_life_that_does_not_answer_yet_is_told_apart(home):
    with home.locked(), pytest.raises(NotRunningError, match="starting or stopping"):
        Client(home.path).call("status")


def test_a_client_outlives_a_restart_of_the_life(home):
    with Client(home.path) as client:
        for _ in range(2):
            with living(home, HANDLERS):
                assert client.call("status") == {"ok": 1}
        with pytest.raises(NotRunningError):
            client.call("status")


def test_a_damaged_control_file_is_named(home):
    with living(home, HANDLERS):
        home.control_file.write_text("{")
        with pytest.raises(NotRunningError, match=r"control\.json cannot be read"):
            Client(home.path).call("status")


def test_an_answer_that_does_not_come_is_told(home):
    release = threading.Event()

    def hang(args):
        release.wait(10)
        return {}

    with living(home, HANDLERS | {"hang": hang}):
        with Client(home.path, timeout_s=0.05) as client:
            with pytest.raises(AgentdError, match=r"did not answer hang within 0\.05 s"):
                client.call("hang")
            release.set()
        with Client(home.path) as client:
            assert client.call("status") == {"ok": 1}


def test_a_home_that_does_not_exist_is_not_running(tmp_path: Path):
    assert not Client(tmp_path / "nowhere").is_running()
