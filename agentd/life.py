"""A life: everything that runs around the loop, from opening the home to the last line."""

import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from apscheduler.schedulers.background import BackgroundScheduler

from agentd import build, snapshot, status
from agentd.asking import end_process
from agentd.body_record import record_body
from agentd.compaction import Compactor
from agentd.control import ControlServer
from agentd.events import EventLog
from agentd.exit_codes import ExitCode
from agentd.goals import GoalBook
from agentd.guardian.fence import Fence
from agentd.handlers import handlers
from agentd.home import Home
from agentd.learning import Learning, StepClock
from agentd.loop import Loop
from agentd.recipe import life_recipe
from agentd.recorder import Recorder
from agentd.report import life_report, print_report
from agentd.worlds.base import Resumable, World
from configs.load import LoadedConfig
from learners.cluster import RayRounds
from learners.registry import Registry
from memory.files import write_atomic
from memory.records import Observation
from memory.sizes import folder_bytes

log = logging.getLogger("agentd")


class Life:
    """One home, opened and lived in. The caller holds the home's lock."""

    def __init__(self, home: Home, loaded: LoadedConfig, world: World) -> None:
        self.home, self.config = home, loaded.config
        self.life_id = home.read().life_id
        config = self.config
        # First: a recipe that cannot act is told before anything is opened.
        recipe = life_recipe(loaded)
        self.started_ns, self.started_s = time.time_ns(), time.monotonic()
        self.last_error: str | None = None
        self.disk_bytes = 0
        self.events = EventLog(home.log_folder / "events.jsonl")
        self.world = build.guard_world(world, config)
        record_body(home, self.world.spec)
        self.guardian = build.build_desk(self.world, home, config, self._note_guardian)
        self.replay, self.slots = build.build_stores(
            home.memory_folder, config, self.world.spec, self._note_store
        )
        self.rows_at_start = len(self.replay)
        self.recorder = Recorder(self.replay, self.slots, config.memory.replay, self._error)
        self.recorder.version = self.replay.version
        self.compactor = Compactor(home.memory_folder, config.memory, self._error)
        self.goals = GoalBook(config.life.max_goal_steps)
        self.navigator, safety = build.build_kept_policy(self.world.spec, config, self.slots)
        self.fence = Fence(config.guardian.fence, config.guardian.limit.decel_mps2)
        self.care = build.build_care(config, self.world.spec, self.goals, self._note_guardian)
        self.clock = StepClock()
        self.coverage: list[tuple[int, float]] = []
        parts = build.build_parts(
            world=self.world,
            slots=self.slots,
            navigator=self.navigator,
            safety=safety,
            recorder=self.recorder,
            goals=self.goals,
            events=self.events,
            care=self.care,
            config=config,
        )
        self.words = build.build_words(parts.detector)
        self.loop = Loop(
            parts,
            tick_s=self.world.spec.tick_s,
            real_time=config.life.pace == "real",
            episode_steps=config.life.episode_steps,
            first_step=self.replay.last_step() + 1,
            first_episode=self.replay.last_episode() + 1,
            on_tick=self._on_tick,
            patience_s=config.life.world_patience_s,
        )
        registry = Registry(home.checkpoints_folder)
        rounds = (
            RayRounds(config.learners.ray, home.log_folder) if config.learners.enabled else None
        )
        acting, trials = build.build_trials(
            registry, config.learners, recipe, self.world.spec, self.loop, self.slots, self.events
        )
        self.loop.watchers = (trials.note,)
        self.learning = Learning(
            config=config.learners,
            registry=registry,
            rounds=rounds,
            make_spec=build.build_spec_maker(
                home, config, recipe, self.world.spec, lambda: self.recorder.version
            ),
            acting=acting,
            trials=trials,
            loop=self.loop,
            note_progress=self.navigator.note_learning_progress,
            rows=lambda: self.rows_at_start + self.recorder.rows_committed,
            events=self.events,
            clock=self.clock,
        )
        self._capture_wanted = threading.Event()
        self._last_goal_step = self.loop.state.step
        self._rng = np.random.default_rng((config.life.seed, self.loop.state.step))
        self._first = self._restore()

    # ------------------------------------------------------------------ start
    def _restore(self) -> Observation:
        """Take up the life where it was left; a part that cannot be read is told and left out."""
        saved = snapshot.load(self.home, self._error)
        first: Observation | None = None
        if saved.facts:
            self.goals.restore(saved.facts["goals"])
            self.coverage = [(int(s), float(m)) for s, m in saved.facts["coverage"]]
            self.care.restore(saved.facts.get("care", {}))
            self.learning.restore(saved.facts["rounds"], saved.facts["rows_at_round"])
        if saved.map:
            snapshot.take_up_map(self.home, saved.map, self.navigator, self._error)
        if saved.world and isinstance(self.world, Resumable):
            try:
                first = self.world.load_state(saved.world)
            except ValueError as error:
                snapshot.put_aside(self.home.state_folder / "world.bin", error, self._error)
        self.learning.resume()
        if first is None:
            first = self.world.reset(self.config.life.seed)
        text = f"life goes on at step {self.loop.state.step}" if self.rows_at_start else "born"
        self.events.emit("life", self.loop.state.step, text)
        return first

    # ------------------------------------------------------------------ run
    def run(self, *, minutes: float | None, steps: int | None) -> None:
        """Live until stopped, or for some minutes or steps; then put everything away."""
        scheduler = self._scheduler()
        server = ControlServer(
            self.home.socket_path(),
            handlers(self),
            announce=self.home.control_file,
            replace_stale=True,
        )
        self.recorder.start()
        server.start()
        scheduler.start()
        until_s = None if minutes is None else time.monotonic() + minutes * 60
        try:
            self.loop.run(self._first, steps, until_s)
        finally:
            scheduler.shutdown(wait=False)
            server.close()
            self._put_away()

    def _put_away(self) -> None:
        """Write what is still to be written."""
        self.events.emit("life", self.loop.state.step, "draining")
        deadline = time.monotonic() + self.config.life.drain_s
        self.compactor.close()
        self.recorder.close(max(1.0, deadline - time.monotonic()))
        self._save(self._facts(), self.navigator.save(), self._world_state())
        self.learning.close()

    def look(self) -> dict[str, dict[str, Any]]:
        """Return what a view draws."""
        return {
            "status": status.status(self),
            "map": status.map_(self),
            "slots": status.slots(self),
            "events": self.events.since(0),
        }

    def close(self) -> None:
        """Release the body and the stores."""
        self.world.close()
        self.replay.close()

    def _scheduler(self) -> BackgroundScheduler:
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        scheduler = BackgroundScheduler(
            timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1}
        )
        config = self.config
        jobs: list[tuple[Callable[[], None], float]] = [
            (self.learning.check, 1.0),
            (self._snapshot, config.life.snapshot_s),
            (self.compactor.run, config.memory.replay.compact_s),
            (self._measure, 5.0),
            (self._watch_world, min(1.0, config.life.world_timeout_s / 4)),
        ]
        for job, seconds in jobs:
            scheduler.add_job(self._guarded(job), "interval", seconds=seconds)
        return scheduler

    def _guarded(self, job: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                job()
            except Exception as error:
                log.exception("job failed")
                self._error(f"{getattr(job, '__name__', 'job')}: {error}")

        return run

    # ------------------------------------------------------------------ between ticks
    def _on_tick(self, step: int) -> None:
        self.clock.note(step)
        if step % 50 == 0:
            self.coverage.append((step, round(self.navigator.map.explored_m2, 2)))
            if len(self.coverage) > 4000:
                self.coverage = self.coverage[::2]
        self._practise(step)

    def _practise(self, step: int) -> None:
        """With nothing asked for, go and find something that is known: practice keeps it honest."""
        every = self.config.life.practice_every_steps
        if self.goals.busy:
            self._last_goal_step = step
            return
        if not every or step - self._last_goal_step < every or self.care.is_saving:
            return
        labels = sorted({s.label for s in self.slots.slots() if s.state.value == "confirmed"})
        self._last_goal_step = step
        if labels:
            label = labels[int(self._rng.integers(len(labels)))]
            goal_id = self.goals.add_object(label, origin="practice")
            self.events.emit("goal", step, f"{goal_id}: practises finding a {label}")

    # ------------------------------------------------------------------ keeping
    def _facts(self) -> dict[str, Any]:
        return {
            "format": snapshot.FORMAT,
            "step": self.loop.state.step,
            "goals": self.goals.kept(),
            "coverage": [list(row) for row in self.coverage],
            "care": self.care.kept(),
            "rounds": self.learning.history,
            "rows_at_round": self.learning.rows_at_round,
        }

    def _world_state(self) -> bytes | None:
        if not isinstance(self.world, Resumable) or self.loop.asking.silent_s() > 0:
            return None  # a world that is busy cannot be asked; the old state stays
        try:
            return self.world.save_state()
        except Exception as error:  # whatever a driver or a link may raise
            self._error(f"the world's state is not saved: {error}")
            return None

    def _watch_world(self) -> None:
        """Put the life away and end when the world keeps the loop waiting."""
        self.loop.asking.watch(self.config.life.world_timeout_s, self._abandon)

    def _abandon(self, text: str) -> None:
        # The loop's own thread waits in the world: nothing changes what is saved here.
        self._error(text)
        self._put_away()
        end_process(text, ExitCode.WORLD_SILENT)

    def _snapshot(self) -> None:
        """Save map, goals and world: copied between two ticks, written here."""
        taken: list[tuple[dict[str, Any], dict[str, Any], bytes | None]] = []
        done = threading.Event()

        def copy() -> None:
            taken.append((self._facts(), self.navigator.save(), self._world_state()))
            done.set()

        self.loop.post(copy)
        if done.wait(5.0):
            self._save(*taken[0])

    def _save(self, facts: dict[str, Any], map_: dict[str, Any], world_state: bytes | None) -> None:
        try:
            snapshot.save(self.home, facts, map_, world_state)
        except OSError as error:
            self._error(f"snapshot not saved: {error}")

    def _measure(self) -> None:
        self.disk_bytes = folder_bytes(self.home.path)

    def _note_store(self, text: str) -> None:
        """Tell that tables which lie elsewhere were lost or are back: no rows are lost by it."""
        log.warning(text)
        step = self.loop.state.step if hasattr(self, "loop") else 0
        self.events.emit("memory", step, text)

    def _note_guardian(self, text: str) -> None:
        self.events.emit("safety", self.loop.state.step, text)

    def _error(self, text: str) -> None:
        self.last_error = text
        log.error(text)
        step = self.loop.state.step if hasattr(self, "loop") else 0
        self.events.emit("life", step, f"error: {text}")


def run_life(
    home: Home,
    loaded: LoadedConfig,
    *,
    world: World,
    minutes: float | None,
    steps: int | None,
    view: bool,
) -> int:
    """Live in a locked home until stopped or for a while; return the exit code.

    Args:
        home: The home; its lock is held by the caller.
        loaded: The configuration and where each value comes from.
        world: The body; closed when the life was put away.
        minutes: Wall time to live, None for no limit.
        steps: Steps to live, None for no limit.
        view: Draw the live view (on a terminal) instead of log lines.
    """
    from agentd.view.live import LiveView
    from agentd.view.picture import save_svg
    from agentd.view.plain import PlainLog

    life = Life(home, loaded, world)
    interrupted = threading.Event()

    def stop(signum: int, frame: object) -> None:
        if interrupted.is_set():
            sys.exit(128 + signum)
        interrupted.set()
        life.loop.stop_event.set()

    previous = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    screen = LiveView(life.look) if view else PlainLog(life.look)
    screen.start()
    try:
        life.run(minutes=minutes, steps=steps)
    finally:
        screen.stop()
        for signum, handler in previous.items():
            signal.signal(signum, handler)
    report = life_report(life)
    write_atomic(home.log_folder / "report.json", json.dumps(report, indent=2).encode())
    save_svg(life.look(), home.log_folder / "life.svg")
    print_report(report)
    life.close()
    return ExitCode.OK
