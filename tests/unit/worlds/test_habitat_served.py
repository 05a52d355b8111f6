"""A simulator in another process: how it is started, and every way in which it may go."""

import ast
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from habitat_worlds import FAKE, fake_world, served, settings

from agentd.exit_codes import ExitCode
from agentd.worlds.habitat import serve, sim, wire
from agentd.worlds.habitat.backend import Simulator
from agentd.worlds.habitat.errors import HabitatError, SimulatorLostError
from agentd.worlds.habitat.opening import plain
from agentd.worlds.habitat.remote import RemoteCaller
from memory.records import Action

FORWARD = Action(v_mps=0.5, w_radps=0.3, duration_s=0.2)
FEET, AHEAD = np.array([3.0, 0.1, -3.0]), np.array([0.0, 0, 0, 1])


def observe(caller):
    return Simulator(caller, 32, 24).observe(FEET, AHEAD)


@pytest.fixture
def start():
    callers = []

    def make(scene="rooms", **changes):
        callers.append(served(settings(scene=scene, **changes)))
        return callers[-1]

    yield make
    for caller in callers:
        caller.close()
        with pytest.raises(ProcessLookupError):
            os.kill(caller.pid, 0)


def test_what_is_served_is_what_it_is_here(start):
    here = Simulator(
        type("Here", (), {"call": lambda _, n, a=None, r=None: getattr(fake(), n)(a, r)})(), 32, 24
    )
    there = Simulator(start(), 32, 24)
    for name in ("rgb", "depth_m", "semantic"):
        np.testing.assert_array_equal(
            getattr(here.observe(FEET, AHEAD), name), getattr(there.observe(FEET, AHEAD), name)
        )
    ends = np.array([[3.0, 0.1, -6.0], [1.0, 0.1, -3.0]])
    lengths, nearest = there.geodesics(FEET[None], ends)
    np.testing.assert_allclose(lengths, [2.0], atol=1e-6)
    assert nearest.tolist() == [1]
    lengths, nearest = there.geodesics(FEET[None], np.zeros((0, 3)))
    assert (lengths[0], nearest[0]) == (np.inf, -1)


def fake():
    import habitat_fake

    return habitat_fake.FakeBackend(plain(settings()))


@pytest.mark.parametrize("file", [serve, sim, wire], ids=lambda m: m.__name__.split(".")[-1])
def test_what_is_served_is_python_3_9_and_needs_nothing_of_ours(file):
    tree = ast.parse(Path(file.__file__).read_text(), feature_version=(3, 9))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert imported <= set(sys.stdlib_module_names) | {"numpy", "habitat_sim"}
    assert "annotations" in Path(file.__file__).read_text().split("import ", 2)[1]


def test_it_runs_by_the_oldest_python_that_is_here(start, monkeypatch):
    python = os.environ.get("AGENTD_TEST_PYTHON39")
    if not python:
        pytest.skip("AGENTD_TEST_PYTHON39 names no Python 3.9 with numpy")
    old = served(settings(), python)
    try:
        assert observe(old).rgb.any()
    finally:
        old.close()


@pytest.mark.parametrize(
    ("scene", "words"),
    [
        ("exit", r"ended during observe \(exit code 1\).*unable to find CUDA device 0"),
        ("abort", r"ended during observe \(signal SIGABRT\)"),
        ("sleep", "silent during observe"),
    ],
)
def test_an_end_is_told_with_its_last_words(start, scene, words):
    caller = start(scene, timeout_s=1.5 if scene == "sleep" else 20)
    observe(caller), observe(caller)
    with pytest.raises(SimulatorLostError, match=words) as caught:
        observe(caller)
    assert caught.value.exit_code is ExitCode.WORLD_SILENT
    with pytest.raises(SimulatorLostError, match="closed"):
        observe(caller)


def test_what_the_simulator_raises_is_told_and_it_goes_on(start):
    caller = start("raise")
    observe(caller), observe(caller)
    with pytest.raises(HabitatError, match="AssertionError: ESP_CHECK failed"):
        observe(caller)
    assert observe(caller).rgb.any()


def test_a_scene_that_is_refused_leaves_no_process(start):
    with pytest.raises(HabitatError, match=r"there is no scene .*absent\.glb"):
        served(settings(scene="absent.glb"))


def test_an_unknown_call_is_refused(start):
    caller = start()
    with pytest.raises(HabitatError, match="unknown call 'system'; known: open, describe"):
        caller.call("system")
    assert observe(caller).rgb.any()


def test_without_habitat_sim_it_says_so():
    config = settings(scene=__file__)
    with pytest.raises(HabitatError, match="No module named 'habitat_sim'"):
        RemoteCaller(sys.executable, plain(config), start_timeout_s=30, timeout_s=5)


def test_a_python_that_is_none_is_named():
    with pytest.raises(HabitatError, match=r"world\.habitat\.python = '/no/python'"):
        served(settings(), "/no/python")


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        ("print('Segmentation fault'); raise SystemExit(3)", SimulatorLostError, "Segmentation"),
        ("s.sendall(b'GET / HTTP/1.1 and more')", SimulatorLostError, "starts with"),
        ("import wire; wire.send(s, {'hello': 'you'})", SimulatorLostError, "instead of hello"),
        (
            "import wire; wire.send(s, {'hello': 'agentd-habitat', 'version': 0})",
            HabitatError,
            "speaks version 0, this program version 1",
        ),
    ],
)
def test_a_stranger_at_the_other_end(tmp_path, monkeypatch, body, error, words):
    script = tmp_path / "stranger.py"
    folder = Path(wire.__file__).parent
    script.write_text(
        f"import sys, socket; sys.path.insert(0, {str(folder)!r})\n"
        f"s = socket.socket(fileno=int(sys.argv[2]))\n{body}\n"
        "s.recv(1)\n"
    )
    monkeypatch.setattr("agentd.worlds.habitat.remote._SERVE", script)
    with pytest.raises(error, match=words):
        served(settings())


def test_an_answer_to_another_call_is_not_taken(tmp_path, monkeypatch):
    script = tmp_path / "mixed.py"
    script.write_text(
        f"import sys, socket; sys.path.insert(0, {str(Path(wire.__file__).parent)!r})\n"
        "import wire; s = socket.socket(fileno=int(sys.argv[2]))\n"
        "wire.send(s, {'hello': 'agentd-habitat', 'version': wire.VERSION})\n"
        "wire.receive(s, None); wire.send(s, {'id': 77})\nwire.receive(s, None)\n"
    )
    monkeypatch.setattr("agentd.worlds.habitat.remote._SERVE", script)
    with pytest.raises(SimulatorLostError, match="answer 77 to another call"):
        served(settings())


def test_it_ends_with_the_one_that_started_it(start):
    caller = start()
    caller._connection.close()
    assert caller._process.wait(10) == 0


def test_a_world_outlives_its_simulator(tmp_path):
    scene = f"{tmp_path}/once-exit"
    calm = fake_world(scene="rooms")
    world = fake_world(served, scene=scene)
    for each in (calm, world):
        each.reset(3)
    events = []
    for _ in range(5):
        a, b = calm.step(FORWARD), world.step(FORWARD)
        np.testing.assert_array_equal(a.observation.rgb, b.observation.rgb)
        np.testing.assert_array_equal(a.observation.egomotion, b.observation.egomotion)
        events += b.events
    assert len(events) == 1
    assert "started again" in events[0]
    assert "exit code 1" in events[0]
    world.close()


def test_a_world_whose_simulator_ends_again_and_again_gives_up():
    world = fake_world(served, scene="exit", max_restarts=2)
    world.reset(3)
    with pytest.raises(SimulatorLostError, match=r"end 3 within 600 s.*max_restarts = 2"):
        _drive_on(world)
    world.close()


def _drive_on(world):
    for _ in range(20):
        world.step(FORWARD)


def test_a_killed_simulator_is_started_again():
    callers = []

    def opener(config):
        callers.append(served(config))
        return callers[-1]

    world = fake_world(opener)
    before = world.reset(3)
    os.kill(callers[0].pid, signal.SIGKILL)
    after = world.reset()
    np.testing.assert_array_equal(before.rgb, after.rgb)
    assert len(callers) == 2
    world.close()


def test_the_fake_is_served_from_its_file():
    assert FAKE.name == "habitat_fake.py"
