"""What the guardian keeps on disk: the e-stop, the measured watchdog, and its log.

Everything is written by a thread of its own: a slow or full disk never delays a tick.
"""

import json
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from memory.files import write_atomic

FILE_NAME = "guardian.json"
FORMAT = 1
_RETRY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What outlives the guardian's process.

    Attributes:
        is_estop: Whether the e-stop is latched.
        reason: Who or what pressed it.
        watchdog_s: Measured: when the robot stops without commands, None if never.
    """

    is_estop: bool = False
    reason: str = ""
    watchdog_s: float | None = None


def read_kept(path: Path) -> Kept:
    """Return what was kept; a file that cannot be read counts as a pressed e-stop."""
    try:
        data = json.loads(path.read_text("utf-8"))
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']}, this program reads {FORMAT}")
        watchdog_s = data["watchdog_s"]
        return Kept(
            is_estop=bool(data["is_estop"]),
            reason=str(data["reason"]),
            watchdog_s=None if watchdog_s is None else float(watchdog_s),
        )
    except FileNotFoundError:
        return Kept()
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Kept(is_estop=True, reason=f"{path} cannot be read: {error}")


def write_kept(path: Path, kept: Kept) -> None:
    """Replace the file.

    Raises:
        OSError: If it cannot be written; the old one is untouched then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps({"format": FORMAT, **asdict(kept)}).encode())


class Keeper:
    """Writes in the background; the newest state wins, and is tried again until it is written.

    Attributes:
        error: Why the last write failed, "" if it did not.
        is_saved: Whether the newest state is on disk.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="guardian-keeper", daemon=True)
        self._newest: Kept | None = None
        self.error = ""
        self._thread.start()

    @property
    def is_saved(self) -> bool:
        """Whether the newest state is on disk."""
        return self._newest is None

    def keep(self, kept: Kept) -> None:
        """Have a state written."""
        self._newest = kept
        self._jobs.put(self._write)

    def later(self, job: Callable[[], None]) -> None:
        """Have something else done that may wait for the disk."""
        self._jobs.put(job)

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what is left, as far as that is possible in time."""
        self._jobs.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=_RETRY_S)
            except queue.Empty:
                job = self._write
            if job is None:
                self._write()
                return
            try:
                job()
            except OSError as error:
                self.error = str(error)

    def _write(self) -> None:
        kept = self._newest
        if kept is None:
            return
        try:
            write_kept(self._path, kept)
        except OSError as error:
            self.error = f"{self._path}: {error}"
            return
        self.error = ""
        if self._newest is kept:
            self._newest = None


def now_ns() -> int:
    """Return the wall clock; only for people to read."""
    return time.time_ns()
