import subprocess
from pathlib import Path

from agentd.provenance import git_commit


def _git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@t"]
    done = subprocess.run(
        ["git", "-C", str(folder), *who, *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_commit_of_a_checkout_is_told_and_that_files_differ(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    code = tmp_path / "package" / "code.py"
    code.write_text("a = 1\n")
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-qm", "first")
    commit = _git(tmp_path, "rev-parse", "HEAD")
    assert git_commit(code.parent) == commit
    code.write_text("a = 2\n")
    git_commit.cache_clear()
    assert git_commit(code.parent) == f"{commit}+"


def test_installed_packages_have_no_commit(tmp_path: Path) -> None:
    outside = tmp_path / "site-packages" / "agentd"
    outside.mkdir(parents=True)
    assert git_commit(outside) is None
    _git(tmp_path, "init", "-q")
    git_commit.cache_clear()
    assert git_commit(outside) is None, "an environment inside another checkout"
