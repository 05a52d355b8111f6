"""Asking the body for its next step: again when it fails, and never for ever."""

import itertools
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from agentd.exit_codes import AgentdError, ExitCode
from agentd.worlds.base import StaleWorldError, StepResult, WorldClosedError
from memory.records import Action

TRIES = 4
"""Times that a step is asked for before the life ends; all but the first ask the body to stop."""
WAIT_S = 0.2
"""Before the second try; doubled before each further one."""
_LONGEST_WAIT_S = 2.0
_REMIND_S, _WORTH_TELLING_S = 60.0, 1.0


class AskingStoppedError(RuntimeError):
    """The life is to end while the world does not answer."""


class WorldSilentError(AgentdError):
    """The world does not answer; the life was put away and ends."""

    exit_code = ExitCode.WORLD_SILENT


class Steps(Protocol):
    """The part of a world that is asked in every tick."""

    def step(self, action: Action) -> StepResult: ...


class Asking:
    """Asks a world for steps.

    Args:
        world: The body.
        tell: Called with a sentence when it does not answer.
        wait: Waits for some seconds; returns early, and true, when the life is to stop.
        patience_s: How long a body that senses nothing new is waited for, at rest. Robots lose
            their link and are switched off, and come back.

    Attributes:
        trouble: Why there is no step at the moment, "" while there is.
    """

    def __init__(
        self,
        world: Steps,
        tell: Callable[[str], None],
        wait: Callable[[float], object],
        patience_s: float = 0.0,
    ) -> None:
        self._world, self._tell, self._wait = world, tell, wait
        self._patience_s = patience_s
        self._since_s: float | None = None
        self._is_told = False
        self.trouble = ""

    def step(self, action: Action, since_ns: int | None = None) -> StepResult:
        """Return what an action led to.

        Args:
            action: What to do.
            since_ns: Stamp of the last observation; one with the same stamp is old, whatever the
                world says, and counts as a failure.

        Raises:
            WorldSilentError: If the world failed several times in a row, or was silent for longer
                than `patience_s`.
            AskingStoppedError: If the life is to stop before the world answers.
        """
        began_s = told_s = time.monotonic()
        for k in itertools.count(1):
            self._since_s = time.monotonic()
            try:
                result = _fresh(self._world.step(action), since_ns)
            except WorldClosedError:
                raise
            except Exception as error:  # whatever a driver or a link may raise
                told_s = self._note(error, k, began_s, told_s)
            else:
                silent_s = self._since_s - began_s
                if self.trouble and silent_s >= _WORTH_TELLING_S:
                    self._tell(f"the world answers again after {silent_s:.1f} s")
                self.trouble = ""
                return result
            finally:
                self._since_s = None
            action = replace(action, v_mps=0.0, w_radps=0.0, source="safety")
            if self._wait(min(WAIT_S * 2 ** min(k - 1, 8), _LONGEST_WAIT_S)):
                raise AskingStoppedError(self.trouble)
        raise AssertionError("unreachable")

    def _note(self, error: Exception, k: int, began_s: float, told_s: float) -> float:
        """Take in that a try failed; return when this was last told.

        Raises:
            WorldSilentError: If it was the last try.
        """
        text, now_s = f"{type(error).__name__}: {error}", time.monotonic()
        self.trouble = text
        is_waited_for = isinstance(error, StaleWorldError) and self._patience_s > 0
        if not is_waited_for and k < TRIES:
            self._tell(f"the world failed ({text}): asked to stop, try {k + 1} of {TRIES}")
            return now_s
        silent_s = now_s - began_s
        if is_waited_for and silent_s < self._patience_s:
            if k == 1 or now_s - told_s >= _REMIND_S:
                self._tell(
                    f"the body is silent for {silent_s:.0f} s and stands still, waited for up to "
                    f"{self._patience_s:.0f} s ({text})"
                )
                return now_s
            return told_s
        why = f"silent for {silent_s:.0f} s" if is_waited_for else f"failed {k} times in a row"
        self._tell(f"the world {why} ({text}): the life ends")
        raise WorldSilentError(f"the world {why}: {text}") from error

    def silent_s(self) -> float:
        """Return for how long the world has not answered; from any thread."""
        since_s = self._since_s
        return 0.0 if since_s is None else time.monotonic() - since_s

    def watch(self, limit_s: float, give_up: Callable[[str], None]) -> None:
        """Tell when the world is silent, and give up after `limit_s`; called now and then."""
        silent_s = self.silent_s()
        if silent_s < limit_s / 3:
            self._is_told = False
        elif silent_s >= limit_s:
            give_up(f"the world has not answered for {silent_s:.0f} s: the life ends")
        elif not self._is_told:
            self._is_told = True
            self._tell(f"the world has not answered for {silent_s:.0f} s (limit: {limit_s:g} s)")


def _fresh(result: StepResult, since_ns: int | None) -> StepResult:
    if result.observation.stamp_ns == since_ns:
        raise StaleWorldError(f"the stamp of its observation stands still at {since_ns} ns")
    return result


def end_process(text: str, code: ExitCode) -> None:
    """End the process although its main thread waits for something that never comes."""
    assert threading.current_thread() is not threading.main_thread()
    sys.stderr.write(f"error: {text}\n")
    sys.stderr.flush()
    os._exit(code)
