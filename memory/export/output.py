"""Files and folders that appear under their name when they are complete, or not at all."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memory.errors import DiskFullError
from memory.files import remove_folder

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def new_file(target: Path, *, force: bool = False) -> Iterator[Path]:
    """Yield where to write a file; it takes its name at the end, and vanishes after an error.

    Args:
        target: File to make, in a folder that exists.
        force: Whether a file of that name may be replaced; it stays until the new one is whole.

    Raises:
        FileExistsError: If it exists, and may not be replaced or is no file.
        DiskFullError: If there was no space.
    """
    if target.is_dir():
        raise FileExistsError(f"{target} is a folder: name a file")
    if target.exists() and not force:
        raise FileExistsError(f"{target} exists already: name another file, or add --force")
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with _naming_full_disk(target):
            yield partial
            _sync(partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    _sync(target.parent)


@contextmanager
def new_folder(target: Path, mark: str, *, force: bool = False) -> Iterator[Path]:
    """Yield a new folder to fill; it takes its name at the end, and vanishes after an error.

    Args:
        target: Folder to make, in one that exists. An empty one of that name is replaced.
        mark: File that tells a folder of this kind from others: only such a one is ever replaced.
        force: Whether a folder of this kind may be replaced; it stays until the new one is whole.

    Raises:
        FileExistsError: If it exists, and may not be replaced.
        DiskFullError: If there was no space.
    """
    if target.exists():
        is_empty = target.is_dir() and not any(target.iterdir())
        if not is_empty and not (target / mark).is_file():
            raise FileExistsError(f"{target} exists and is none of ours (no {mark}): name another")
        if not is_empty and not force:
            raise FileExistsError(f"{target} exists already: name another folder, or add --force")
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with _naming_full_disk(target):
            partial.mkdir()
            yield partial
            for file in partial.rglob("*"):
                _sync(file)
        if target.exists():
            remove_folder(target)
        partial.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    _sync(target.parent)


@contextmanager
def _naming_full_disk(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        raise DiskFullError(
            f"there is no space for {target}: {os.strerror(error.errno)}; nothing was left behind"
        ) from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
