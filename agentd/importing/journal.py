"""Which logs a life has taken in, and how far: what makes an import go on where it was killed."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentd.exit_codes import AgentdError, ExitCode
from memory.files import write_atomic

FORMAT = 1
NAME = "imports.json"


class DamagedJournalError(AgentdError):
    """The journal of imports cannot be read."""

    exit_code = ExitCode.DAMAGED


class Entry(BaseModel):
    """One log.

    Attributes:
        fingerprint: What tells it from others.
        path: Where it lay.
        settings: How it was read: the settings of `world.recorded`.
        began_ns: When its import began.
        ticks: Ticks of the log that map and objects have seen.
        steps: Rows that these made.
        shift_ns: What was added to the log's times at the end of them.
        first_step: Step of its first row.
        done: Whether all of it was taken in.
        report: What became of its samples, as far as they were read.
    """

    model_config = ConfigDict(extra="forbid")

    fingerprint: str = Field(min_length=1)
    path: str
    settings: dict[str, Any]
    began_ns: int
    ticks: int = 0
    steps: int = 0
    shift_ns: int = 0
    first_step: int
    done: bool = False
    report: dict[str, Any] = {}


class Journal:
    """The logs of one life, in a file that is replaced as a whole.

    Args:
        folder: Folder of the life's state.

    Raises:
        DamagedJournalError: If it cannot be read. Nothing is overwritten.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self.entries: list[Entry] = []
        if not self._path.exists():
            return
        try:
            data = json.loads(self._path.read_text("utf-8"))
            if data["format"] != FORMAT:
                raise ValueError(f"format {data['format']}, this program reads {FORMAT}")
            self.entries = [Entry.model_validate(row) for row in data["imports"]]
        except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
            raise DamagedJournalError(
                f"{self._path} cannot be read ({error}): it says which logs are in this life. "
                "Restore it from a backup; without it a log would be taken in twice"
            ) from error

    def find(self, fingerprint: str) -> Entry | None:
        """Return the entry of a log, None if it was never begun."""
        return next((e for e in self.entries if e.fingerprint == fingerprint), None)

    def unfinished(self) -> Entry | None:
        """Return the log that is not all taken in, if there is one."""
        return next((e for e in self.entries if not e.done), None)

    def put(self, entry: Entry) -> None:
        """Take in an entry and write the file; on return it is on the disk."""
        self.entries = [e for e in self.entries if e.fingerprint != entry.fingerprint]
        self.entries.append(entry)
        data = {"format": FORMAT, "imports": [e.model_dump(mode="json") for e in self.entries]}
        write_atomic(self._path, json.dumps(data, indent=2).encode())
