"""The wheel holds the five packages, and both ways to install run outside the checkout."""

import subprocess
import sys
import venv
import zipfile
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("agentd", "configs", "policies", "learners", "memory")


def _run(*args: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(a) for a in args], cwd=cwd, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _bare_venv(folder: Path) -> Path:
    """A venv that sees the dependencies of this one through a path file, but not our packages."""
    venv.create(folder, with_pip=False, system_site_packages=False)
    python = folder / "bin" / "python"
    site = Path(
        _run(python, "-c", "import site; print(site.getsitepackages()[0])", cwd=folder).strip()
    )
    ours = Path(next(p for p in sys.path if p.endswith("site-packages")))
    # appended after the venv's own folder; path files inside the linked folder are not processed
    (site / "zz_dependencies.pth").write_text(f"{ours}\n")
    return python


@pytest.mark.slow
@pytest.mark.parametrize("editable", [False, True])
def test_both_installs_run_outside_the_checkout(tmp_path: Path, editable: bool) -> None:
    python = _bare_venv(tmp_path / "venv")
    flags = ["--editable"] if editable else []
    _run(
        sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps",
        "--no-build-isolation", "--no-index", "--force-reinstall", *flags, ROOT, cwd=tmp_path,
    )  # fmt: skip
    code = (
        "import agentd, configs, learners, memory, policies, pathlib\n"
        "from configs.load import load_config\n"
        "print(pathlib.Path(memory.__file__).parent)\n"
    )
    where = _run(python, "-c", code, cwd=tmp_path).strip()
    assert Path(where).is_relative_to(ROOT if editable else tmp_path)
    assert "Usage" in _run(tmp_path / "venv" / "bin" / "agentd", "--help", cwd=tmp_path)


def test_wheel_lists_the_five_packages_and_nothing_else(tmp_path: Path) -> None:
    _run(
        sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT,
        cwd=tmp_path,
    )  # fmt: skip
    wheel = next(tmp_path.glob("*.whl"))
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {t for t in tops if not t.endswith(".dist-info")} == set(PACKAGES)
    assert any(n.endswith("profiles/default.toml") for n in zipfile.ZipFile(wheel).namelist())


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_lives_beside_agentd_and_has_one_owner(package: str) -> None:
    spec, home = find_spec(package), find_spec("agentd")
    assert spec is not None
    assert home is not None
    assert Path(str(spec.origin)).parents[1] == Path(str(home.origin)).parents[1]
    assert set(packages_distributions().get(package, [])) <= {"agentd"}
