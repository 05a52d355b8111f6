"""The guardian of a life, as its commands and views see it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from agentd.guardian.client import GuardianClient, NoGuardianError
from agentd.guardian.keeping import Kept, read_kept, write_kept
from agentd.guardian.places import Places
from agentd.guardian.selftest import Facts, problems
from agentd.guardian.world import GuardedWorld
from agentd.worlds.base import World

_SOON_S = 0.5
QUESTIONS = ("status", "arm", "disarm", "estop", "release")


class GuardianDesk(Protocol):
    """Answers for the guardian of a life."""

    def ask(self, do: str, reason: str) -> dict[str, Any]:
        """Do something and return `ok`, `text` and `state`."""
        ...

    def state(self) -> dict[str, Any]:
        """Return the state in words and numbers; empty without a guardian."""
        ...


class ProcessDesk:
    """Answers for a guardian that is a process of its own.

    Args:
        socket: Where it listens.
    """

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def ask(self, do: str, reason: str) -> dict[str, Any]:
        """Pass a question on; see `GuardianDesk`."""
        try:
            with GuardianClient(self._socket, timeout_s=_SOON_S) as client:
                return client.ask(do, reason)
        except NoGuardianError as error:
            return {"ok": False, "text": str(error), "state": _gone(str(error))}

    def state(self) -> dict[str, Any]:
        """Return the state in words and numbers."""
        state: dict[str, Any] = self.ask("status", "")["state"]
        return state


def _gone(text: str) -> dict[str, Any]:
    return {
        "state": "does not answer",
        "is_armed": False,
        "is_estop": False,
        "reason": text,
        "last": "",
        "counts": {},
        "error": text,
    }


class InLifeDesk:
    """Answers for a guardian that runs inside the life, and keeps its e-stop over restarts.

    Args:
        world: The life's world, guarded or not.
        places: Where the e-stop is kept.
        tell: Called with a sentence for the log.
    """

    def __init__(self, world: World, places: Places, tell: Callable[[str], None]) -> None:
        self._world = world if isinstance(world, GuardedWorld) else None
        self._path, self._tell = places.kept, tell
        self._error = ""
        self._kept = read_kept(self._path)
        if self._kept.is_estop and self._world is not None:
            self._world.guardian.latch.estop(self._kept.reason)

    def ask(self, do: str, reason: str) -> dict[str, Any]:
        """Do something and return `ok`, `text` and `state`.

        Args:
            do: One of `QUESTIONS`.
            reason: Why, for the log.
        """
        if self._world is None:
            return {"ok": False, "text": "this life runs without a guardian", "state": {}}
        latch, problem = self._world.guardian.latch, ""
        match do:
            case "arm":
                facts = Facts(radius_m=self._world.guardian.radius_m, is_simulated=True)
                found = problems(facts, self._world.guardian.config)
                problem = "; ".join(found) or self._world.guardian.arm()
            case "disarm":
                latch.disarm()
            case "estop":
                latch.estop(reason or "a command")
            case "release":
                problem = latch.release()
            case "status":
                pass
            case _:
                problem = f"{do!r} is for robots; accepted here: {', '.join(QUESTIONS)}"
        if do != "status":
            self._tell(f"guardian: {do}: {problem or reason or 'done'}")
        if latch.memory.is_estop != self._kept.is_estop:
            self._keep()
        return {"ok": not problem, "text": problem, "state": self.state()}

    def state(self) -> dict[str, Any]:
        """Return the state in words and numbers; empty without a guardian."""
        world = self._world
        if world is None:
            return {}
        latch = world.guardian.latch.memory
        return {
            "state": world.state,
            "is_armed": latch.is_armed,
            "is_estop": latch.is_estop,
            "reason": latch.estop_reason or "; ".join(latch.faults.values()),
            "last": world.last,
            "counts": dict(world.counts),
            "error": self._error,
        }

    def _keep(self) -> None:
        latch = self._world.guardian.latch.memory if self._world is not None else None
        assert latch is not None
        self._kept = Kept(
            is_estop=latch.is_estop, reason=latch.estop_reason, watchdog_s=self._kept.watchdog_s
        )
        try:
            write_kept(self._path, self._kept)
        except OSError as error:  # it holds all the same, as long as this process lives
            self._error = f"{self._path}: {error}"
            return
        self._error = ""
