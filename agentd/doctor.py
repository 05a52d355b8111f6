"""Examines the machine, the installation and a home, and says how to repair what is wrong."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from agentd.exit_codes import AgentdError
from agentd.home import Home

Level = Literal["ok", "warn", "fail"]

PACKAGES = ("agentd", "configs", "policies", "learners", "memory")
MIN_PYTHON = (3, 11)
_TABLES = ("transitions", "slots", "views", "events")
_GIB = 1 << 30
_IMPORT_PATIENCE_S = 120.0
_YEAR_2025_S = 1_735_689_600.0
_REINSTALL = "install agentd again, in an environment of its own"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    level: Level
    found: str
    fix: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the finding for programs."""
        return asdict(self)


def examine(home: Home) -> list[Finding]:
    """Look at everything; a check that breaks is itself a finding."""
    checks: list[Callable[[], Iterator[Finding]]] = [
        check_python,
        check_packages,
        check_names,
        check_imports,
        lambda: check_machine(home),
        check_clock,
        lambda: check_home(home),
    ]
    findings: list[Finding] = []
    for check in checks:
        try:
            findings.extend(check())
        except Exception as error:
            name = getattr(check, "__name__", "check")
            findings.append(
                Finding(name, "fail", f"{type(error).__name__}: {error}", "report this as a bug")
            )
    return findings


# ---------------------------------------------------------------------- installation
def check_python() -> Iterator[Finding]:
    """Look at the interpreter."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < MIN_PYTHON:
        yield Finding("python", "fail", version, "install Python 3.11 or newer")
    else:
        yield Finding("python", "ok", f"{version} ({sys.executable})")


def check_packages() -> Iterator[Finding]:
    """Look for the distributions that agentd asks for."""
    try:
        required = importlib.metadata.requires("agentd") or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding("packages", "fail", "agentd is not installed", _REINSTALL)
        return
    names = [re.split(r"[^\w.-]", line)[0] for line in required if "extra ==" not in line]
    versions: dict[str, str] = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(f"package {name}", "fail", "not installed", f"pip install {name}")
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    yield Finding("packages", "ok", listed)
    if importlib.util.find_spec("numba") is None:
        fix = 'pip install "agentd[fast]"'
        yield Finding("numba", "warn", "not installed: the house is cast at half the speed", fix)
    else:
        yield Finding("numba", "ok", importlib.metadata.version("numba"))


def check_names(
    owners: dict[str, list[str]] | None = None,
) -> Iterator[Finding]:
    """Look whether another distribution took one of our package names.

    Args:
        owners: Distributions by import name; None asks the installation.
    """
    found = importlib.metadata.packages_distributions() if owners is None else owners
    root = Path(__file__).parent.parent
    strangers = 0
    for name in PACKAGES:
        others = sorted({owner for owner in found.get(name, []) if owner.lower() != "agentd"})
        spec = importlib.util.find_spec(name)
        place = Path(spec.origin).parent.parent if spec and spec.origin else None
        if others or place != root:
            strangers += 1
            who = ", ".join(others) or f"something in {place}"
            fix = f"uninstall {who}, then {_REINSTALL}" if others else _REINSTALL
            yield Finding("package names", "fail", f"{name} also belongs to {who}", fix)
    if not strangers:
        yield Finding("package names", "ok", f"{', '.join(PACKAGES)} are ours")


def check_imports() -> Iterator[Finding]:
    """Import the heavy libraries in processes of their own: a crash there is a finding here."""
    probes = {
        "torch": "import torch; print(torch.__version__, torch.get_num_threads(), 'threads')",
        "ray": "import ray; print(ray.__version__)",
        "lancedb": "import lancedb; print(lancedb.__version__)",
        "mujoco": "import mujoco; print(mujoco.__version__)",
    }
    for name, code in probes.items():
        yield probe_import(name, code)


def probe_import(name: str, code: str) -> Finding:
    """Run a few words of Python in a new process and report what they print."""
    command = [sys.executable, "-P", "-c", code]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_IMPORT_PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Finding(name, "fail", f"no import within {_IMPORT_PATIENCE_S:g} s", _REINSTALL)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        why = lines[-1] if lines else f"exit code {done.returncode}"
        return Finding(name, "fail", why, f"pip install --force-reinstall {name}")
    return Finding(name, "ok", done.stdout.strip())


# ---------------------------------------------------------------------- machine
def check_machine(home: Home) -> Iterator[Finding]:
    """Look at cores, memory and disk."""
    import psutil

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    few = (cores or 1) < 2
    yield Finding(
        "cores",
        "warn" if few else "ok",
        f"{cores}",
        "with one core, learning slows the agent: use --set learners.enabled=false" if few else "",
    )
    free = psutil.virtual_memory().available
    yield _amount(
        "memory", free, "free", 4 * _GIB, 2 * _GIB, "close other programs; a life needs 3.7 GiB"
    )
    folder = home.path
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    yield _amount("disk", free, f"free at {folder}", 5 * _GIB, _GIB, "free space, or move --home")
    shared = Path("/dev/shm")  # noqa: S108 - Ray's place for objects, only looked at
    if shared.is_dir():
        free = shutil.disk_usage(shared).free
        fix = "give the container more: --shm-size=512m"
        yield _amount("shared memory", free, f"free at {shared}", _GIB // 4, _GIB // 10, fix)


def _amount(check: str, free: int, words: str, warn: int, fail: int, fix: str) -> Finding:
    level: Level = "fail" if free < fail else "warn" if free < warn else "ok"
    return Finding(check, level, f"{free / _GIB:.1f} GiB {words}", "" if level == "ok" else fix)


def check_clock() -> Iterator[Finding]:
    """Look whether the clock is set."""
    now_s = time.time()
    text = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(now_s))
    if now_s < _YEAR_2025_S:
        yield Finding("clock", "fail", f"{text}: not set", "set the clock, best with NTP")
    else:
        yield Finding("clock", "ok", text)


# ---------------------------------------------------------------------- home
def check_home(home: Home) -> Iterator[Finding]:
    """Look at a home without changing it: record, settings, lock, tables, checkpoints."""
    if not home.path.exists():
        yield Finding("home", "ok", f"{home.path} does not exist yet: no life was begun")
        return
    if not os.access(home.path, os.R_OK | os.W_OK | os.X_OK):
        fix = "give it back to yourself with chown, or choose another --home"
        yield Finding("home", "fail", f"{home.path} is not readable and writable", fix)
        return
    if not home.exists:
        yield Finding("home", "warn", f"{home.path} holds no life", home.command("run"))
        return
    try:
        record = home.read()
    except AgentdError as error:
        yield Finding("home", "fail", str(error), "restore life.json from a backup")
        return
    yield Finding("home", "ok", f"{home.path}, format {record.format}, life {record.life_id}")
    if record.created_ns > time.time_ns():
        text = "the life was born in the future: the clock went backwards"
        yield Finding("home clock", "warn", text, "set the clock, best with NTP")
    yield _settings(home, record.born)
    yield from _lock(home)
    yield from _put_aside(home)
    yield from _tables(home)
    yield from _checkpoints(home)


def _settings(home: Home, born: dict[str, Any]) -> Finding:
    from configs.errors import ConfigError
    from configs.load import load_config

    try:
        load_config(None, home.config_file, born=born)
    except ConfigError as error:
        return Finding("settings", "fail", str(error), "correct the key that is named")
    return Finding("settings", "ok", "every key and value is accepted")


def _lock(home: Home) -> Iterator[Finding]:
    from agentd.client import Client

    pid = home.holder_pid()
    if pid is None:
        yield Finding("running", "ok", "no: the lock is free")
        return
    with Client(home.path, timeout_s=5.0) as client:
        try:
            client.call("status")
        except AgentdError as error:
            fix = f"wait, or {home.command('stop')}"
            yield Finding("running", "warn", f"process {pid} does not answer: {error}", fix)
            return
    yield Finding("running", "ok", f"process {pid} answers")


def _put_aside(home: Home) -> Iterator[Finding]:
    for path in sorted(home.state_folder.glob("*.damaged*")):
        text = f"{path} could not be read once and was put aside"
        yield Finding("state", "warn", text, "delete it when you no longer need it")


def _tables(home: Home) -> Iterator[Finding]:
    from memory.errors import StoreError
    from memory.format import FORMAT_VERSION, read_format
    from memory.tables import naming, open_table
    from memory.vectors.tables import vector_tables

    folder = home.memory_folder
    if not any(folder.glob("*")):
        yield Finding("tables", "ok", "none yet")
        return
    counts: list[str] = []
    try:
        version = read_format(folder)
        if version > FORMAT_VERSION:
            text = f"{folder} has format {version}, this agentd reads {FORMAT_VERSION}"
            yield Finding("tables", "fail", text, "install a newer agentd")
            return
        names = {name: name for name in _TABLES}
        vectors = vector_tables(folder)
        names |= {name: f"vectors of {encoder}" for encoder, name in vectors.items()}
        for name, what in names.items():
            table = open_table(folder, name)
            if table is not None:
                with naming(folder, name):
                    table.search().limit(1).to_arrow()
                    counts.append(f"{table.count_rows()} {what}")
    except StoreError as error:
        yield Finding("tables", "fail", str(error), "restore the folder from a backup")
        return
    yield Finding("tables", "ok", ", ".join(counts) or "empty")


def _checkpoints(home: Home) -> Iterator[Finding]:
    from agentd.commands.checkpoints import checkpoint_ids
    from learners.errors import CheckpointError
    from learners.registry import Registry

    ids = checkpoint_ids(home.checkpoints_folder)
    if not ids:
        yield Finding("checkpoints", "ok", "none yet")
        return
    registry = Registry(home.checkpoints_folder)
    damaged = 0
    for checkpoint_id in ids:
        try:
            registry.verify(checkpoint_id)
        except CheckpointError as error:
            damaged += 1
            fix = f"restore it, or {home.command('checkpoints rollback')}"
            yield Finding("checkpoints", "fail", str(error), fix)
    if not damaged:
        acts = registry.promoted() or "none"
        yield Finding("checkpoints", "ok", f"{len(ids)} complete, {acts} acts")
