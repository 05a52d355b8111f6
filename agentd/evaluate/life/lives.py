"""One life of one arm, from the first home to the last."""

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from agentd.build import build_detector, build_oracle, build_policy, build_world
from agentd.evaluate.episodes import FIRST_HELD_OUT_HOUSE, Task, draw_tasks
from agentd.evaluate.errors import EvaluationError
from agentd.evaluate.life.arms import LIFE_ARMS, LifeArm
from agentd.evaluate.life.change import Facts, change_home, objects_by_id, without_discoveries
from agentd.evaluate.life.learner import LifeLearner
from agentd.evaluate.life.place import Changeable, HomePlace, LifeClock, open_home
from agentd.evaluate.life.player import Agent, LifePlayer
from agentd.evaluate.life.record import StepRecorder
from agentd.evaluate.life.rows import ChangeRow, DomainError, LifeResult, LifeRow
from agentd.evaluate.life.scenario import LifeScenario, Phase
from agentd.evaluate.runner import NoSlots
from agentd.evaluate.slot_changes import FactKind, claims_of, score_changes
from agentd.worlds.base import World
from agentd.worlds.oracle import Oracle
from configs.worlds import HouseConfig, WorldConfig
from learners.config import LearnersConfig
from memory.config import ObjectConfig
from memory.objects.changes import Change
from memory.objects.memory import SlotMemory
from memory.records import BodySpec
from policies.config import PoliciesConfig
from policies.navigator import Navigator


class LifeJob(BaseModel):
    """One life to live, as it travels to a worker process."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    life: int
    arm: str
    learner_seed: int
    houses: tuple[int, ...]
    """Seed of the house of each home."""
    scenario: LifeScenario
    budget_steps: int
    seed: int
    learn_every: int
    shipped: Path | None
    """Registry that the arms with a model begin with."""
    world: HouseConfig
    objects: ObjectConfig
    policies: PoliciesConfig
    learners: LearnersConfig


def houses_of(life: int, num_homes: int, num_lives: int) -> tuple[int, ...]:
    """Return the held-out houses of a life: its own first, then its neighbours', in a ring.

    So that as many houses are lived in first as there are lives, and each is a second home too.
    """
    ring = max(num_lives, num_homes)
    return tuple(FIRST_HELD_OUT_HOUSE + (life + k) % ring for k in range(num_homes))


def live(job: LifeJob) -> LifeResult:
    """Live a whole life."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agentd-life-")))
        return _Life(job, LIFE_ARMS[job.arm], folder, stack).run()


class _Life:
    def __init__(self, job: LifeJob, arm: LifeArm, folder: Path, stack: ExitStack) -> None:
        self._job, self._arm, self._began_s = job, arm, time.perf_counter()
        self._clock = LifeClock()
        self._homes: dict[int, HomePlace] = {}
        self._states: dict[int, bytes] = {}
        self._stack = stack
        self._lists: dict[str, tuple[Task, ...]] = {}
        self._moved: dict[int, set[int]] = {}
        self._events: list[str] = []
        self._rows: list[LifeRow] = []
        self._errors: list[DomainError] = []
        self._log: list[Change] = []
        self._changed_step: int | None = None
        self._worn_step: int | None = None
        spec = self._home(job.scenario.phases[0].home).world.spec
        self._learner = self._make_learner(spec, folder)
        memory_folder = None if self._learner is None else self._learner.memory_folder
        # Errors of the detector differ from life to life, not from arm to arm.
        self._agent, self._navigator = make_agent(
            spec, job.policies, job.objects, arm, job.seed + job.life, memory_folder
        )
        self._facts = Facts(spec)
        recorder = None if self._learner is None else StepRecorder(self._learner.replay, spec)
        self._player = LifePlayer(self._agent, arm, self._facts, recorder)
        self._use_model()

    def run(self) -> LifeResult:
        phases = self._job.scenario.phases
        for i, phase in enumerate(phases):
            first_step = self._player.step
            self._live_phase(phase)
            if self._learner is not None:
                if phase.list not in [earlier.list for earlier in phases[:i]]:
                    self._learner.keep_domain(phase.name, first_step, self._player.step)
                self._errors += self._learner.domain_errors(phase.name)
        return self._result()

    def _live_phase(self, phase: Phase) -> None:
        home = self._home(phase.home)
        self._clock.advance(3600 * phase.after_h)
        if phase.home in self._states:
            # What the arm pushed on its way is put back, so that all arms meet the same home.
            home.changeable.load_state(self._states[phase.home])
        if phase.changes_place or phase.changes_body or phase.lamps_dimmed:
            self._change(home, phase)
        self._states[phase.home] = home.changeable.save_state()
        tasks = self._tasks(home, phase)
        moved = self._moved_labels(home, phase.home)
        for repeat in range(phase.repeats):
            for task in tasks:
                row = self._player.play(
                    home,
                    phase.home,
                    task,
                    self._job.budget_steps,
                    number=len(self._rows),
                    phase=phase.name,
                    repeat=repeat,
                    moved=moved,
                )
                self._rows.append(row)
                self._keep_log()
                self._learn()

    def _change(self, home: HomePlace, phase: Phase) -> None:
        # What changes is drawn by life and phase alone: the same in every arm.
        order = self._job.scenario.phases.index(phase)
        rng = np.random.default_rng([self._job.seed, self._job.life, order])
        if phase.changes_body and self._worn_step is None:
            self._worn_step = self._player.step
        before = objects_by_id(home)
        try:
            lines = change_home(home, phase, rng)
        except ValueError as error:
            raise EvaluationError(f"phase {phase.name!r} of the scenario: {error}") from error
        self._events += [f"{phase.name}: {line}" for line in lines]
        step, after = self._player.step, objects_by_id(home)
        moved = self._facts.note(before, after, home.offset_m, step)
        self._moved.setdefault(phase.home, set()).update(moved)
        if moved or len(after) < len(before):
            self._changed_step = step if self._changed_step is None else self._changed_step

    def _tasks(self, home: HomePlace, phase: Phase) -> tuple[Task, ...]:
        if phase.list not in self._lists:
            names = list(dict.fromkeys(p.list for p in self._job.scenario.phases))
            moved = self._moved_labels(home, phase.home) if phase.share_changed else frozenset()
            draw = partial(
                draw_tasks,
                home.oracle,
                house=self._job.houses[phase.home],
                num_goals=phase.goals,
                seed=1000 * self._job.seed + names.index(phase.list),
                first=moved,
            )
            try:
                self._lists[phase.list] = draw()
            except EvaluationError:
                # A door that shut left the robot in a corner: goals begin where earlier ones did.
                self._lists[phase.list] = self._draw_elsewhere(home, phase, draw)
        return self._lists[phase.list]

    def _draw_elsewhere(
        self, home: HomePlace, phase: Phase, draw: Callable[[], tuple[Task, ...]]
    ) -> tuple[Task, ...]:
        """Return the goals as drawn from the first earlier start in this home that offers enough.

        Raises:
            EvaluationError: If none does.
        """
        for earlier in self._job.scenario.phases:
            if earlier.home != phase.home:
                continue
            for task in self._lists.get(earlier.list, ()):
                home.oracle.place(task.start)
                with suppress(EvaluationError):
                    return draw()
        return draw()

    def _moved_labels(self, home: HomePlace, number: int) -> frozenset[str]:
        """Return the categories of which every object was moved."""
        moved, things = self._moved.get(number, set()), objects_by_id(home)
        stayed = {thing.label for i, thing in things.items() if i not in moved}
        return frozenset(t.label for i, t in things.items() if i in moved) - stayed

    def _keep_log(self) -> None:
        """Keep the memory's log of changes whole: in RAM only the newest entries are."""
        if isinstance(self._agent.memory, SlotMemory):
            last = self._log[-1].event_id if self._log else 0
            self._log += self._agent.memory.changes(last)

    def _learn(self) -> None:
        learner, memory = self._learner, self._agent.memory
        if learner is None:
            return
        if isinstance(memory, SlotMemory):
            memory.flush()
        if learner.is_due():
            result = learner.learn(self._player.step)
            if result is not None:
                self._navigator.note_learning_progress(list(result.learning_progress))
                self._use_model()

    def _use_model(self) -> None:
        model = None if self._learner is None else self._learner.model()
        self._navigator.use_model(model)
        self._player.checkpoint_id = model.checkpoint_id if model is not None else ""

    def _make_learner(self, spec: BodySpec, folder: Path) -> LifeLearner | None:
        job, arm = self._job, self._arm
        if not arm.uses_model:
            return None
        if job.shipped is None:
            raise EvaluationError(f"arm {arm.name} needs a shipped checkpoint")
        learner = LifeLearner(folder, arm.learns, job.learners, job.learn_every, spec, job.shipped)
        self._stack.callback(learner.close)
        return learner

    def _home(self, number: int) -> HomePlace:
        if number not in self._homes:
            house = self._job.world.model_copy(update={"seed": self._job.houses[number]})
            self._homes[number] = open_home(number, lambda: make_world(house), self._clock)
            self._stack.callback(self._homes[number].world.close)
        return self._homes[number]

    def _result(self) -> LifeResult:
        job, learner = self._job, self._learner
        return LifeResult(
            life=job.life,
            arm=job.arm,
            learner_seed=job.learner_seed,
            houses=job.houses,
            rows=tuple(self._rows),
            events=tuple(self._events),
            gone=self._score_changes(FactKind.GONE),
            came=self._score_changes(FactKind.CAME),
            errors=tuple(self._errors),
            rounds=() if learner is None else tuple(learner.rounds),
            steps=self._player.step,
            seconds=time.perf_counter() - self._began_s,
        )

    def _score_changes(self, kind: FactKind) -> ChangeRow | None:
        memory = self._agent.memory
        if not isinstance(memory, SlotMemory) or self._changed_step is None:
            return None
        if not self._arm.remembers:
            return None
        unchanged = [
            replace(thing, xyz_m=thing.xyz_m + home.offset_m)
            for number, home in self._homes.items()
            for index, thing in objects_by_id(home).items()
            if index not in self._moved.get(number, set())
        ]
        last = self._player.step if self._worn_step is None else self._worn_step
        facts = [
            fact
            if fact.visible_step is None or fact.visible_step <= last
            # What was shown later only could not be claimed until then.
            else replace(fact, visible_step=None)
            for fact in self._facts.facts()
            if fact.kind is kind
        ]
        claims = claims_of(self._log)
        since = [c for c in claims if c.step >= self._changed_step]
        before = [c for c in claims if c.step < self._changed_step]
        claims = without_discoveries(since, before, unchanged)
        score = score_changes(
            facts,
            [claim for claim in claims if claim.kind is kind and claim.step <= last],
        )
        return ChangeRow(
            facts=score.num_facts,
            claims=score.num_claims,
            true_claims=_count(score.precision, score.num_claims),
            claimed_in_time=_count(score.recall, score.num_facts),
        )


def _count(share: float, total: int) -> int:
    return round(share * total) if total else 0


def make_world(house: HouseConfig) -> tuple[World, Oracle, Changeable]:
    """Return a house, the truth about it, and the hand that changes it."""
    world = build_world(WorldConfig(house=house))
    oracle = build_oracle(world)
    if oracle is None or not isinstance(world, Changeable):
        raise EvaluationError("a life is evaluated in a world that knows the truth about itself")
    return world, oracle, world


def make_agent(
    spec: BodySpec,
    policies: PoliciesConfig,
    objects: ObjectConfig,
    arm: LifeArm,
    seed: int,
    memory_folder: Path | None,
) -> tuple[Agent, Navigator]:
    """Return an agent of an arm, and its policy once more.

    Args:
        spec: Body.
        policies: Settings that the arm differs from.
        objects: Settings of the object memory.
        arm: What it may keep and learn.
        seed: Of its randomness and of its detector's errors.
        memory_folder: Where its slots are kept; None for RAM only.
    """
    perfect = policies.perception.model_copy(update={"detector": "instances"})
    policies = arm.policies(policies)
    memory = SlotMemory(memory_folder, objects, spec) if arm.remembers else None
    slots = NoSlots() if memory is None else memory
    policy, safety = build_policy(spec, policies, slots, seed)
    agent = Agent(
        spec=spec,
        detector=build_detector(spec, policies.perception, seed),
        perfect=build_detector(spec, perfect, seed),
        policy=policy,
        safety=safety,
        memory=memory,
    )
    return agent, policy
