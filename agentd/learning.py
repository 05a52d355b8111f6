"""Learning while living: when a round starts, what becomes of its result, who acts.

Runs on the scheduler's thread. The control loop only ever receives a loaded model, between two
episodes: all steps of an episode were acted by one checkpoint.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import psutil

from agentd.control import ControlError
from agentd.events import EventLog
from agentd.loop import Loop, SurprisingModel
from learners.config import LearnersConfig
from learners.errors import DamagedCheckpointError, UnknownCheckpointError
from learners.registry import Registry
from learners.round_spec import RoundFailure, RoundResult, RoundSpec
from memory.errors import StoreError
from memory.protocols import CropEncoder
from memory.vectors.backfill import BackfillReport


class Rounds(Protocol):
    """Where rounds run; `learners.cluster.RayRounds`."""

    @property
    def busy(self) -> bool: ...
    def start(self) -> None: ...
    def submit(self, spec: RoundSpec) -> None: ...
    def poll(self) -> RoundResult | RoundFailure | None: ...
    def pids(self) -> list[int]: ...
    def close(self) -> None: ...


class Vectors(Protocol):
    """The part of an object memory that changes its encoder; `memory.objects.memory.SlotMemory`."""

    def prepare_encoder(self, encoder: CropEncoder) -> BackfillReport: ...
    def activate_encoder(self, encoder: CropEncoder, report: BackfillReport) -> BackfillReport: ...


class StepClock:
    """Remembers when steps were lived, to tell how old an observation is."""

    def __init__(self, every: int = 10, keep: int = 20_000) -> None:
        self._every = every
        self._marks: deque[tuple[int, float]] = deque(maxlen=keep)

    def note(self, step: int) -> None:
        """Mark a step that is lived now."""
        if step % self._every == 0:
            self._marks.append((step, time.monotonic()))

    def age_s(self, step: int) -> float | None:
        """Return the seconds since a step, None for one of an earlier process."""
        marks = list(self._marks)
        if not marks or step < marks[0][0] - self._every:
            return None
        steps = np.array([s for s, _ in marks])
        i = int(np.clip(np.searchsorted(steps, step), 0, len(marks) - 1))
        return time.monotonic() - marks[i][1]


class Learning:
    """Starts rounds, judges nothing itself (the gate has), swaps, rolls back."""

    def __init__(
        self,
        *,
        config: LearnersConfig,
        registry: Registry,
        rounds: Rounds | None,
        make_spec: Callable[[str | None], RoundSpec],
        load_model: Callable[[str], SurprisingModel],
        loop: Loop,
        vectors: Vectors,
        note_progress: Callable[[list[tuple[float, float, float]]], None],
        rows: Callable[[], int],
        events: EventLog,
        clock: StepClock,
    ) -> None:
        self._config, self._registry, self._rounds = config, registry, rounds
        self._make_spec, self._load_model = make_spec, load_model
        self._loop, self._vectors, self._note_progress = loop, vectors, note_progress
        self._rows, self._events, self._clock = rows, events, clock
        self._lock = threading.RLock()
        self._changing = threading.Lock()
        self._next: tuple[SurprisingModel, BackfillReport] | None = None
        self._begun: tuple[SurprisingModel, BackfillReport] | None = None
        self._told = ""
        self._rows_at_round: int | None = None
        self._trained_to_step = -1
        self._since_s = 0.0
        self._in_flight: RoundSpec | None = None
        self._wanted = threading.Event()
        self.history: list[dict[str, Any]] = []
        self.freshness_s: float | None = None

    # ------------------------------------------------------------------ scheduler's side
    def check(self) -> None:
        """Collect a finished round; start one when enough is new. Called every few seconds."""
        self._change_encoder()
        if self._rounds is None:
            return
        with self._lock:
            outcome = self._rounds.poll()
            if outcome is not None:
                self._in_flight = None
                self._collect(outcome)
            if not self._rounds.busy and self._due():
                self._submit(self._rounds)

    def _due(self) -> bool:
        rows = self._rows()
        if self._wanted.is_set():
            return rows >= self._config.round.horizon * 2
        if self._rows_at_round is None:
            return rows >= self._config.round.first_rows
        return rows - self._rows_at_round >= self._config.round.min_new_rows

    def _submit(self, rounds: Rounds) -> None:
        self._wanted.clear()
        self._rows_at_round = self._rows()
        spec = self._make_spec(self._registry.promoted())
        self._since_s = time.monotonic()
        self._in_flight = spec
        rounds.submit(spec)
        self._emit(f"round started on the steps below {spec.replay_version}")

    def _collect(self, outcome: RoundResult | RoundFailure) -> None:
        entry: dict[str, Any] = {
            "round": len(self.history) + 1,
            "step": self._loop.state.step,
            "seconds": round(time.monotonic() - self._since_s, 1),
        }
        if isinstance(outcome, RoundFailure):
            entry |= {"checkpoint": None, "accepted": False, "reason": outcome.reason}
            entry |= {"metrics": {}, "num_updates": 0}
            self._emit(f"round failed: {outcome.reason}")
        else:
            entry |= {
                "checkpoint": outcome.checkpoint_id,
                "accepted": outcome.accepted,
                "reason": "; ".join(outcome.reasons),
                "metrics": outcome.metrics,
                "num_updates": outcome.num_updates,
            }
            samples = list(outcome.learning_progress)
            self._loop.post(lambda: self._note_progress(samples))
            if outcome.accepted and outcome.checkpoint_id is not None:
                self._promote_result(outcome, entry)
            else:
                self._emit(f"{outcome.checkpoint_id} refused: {entry['reason']}")
        self.history.append(entry)

    def _promote_result(self, outcome: RoundResult, entry: dict[str, Any]) -> None:
        assert outcome.checkpoint_id is not None
        oldest_new = self._clock.age_s(self._trained_to_step + 1)
        self._registry.promote(outcome.checkpoint_id)
        self._act_with(outcome.checkpoint_id)
        last_step = outcome.rows[1]
        entry["freshness_newest_s"] = _rounded(self._clock.age_s(last_step))
        entry["freshness_s"] = self.freshness_s = _rounded(oldest_new)
        self._trained_to_step = last_step
        self._emit(f"{outcome.checkpoint_id} promoted: {entry['reason']}")

    def _act_with(self, checkpoint_id: str) -> None:
        """Load and embed the memory's crops again; what is ready acts from the next episode on."""
        model = self._load_model(checkpoint_id)
        report = self._vectors.prepare_encoder(model)
        self._next = (model, report)
        self._loop.post_between_episodes(self._swap)
        self._emit(f"{checkpoint_id} acts from the next episode on; {report.text()}")

    def _swap(self) -> None:
        """Act with the newest model that is ready; called by the loop between two episodes."""
        ready, self._next = self._next, None
        if ready is None:
            return
        self._loop.use_model(ready[0])
        self._begun = ready
        # The views since then are still to be embedded and the change to be written: not here.
        threading.Thread(target=self._change_encoder, name="encoder", daemon=True).start()

    def _change_encoder(self) -> None:
        """Let the memory compare vectors of the model that acts; one that fails is tried again."""
        with self._changing:
            begun = self._begun
            if begun is None:
                return
            try:
                self._vectors.activate_encoder(*begun)
            except (StoreError, OSError) as error:
                text = f"the encoder is not changed yet, to be tried again: {error}"
                if text != self._told:
                    self._emit(text)
                self._told = text
                return
            self._told = ""
            # A newer model may have come meanwhile.
            if self._begun is begun:
                self._begun = None

    # ------------------------------------------------------------------ people's side
    def request(self) -> dict[str, Any]:
        """Ask for a round as soon as none is running."""
        if self._rounds is None:
            raise ControlError("not_ready", "learning is off: learners.enabled is false")
        self._wanted.set()
        return {"requested": True, "in_flight": self._in_flight is not None}

    def rollback(self) -> dict[str, Any]:
        """Let the checkpoint act that was promoted before the present one."""
        with self._lock:
            try:
                checkpoint_id = self._registry.rollback()
            except LookupError as error:
                raise ControlError("not_found", str(error)) from error
            self._act_with(checkpoint_id)
        return {"checkpoint": checkpoint_id}

    def promote(self, checkpoint_id: str) -> dict[str, Any]:
        """Let a stored checkpoint act, whatever the gate said."""
        with self._lock:
            try:
                self._registry.promote(checkpoint_id)
            except LookupError as error:
                raise ControlError("not_found", str(error)) from error
            self._act_with(checkpoint_id)
        return {"checkpoint": checkpoint_id}

    # ------------------------------------------------------------------ life's side
    def resume(self) -> None:
        """Act with the promoted checkpoint of an earlier process, if there is one.

        Raises:
            DamagedCheckpointError: If it is missing, altered or unreadable.
        """
        checkpoint_id = self._registry.promoted()
        if checkpoint_id is None:
            return
        try:
            self._trained_to_step = self._registry.manifest(checkpoint_id).rows[1]
            self._act_with(checkpoint_id)
            # The loop does not run yet: this is between two episodes.
            self._swap()
        except UnknownCheckpointError as error:
            raise DamagedCheckpointError(
                f"the promoted checkpoint is missing: {error}; restore its folder, or let another "
                f"act with: agentd checkpoints rollback"
            ) from error

    def restore(self, history: list[dict[str, Any]], rows_at_round: int | None) -> None:
        """Take over the history of an earlier process."""
        self.history = list(history)
        self._rows_at_round = rows_at_round

    @property
    def rows_at_round(self) -> int | None:
        """Rows in the store when the last round started, None before the first."""
        return self._rows_at_round

    def ray_rss_mb(self) -> float | None:
        """Return the resident memory of Ray's processes together, None without Ray."""
        pids = self._rounds.pids() if self._rounds is not None else []
        total, found = 0, False
        for pid in pids:
            try:
                total += psutil.Process(pid).memory_info().rss
                found = True
            except psutil.Error:
                continue
        return round(total / 2**20, 1) if found else None

    def as_dict(self) -> dict[str, Any]:
        """Return the learning part of the status."""
        model, spec = self._loop.model, self._in_flight
        return {
            "enabled": self._rounds is not None,
            "in_flight": None
            if spec is None
            else {
                "since_s": round(time.monotonic() - self._since_s, 1),
                "replay_version": spec.replay_version,
            },
            "checkpoint": model.checkpoint_id if model else None,
            "trusted": bool(model and model.trusted),
            "freshness_s": self.freshness_s,
            "rounds": self.history[-30:],
        }

    def close(self) -> None:
        """End the rounds; a round in flight is given up and repeated by the next process."""
        if self._rounds is not None:
            self._rounds.close()

    def _emit(self, text: str) -> None:
        self._events.emit("learning", self._loop.state.step, text)


def _rounded(value_s: float | None) -> float | None:
    return None if value_s is None else round(value_s, 1)
