"""The doctor: sees what is broken, names the repair, changes nothing."""

import json
import sys

import pytest
from fake_life import FakeLife, born, living
from typer.testing import CliRunner

from agentd import doctor
from agentd.cli import app
from agentd.doctor import Finding, check_home, check_names, examine, probe_import
from agentd.home import Home


@pytest.fixture(autouse=True)
def _light_imports(monkeypatch):
    monkeypatch.setattr(doctor, "check_imports", lambda: iter([Finding("torch", "ok", "2")]))


def by_check(findings):
    return {finding.check: finding for finding in findings}


def test_a_healthy_home_has_no_failures(tmp_path):
    findings = examine(born(tmp_path / "h"))
    assert [f for f in findings if f.level == "fail"] == []
    assert {"python", "packages", "package names", "cores", "memory", "disk", "clock"} <= set(
        by_check(findings)
    )
    assert {"home", "settings", "running", "tables", "checkpoints"} <= set(by_check(findings))


def test_every_problem_comes_with_a_repair(tmp_path):
    home = born(tmp_path / "h")
    home.life_file.write_text("{")
    assert all(f.fix for f in examine(home) if f.level != "ok")


def test_a_missing_home_is_fine_and_stays_missing(tmp_path):
    home = Home(tmp_path / "none")
    assert by_check(check_home(home))["home"].level == "ok"
    assert not home.path.exists()


def test_a_damaged_home_fails(tmp_path):
    home = born(tmp_path / "h")
    home.life_file.write_text("{")
    finding = by_check(check_home(home))["home"]
    assert finding.level == "fail"
    assert "life.json is damaged" in finding.found


def test_a_wrong_setting_fails(tmp_path):
    home = born(tmp_path / "h")
    home.config_file.write_text("[life]\npaec = 1\n")
    finding = by_check(check_home(home))["settings"]
    assert (finding.level, "did you mean life.pace?" in finding.found) == ("fail", True)


def test_a_damaged_checkpoint_fails(tmp_path):
    home = born(tmp_path / "h")
    (home.checkpoints_folder / "ckpt-00001").mkdir()
    assert by_check(check_home(home))["checkpoints"].level == "fail"


def test_a_running_life_is_asked(tmp_path):
    home = born(tmp_path / "h")
    with living(home, FakeLife().handlers()):
        assert "answers" in by_check(check_home(home))["running"].found
    with home.locked():
        assert by_check(check_home(home))["running"].level == "warn"


def test_what_was_put_aside_is_mentioned(tmp_path):
    home = born(tmp_path / "h")
    (home.state_folder / "map.npz.damaged").write_bytes(b"")
    assert by_check(check_home(home))["state"].level == "warn"


def test_another_owner_of_a_package_name_is_found():
    findings = list(check_names({"memory": ["agentd", "memory-profiler-x"]}))
    assert [f.level for f in findings] == ["fail"]
    assert "memory-profiler-x" in findings[0].found
    assert "uninstall memory-profiler-x" in findings[0].fix


def test_a_library_that_cannot_be_imported_is_found():
    assert probe_import("sys", "print(1)") == Finding("sys", "ok", "1")
    broken = probe_import("x", "import no_such_module_here")
    assert broken.level == "fail"
    assert "no_such_module_here" in broken.found


def test_a_check_that_breaks_is_a_finding(tmp_path, monkeypatch):
    def broken():
        raise OSError("no such device")

    monkeypatch.setattr(doctor, "check_clock", broken)
    assert "no such device" in by_check(examine(Home(tmp_path)))["broken"].found


def test_json_and_exit_code(tmp_path):
    home = born(tmp_path / "h")
    words = ["doctor", "--home", str(home.path)]
    result = CliRunner().invoke(app, [*words, "--json"])
    findings = json.loads(result.stdout)["findings"]
    assert result.exit_code == 0
    assert all(set(f) == {"check", "level", "found", "fix"} for f in findings)
    home.life_file.write_text("{")
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert "FAIL  home" in result.stdout
    assert "fix: restore life.json" in result.stdout


def test_the_interpreter_is_named():
    assert sys.executable in next(doctor.check_python()).found
