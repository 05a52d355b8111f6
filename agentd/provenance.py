"""Which code runs: the commit of a checkout, for the manifests of what it trains."""

import subprocess
from functools import cache
from pathlib import Path

TIMEOUT_S = 5.0


@cache
def git_commit(folder: Path = Path(__file__).parent) -> str | None:
    """Return the commit of the checkout that a folder belongs to, "+" at its end if files differ.

    Returns:
        None for an installed package, and where git is not at hand.
    """

    def git(*words: str) -> str:
        command = ["git", "-C", str(folder), *words]
        return subprocess.check_output(
            command, text=True, timeout=TIMEOUT_S, stderr=subprocess.DEVNULL
        ).strip()

    try:
        # An environment inside someone else's checkout is not that checkout's code.
        if not git("ls-files"):
            return None
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None
