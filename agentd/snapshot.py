"""What a life keeps beside its tables: map, goals, learning history and the world's state."""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from agentd.home import Home
from memory.files import write_atomic

FORMAT = 1


class KeepsMaps(Protocol):
    """The part of a policy that lasts."""

    def load(self, arrays: dict[str, np.ndarray]) -> None: ...
    def reset(self, *, keep_map: bool = True) -> None: ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was found; a part that was absent or damaged is empty."""

    facts: dict[str, Any]
    map: dict[str, np.ndarray]
    world: bytes


def save(
    home: Home, facts: dict[str, Any], map_: dict[str, np.ndarray], world: bytes | None
) -> None:
    """Write the three files, each in one step.

    Raises:
        OSError: If the disk does not take them; the old files stay.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **map_)
    write_atomic(home.state_folder / "map.npz", buffer.getvalue())
    if world is not None:
        write_atomic(home.state_folder / "world.bin", world)
    write_atomic(home.state_folder / "life_state.json", json.dumps(facts).encode())


def load(home: Home, on_error: Callable[[str], None]) -> Snapshot:
    """Read what there is; what cannot be read is told and left out, never overwritten silently.

    A damaged file is kept beside the new one with the suffix `.damaged`.
    """
    facts: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    world = b""
    path = home.state_folder / "life_state.json"
    try:
        if path.exists():
            facts = json.loads(path.read_bytes())
            if facts.get("format") != FORMAT:
                raise ValueError(f"format {facts.get('format')!r}, this program reads {FORMAT}")
    except (ValueError, AttributeError) as error:
        facts = {}
        put_aside(path, error, on_error)
    path = home.state_folder / "map.npz"
    try:
        if path.exists():
            with np.load(path, allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files}
    except (ValueError, OSError, zipfile.BadZipFile, KeyError) as error:
        arrays = {}
        put_aside(path, error, on_error)
    path = home.state_folder / "world.bin"
    if path.exists():
        world = path.read_bytes()
    return Snapshot(facts, arrays, world)


def take_up_map(
    home: Home,
    arrays: dict[str, np.ndarray],
    policy: KeepsMaps,
    on_error: Callable[[str], None],
) -> None:
    """Give a policy its saved maps; one that does not fit is told, put aside and left out."""
    try:
        policy.load(arrays)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        policy.reset(keep_map=False)
        put_aside(home.state_folder / "map.npz", error, on_error)


def put_aside(path: Path, error: Exception, on_error: Callable[[str], None]) -> None:
    """Keep a file that cannot be read under another name, and tell."""
    kept = path.with_name(path.name + ".damaged")
    path.replace(kept)
    on_error(f"{path} cannot be read ({error}); kept as {kept.name}, starting without it")
