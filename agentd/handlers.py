"""What the control socket answers: one function per command, all of them quick."""

from typing import TYPE_CHECKING, Any

from agentd import status
from agentd.goal_handlers import Handler, goal_handlers, integer, text

if TYPE_CHECKING:
    from agentd.life import Life


def handlers(life: "Life") -> dict[str, Handler]:
    """Return the commands of a running life."""
    return {
        "status": lambda args: status.status(life),
        "map": lambda args: status.map_(life),
        "slots": lambda args: status.slots(life),
        "camera": lambda args: status.camera(life),
        "events": lambda args: life.events.since(integer(args, "since", 0)),
        **goal_handlers(life),
        "guardian": lambda args: life.guardian.ask(
            text(args, "do"), str(args.get("reason") or "")[:200]
        ),
        "pause": lambda args: _pause(life, True),
        "resume": lambda args: _pause(life, False),
        "stop": lambda args: _stop(life),
        "learn.now": lambda args: life.learning.request(),
        "checkpoint.rollback": lambda args: life.learning.rollback(),
        "checkpoint.promote": lambda args: life.learning.promote(text(args, "id")),
    }


def _pause(life: "Life", paused: bool) -> dict[str, Any]:
    if paused:
        life.loop.paused.set()
    else:
        life.loop.paused.clear()
    life.events.emit("life", life.loop.state.step, "paused" if paused else "resumed")
    return {"paused": paused}


def _stop(life: "Life") -> dict[str, Any]:
    life.events.emit("life", life.loop.state.step, "asked to stop")
    life.loop.stop_event.set()
    return {"stopping": True, "drain_s": life.config.life.drain_s}
