"""Opens a log by what it is, and names it so that it is known again."""

import hashlib
from pathlib import Path

from memory.logs.config import ResampleConfig, StreamsConfig
from memory.logs.errors import LogError
from memory.logs.samples import LogReader

_BLOCK = 1 << 20
_BLOCKS = 16
"""Blocks of each file that are hashed: its ends and places between."""


def open_log(path: Path, streams: StreamsConfig, resample: ResampleConfig) -> LogReader:
    """Open a log of any format.

    Args:
        path: Folder of a rosbag2 recording or a LeRobot dataset, or an .mcap, .db3 or .bag file.
        streams: Which topics are read.
        resample: How they are read.

    Raises:
        LogError: If it is no log, or cannot be read as steps of a life.
    """
    if not path.exists():
        raise LogError(f"{path} does not exist")
    if (path / "meta" / "info.json").exists():
        from memory.logs.lerobot import LerobotLog

        return LerobotLog(path, streams, resample)
    from memory.logs.ros import RosLog

    return RosLog(path, streams, resample)


def fingerprint(path: Path) -> str:
    """Return what tells a log from others, wherever it lies: sizes and parts of its files.

    Raises:
        LogError: If it cannot be read.
    """
    try:
        files = [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.is_file())
        digest = hashlib.sha256()
        for file in files:
            size = file.stat().st_size
            # The name of the log itself may change, those within it may not.
            name = "" if file == path else str(file.relative_to(path))
            digest.update(f"{name}:{size};".encode())
            with file.open("rb") as stream:
                for k in range(min(_BLOCKS, -(-size // _BLOCK))):
                    stream.seek((size - _BLOCK) * k // (_BLOCKS - 1) if size > _BLOCK else 0)
                    digest.update(stream.read(_BLOCK))
    except OSError as error:
        raise LogError(f"{path} cannot be read: {error}") from error
    return digest.hexdigest()
