"""A life without a world: a locked home and a control socket, for tests of the front ends."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentd.control import ControlError, ControlLimits, ControlServer, Handler
from agentd.home import Home
from configs.load import load_config

STATUS: dict[str, Any] = {
    "format": 1,
    "life": {
        "id": "abc",
        "name": "life",
        "home": "/somewhere",
        "pid": 1,
        "started_ns": 1,
        "uptime_s": 61.0,
        "seed": 0,
        "world": "house",
        "place": "house 3",
        "version": "0.1.0",
    },
    "steps": {
        "total": 1200,
        "this_run": 200,
        "episode": 4,
        "per_s": 5.0,
        "pace": "real",
        "tick_p50_ms": 8.0,
        "tick_p99_ms": 20.0,
        "missed_ticks": 0,
        "paused": False,
    },
    "doing": {
        "mode": "explore",
        "reason": "nearest frontier",
        "goal": None,
        "target_m": [1.0, 2.0],
        "slot_id": None,
        "action": {"v_mps": 0.5, "w_radps": 0.0, "source": "explorer"},
        "surprise": None,
    },
    "pose": {"x_m": 0.0, "y_m": 0.0, "yaw_rad": 0.0},
    "map": {"explored_m2": 31.5, "history": [[50, 10.0]]},
    "memory": {
        "rows_committed": 1190,
        "rows_queued": 10,
        "version": 20,
        "disk_bytes": 12_000_000,
        "slots": {"tentative": 1, "confirmed": 7, "suspect": 0, "archived": 0},
        "views": 30,
        "encoder": "colour-1",
    },
    "learning": {
        "enabled": True,
        "in_flight": None,
        "checkpoint": "ckpt-00001",
        "trusted": False,
        "freshness_s": 95.0,
        "rounds": [
            {
                "round": 1,
                "checkpoint": "ckpt-00001",
                "accepted": True,
                "reason": "first",
                "step": 900,
                "seconds": 60.0,
                "freshness_s": 95.0,
                "metrics": {},
            }
        ],
    },
    "goals": [
        {
            "goal_id": "g1",
            "kind": "object",
            "label": "chair",
            "state": "active",
            "reason": "",
            "steps": 12,
        }
    ],
    "health": {
        "rss_mb": 700.0,
        "ray_rss_mb": 900.0,
        "safety_interventions": 0,
        "dropped_rows": 0,
        "last_error": None,
    },
}


class FakeLife:
    """Handlers of a life whose goals end on the third look."""

    def __init__(self, ending: str = "reached") -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.stop_wanted = False
        self._ending = ending
        self._goal: dict[str, Any] | None = None
        self._looks = 0

    def handlers(self) -> dict[str, Handler]:
        names = {
            "status": lambda args: STATUS,
            "goal.add": self._add,
            "goal.list": lambda args: {"goals": self._look()},
            "goal.cancel": self._cancel,
            "events": self._events,
            "pause": lambda args: {"paused": True},
            "resume": lambda args: {"paused": False},
            "stop": self._stop,
            "learn.now": lambda args: {"requested": True, "in_flight": False},
            "checkpoint.rollback": lambda args: {"checkpoint": "ckpt-00001"},
        }
        return {name: self._noted(name, handler) for name, handler in names.items()}

    def _noted(self, name: str, handler: Handler) -> Handler:
        def call(args: dict[str, Any]) -> dict[str, Any]:
            self.calls.append((name, args))
            return handler(args)

        return call

    def _add(self, args: dict[str, Any]) -> dict[str, Any]:
        self._goal = {
            "goal_id": "g1",
            "kind": "object" if "label" in args else "point",
            "label": args.get("label", ""),
            "state": "active",
            "reason": "",
            "steps": 0,
        }
        return {"goal_id": "g1", "note": "2 remembered"}

    def _look(self) -> list[dict[str, Any]]:
        if self._goal is None:
            return []
        self._looks += 1
        if self._looks >= 3:
            self._goal |= {"state": self._ending, "reason": "seen twice", "steps": 40}
        return [dict(self._goal)]

    def _events(self, args: dict[str, Any]) -> dict[str, Any]:
        texts = [("goal", "g1 accepted"), ("memory", "slot 3"), ("mode", "goes to slot 3, nearest")]
        events = [
            {"n": n, "step": n, "stamp_ns": 0, "kind": kind, "text": text}
            for n, (kind, text) in enumerate(texts, start=10)
        ]
        shown = events if self._goal else []
        return {"next": 10 + len(shown), "events": [e for e in shown if e["n"] >= args["since"]]}

    def _cancel(self, args: dict[str, Any]) -> dict[str, Any]:
        if args["goal_id"] != "g1":
            raise ControlError("not_found", f"no goal {args['goal_id']!r}")
        return {"goal": {"state": "cancelled", "reason": "cancelled by the operator"}}

    def _stop(self, args: dict[str, Any]) -> dict[str, Any]:
        self.stop_wanted = True
        return {"stopping": True, "drain_s": 1.0}


def born(path: Path, *overrides: str) -> Home:
    """Return a home with a life in it."""
    home = Home(path)
    with home.locked():
        home.open_or_create(load_config("test", env={}, overrides=overrides).values())
    return home


@contextlib.contextmanager
def living(
    home: Home, handlers: dict[str, Handler], limits: ControlLimits | None = None
) -> Iterator[ControlServer]:
    """Answer at a home's socket, as a life does."""
    with home.locked():
        server = ControlServer(
            home.socket_path(), handlers, limits, announce=home.control_file, replace_stale=True
        )
        server.start()
        try:
            yield server
        finally:
            server.close()


def main(argv: list[str]) -> None:
    """Be `agentd run --home HOME ...` without a world, until asked to stop."""
    if "fail" in argv:
        sys.exit("error: told to fail")
    if "stubborn" in argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    home = Home(Path(argv[argv.index("--home") + 1]))
    life = FakeLife()
    done = threading.Event()
    handlers = life.handlers()
    if "deaf" in argv:
        handlers["stop"] = lambda args: {"stopping": True, "drain_s": -2.0}
    else:
        handlers["stop"] = lambda args: (done.set(), {"stopping": True, "drain_s": 1.0})[1]
    with living(home, handlers):
        done.wait(60)


if __name__ == "__main__":
    main(sys.argv)
