"""A compaction runs beside the life, one at a time, and its failure is told."""

from pathlib import Path

import pytest

from agentd.compaction import Compactor
from memory.config import MemoryConfig


@pytest.mark.slow
def test_a_damaged_table_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "format.json").write_text("{")
    told: list[str] = []
    compactor = Compactor(tmp_path, MemoryConfig(), told.append)
    compactor.run()
    child = compactor._child
    assert child is not None
    compactor.run()
    assert compactor._child is child or child.poll() is not None
    child.wait(60)
    compactor.close()
    assert len(told) == 1
    assert told[0].startswith("compaction failed")
    assert "format.json" in told[0]


def test_close_ends_a_running_compaction_quietly(tmp_path: Path) -> None:
    told: list[str] = []
    compactor = Compactor(tmp_path, MemoryConfig(), told.append)
    compactor.run()
    child = compactor._child
    compactor.close()
    assert child is not None
    assert child.poll() is not None
    assert told == []
