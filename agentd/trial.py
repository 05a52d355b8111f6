"""T2 to T4 of the gate: a candidate that passed the probes is tried in life before it is promoted.

Shadow: it predicts beside the model that acts. Canary: it acts, and a guard watches collisions,
goals and surprise. Promotion: the memory follows, and the guard stays for a while. Whoever fails is
gone with the next step, and the one before acts again.

The stages advance on the scheduler's thread (`check`); the loop only hands over steps (`note`).
"""

import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from agentd.acting import Acting
from agentd.guard import Guard
from agentd.lived import LifeRecord, LivedStep
from agentd.loop import SurprisingModel
from agentd.shadow import STRETCH, Shadow
from learners.config import CanaryConfig, GateConfig, ShadowConfig
from learners.errors import CheckpointError, NothingToRollBackError
from learners.manifest import Check, Manifest, Stage
from learners.recipes.spec import Recipe
from learners.registry import Registry
from learners.sanity import check_origin
from memory.errors import StoreError, WorseRetrievalError


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a trial ended.

    Attributes:
        checkpoint_id: Whose.
        accepted: Whether it was promoted.
        stage: Stage that decided.
        reason: Why.
        acted_s: Seconds since it began to act, 0 if it never did.
    """

    checkpoint_id: str
    accepted: bool
    stage: Stage
    reason: str
    acted_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Phase:
    """A stage that is going on.

    Attributes:
        checkpoint_id: Candidate.
        model: The candidate, loaded.
        before: Model that acted before it.
        num_steps: Length of the stage.
        shadow: Compares the two.
        guard: Watches the candidate, None while it does not act.
        began_s: When it began.
    """

    checkpoint_id: str
    model: SurprisingModel
    before: SurprisingModel | None
    num_steps: int
    shadow: Shadow | None
    guard: Guard | None
    began_s: float

    def note(self, lived: LivedStep) -> None:
        """Hand a step on; a canary is judged by what it did itself."""
        if self.guard is not None:
            self.guard.note(lived)
        if self.shadow is not None and (
            self.guard is None or lived.checkpoint_id == self.checkpoint_id
        ):
            self.shadow.note(lived)


class Trials:
    """Tries one candidate at a time. Not thread-safe but for `note`.

    Args:
        config: Lengths and thresholds.
        recipe: Recipe whose parts candidates have to have.
        body: Body that they drive.
        registry: Takes every decision with its reason.
        acting: Swaps.
        life_steps: Returns the steps of the life so far.
        executor: Runs the shadow's work.
        emit: Called with a sentence to be told.
    """

    def __init__(
        self,
        *,
        config: GateConfig,
        recipe: Recipe,
        body: dict[str, Any],
        registry: Registry,
        acting: Acting,
        life_steps: Callable[[], int],
        executor: Executor,
        emit: Callable[[str], None],
    ) -> None:
        self._config, self._recipe, self._body = config, recipe, body
        self._registry, self._acting, self._life_steps = registry, acting, life_steps
        self._executor, self._emit = executor, emit
        self._record = LifeRecord(config.canary.record_steps)
        self._phase: _Phase | None = None
        self._probation: tuple[Guard, int] | None = None
        self._told = ""
        self.on_end: Callable[[Ending], None] = lambda ending: None

    @property
    def busy(self) -> bool:
        """Whether a candidate is on trial."""
        return self._phase is not None

    @property
    def acts(self) -> bool:
        """Whether the candidate acts, or will from the next episode on."""
        return self._phase is not None and self._phase.guard is not None

    # ------------------------------------------------------------------ loop's side
    def note(self, lived: LivedStep) -> None:
        """Take a step that was lived; called by the loop."""
        self._record.note(lived)
        phase, probation = self._phase, self._probation
        if phase is not None:
            phase.note(lived)
        if probation is not None:
            probation[0].note(lived)

    # ------------------------------------------------------------------ scheduler's side
    def begin(self, checkpoint_id: str) -> None:
        """Try a candidate that the probes accepted."""
        try:
            manifest = self._registry.manifest(checkpoint_id)
            origin = self._origin(manifest)
            reason = "" if origin.passed else origin.reason
            model = self._acting.load(checkpoint_id) if origin.passed else None
        except CheckpointError as error:
            reason, model = f"cannot be loaded: {error}", None
        if model is None:
            self._refuse(checkpoint_id, "T0", reason, train_on=False)
            return
        before, num_steps = self._acting.model, self._length(self._config.shadow)
        phase = _Phase(
            checkpoint_id=checkpoint_id,
            model=model,
            before=before,
            num_steps=num_steps,
            shadow=self._shadow(model, before) if num_steps else None,
            guard=None,
            began_s=time.monotonic(),
        )
        reason = f"shadow for {num_steps} steps"
        if phase.shadow is None:
            reason = "no shadow: " + ("it is switched off" if before else "nothing acts yet")
        self._registry.note_trial("shadow", checkpoint_id, "T1", reason)
        self._emit(f"{checkpoint_id} on trial: {reason}")
        self._phase = phase
        self.check()

    def check(self) -> None:
        """Let the stages advance. Called every few seconds."""
        try:
            phase = self._phase
            if phase is not None and phase.guard is None:
                self._check_shadow(phase)
            phase = self._phase
            if phase is not None and phase.guard is not None:
                self._check_canary(phase, phase.guard)
            if self._probation is not None:
                self._check_probation(*self._probation)
        except (StoreError, OSError) as error:
            text = f"the trial waits, to be tried again: {error}"
            if text != self._told:
                self._emit(text)
            self._told = text

    def require_origin(self, checkpoint_id: str) -> None:
        """Refuse a checkpoint that cannot act here, whoever wants it.

        Raises:
            UnknownCheckpointError: If there is none of that id.
            ValueError: If it is of another recipe or body.
        """
        origin = self._origin(self._registry.manifest(checkpoint_id))
        if not origin.passed:
            raise ValueError(origin.reason)

    def abandon(self, reason: str) -> None:
        """End what is going on; who acts then is up to the caller."""
        self._probation = None
        phase = self._phase
        if phase is not None:
            self._refuse(phase.checkpoint_id, "T2" if phase.guard is None else "T3", reason)

    # ------------------------------------------------------------------ stages
    def _check_shadow(self, phase: _Phase) -> None:
        shadow, config = phase.shadow, self._config.shadow
        if shadow is None:
            self._begin_canary(phase, "no shadow")
            return
        if shadow.failure is not None:
            self._refuse(phase.checkpoint_id, "T2", shadow.failure, train_on=False)
            return
        is_over = shadow.num_windows * STRETCH >= phase.num_steps
        if not is_over and shadow.steps < config.patience * phase.num_steps:
            return
        if worse := _worse(shadow, config.max_regression, 1):
            self._refuse(phase.checkpoint_id, "T2", worse)
            return
        paired = shadow.compare()
        seen = paired.text() if paired else "no stretch of life could be looked at"
        self._begin_canary(phase, f"shadow: {seen}")

    def _begin_canary(self, phase: _Phase, reason: str) -> None:
        config = self._config.canary
        try:
            # Before it acts: one that the memory would refuse need not be tried.
            self._acting.prepare(phase.model)
        except WorseRetrievalError as error:
            self._refuse(phase.checkpoint_id, "T2", f"retrieval gets worse: {error}")
            return
        num_steps = self._length(config)
        self._registry.note_trial(
            "canary", phase.checkpoint_id, "T2", f"{reason}; canary for {num_steps} steps"
        )
        self._phase = _Phase(
            checkpoint_id=phase.checkpoint_id,
            model=phase.model,
            before=phase.before,
            num_steps=num_steps,
            shadow=self._shadow(phase.model, phase.before),
            guard=Guard(phase.checkpoint_id, self._record.tally(), config),
            began_s=time.monotonic(),
        )
        if num_steps:
            self._acting.try_out(phase.model)
            self._emit(f"{phase.checkpoint_id} is the canary for {num_steps} steps; {reason}")

    def _check_canary(self, phase: _Phase, guard: Guard) -> None:
        config, shadow = self._config.canary, phase.shadow
        reason = guard.trip()
        if reason is None and shadow is not None:
            reason = shadow.failure or _worse(shadow, config.max_regression, config.min_windows)
        if reason is not None:
            self._refuse(phase.checkpoint_id, "T3", f"canary: {reason}", train_on=False)
            self._acting.go_back_to(phase.before)
        elif guard.steps >= phase.num_steps:
            self._promote(phase, guard)

    def _promote(self, phase: _Phase, guard: Guard) -> None:
        checkpoint_id = phase.checkpoint_id
        report = self._acting.prepare(phase.model)
        reason = f"canary: {guard.text()}" if phase.num_steps else "no canary"
        verdict = self._registry.manifest(checkpoint_id).verdict
        self._registry.promote(
            checkpoint_id, stage="T4", reason=reason, is_anchor=verdict.beats_anchor
        )
        self._phase = None
        # The first has nobody before it to go back to.
        num_steps = phase.num_steps + round(self._config.canary.probation * phase.num_steps)
        self._probation = (guard, num_steps) if num_steps and phase.before is not None else None
        self._acting.act_with(phase.model, report)
        self._end(phase, accepted=True, stage="T4", reason=reason)

    def _check_probation(self, guard: Guard, num_steps: int) -> None:
        checkpoint_id, reason = guard.checkpoint_id, guard.trip()
        if reason is None:
            if guard.steps >= num_steps:
                self._probation = None
                self._registry.note_trial("confirmed", checkpoint_id, "T4", guard.text())
            return
        self._probation = None
        try:
            before = self._registry.rollback(stage="T4", reason=f"{checkpoint_id}: {reason}")
            model = self._acting.load(before)
            self._acting.act_with(model, self._acting.prepare(model), at_once=True)
        except (NothingToRollBackError, CheckpointError) as error:
            self._emit(f"{checkpoint_id} should not act ({reason}), but: {error}")
            return
        self.on_end(
            Ending(
                checkpoint_id=checkpoint_id,
                accepted=False,
                stage="T4",
                reason=f"rolled back to {before}: {reason}",
            )
        )

    # ------------------------------------------------------------------ endings
    def _refuse(
        self, checkpoint_id: str, stage: Stage, reason: str, *, train_on: bool = True
    ) -> None:
        self._registry.refuse(checkpoint_id, stage=stage, reason=reason, train_on=train_on)
        phase, self._phase = self._phase, None
        if phase is None:
            self.on_end(
                Ending(checkpoint_id=checkpoint_id, accepted=False, stage=stage, reason=reason)
            )
        else:
            self._end(phase, accepted=False, stage=stage, reason=reason)

    def _end(self, phase: _Phase, *, accepted: bool, stage: Stage, reason: str) -> None:
        acted_s = 0.0 if phase.guard is None else time.monotonic() - phase.began_s
        self.on_end(
            Ending(
                checkpoint_id=phase.checkpoint_id,
                accepted=accepted,
                stage=stage,
                reason=reason,
                acted_s=acted_s,
            )
        )

    def _shadow(self, model: SurprisingModel, before: SurprisingModel | None) -> Shadow | None:
        if before is None:
            return None
        return Shadow(model, before, self._config.shadow.cpu_share, self._executor)

    def _origin(self, manifest: Manifest) -> Check:
        # Only here: whoever may act next is loaded by torch anyway.
        from learners.recipes.build import completed

        return check_origin(manifest, self._body, completed(self._recipe))

    def _length(self, config: ShadowConfig | CanaryConfig) -> int:
        """Return the steps of a stage: short in a young life, so that it need not wait."""
        wanted = max(config.min_steps, round(config.life_share * self._life_steps()))
        return min(wanted, config.max_steps)


def _worse(shadow: Shadow, limit: float, min_windows: int) -> str | None:
    """Return that the candidate foresees what is lived worse than is allowed, if so."""
    paired = shadow.compare()
    if paired is None or paired.num_windows < min_windows or paired.change <= limit:
        return None
    return f"foresees what is lived worse: {paired.text()}; {limit:+.0%} is allowed"
