"""The README is true: every command in it runs, every file it names is there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from living import LivingProcess, small_recipe

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.S)
COMMANDS = [
    line.split("  #")[0].strip()
    for block in BLOCKS
    for line in block.splitlines()
    if line.strip() and not line.lstrip().startswith("#")
]
TINY = {
    "AGENTD_LEARNERS__ROUND__FIRST_ROWS": "128",
    "AGENTD_LEARNERS__ROUND__MIN_NEW_ROWS": "128",
    "AGENTD_LEARNERS__ROUND__BUDGET_S": "4",
    "AGENTD_LEARNERS__ROUND__NUM_PROBE_WINDOWS": "16",
    "AGENTD_LEARNERS__GATE__MIN_ACTION_SENSITIVITY": "0",
    "AGENTD_LEARNERS__GATE__MIN_EFFECTIVE_RANK": "1",
    "AGENTD_LEARNERS__GATE__MAX_ANCHOR_REGRESSION": "1",
    "AGENTD_LEARNERS__GATE__SHADOW__MIN_STEPS": "24",
    "AGENTD_LEARNERS__GATE__CANARY__MIN_STEPS": "48",
    "AGENTD_MEMORY__REPLAY__PROBE_EVERY": "2",
    "AGENTD_LIFE__PACE": "max",
    "AGENTD_LIFE__EPISODE_STEPS": "64",
    "RAY_USAGE_STATS_ENABLED": "0",
    "OMP_NUM_THREADS": "1",
}
ELSEWHERE = {
    "make test": "this very run",
    "agentd tui": "tests/integration/test_tui.py drives it",
    "agentd robot simulate --seed 3": "tests/integration/robot starts it and ends it",
    "agentd run --profile robot-sim": "tests/integration/robot lives in it",
    "agentd robot fault stale /camera/color/image_raw --for 5": "tests/integration/robot: it takes "
    "a robot that is served",
    "agentd robot check --profile robot-sim": "tests/integration/robot: the same",
    "agentd guardian arm": "tests/unit/guardian/test_commands.py: it takes a life that runs",
}


def test_the_readme_names_commands() -> None:
    assert "make run" in COMMANDS
    assert sum(c.startswith("agentd ") for c in COMMANDS) >= 12


def test_the_robot_in_it_is_the_one_that_is_tested() -> None:
    robot = re.findall(r"```python\n(.*?)```", README, re.S)[0]
    assert robot.startswith("class MyRobot")
    assert robot in (ROOT / "tests" / "my_robot.py").read_text()


def test_every_linked_file_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    missing = [f for f in links if not f.startswith("http") and not (ROOT / f).exists()]
    assert not missing


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make ")])
def test_make_commands_know_their_steps(command: str) -> None:
    bin_folder = Path(sys.executable).parent
    words = [*command.split(), "-n", f"VENV={bin_folder.parent}"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_make_run_lives_and_reports(tmp_path: Path) -> None:
    venv = Path(sys.executable).parent.parent
    done = subprocess.run(
        ["make", "run", "-o", f"{venv}/.installed", f"VENV={venv}", f"HOME_DIR={tmp_path}/life",
         "MINUTES=0.3", "ARGS=--set learners.enabled=false"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "Life report" in done.stdout
    assert "agentd start --home" in done.stdout


def _smaller(words: list[str], folder: Path) -> list[str]:
    """Return the same evaluation on a smaller set: the full one takes minutes."""
    if words[2] == "life":
        shutil.copy(ROOT / "configs" / "scenarios" / "tiny.toml", folder / "mine.toml")
        small = {"--lives": "1", "--arms": "floor,memory", "--budget-steps": "15"}
        small |= {} if "--scenario" in words else {"--scenario": "tiny"}
    elif words[2] == "explore":
        small = {"--houses": "1", "--steps": "20", "--strategies": "count,information"}
    else:
        small = {"--houses": "1", "--goals": "1", "--budget-steps": "40"}
    for flag, value in small.items():
        if flag in words:
            words[words.index(flag) + 1] = value
        else:
            words += [flag, value]
    return words


def _run(command: str, home: Path) -> None:
    words = command.split()
    words[0] = str(Path(sys.executable).parent / "agentd")
    if words[1] == "eval":
        words = _smaller(words, home.parent)
    if words[1:3] == ["learn", "compare"]:
        # the same command with a smaller budget
        words[words.index("--updates") + 1] = "2"
        words += ["--seeds", "1", "--recipes", "agentd,sub-jepa"]
    env = {**os.environ, **TINY, "AGENTD_HOME": str(home)}
    done = subprocess.run(
        words, env=env, capture_output=True, text=True, check=False, timeout=200, cwd=home.parent
    )
    # 8: a goal that was waited for may be missed, and says so
    allowed = (0, 8) if "--wait" in words else (0,)
    assert done.returncode in allowed, f"{command}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(900)
def test_every_agentd_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "life"
    monkeypatch.setenv("AGENTD_LEARNERS__RECIPE", str(small_recipe(tmp_path)))
    for key, value in TINY.items():
        monkeypatch.setenv(key, value)
    with LivingProcess(home, "--seed", "3") as life:
        # two promotions, so that `checkpoints rollback` has somewhere to go
        life.until(
            lambda s: (
                sum(r["accepted"] for r in s["learning"]["rounds"]) >= 2
                or len(s["learning"]["rounds"]) >= 8
            ),
            400,
        )
        promoted = sum(r["accepted"] for r in life.client.call("status")["learning"]["rounds"])
        assert promoted >= 2, life.client.call("status")["learning"]["rounds"]
        assert life.stop() == 0
    try:
        for command in COMMANDS:
            if command.startswith("agentd ") and command not in ELSEWHERE:
                _run(command, home)
    finally:
        subprocess.run(
            [sys.executable, "-m", "agentd", "stop", "--home", str(home)],
            capture_output=True,
            check=False,
        )
