"""Bytes on disk."""

import os
from pathlib import Path


def folder_bytes(folder: Path) -> int:
    """Return the bytes of all files under a folder; files that vanish meanwhile count nothing."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_size  # noqa: PTH118
            except OSError:
                continue
    return total
