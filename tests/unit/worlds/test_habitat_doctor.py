"""agentd doctor habitat: what is missing, and how to get it."""

import json
import stat
import sys

import pytest
from habitat_dataset import write_dataset
from habitat_worlds import local, settings
from typer.testing import CliRunner

from agentd.cli import app
from agentd.exit_codes import ExitCode
from agentd.worlds.habitat import examination
from agentd.worlds.habitat.examination import examine_habitat


@pytest.fixture
def python(tmp_path):
    """Return a function that writes a Python which says something when it imports habitat_sim."""

    def make(body):
        path = tmp_path / "python"
        path.write_text(
            f'#!/bin/sh\ncase "$3" in *habitat_sim*) {body};; *) echo 3 9 18 1.26.4;; esac\n'
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    return make


def found(**changes):
    return {f.check: f for f in examine_habitat(settings(**changes), local)}


def test_no_habitat_sim_is_answered_by_how_to_get_it():
    finding = found()["habitat_sim"]
    assert finding.level == "fail"
    assert sys.executable in finding.found
    for word in (
        "conda install",
        "headless",
        "-c aihabitat",
        "from source",
        "world.habitat.python",
    ):
        assert word in finding.fix


def test_a_python_that_is_none_is_named():
    finding = found(python="/no/such/python")["habitat python"]
    assert finding.level == "fail"
    assert "world.habitat.python = /no/such/python: cannot be started" in finding.found


def test_missing_libraries_name_their_packages(python):
    says = "echo 'ImportError: libEGL.so.1: cannot open shared object file' >&2; exit 1"
    finding = found(python=python(says))["habitat_sim"]
    assert "libEGL.so.1" in finding.found
    assert finding.fix.startswith("apt-get install libegl1")


def test_a_crash_of_the_import_is_survived(python):
    finding = found(python=python("kill -SEGV $$"))["habitat_sim"]
    assert "SIGSEGV" in finding.found


def test_an_old_python_is_refused(tmp_path):
    path = tmp_path / "python"
    path.write_text("#!/bin/sh\necho 3 8 1 1.20\n")
    path.chmod(0o700)
    assert "3.8.1 is too old" in found(python=str(path))["habitat python"].found


def test_missing_files_are_named(python):
    findings = found(python=python("echo 0.3.3"), navmesh="/no/mesh", episodes="/no/val.json.gz")
    assert findings["habitat_sim"].found == "0.3.3"
    assert "/no/mesh" in findings["habitat navmesh"].found
    assert "/no/val.json.gz" in findings["habitat episodes"].found


@pytest.mark.parametrize(
    ("scene", "check", "level", "words"),
    [
        ("rooms", "habitat annotation", "ok", "11 objects"),
        ("rooms", "habitat navmesh", "ok", "scene: 48 m2 in 1 parts"),
        ("rooms", "habitat images", "ok", "32 x 24"),
        ("bare", "habitat annotation", "warn", "no instance mask"),
        ("solid", "habitat scene", "fail", "no navmesh"),
        ("absent", "habitat scene", "fail", "there is no scene"),
        ("", "habitat scene", "warn", "none is set"),
    ],
)
def test_a_scene_is_tried_as_a_life_would(python, scene, check, level, words):
    finding = found(python=python("echo 0.3.3"), scene=scene)[check]
    assert finding.level == level
    assert words in finding.found
    assert finding.level == "ok" or finding.fix


def test_a_floor_that_is_elsewhere_is_measured(python):
    right = found(python=python("echo 0.3.3"))["habitat floor"]
    assert right.level == "ok"
    wrong = found(python=python("echo 0.3.3"), floor_gap_m=0.0)["habitat floor"]
    assert wrong.level == "warn"
    assert wrong.found.startswith("-0.10 m")
    assert wrong.fix == "set world.habitat.floor_gap_m = 0.10"


def test_a_file_of_episodes_that_cannot_be_used_is_a_finding(python, tmp_path):
    folder = write_dataset(tmp_path, ())
    findings = found(python=python("echo 0.3.3"), scene="", episodes=str(folder))
    assert "content" in findings["habitat scene"].found


def test_missing_libraries_are_a_warning(monkeypatch):
    monkeypatch.setattr(examination.ctypes.util, "find_library", lambda name: None)
    finding = found()["libOpenGL"]
    assert (finding.level, "libopengl0" in finding.found) == ("warn", True)


def test_the_command(tmp_path):
    words = ["doctor", "habitat", "--home", str(tmp_path / "h"), "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == ExitCode.UNEXPECTED
    checks = {finding["check"] for finding in json.loads(done.stdout)["findings"]}
    assert "habitat_sim" in checks
    done = CliRunner().invoke(app, ["doctor", "submarine", "--home", str(tmp_path / "h")])
    assert done.exit_code == ExitCode.USAGE
    assert "'submarine'; there is: habitat" in done.output
