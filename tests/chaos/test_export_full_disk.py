"""An export that finds the disk full says so and leaves nothing; what was there stays."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from exported_life import exported_life
from typer.testing import CliRunner

from agentd.cli import app
from agentd.exit_codes import ExitCode

SIZE_BYTES = 64 << 10


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that no export fits on."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", str(disk)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no small file system here: {mounted.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("option", ["--mcap", "--lerobot", "--tum"])
def test_a_full_disk_is_told_and_nothing_is_left(
    tmp_path: Path, small_disk: Path, option: str
) -> None:
    home = exported_life(tmp_path / "life")
    kept = small_disk / "kept"
    kept.write_bytes(b"\xff" * (SIZE_BYTES - (16 << 10)))
    with (small_disk / "filler").open("wb", buffering=0) as file:
        file.write(b"\xff" * ((4 << 10) if option != "--tum" else (12 << 10)))
    words = ["export", "--home", str(home.path), option, str(small_disk / "x")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == ExitCode.UNEXPECTED
    assert f"error: there is no space for {small_disk / 'x'}" in result.stderr
    assert sorted(entry.name for entry in small_disk.iterdir()) == ["filler", "kept"]
