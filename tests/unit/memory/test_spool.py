"""Rows wait on the local disk while the store is away, and arrive once and in order."""

import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from memory.care.access import open_tables
from memory.errors import DamagedTableError
from memory.format import prepare_folder
from memory.replay.spool import ADD_ROWS, Spool, SpoolFullError
from memory.tables import create_table

SCHEMA = pa.schema([pa.field("step", pa.int64()), pa.field("value", pa.float64())])


def rows(first: int, count: int) -> pa.RecordBatch:
    steps = list(range(first, first + count))
    return pa.record_batch([pa.array(steps), pa.array([s / 2 for s in steps])], schema=SCHEMA)


class Elsewhere:
    """A LanceDB table behind a network that can be cut."""

    def __init__(self, folder: Path) -> None:
        prepare_folder(folder)
        self._folder = folder
        self._table = create_table(folder, "rows", SCHEMA)
        self.is_away = False
        self.loses_answers = False
        self.num_adds = 0

    def last_step(self) -> int:
        self._reach()
        return max(self.steps(), default=-1)

    def add(self, rows: pa.RecordBatch) -> None:
        self._reach()
        self._table.add(rows)
        self.num_adds += 1
        if self.loses_answers:
            raise ConnectionResetError("the answer was lost")

    def steps(self) -> list[int]:
        return open_tables(self._folder)["rows"].to_arrow()["step"].to_pylist()

    def _reach(self) -> None:
        if self.is_away:
            raise ConnectionRefusedError("no route to the store")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Elsewhere:
    """An empty store."""
    return Elsewhere(tmp_path / "elsewhere")


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """An empty spool."""
    return Spool(tmp_path / "spool", max_bytes=1 << 20)


def test_rows_of_an_outage_arrive_in_order_in_few_writes(
    elsewhere: Elsewhere, spool: Spool
) -> None:
    elsewhere.is_away = True
    spool.put(rows(0, 5))
    with pytest.raises(ConnectionRefusedError):
        spool.drain(elsewhere)
    spool.put(rows(5, 3))
    spool.put(rows(8, ADD_ROWS))
    assert (spool.num_rows(), spool.last_step()) == (8 + ADD_ROWS, 7 + ADD_ROWS)
    elsewhere.is_away = False
    assert spool.drain(elsewhere) == 8 + ADD_ROWS
    assert elsewhere.steps() == list(range(8 + ADD_ROWS))
    assert elsewhere.num_adds == 2
    assert (spool.files(), spool.num_bytes(), spool.last_step()) == ([], 0, -1)


def test_rows_whose_answer_was_lost_are_not_written_twice(
    elsewhere: Elsewhere, spool: Spool
) -> None:
    spool.put(rows(0, 5))
    elsewhere.loses_answers = True
    with pytest.raises(ConnectionResetError):
        spool.drain(elsewhere)
    assert elsewhere.steps() == list(range(5))
    elsewhere.loses_answers = False
    spool.put(rows(5, 5))
    assert spool.drain(elsewhere) == 5
    assert elsewhere.steps() == list(range(10))


def test_a_kill_between_writing_and_removing_writes_nothing_twice(
    elsewhere: Elsewhere, spool: Spool, tmp_path: Path
) -> None:
    spool.put(rows(0, 4))
    spool.put(rows(4, 4))
    copies = [shutil.copy(path, tmp_path) for path in spool.files()]
    assert spool.drain(elsewhere) == 8
    for copy in copies:
        shutil.move(copy, tmp_path / "spool")
    again = Spool(tmp_path / "spool", max_bytes=1 << 20)
    assert again.drain(elsewhere) == 0
    assert elsewhere.steps() == list(range(8))
    assert again.files() == []


def test_a_file_that_was_never_finished_is_no_file_and_goes(
    elsewhere: Elsewhere, spool: Spool, tmp_path: Path
) -> None:
    spool.put(rows(0, 4))
    name = spool.files()[0].name
    (spool.files()[0].parent / f".{name}.abc").write_bytes(b"ARROW1")
    assert spool.drain(elsewhere) == 4
    folder = tmp_path / "spool"
    assert len(list(folder.iterdir())) == 1
    assert Spool(folder, max_bytes=1 << 20).num_rows() == 0
    assert list(folder.iterdir()) == []


def test_a_damaged_file_is_named_and_what_follows_waits(elsewhere: Elsewhere, spool: Spool) -> None:
    spool.put(rows(0, 4))
    spool.put(rows(4, 4))
    spool.files()[0].write_bytes(b"damage")
    with pytest.raises(DamagedTableError, match=r"000000000000000-000000000000003-4\.arrow"):
        spool.drain(elsewhere)
    assert len(spool.files()) == 2
    assert elsewhere.steps() == []


def test_a_full_spool_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=3000)
    spool.put(rows(0, 100))
    with pytest.raises(
        SpoolFullError, match=r"may hold 3000 \(memory.storage.spool_bytes\): bring the store back"
    ):
        spool.put(rows(100, 100))
    assert spool.last_step() == 99


def test_steps_that_do_not_follow_are_refused(spool: Spool) -> None:
    spool.put(rows(0, 5))
    with pytest.raises(ValueError, match="step 4 follows step 4"):
        spool.put(rows(4, 5))
