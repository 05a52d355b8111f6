"""Keeps the tables' files few and the memory within its budget, from a niced child process."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from memory.config import MemoryConfig


class Compactor:
    """Starts a compaction when asked, one at a time, and tells when one failed."""

    def __init__(self, folder: Path, config: MemoryConfig, on_error: Callable[[str], None]) -> None:
        settings = config.model_dump_json()
        self._command = [sys.executable, "-m", "memory.care.upkeep", str(folder), settings]
        self._on_error = on_error
        self._child: subprocess.Popen[bytes] | None = None
        self._talk: IO[bytes] | None = None

    def run(self) -> None:
        """Collect the last compaction; start the next unless one still runs."""
        if self._child is not None and self._child.poll() is None:
            return
        self._collect()
        self._talk = tempfile.TemporaryFile()  # noqa: SIM115 - closed in _collect
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "LANCE_CPU_THREADS": "1"}
        self._child = subprocess.Popen(
            self._command,
            stdout=subprocess.DEVNULL,
            stderr=self._talk,
            env=environment,
            start_new_session=True,
        )

    def close(self) -> None:
        """End a compaction that still runs: what it has not committed yet counts for nothing."""
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()
            self._child.wait()
            self._child = None
        self._collect()

    def _collect(self) -> None:
        if self._talk is None:
            return
        self._talk.seek(0)
        words = self._talk.read().decode(errors="replace").strip().splitlines()
        self._talk.close()
        self._talk = None
        if self._child is not None and self._child.returncode != 0:
            last = words[-1] if words else f"ended with {self._child.returncode}"
            self._on_error(f"compaction failed, the disk will fill: {last}")
        self._child = None
