"""Checkpoints on disk: complete or absent, hashed, with a lineage. No torch here.

Layout: `<folder>/<id>/{weights,optimizer}.safetensors, manifest.json`, `<folder>/promoted.json`
(who acts, who acted before, which weights are trained on, which was the best, who is on trial, and
every decision with its reason) and `<folder>/pruned/<id>.json`, the manifests of checkpoints whose
weights were deleted to save space.
"""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from learners.errors import (
    DamagedCheckpointError,
    NewerCheckpointError,
    NothingToRollBackError,
    UnknownCheckpointError,
)
from learners.journal import HistoryEntry, RegistryState, acting, entry
from learners.manifest import FORMAT_VERSION, MANIFEST_FILE, Manifest, Stage, sha256_of
from learners.old_checkpoints import LAST_OLD_FORMAT, upgraded

KEEP_PROMOTED = 5
"""Promoted checkpoints whose weights stay on disk for a rollback."""

_STATE_FILE = "promoted.json"
_PRUNED = "pruned"
_PARTIAL = ".partial-"

# Inside the class `list` is the method that the command line calls.
_Manifests = list[Manifest]
_Ids = list[str]


class Registry:
    """All checkpoints of one life. Several processes may use one folder at the same time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def folder(self) -> Path:
        """Where the checkpoints lie."""
        return self._folder

    def path(self, checkpoint_id: str) -> Path:
        """Return the folder of a complete checkpoint.

        Raises:
            UnknownCheckpointError: If there is none of that id.
        """
        folder = self._folder / checkpoint_id
        plain = Path(checkpoint_id).name == checkpoint_id and not checkpoint_id.startswith(".")
        if not plain or not (folder / MANIFEST_FILE).is_file():
            known = ", ".join(self._ids()[-5:]) or "none yet"
            hint = "; its weights were pruned" if self._pruned_path(checkpoint_id) else ""
            raise UnknownCheckpointError(
                f"no checkpoint {checkpoint_id!r} in {self._folder}{hint}; the newest are: {known}"
            )
        return folder

    # ------------------------------------------------------------------ publish
    def publish(self, manifest: Manifest, files: Mapping[str, bytes]) -> Manifest:
        """Write a checkpoint: a reader sees all of it or nothing.

        Args:
            manifest: Its description; an empty `id` takes the next number, `files` is filled in.
            files: Contents by file name.

        Returns:
            The manifest as written. A sane checkpoint becomes the trunk.
        """
        with self._locked():
            self._remove_partial()
            checkpoint_id = manifest.id or self._next_id()
            hashes = {name: sha256_of(data) for name, data in files.items()}
            manifest = manifest.model_copy(update={"id": checkpoint_id, "files": hashes})
            partial = self._folder / f"{_PARTIAL}{checkpoint_id}"
            partial.mkdir()
            for name, data in files.items():
                _write_synced(partial / name, data)
            _write_synced(partial / MANIFEST_FILE, manifest.model_dump_json(indent=1).encode())
            _sync_folder(partial)
            partial.rename(self._folder / checkpoint_id)
            _sync_folder(self._folder)
            if manifest.verdict.sane:
                self._write_state(self._state().model_copy(update={"trunk": checkpoint_id}))
            self._prune(newest=checkpoint_id)
        return manifest

    # ------------------------------------------------------------------ who acts
    def promoted(self) -> str | None:
        """Return the checkpoint that acts, None before the first promotion."""
        chain = self._state().promoted
        return chain[-1] if chain else None

    def trunk(self) -> str | None:
        """Return the checkpoint whose weights the next round trains on."""
        return self._state().trunk

    def anchor(self) -> str | None:
        """Return the best checkpoint so far, None before the first promotion."""
        return self._state().anchor or self.promoted()

    def trial(self) -> str | None:
        """Return the candidate that is on trial, None if none is."""
        return self._state().trial

    def promote(
        self,
        checkpoint_id: str,
        *,
        stage: Stage | None = None,
        reason: str = "",
        is_anchor: bool = True,
    ) -> None:
        """Let a checkpoint act from now on.

        Args:
            checkpoint_id: Which.
            stage: Stage of the gate that decided, None for a person.
            reason: Why.
            is_anchor: Whether later candidates are measured against it. A person's choice is.

        Raises:
            UnknownCheckpointError: If there is none of that id.
        """
        self.path(checkpoint_id)
        with self._locked():
            state = self._state()
            chain = tuple(i for i in state.promoted if i != checkpoint_id)
            before = state.anchor or (chain[-1] if chain else None)
            anchor = checkpoint_id if is_anchor or before is None else before
            last = entry("promoted", checkpoint_id, stage, reason)
            self._write_state(acting(state, (*chain, checkpoint_id), anchor, last))
            self._prune()

    def rollback(self, *, stage: Stage | None = None, reason: str = "") -> str:
        """Let the checkpoint act that was promoted before the present one; return its id.

        Args:
            stage: Stage of the gate that decided, None for a person.
            reason: Why.

        Raises:
            NothingToRollBackError: If none was.
        """
        with self._locked():
            state = self._state()
            kept = [i for i in state.promoted[:-1] if (self._folder / i / MANIFEST_FILE).is_file()]
            if not kept:
                raise NothingToRollBackError(
                    f"nothing to roll back to in {self._folder}: no checkpoint was promoted "
                    f"before {state.promoted[-1] if state.promoted else 'any other'}"
                )
            last = entry("rolled_back", kept[-1], stage, reason)
            # The one that was left may have been the anchor; an older one is still a fair measure.
            anchor = state.anchor if state.anchor in kept else kept[-1]
            self._write_state(acting(state, tuple(kept), anchor, last))
        return kept[-1]

    # ------------------------------------------------------------------ trials
    def note_trial(self, event: str, checkpoint_id: str, stage: Stage, reason: str) -> None:
        """Write down that a stage of a candidate's trial began, or that it was confirmed."""
        with self._locked():
            state = self._state()
            trial = state.trial if event == "confirmed" else checkpoint_id
            self._note(state, entry(event, checkpoint_id, stage, reason), trial=trial)

    def refuse(
        self, checkpoint_id: str, *, stage: Stage, reason: str, train_on: bool = True
    ) -> None:
        """Write down that a candidate may not act.

        Args:
            checkpoint_id: Which.
            stage: Stage of the gate that decided.
            reason: Why.
            train_on: Whether later rounds may train on from it; if not, they go on from the one
                that acts.
        """
        with self._locked():
            state = self._state()
            leave = not train_on and state.trunk == checkpoint_id
            self._note(
                state,
                entry("refused", checkpoint_id, stage, reason),
                trial=None if state.trial == checkpoint_id else state.trial,
                trunk=next(reversed(state.promoted), None) if leave else state.trunk,
            )

    def history(self) -> tuple[HistoryEntry, ...]:
        """Return all decisions, the oldest first."""
        return self._state().history

    # ------------------------------------------------------------------ look
    def list(self) -> _Manifests:
        """Return the complete checkpoints, the oldest first."""
        return [self.manifest(i) for i in self._ids()]

    def pruned(self) -> _Manifests:
        """Return the manifests of checkpoints whose weights were deleted, the oldest first."""
        files = sorted((self._folder / _PRUNED).glob("*.json"))
        return [_read_manifest(file, file.stem) for file in files]

    def manifest(self, checkpoint_id: str) -> Manifest:
        """Return the description of a checkpoint, pruned ones included.

        Raises:
            UnknownCheckpointError: If there is none of that id.
            DamagedCheckpointError: If it cannot be read.
            NewerCheckpointError: If a newer program wrote it.
        """
        pruned = self._pruned_path(checkpoint_id)
        file = pruned if pruned else self.path(checkpoint_id) / MANIFEST_FILE
        return _read_manifest(file, checkpoint_id)

    def verify(self, checkpoint_id: str) -> Manifest:
        """Compare every file with its hash; return the manifest.

        Raises:
            UnknownCheckpointError: If there is none of that id.
            DamagedCheckpointError: If a file is missing or was changed.
            NewerCheckpointError: If a newer program wrote it.
        """
        folder = self.path(checkpoint_id)
        manifest = self.manifest(checkpoint_id)
        for name in manifest.files:
            read_checked(folder, manifest, name)
        return manifest

    # ------------------------------------------------------------------ inside
    def _ids(self) -> _Ids:
        found = [f for f in self._folder.iterdir() if (f / MANIFEST_FILE).is_file()]
        return sorted(f.name for f in found if not f.name.startswith("."))

    def _next_id(self) -> str:
        names = [*self._ids(), *(f.stem for f in (self._folder / _PRUNED).glob("*.json"))]
        numbers = [int(n.rpartition("-")[2]) for n in names if n.rpartition("-")[2].isdigit()]
        return f"ckpt-{max(numbers, default=0) + 1:05d}"

    def _pruned_path(self, checkpoint_id: str) -> Path | None:
        if Path(checkpoint_id).name != checkpoint_id:
            return None
        file = self._folder / _PRUNED / f"{checkpoint_id}.json"
        return file if file.is_file() else None

    def _state(self) -> RegistryState:
        file = self._folder / _STATE_FILE
        if not file.exists():
            return RegistryState()
        try:
            values = json.loads(file.read_text())
            _refuse_newer(values, file)
            return RegistryState.model_validate(values)
        except (ValidationError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise DamagedCheckpointError(
                f"{file} is damaged ({_first_line(error)}); restore it, or delete it to start "
                "without a promoted checkpoint"
            ) from error

    def _note(self, state: RegistryState, last: HistoryEntry, **changes: str | None) -> None:
        update = {"history": (*state.history, last), **changes}
        self._write_state(state.model_copy(update=update))

    def _write_state(self, state: RegistryState) -> None:
        state = state.model_copy(update={"format_version": FORMAT_VERSION})
        partial = self._folder / f"{_PARTIAL}{_STATE_FILE}"
        _write_synced(partial, state.model_dump_json(indent=1).encode())
        partial.replace(self._folder / _STATE_FILE)
        _sync_folder(self._folder)

    def _prune(self, newest: str | None = None) -> None:
        """Delete weights that nothing can ask for any more; their manifests stay."""
        state = self._state()
        keep = {*state.promoted[-KEEP_PROMOTED:], state.trunk, state.anchor, state.trial, newest}
        for checkpoint_id in self._ids():
            if checkpoint_id in keep:
                continue
            folder = self._folder / checkpoint_id
            (self._folder / _PRUNED).mkdir(exist_ok=True)
            data = (folder / MANIFEST_FILE).read_bytes()
            _write_synced(self._folder / _PRUNED / f"{checkpoint_id}.json", data)
            # Out of sight first: a half-deleted checkpoint must not look complete.
            doomed = folder.rename(self._folder / f"{_PARTIAL}{checkpoint_id}-old")
            shutil.rmtree(doomed)

    def _remove_partial(self) -> None:
        for leftover in self._folder.glob(f"{_PARTIAL}*"):
            if leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def read_checked(folder: Path, manifest: Manifest, name: str) -> bytes:
    """Return the content of a checkpoint's file after comparing it with its hash.

    Raises:
        DamagedCheckpointError: If the file is missing or was changed.
    """
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise DamagedCheckpointError(
            f"checkpoint {manifest.id}: {folder / name} cannot be read ({error.strerror}); "
            "restore the file or roll back to another checkpoint"
        ) from error
    found, expected = sha256_of(data), manifest.files.get(name, "nothing")
    if found != expected:
        raise DamagedCheckpointError(
            f"checkpoint {manifest.id}: {folder / name} is damaged (sha256 {found[:12]}..., "
            f"the manifest says {expected[:12]}...); restore it or roll back"
        )
    return data


def _read_manifest(file: Path, checkpoint_id: str) -> Manifest:
    try:
        values = json.loads(file.read_text())
        _refuse_newer(values, file)
        if isinstance(values, dict) and values.get("format_version", 1) <= LAST_OLD_FORMAT:
            values = upgraded(values)
        manifest = Manifest.model_validate(values)
    except (OSError, TypeError, ValueError) as error:
        raise DamagedCheckpointError(
            f"checkpoint {checkpoint_id}: {file} is damaged ({_first_line(error)}); "
            "restore it or roll back to another checkpoint"
        ) from error
    if manifest.id != checkpoint_id:
        raise DamagedCheckpointError(
            f"checkpoint {checkpoint_id}: {file} describes {manifest.id!r}, not its own folder"
        )
    return manifest


def _refuse_newer(values: object, file: Path) -> None:
    found = values.get("format_version") if isinstance(values, dict) else None
    if isinstance(found, int) and found > FORMAT_VERSION:
        raise NewerCheckpointError(
            f"{file} has format {found}; this program reads up to {FORMAT_VERSION}: "
            "use the newer program that wrote it"
        )


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        detail = error.errors()[0]
        return f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}"
    return str(error).splitlines()[0]


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
