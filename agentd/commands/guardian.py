"""Commands of the guardian: arm, disarm, estop, release, measure, status."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentd.commands.options import (
    HomeOption,
    JsonOption,
    ProfileOption,
    SetOption,
    load_settings,
    open_home,
)
from agentd.commands.output import print_json, say

if TYPE_CHECKING:
    from agentd.home import Home

app = typer.Typer(
    help="Limits, arming and the emergency stop of the body.",
    no_args_is_help=True,
)
ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why, for the log.", show_default=False)
]


@app.command("run")
def run_guardian(
    home: HomeOption = None, profile: ProfileOption = None, set_: SetOption = None
) -> None:
    """Guard a robot in this terminal until stopped.

    It alone drives the robot, whether a life runs or not: a life asks it for motion. Without it
    `agentd run` starts one that ends with the life; a robot that nobody watches has this one, as a
    service.
    """
    from agentd.guardian.service import guard

    chosen = open_home(home)
    config = load_settings(chosen, profile, set_ or []).config
    say(f"guards {config.world.body.place}; allow motion with: {chosen.command('guardian arm')}")
    guard(chosen, config)


@app.command()
def arm(home: HomeOption = None) -> None:
    """Allow motion.

    Needed after every start, crash and e-stop of a robot; refused with the reasons of the
    self-test. Simulated bodies arm themselves.
    """
    _do(home, "arm")
    say("armed: the body may move")


@app.command()
def disarm(home: HomeOption = None) -> None:
    """Forbid motion until the next `arm`."""
    _do(home, "disarm")
    say("not armed: the body stands still")


@app.command()
def estop(home: HomeOption = None, reason: ReasonOption = "the command line") -> None:
    """Stop at once, and stay stopped.

    Latched across restarts, also when nothing runs: ends with `release` and `arm` only.
    """
    from agentd.guardian.keeping import Kept, read_kept, write_kept
    from agentd.guardian.places import Places

    chosen = open_home(home)
    if _ask(chosen, "estop", reason) is None:
        path = Places(chosen).kept
        write_kept(path, Kept(is_estop=True, reason=reason, watchdog_s=read_kept(path).watchdog_s))
        say("nothing runs here; whatever starts next will find the e-stop pressed")
        return
    say(f"stopped; go on with: {chosen.command('guardian release')}, then arm")


@app.command()
def release(home: HomeOption = None) -> None:
    """End the e-stop; the body still needs `arm`."""
    from agentd.guardian.keeping import Kept, read_kept, write_kept
    from agentd.guardian.places import Places

    chosen = open_home(home)
    answer = _ask(chosen, "release", "")
    if answer is None:
        path = Places(chosen).kept
        write_kept(path, Kept(watchdog_s=read_kept(path).watchdog_s))
    else:
        _check(answer)
    say(f"released; allow motion with: {chosen.command('guardian arm')}")


@app.command()
def measure(home: HomeOption = None) -> None:
    """Measure when the robot stops without commands.

    Drives forward at 0.1 m/s for about 2 s: give it a metre of room. A robot that has not been
    measured is not armed.
    """
    _do(home, "measure")
    say("measures; look at it with: agentd guardian status")


@app.command()
def status(home: HomeOption = None, json_: JsonOption = False) -> None:
    """Show what the guardian allows and what it did."""
    from agentd.guardian.keeping import read_kept
    from agentd.guardian.places import Places

    chosen = open_home(home)
    answer = _ask(chosen, "status", "")
    if answer is None:
        kept = read_kept(Places(chosen).kept)
        state: dict[str, Any] = {
            "state": "not running",
            "is_armed": False,
            "is_estop": kept.is_estop,
            "reason": kept.reason,
            "watchdog_s": kept.watchdog_s,
            "last": "",
            "counts": {},
        }
    else:
        state = answer["state"]
    if json_:
        print_json(state)
        return
    for line in state_lines(state):
        typer.echo(line)


def state_lines(state: dict[str, Any]) -> list[str]:
    """Return the state of a guardian as lines for people."""
    armed = "armed" if state["is_armed"] else "not armed"
    pressed = f", e-stop pressed by {state['reason']}" if state["is_estop"] else ""
    lines = [f"guardian  {state['state'] or 'starting'}, {armed}{pressed}"]
    if state.get("watchdog_s") is not None:
        lines.append(
            f"watchdog  the robot stops {state['watchdog_s']:.2f} s after the last command"
        )
    if state["last"]:
        lines.append(f"last      {state['last']}")
    counts = ", ".join(f"{cause} {num}" for cause, num in sorted(state["counts"].items()))
    lines.append(f"held back {counts or 'nothing so far'}")
    if state.get("error"):
        lines.append(f"error     {state['error']}")
    return lines


def _do(home: Path | None, do: str) -> None:
    """Ask for something; a refusal, or nobody to ask, ends the command."""
    from agentd.guardian.client import NoGuardianError

    chosen = open_home(home)
    answer = _ask(chosen, do, "")
    if answer is None:
        raise NoGuardianError(
            f"neither a guardian nor a life runs in {chosen.path}; start one with: "
            f"{chosen.command('start')}"
        )
    _check(answer)


def _check(answer: dict[str, Any]) -> None:
    from agentd.exit_codes import NotYetError

    if not answer["ok"]:
        raise NotYetError(f"refused: {answer['text']}")


def _ask(home: "Home", do: str, reason: str) -> dict[str, Any] | None:
    """Ask the guardian's process, else the life; return None where neither runs."""
    from agentd.client import Client, NotRunningError
    from agentd.guardian.client import GuardianClient, NoGuardianError
    from agentd.guardian.places import Places

    path = Places(home).socket
    if path.exists():
        try:
            with GuardianClient(path) as guardian:
                return guardian.ask(do, reason)
        except NoGuardianError:
            pass  # the socket of one that is gone
    try:
        with Client(home.path) as client:
            return client.call("guardian", do=do, reason=reason)
    except NotRunningError:
        return None
