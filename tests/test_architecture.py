"""The import directions and the size of the rooms."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("agentd", "configs", "policies", "learners", "memory")
FILES = sorted(f for p in PACKAGES for f in (ROOT / p).rglob("*.py"))


def test_import_contracts_hold() -> None:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_outgrows_its_room() -> None:
    sizes = {str(f.relative_to(ROOT)): len(f.read_text().splitlines()) for f in FILES}
    assert not {name: lines for name, lines in sizes.items() if lines > 420}


def test_no_function_outgrows_a_screen() -> None:
    long = []
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > 80:
                    long.append(f"{file.relative_to(ROOT)}:{node.name} {lines}")
    assert not long


@pytest.mark.parametrize("banned", ["pickle", "dill", "cloudpickle", "shelve", "marshal"])
def test_nothing_is_unpickled(banned: str) -> None:
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not any(n.split(".")[0] == banned for n in names), file


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("agentd.cli", ("torch", "ray", "lancedb", "textual", "numpy", "mujoco")),
        ("memory.records", ("torch", "ray", "lancedb", "textual")),
        ("policies.navigator", ("torch", "ray", "lancedb", "mujoco")),
        ("learners.registry", ("torch", "ray", "lancedb")),
    ],
)
def test_light_modules_stay_light(module: str, heavy: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print(*[m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/"
    )
    assert done.stdout.strip() == ""
