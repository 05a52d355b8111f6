"""Learning while living: when a round starts, what becomes of its result, who acts.

Runs on the scheduler's thread. What the gate's probes accept is tried in life (`agentd.trial`)
before it is promoted; no round starts meanwhile, so that each is compared with who acts.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import psutil

from agentd.acting import Acting
from agentd.control import ControlError
from agentd.events import EventLog
from agentd.loop import Loop
from agentd.trial import Ending, Trials
from learners.config import LearnersConfig
from learners.errors import DamagedCheckpointError, UnknownCheckpointError
from learners.registry import Registry
from learners.round_spec import RoundFailure, RoundResult, RoundSpec


class Rounds(Protocol):
    """Where rounds run; `learners.cluster.RayRounds`."""

    @property
    def busy(self) -> bool: ...
    def start(self) -> None: ...
    def submit(self, spec: RoundSpec) -> None: ...
    def poll(self) -> RoundResult | RoundFailure | None: ...
    def pids(self) -> list[int]: ...
    def close(self) -> None: ...


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
    """Starts rounds, hands what the gate accepted to its trial, rolls back."""

    def __init__(
        self,
        *,
        config: LearnersConfig,
        registry: Registry,
        rounds: Rounds | None,
        make_spec: Callable[[str | None], RoundSpec],
        acting: Acting,
        trials: Trials,
        loop: Loop,
        note_progress: Callable[[list[tuple[float, float, float]]], None],
        rows: Callable[[], int],
        events: EventLog,
        clock: StepClock,
    ) -> None:
        self._config, self._registry, self._rounds = config, registry, rounds
        self._make_spec, self._acting, self._trials = make_spec, acting, trials
        self._loop, self._note_progress = loop, note_progress
        self._rows, self._events, self._clock = rows, events, clock
        self._lock = threading.RLock()
        self._rows_at_round: int | None = None
        self._trained_to_step = -1
        self._since_s = 0.0
        self._in_flight: RoundSpec | None = None
        self._wanted = threading.Event()
        self.history: list[dict[str, Any]] = []
        self.freshness_s: float | None = None
        trials.on_end = self._end_trial

    # ------------------------------------------------------------------ scheduler's side
    def check(self) -> None:
        """Collect a finished round; start one when enough is new. Called every few seconds."""
        self._acting.change_encoder()
        if self._rounds is None:
            return
        with self._lock:
            outcome = self._rounds.poll()
            if outcome is not None:
                spec, self._in_flight = self._in_flight, None
                self._collect(outcome, spec)
            self._trials.check()
            if not self._rounds.busy and not self._trials.busy and self._due():
                self._submit(self._rounds)

    def _due(self) -> bool:
        rows = self._rows()
        if self._wanted.is_set():
            return rows >= self._config.round.probe_frames * 2
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

    def _collect(self, outcome: RoundResult | RoundFailure, spec: RoundSpec | None) -> None:
        entry: dict[str, Any] = {
            "round": len(self.history) + 1,
            "step": self._loop.state.step,
            "seconds": round(time.monotonic() - self._since_s, 1),
            "accepted": False,
        }
        self.history.append(entry)
        if isinstance(outcome, RoundFailure):
            entry |= {"checkpoint": None, "reason": outcome.reason, "metrics": {}, "num_updates": 0}
            self._emit(f"round failed: {outcome.reason}")
            return
        entry |= {
            "checkpoint": outcome.checkpoint_id,
            "reason": "; ".join(outcome.reasons),
            "metrics": outcome.metrics,
            "num_updates": outcome.num_updates,
            "rows": list(outcome.rows),
        }
        if outcome.new_lineage:
            acts = self._registry.promoted()
            waits = f"; {acts} acts until a candidate passes the gate" if acts else ""
            self._emit(f"{outcome.new_lineage}{waits}")
        samples = list(outcome.learning_progress)
        self._loop.post(lambda: self._note_progress(samples))
        if not outcome.accepted or outcome.checkpoint_id is None:
            self._emit(f"{outcome.checkpoint_id} refused: {entry['reason']}")
            return
        compared, acting = spec.parent_id if spec else None, self._registry.promoted()
        entry["on_trial"] = True
        if compared != acting:
            reason = f"compared with {compared or 'nothing'}, but {acting} acts now"
            self._registry.refuse(outcome.checkpoint_id, stage="T1", reason=reason)
            self._end_trial(
                Ending(
                    checkpoint_id=outcome.checkpoint_id, accepted=False, stage="T1", reason=reason
                )
            )
        else:
            self._trials.begin(outcome.checkpoint_id)

    def _end_trial(self, ending: Ending) -> None:
        """Write into a round's entry what became of its candidate."""
        checkpoint_id = ending.checkpoint_id
        found = (row for row in reversed(self.history) if row["checkpoint"] == checkpoint_id)
        entry = next(found, None)
        if entry is not None:
            entry.pop("on_trial", None)
            entry["accepted"] = ending.accepted
            if ending.accepted:
                self._note_freshness(entry, ending.acted_s)
            else:
                entry["reason"] = f"{ending.stage}: {ending.reason}"
        word = "promoted" if ending.accepted else "refused"
        self._emit(f"{checkpoint_id} {word}: {ending.reason}")

    def _note_freshness(self, entry: dict[str, Any], acted_s: float) -> None:
        """Measure how old observations were when the model that trained on them began to act."""
        oldest_new, last_step = self._clock.age_s(self._trained_to_step + 1), entry["rows"][1]
        entry["freshness_newest_s"] = _rounded(self._clock.age_s(last_step), acted_s)
        entry["freshness_s"] = self.freshness_s = _rounded(oldest_new, acted_s)
        self._trained_to_step = last_step

    # ------------------------------------------------------------------ people's side
    def request(self) -> dict[str, Any]:
        """Ask for a round as soon as none is running."""
        if self._rounds is None:
            raise ControlError("not_ready", "learning is off: learners.enabled is false")
        self._wanted.set()
        return {"requested": True, "in_flight": self._in_flight is not None}

    def rollback(self) -> dict[str, Any]:
        """Let the checkpoint act that acted before: a canary ends, else the chain goes back."""
        with self._lock:
            promoted = self._registry.promoted()
            if not self._trials.acts or promoted is None:
                try:
                    promoted = self._registry.rollback()
                except LookupError as error:
                    raise ControlError("not_found", str(error)) from error
            self._trials.abandon("a person rolled back")
            self._act_with(promoted)
        return {"checkpoint": promoted}

    def promote(self, checkpoint_id: str) -> dict[str, Any]:
        """Let a stored checkpoint act, whatever the gate said."""
        with self._lock:
            try:
                self._trials.require_origin(checkpoint_id)
                self._registry.promote(checkpoint_id)
            except LookupError as error:
                raise ControlError("not_found", str(error)) from error
            except ValueError as error:
                raise ControlError("invalid", str(error)) from error
            self._trials.abandon(f"a person promoted {checkpoint_id}")
            self._act_with(checkpoint_id)
        return {"checkpoint": checkpoint_id}

    def _act_with(self, checkpoint_id: str) -> None:
        model = self._acting.load(checkpoint_id)
        self._acting.act_with(model, self._acting.prepare(model))

    # ------------------------------------------------------------------ life's side
    def resume(self) -> None:
        """Act with the promoted checkpoint of an earlier process, if there is one.

        Raises:
            DamagedCheckpointError: If it is missing, altered or unreadable.
        """
        checkpoint_id, trial = self._registry.promoted(), self._registry.trial()
        try:
            if checkpoint_id is not None:
                self._trained_to_step = self._registry.manifest(checkpoint_id).rows[1]
                self._acting.act_from_the_start(checkpoint_id)
            if trial is not None and self._rounds is not None:
                self._trials.begin(trial)
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


def _rounded(age_s: float | None, since_s: float) -> float | None:
    """Return an age as it was some seconds ago."""
    return None if age_s is None else round(age_s - since_s, 1)
