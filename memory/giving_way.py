"""Lets a process give way to the others, as far as the system allows."""

import contextlib
import os
from pathlib import Path

_SESSION_FILE = Path("/proc/self/autogroup")


def give_way(nice: int, session_nice: int = 0) -> None:
    """Raise this process's nice value to at least `nice`; it is never lowered.

    Linux may share the cores between sessions first and between the processes of a session second
    (autogroup, `man 7 sched`). A child in a session of its own then takes as much as one that is
    not niced, unless its session is niced as well.

    Args:
        nice: 0 to 19.
        session_nice: 0 to 19, for all that runs in this process's session; 0 leaves it alone. Only
            for a session that holds nothing which should not give way.
    """
    with contextlib.suppress(OSError):
        os.nice(max(0, nice - os.nice(0)))
    if session_nice:
        with contextlib.suppress(OSError):
            _SESSION_FILE.write_text(str(session_nice), encoding="ascii")
