"""What a killed upkeep leaves of temporary files lies in the memory's folder, and goes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from memory.care import upkeep
from memory.care.scratch import SCRATCH_FOLDER, scratch
from memory.format import prepare_folder
from memory.vectors.tables import EmbeddingTables

TESTS = Path(__file__).parents[2]

UPKEEP = """
import sys
from memory.care import upkeep

sys.exit(upkeep.main([sys.argv[1], "{}"]))
"""


@pytest.mark.slow
def test_a_killed_upkeep_leaves_nothing_outside_and_the_next_one_empties_the_place(
    tmp_path: Path,
) -> None:
    folder, system = tmp_path / "memory", tmp_path / "system"
    system.mkdir()
    prepare_folder(folder)
    vectors = np.random.default_rng(0).normal(size=(40_000, 64)).astype(np.float16)
    EmbeddingTables(folder).add("e", np.arange(1, 40_001), vectors)
    command = [sys.executable, "-c", UPKEEP, str(folder)]
    environment = {**os.environ, "TMPDIR": str(system)}
    place = folder / SCRATCH_FOLDER
    with subprocess.Popen(command, cwd=TESTS.parent, env=environment) as child:
        deadline = time.monotonic() + 60
        while not (place.is_dir() and any(place.iterdir())):
            assert child.poll() is None, "it ended without a temporary file"
            assert time.monotonic() < deadline
        child.kill()
    assert list(system.iterdir()) == []
    assert list(place.iterdir()) != []
    subprocess.run(command, cwd=TESTS.parent, env=environment, check=True)
    assert list(place.iterdir()) == []
    assert list(system.iterdir()) == []
    assert len(EmbeddingTables(folder).ids("e")) == 40_000


def test_the_place_is_used_for_a_while_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", "elsewhere")
    left = tmp_path / SCRATCH_FOLDER / ".tmpabc" / "file"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"left")
    with scratch(tmp_path):
        assert os.environ["TMPDIR"] == str(tmp_path / SCRATCH_FOLDER)
        assert list((tmp_path / SCRATCH_FOLDER).iterdir()) == []
    assert os.environ["TMPDIR"] == "elsewhere"
    monkeypatch.delenv("TMPDIR")
    with scratch(tmp_path):
        pass
    assert "TMPDIR" not in os.environ


def test_a_place_that_cannot_be_made_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare_folder(tmp_path)
    (tmp_path / SCRATCH_FOLDER).write_bytes(b"")
    assert upkeep.main([str(tmp_path), "{}"]) == 1
    assert SCRATCH_FOLDER in capsys.readouterr().err
