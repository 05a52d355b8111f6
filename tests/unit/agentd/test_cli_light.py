"""The command line starts quickly: what it loads is asserted, how long it takes is printed."""

import os
import subprocess
import sys
import time

import pytest
from fake_life import STATUS, born, living

HEAVY = ("numpy", "torch", "ray", "lancedb", "textual", "mujoco", "pyarrow", "matplotlib", "scipy")

LOADED = """
import sys
from agentd.cli import main
sys.argv = ["agentd", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    code = end.code or 0
print("LOADED", *(name for name in {heavy} if name in sys.modules), file=sys.stderr)
sys.exit(code)
"""


def run_cli(*words, cwd=None):
    return subprocess.run(
        [sys.executable, "-c", LOADED.format(heavy=HEAVY), *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
        env={k: v for k, v in os.environ.items() if not k.startswith("AGENTD_")},
    )


@pytest.mark.parametrize(
    "words", [["--help"], ["goal", "--help"], ["run", "--help"], ["--version"]]
)
def test_help_loads_nothing_heavy(words, tmp_path):
    started = time.monotonic()
    result = run_cli(*words, cwd=tmp_path)
    print(f"agentd {' '.join(words)}: {time.monotonic() - started:.2f} s")
    assert result.returncode == 0
    assert result.stderr.splitlines()[-1] == "LOADED"


def test_asking_a_life_loads_nothing_heavy(tmp_path):
    home = born(tmp_path / "h")
    with living(home, {"status": lambda args: STATUS}):
        result = run_cli("status", "--home", str(home.path), cwd=tmp_path)
    assert result.returncode == 0
    assert "nearest frontier" in result.stdout
    assert result.stderr.splitlines()[-1] == "LOADED"


def test_settings_and_checkpoints_load_no_torch(tmp_path):
    home = born(tmp_path / "h")
    for words in (["config", "show"], ["checkpoints", "list"]):
        result = run_cli(*words, "--home", str(home.path), cwd=tmp_path)
        assert result.returncode == 0
        loaded = result.stderr.splitlines()[-1].split()
        assert not {"torch", "ray", "lancedb", "textual"} & set(loaded)


def test_a_typing_mistake_is_no_traceback(tmp_path):
    result = run_cli("rnu", cwd=tmp_path)
    assert result.returncode == 2
    assert "Did you mean 'run'?" in result.stderr
    assert "Traceback" not in result.stderr


def test_python_m_agentd_is_the_same_command(tmp_path):
    result = subprocess.run(
        [sys.executable, "-P", "-m", "agentd", "status", "--home", str(tmp_path / "x")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert result.returncode == 4
    assert "start it with: agentd start" in result.stderr
