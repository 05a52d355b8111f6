"""Exported files and folders are whole or absent, and nothing of others is overwritten."""

import errno

import pytest

from memory.errors import DiskFullError
from memory.export.output import new_file, new_folder

MARK = "meta/info.json"


def write_half(context, error):
    """Write into a new file or folder, and fail."""
    with context as partial:
        if partial.is_dir():
            fill(partial)
        else:
            partial.write_text("half")
        raise error


def fill(folder, text="new"):
    (folder / "meta").mkdir()
    (folder / MARK).write_text(text)


def test_a_file_takes_its_name_at_the_end(tmp_path):
    target = tmp_path / "a"
    with new_file(target) as partial:
        partial.write_text("x")
        assert not target.exists()
        assert partial.parent == tmp_path
    assert target.read_text() == "x"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_nothing_is_left_of_a_file_after_an_error(tmp_path, error):
    with pytest.raises(error):
        write_half(new_file(tmp_path / "a"), error)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_refused_or_kept_until_the_new_one_is_whole(tmp_path):
    target = tmp_path / "a"
    target.write_text("old")
    with pytest.raises(FileExistsError, match="--force"), new_file(target):
        pass
    with pytest.raises(ValueError):
        write_half(new_file(target, force=True), ValueError)
    assert target.read_text() == "old"
    with new_file(target, force=True) as partial:
        partial.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


def test_a_folder_where_a_file_should_be_is_refused_even_with_force(tmp_path):
    with pytest.raises(FileExistsError, match="is a folder"), new_file(tmp_path, force=True):
        pass


def test_a_full_disk_is_named_with_the_target(tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(DiskFullError, match=f"no space for {tmp_path / 'a'}"):
        write_half(new_file(tmp_path / "a"), full)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_takes_its_name_at_the_end_and_may_replace_an_empty_one(tmp_path):
    target = tmp_path / "d"
    target.mkdir()
    with new_folder(target, MARK) as partial:
        fill(partial)
        assert list(target.iterdir()) == []
    assert (target / MARK).read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_nothing_is_left_of_a_folder_after_an_error(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_half(new_folder(tmp_path / "d", MARK), KeyboardInterrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_never_replaced(tmp_path):
    target = tmp_path / "photos"
    target.mkdir()
    (target / "cat.jpg").write_text("x")
    with (
        pytest.raises(FileExistsError, match="none of ours"),
        new_folder(target, MARK, force=True),
    ):
        pass
    assert (target / "cat.jpg").read_text() == "x"


def test_a_dataset_is_replaced_with_force_alone_once_the_new_one_is_whole(tmp_path):
    target = tmp_path / "d"
    with new_folder(target, MARK) as partial:
        fill(partial, "old")
    with pytest.raises(FileExistsError, match="--force"), new_folder(target, MARK):
        pass
    with pytest.raises(ValueError):
        write_half(new_folder(target, MARK, force=True), ValueError)
    assert (target / MARK).read_text() == "old"
    with new_folder(target, MARK, force=True) as partial:
        fill(partial)
        assert (target / MARK).read_text() == "old"
    assert (target / MARK).read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]
