"""One data directory is one life: its files, its birth record and its lock.

<home>/life.json      format version, id, what it was born with
<home>/config.toml    settings of this life (optional, written by people)
<home>/lock           held while a process lives this life
<home>/memory/        LanceDB tables
<home>/checkpoints/   models
<home>/state/         map, world and counters between two runs
<home>/log/           logs and the last report
<home>/control.json   where the control socket is
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shlex
import stat
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

import agentd
from agentd.exit_codes import AgentdError, ExitCode, NotFoundError, UsageError
from configs.worlds import birth_keys
from memory.files import write_atomic

FORMAT = 1
"""Version of the home's layout. A change adds a named migration and raises this."""

BIRTH_KEYS = (
    "life.seed",
    "world.kind",
    "memory.objects.crop_px",
    "memory.replay.probe_every",
    "policies.map.cell_m",
    "policies.map.size_m",
)
"""Settings that a life cannot change: the tables, the map or the probe set would not fit.

Those of its body come on top; see `configs.worlds.birth_keys`.
"""

SUN_PATH_BYTES = 100
"""Longest socket path that every system takes."""

_DIGEST_CHARS = 16
_LOCK_PATIENCE_S = 0.5
_MAY_PRECEDE_BIRTH = {"config.toml", "lock", "log", "guardian.sock"}
_GUARDIANS_STATE = "guardian.json"
"""A robot's guardian runs before there is a life, and keeps its e-stop in the state folder."""


class HomeLockedError(AgentdError):
    """Another process lives this life."""

    exit_code = ExitCode.LOCKED


class DamagedHomeError(AgentdError):
    """The birth record cannot be read."""

    exit_code = ExitCode.DAMAGED


class NewerHomeError(AgentdError):
    """The home was written by a newer agentd."""

    exit_code = ExitCode.DAMAGED


class LifeRecord(BaseModel):
    """Contents of `life.json`, written once at birth."""

    model_config = ConfigDict(frozen=True)

    format: int
    life_id: str = Field(min_length=1)
    created_ns: int
    agentd_version: str
    born: dict[str, Any]
    """Values of what it cannot change."""


def default_home() -> Path:
    """Return $AGENTD_HOME, else the user's data folder by the XDG rule."""
    named = os.environ.get("AGENTD_HOME")
    if named:
        return Path(named).expanduser()
    data = os.environ.get("XDG_DATA_HOME")
    base = Path(data) if data and Path(data).is_absolute() else Path.home() / ".local" / "share"
    return base / "agentd" / "life"


class Home:
    """The folder of one life. Making this object touches nothing."""

    def __init__(self, path: Path) -> None:
        """Name the folder; it need not exist."""
        self.path = path.expanduser().absolute()
        self.life_file = self.path / "life.json"
        self.config_file = self.path / "config.toml"
        self.lock_file = self.path / "lock"
        self.control_file = self.path / "control.json"
        self.memory_folder = self.path / "memory"
        self.checkpoints_folder = self.path / "checkpoints"
        self.state_folder = self.path / "state"
        self.log_folder = self.path / "log"
        self._lock_fd: int | None = None

    @property
    def exists(self) -> bool:
        """Whether a life was born here."""
        return self.life_file.exists()

    @property
    def is_locked_by_us(self) -> bool:
        """Whether this object holds the lock."""
        return self._lock_fd is not None

    def command(self, words: str) -> str:
        """Return what to type to do something with this life."""
        return f"agentd {words} --home {shlex.quote(str(self.path))}"

    def read(self) -> LifeRecord:
        """Return the birth record.

        Raises:
            NotFoundError: If there is no life here.
            NewerHomeError: If a newer agentd wrote it.
            DamagedHomeError: If the record cannot be read.
        """
        try:
            data = json.loads(self.life_file.read_text("utf-8"))
        except FileNotFoundError:
            raise NotFoundError(
                f"there is no life in {self.path}; begin one with: {self.command('run')}"
            ) from None
        except (OSError, ValueError) as error:
            raise self._damaged(str(error)) from error
        if not isinstance(data, dict):
            raise self._damaged("it holds no JSON object")
        version = data.get("format")
        if isinstance(version, int) and version > FORMAT:
            raise NewerHomeError(
                f"{self.life_file} has format {version}, written by agentd "
                f"{data.get('agentd_version', '?')}; this agentd {agentd.__version__} reads "
                f"formats up to {FORMAT}: install a newer agentd. Nothing was changed"
            )
        try:
            record = LifeRecord.model_validate(data, strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise self._damaged(f"{field}: {first['msg']}") from error
        missing = [key for key in _keys_of(record.born) if key not in record.born]
        if missing:
            raise self._damaged(f"born lacks {', '.join(missing)}")
        return record

    def _damaged(self, why: str) -> DamagedHomeError:
        return DamagedHomeError(
            f"{self.life_file} is damaged ({why}); restore it from a backup, or start another "
            f"life in another --home. Nothing was changed"
        )

    def open_or_create(self, values: Mapping[str, Any]) -> LifeRecord:
        """Return the birth record of the life here, or begin one; see `read` and `create`."""
        record = self.read() if self.exists else self.create(values)
        for folder in (
            self.memory_folder,
            self.checkpoints_folder,
            self.state_folder,
            self.log_folder,
        ):
            folder.mkdir(exist_ok=True)
        return record

    def _state_is_of_the_guardian_alone(self) -> bool:
        if not self.state_folder.is_dir():
            return False
        return all(_GUARDIANS_STATE in entry.name for entry in self.state_folder.iterdir())

    def create(self, values: Mapping[str, Any]) -> LifeRecord:
        """Begin a life in an empty or new folder; the lock must be held.

        Args:
            values: All settings by dotted key; those that it is born with are kept for ever.

        Raises:
            UsageError: If the folder holds other things.
            DamagedHomeError: If it holds the rest of a life without its birth record.
        """
        if not self.is_locked_by_us:
            raise RuntimeError("Home.create() needs the lock")
        names = {entry.name for entry in self.path.iterdir()}
        half_written = {name for name in names if name.startswith(f".{self.life_file.name}.")}
        strangers = names - _MAY_PRECEDE_BIRTH - half_written
        if self._state_is_of_the_guardian_alone():
            strangers.discard("state")
        if {"memory", "checkpoints", "state"} & strangers:
            raise DamagedHomeError(
                f"{self.life_file} is missing although {self.path} holds a life; restore the "
                f"file from a backup, or start another life in another --home. Nothing was changed"
            )
        if strangers:
            raise UsageError(
                f"{self.path} is not empty and is no life (found {sorted(strangers)[0]}); "
                f"give --home a new or empty folder"
            )
        record = LifeRecord(
            format=FORMAT,
            life_id=uuid.uuid4().hex,
            created_ns=time.time_ns(),
            agentd_version=agentd.__version__,
            born={key: values[key] for key in _keys_of(values)},
        )
        self.path.chmod(0o700)  # pictures of someone's rooms
        write_atomic(self.life_file, record.model_dump_json(indent=2).encode())
        return record

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the life's lock; the system frees it when the process dies, however it dies.

        Raises:
            HomeLockedError: If another process holds it.
            UsageError: If the folder cannot be made or written.
        """
        fd = self._take_lock()
        self._lock_fd = fd
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, json.dumps({"pid": os.getpid(), "since_ns": time.time_ns()}).encode(), 0)
            yield
        finally:
            self._lock_fd = None
            os.close(fd)

    def _take_lock(self) -> int:
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            fd = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UsageError(
                f"--home {self.path} cannot be used: {error.strerror or error}; "
                f"give a folder that you may write"
            ) from error
        deadline = time.monotonic() + _LOCK_PATIENCE_S
        while not _try_flock(fd, fcntl.LOCK_EX):
            if time.monotonic() >= deadline:  # a look by `holder_pid` is over much sooner
                os.close(fd)
                pid = self._pid_in_lock()
                raise HomeLockedError(
                    f"the life in {self.path} is already running"
                    + (f" (process {pid})" if pid else "")
                    + f"; ask it with: {self.command('status')}"
                )
            time.sleep(0.02)
        return fd

    def holder_pid(self) -> int | None:
        """Return the process that lives this life, None if nobody does (0 if it is unknown)."""
        try:
            fd = os.open(self.lock_file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            if _try_flock(fd, fcntl.LOCK_SH):
                return None
            return self._pid_in_lock() or 0
        finally:
            os.close(fd)

    def _pid_in_lock(self) -> int | None:
        try:
            pid = json.loads(self.lock_file.read_text("utf-8"))["pid"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return pid if isinstance(pid, int) else None

    def socket_path(self) -> Path:
        """Return where the control socket belongs.

        In the home; or, where that path is too long for a socket, in a folder of the user's
        run-time directory that only the user may enter.

        Raises:
            UsageError: If that folder belongs to someone else.
        """
        inside = self.path / "control.sock"
        if len(os.fsencode(inside)) <= SUN_PATH_BYTES:
            return inside
        digest = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:_DIGEST_CHARS]
        return _user_runtime_folder() / f"{digest}.sock"


def _user_runtime_folder() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    for base in (runtime, tempfile.gettempdir(), "/tmp"):  # noqa: S108 - checked below
        if not base or not Path(base).is_dir():
            continue
        folder = Path(base) / f"agentd-{os.getuid()}"
        if len(os.fsencode(folder / ("x" * _DIGEST_CHARS + ".sock"))) > SUN_PATH_BYTES:
            continue
        folder.mkdir(mode=0o700, exist_ok=True)
        info = folder.lstat()
        if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid() or info.st_mode & 0o077:
            raise UsageError(
                f"{folder} must be a folder of yours that nobody else may enter (mode 0700); "
                f"remove it, or give a --home with a shorter path"
            )
        return folder
    raise UsageError("no folder is short enough for the control socket; give a shorter --home")


def _try_flock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _keys_of(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a life with these values, by dotted key, is born with."""
    return BIRTH_KEYS + birth_keys(values.get("world.kind", "house"))
