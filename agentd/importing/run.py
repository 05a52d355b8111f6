"""Takes a log into a life: each of its steps goes the way of a step that is lived.

Rows, objects and map are written in turn, each whole; the journal last. A killed import finds
rows that map and objects have not seen: those are looked at again, but not recorded again.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agentd import build, snapshot
from agentd.body_record import record_body
from agentd.events import EventLog
from agentd.exit_codes import AgentdError, ExitCode
from agentd.goals import GoalBook
from agentd.home import Home
from agentd.importing.journal import Entry, Journal
from agentd.importing.onlooker import Onlooker, Unchecked
from agentd.loop import Loop
from agentd.recorder import Recorder
from agentd.worlds.recorded.world import RecordedWorld
from configs.schema import AgentConfig
from memory.errors import StoreError
from memory.records import Action, Observation

COMMIT_STEPS = 512
"""Steps between two entries in the journal."""
_PATIENCE_S = 60.0
"""How long rows may wait for the disk before the import gives up."""
_GIVEN_UP_S = 1.0
"""The same once it has given up."""


class ImportFailedError(AgentdError):
    """The import cannot go on; what it has taken in is kept."""

    exit_code = ExitCode.UNEXPECTED


@dataclass(frozen=True, slots=True)
class Far:
    """How far an import is.

    Attributes:
        steps: Steps taken in.
        log_s: Seconds of the log that are behind.
        total_s: Seconds of the log.
    """

    steps: int
    log_s: float
    total_s: float


class Importing:
    """One import into a home whose lock is held.

    Args:
        home: The home.
        config: Settings of the life.
        world: The log.
        entry: Its entry in the journal.
        journal: The journal.
        span_ns: First and last time of the log, by its recorder.
        on_progress: Told now and then how far it is.
    """

    def __init__(
        self,
        home: Home,
        config: AgentConfig,
        world: RecordedWorld,
        entry: Entry,
        journal: Journal,
        span_ns: tuple[int, int],
        on_progress: Callable[[Far], None],
    ) -> None:
        self._home, self._config, self._world = home, config, world
        self._entry, self._journal = entry, journal
        self._span_ns, self._on_progress = span_ns, on_progress
        self._errors: list[str] = []
        self._stop = threading.Event()
        self._slots_written = 0
        self.events = EventLog(home.log_folder / "events.jsonl")
        self.replay, self.slots = build.build_stores(
            home.memory_folder, config, world.spec, self._note
        )
        record_body(home, world.spec)
        self._recorder = Recorder(self.replay, _Later(), config.memory.replay, self._note)
        self._recorder.version = self.replay.version
        navigator, safety = build.build_policy(
            world.spec, config.policies, self.slots, config.life.seed
        )
        self._navigator = navigator
        self._onlooker = Onlooker(navigator, world.spec.tick_s)
        self._saved = snapshot.load(home, self._note)
        if self._saved.map:
            snapshot.take_up_map(home, self._saved.map, navigator, self._note)
        self._parts = build.build_parts(
            world=world,
            slots=self.slots,
            navigator=navigator,
            safety=safety,
            recorder=self._recorder,
            goals=GoalBook(config.life.max_goal_steps),
            events=self.events,
            config=config,
        )
        self._parts.policy, self._parts.safety = self._onlooker, Unchecked()
        if entry.first_step < 0:
            entry.first_step = self.replay.last_step() + 1

    def stop(self) -> None:
        """End after the step in hand, in good order; from any thread or signal."""
        self._stop.set()

    def run(self) -> dict[str, Any]:
        """Take in the log, or the rest of it; return what became of it.

        Raises:
            ImportFailedError: If rows cannot be written.
            LogError: If the log makes no step.
        """
        # Before the first row: rows of a log that the journal does not know would be taken twice.
        self._journal.put(self._entry)
        before = self._entry.steps
        observation = self._catch_up()
        loop = Loop(
            self._parts,
            tick_s=self._world.spec.tick_s,
            real_time=False,
            episode_steps=self._config.life.episode_steps,
            first_step=self.replay.last_step() + 1,
            first_episode=self.replay.last_episode() + 1,
        )
        verb = "goes on with" if before else "takes in"
        self.events.emit("memory", loop.state.step, f"{verb} the log {self._entry.path}")
        self._recorder.start()
        began_s, first_step = time.monotonic(), loop.state.step
        patience_s = _PATIENCE_S
        try:
            while not (self._stop.is_set() or self._world.is_over):
                observation = loop.tick(observation)
                done = loop.state.step - first_step
                self._tell(done)
                if done % COMMIT_STEPS == 0:
                    self._commit(loop.state.step)
            self._commit(loop.state.step)
        except ImportFailedError:
            patience_s = _GIVEN_UP_S
            raise
        finally:
            self._recorder.close(patience_s)
        if self._entry.done:
            self._compact()
        return self._report(loop.state.step - first_step, time.monotonic() - began_s, before)

    def close(self) -> None:
        """Release the stores and the log."""
        self._world.close()
        self.replay.close()

    # ------------------------------------------------------------------ going on
    def _catch_up(self) -> Observation:
        """Show to map and objects what was recorded after the last entry of the journal.

        Raises:
            ImportFailedError: If what was recorded is not of this log.
        """
        entry, replay = self._entry, self.replay
        observation = self._world.seek(entry.ticks, entry.shift_ns)
        ahead = replay.last_step() + 1 - entry.first_step - entry.steps
        if ahead <= 0:
            return observation
        seen = max((s.last_seen_step for s in self.slots.slots(archived=True)), default=-1)
        newest = replay.read(len(replay) - 1, 1)[0].observation.stamp_ns
        for step in range(replay.last_step() + 1 - ahead, replay.last_step() + 1):
            if step == replay.last_step() and observation.stamp_ns != newest:
                raise ImportFailedError(
                    f"the life in {self._home.path} went on after the import of {entry.path} was "
                    "stopped: the rest of the log cannot be told from what was lived since"
                )
            detections = self._parts.detector.detect(observation)
            if step > seen:
                self.slots.update(observation, detections, step)
            self._onlooker.act(observation, detections, None)
            if self._world.is_over:
                break
            result = self._world.step(self._still())
            self._onlooker.note_applied(result.applied)
            observation = result.observation
        return observation

    def _still(self) -> Action:
        return Action(v_mps=0.0, w_radps=0.0, duration_s=self._world.spec.tick_s, source="none")

    # ------------------------------------------------------------------ keeping
    def _commit(self, next_step: int) -> None:
        """Write rows, objects and map, and then that they are written."""
        self._drain()
        self.slots.flush()
        facts = self._facts(next_step)
        snapshot.save(self._home, facts, self._navigator.save(), self._world.save_state())
        entry, world = self._entry, self._world
        entry.ticks = world.tick + world.is_over
        entry.steps = next_step - entry.first_step
        entry.shift_ns, entry.done = world.shift_ns, world.is_over
        self._journal.put(entry)

    def _compact(self) -> None:
        """Merge the many small files of a quick import; it can be done later as well."""
        try:
            self.replay.compact()
        except StoreError as error:
            self._note(str(error))

    def _drain(self) -> None:
        """Wait until all rows are on the disk.

        Raises:
            ImportFailedError: If they do not get there.
        """
        began_s = time.monotonic()
        while self._recorder.rows_queued:
            self._recorder.hurry()
            refused = self._recorder.dropped_rows
            patience_s = _PATIENCE_S if len(self._errors) <= refused else _PATIENCE_S / 6
            if time.monotonic() > began_s + patience_s:
                why = self._errors[-1] if self._errors else "the disk is too slow"
                raise ImportFailedError(
                    f"steps cannot be written: {why}. What was taken in is kept: the same command "
                    "goes on from there"
                )
            time.sleep(0.002)

    def _facts(self, step: int) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "format": snapshot.FORMAT,
            "goals": GoalBook(self._config.life.max_goal_steps).kept(),
            "coverage": [],
            "rounds": [],
            "rows_at_round": None,
            **self._saved.facts,
        }
        area = round(self._navigator.map.explored_m2, 2)
        return facts | {"step": step, "coverage": [*facts["coverage"], [step, area]]}

    # ------------------------------------------------------------------ telling
    def _report(self, steps: int, seconds: float, before: int) -> dict[str, Any]:
        entry = self._entry
        entry.report = self._world.report.as_dict()
        self._journal.put(entry)
        end = "" if entry.done else " (stopped)"
        self.events.emit(
            "memory", entry.first_step + entry.steps, f"the log {entry.path}: {steps} steps{end}"
        )
        log_s = max(0.0, (self._world.logged_ns - self._span_ns[0]) / 1e9)
        return {
            "done": entry.done,
            "log": entry.path,
            "steps": steps,
            "steps_before": before,
            "first_step": entry.first_step,
            "rows_refused": self._recorder.dropped_rows,
            "not_mapped": self._onlooker.doubted,
            "objects": {k.value: n for k, n in self.slots.num_by_state().items()},
            "explored_m2": round(self._navigator.map.explored_m2, 2),
            "seconds": round(seconds, 3),
            "log_s": round(log_s, 3),
            "speed": round(log_s / seconds, 2) if seconds > 0 and not before else None,
            "errors": list(dict.fromkeys(self._errors)),
            "log_report": entry.report,
            "words": self._world.report.lines(),
        }

    def _tell(self, steps: int) -> None:
        if steps % 16 == 0:
            begin, end = self._span_ns
            total_s = (end - begin) / 1e9
            log_s = min(max(0.0, (self._world.logged_ns - begin) / 1e9), total_s)
            self._on_progress(Far(steps, log_s, total_s))

    def _note(self, text: str) -> None:
        self._errors.append(text)


class _Later:
    """Objects are written with the journal, not by the recorder."""

    def flush(self) -> int:
        """Write nothing yet."""
        return 0
