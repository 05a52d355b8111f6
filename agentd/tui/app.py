"""The text interface: one screen on a running life, attached through its control socket.

Everything that asks the life runs in worker threads, which post messages; widgets are touched by
the handlers of these messages alone. Closing the interface never stops the life.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import DataTable, Footer

from agentd.client import Client
from agentd.exit_codes import AgentdError, ExitCode
from agentd.tui.screens import ConfirmScreen, GoalScreen, HelpScreen
from agentd.tui.widgets.events import EventsLog
from agentd.tui.widgets.map import MapPanel
from agentd.tui.widgets.slots import SlotsTable
from agentd.tui.widgets.texts import CurvesPanel, DoingPanel, Header
from agentd.view.fields import Facts, as_point, number, pick, rows, text
from agentd.view.palette import Glyphs

_POLL_S = 0.5
_ANSWER_TIMEOUT_S = 5.0


@runtime_checkable
class LifeClient(Protocol):
    """What the interface needs of a client; called from several threads."""

    def call(self, cmd: str, **args: Any) -> dict[str, Any]: ...


class Polled(Message):
    """The life was asked how it is; `problem` says why there is no answer."""

    def __init__(self, answers: dict[str, Facts], problem: str | None) -> None:
        super().__init__()
        self.answers = answers
        self.problem = problem


class Done(Message):
    """The life has answered a command."""

    def __init__(self, words: str, severity: Literal["information", "error"]) -> None:
        super().__init__()
        self.words = words
        self.severity = severity


class AgentdApp(App[None]):
    """Shows a life and sends it commands."""

    TITLE = "agentd"
    CSS_PATH = "app.tcss"
    # Textual declares it as an instance variable, which a ClassVar must not override.
    VERTICAL_BREAKPOINTS = [(0, "-short"), (36, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "Pause", tooltip="Pause the life, or let it go on.", id="pause"),
        Binding("g", "goal", "Goal", tooltip="Send it to an object or a place.", id="goal"),
        Binding("c", "cancel", "Cancel", tooltip="Cancel its current goal.", id="cancel"),
        Binding("l", "learn", "Learn", tooltip="Start a learning round now.", id="learn"),
        Binding(
            "r", "rollback", "Roll back", tooltip="Act with the checkpoint before.", id="rollback"
        ),
        Binding(
            "question_mark", "help", "Help", key_display="?", tooltip="Show this help.", id="help"
        ),
        Binding("q", "quit", "Quit", tooltip="Close the window; the life goes on.", id="quit"),
    ]

    def __init__(self, client: LifeClient, *, poll_s: float | None = _POLL_S) -> None:
        """Prepare.

        Args:
            client: Asks the life.
            poll_s: Seconds between two looks at the life; None looks only when told to.
        """
        has_colour = not os.environ.get("NO_COLOR")
        super().__init__()
        self.theme = "textual-dark"
        self._client = client
        self._poll_s = poll_s
        self._glyphs = Glyphs(has_colour=has_colour)
        self._status: Facts | None = None
        self._started_ns: float | None = None
        self._next_event = 0
        self._is_asking = False
        self._problem: str | None = None
        self.is_connected = False

    def compose(self) -> Iterator[Widget]:
        """Lay the screen out."""
        yield Header(self._glyphs, id="header")
        with Horizontal(id="upper"):
            yield MapPanel(self._glyphs, id="map")
            with Vertical(id="side"):
                yield DoingPanel("doing", self._glyphs, id="doing")
                yield SlotsTable(id="slots")
        with Horizontal(id="lower"):
            yield CurvesPanel("learning", self._glyphs, id="curves")
            yield EventsLog(id="events")
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Look for the first time, then again and again."""
        self.poll()
        if self._poll_s is not None:
            self.set_interval(self._poll_s, self.poll)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Offer every key in the command palette too."""
        for binding in _bindings():
            if binding.action != "quit":
                action = partial(self.run_action, binding.action)
                yield SystemCommand(binding.description, binding.tooltip, action)
        yield from super().get_system_commands(screen)

    def poll(self) -> None:
        """Ask the life how it is, unless it is still being asked."""
        if self._is_asking:
            return
        self._is_asking = True
        ask = partial(self._ask, self._next_event)
        self.run_worker(ask, thread=True, group="poll", exit_on_error=False)

    def _ask(self, next_event: int) -> None:
        """Collect the answers; runs in a worker thread."""
        answers: dict[str, Facts] = {}
        problem = None
        try:
            answers["status"] = self._client.call("status")
            answers["map"] = self._client.call("map")
            answers["slots"] = self._client.call("slots")
            answers["events"] = self._client.call("events", since=next_event)
        except (AgentdError, OSError, ValueError) as error:
            problem = str(error)
        self.post_message(Polled(answers, problem))

    def on_polled(self, message: Polled) -> None:
        """Show new answers, or that there are none."""
        self._is_asking = False
        if message.problem is not None:
            self._disconnected(message.problem)
            return
        answers = message.answers
        self._status = status = answers["status"]
        started_ns = number(status, "life.started_ns")
        if started_ns != self._started_ns:
            is_restart = self._started_ns is not None
            self._started_ns = started_ns
            if is_restart:
                self._restarted()
                return
        self._connected()
        header = self.query_one(Header)
        header.problem = None
        header.show(status)
        self.query_one(DoingPanel).show(status)
        self.query_one(CurvesPanel).show(status)
        self.query_one(SlotsTable).show(answers["slots"], number(status, "steps.total"))
        events = answers["events"]
        self.query_one(EventsLog).add(rows(events, "events"))
        self._next_event = int(number(events, "next") or 0)
        self.query_one(MapPanel).show(answers["map"], answers["slots"])

    def _restarted(self) -> None:
        """Read the events of a life that was started again from its first one."""
        self._next_event = 0
        self.query_one(EventsLog).note("the life was started again")
        self.poll()

    def _connected(self) -> None:
        if not self.is_connected:
            self.is_connected = True
            self._problem = None
            self.screen_stack[0].remove_class("-stale")
            self.query_one(EventsLog).note("connected")

    def _disconnected(self, problem: str) -> None:
        """Say it once; what was shown stays, but dimmed."""
        header = self.query_one(Header)
        header.problem = f"{problem} (looking again)"
        header.show(self._status)
        if problem != self._problem:
            self.query_one(EventsLog).note(f"no answer: {problem}")
        self._problem = problem
        self.is_connected = False
        self.screen_stack[0].add_class("-stale")

    def _send(self, cmd: str, describe: Callable[[dict[str, Any]], str], **args: Any) -> None:
        """Send a command from a worker thread; its answer appears as a notice."""

        def work() -> None:
            try:
                done = Done(describe(self._client.call(cmd, **args)), "information")
            except (AgentdError, OSError, ValueError) as error:
                done = Done(str(error), "error")
            self.post_message(done)

        self.run_worker(work, thread=True, group="commands", exit_on_error=False)

    def on_done(self, message: Done) -> None:
        """Show what became of a command, and its effect."""
        self.notify(message.words, severity=message.severity, markup=False)
        self.poll()

    def action_pause(self) -> None:
        """Pause, or go on."""
        is_paused = bool(pick(self._status, "steps.paused"))
        self._send(
            "resume" if is_paused else "pause", lambda _: "goes on" if is_paused else "paused"
        )

    def action_goal(self, first: str = "") -> None:
        """Ask for a goal and send it."""
        labels = self.query_one(SlotsTable).known_labels()
        self.push_screen(GoalScreen(labels, first), self._add_goal)

    def _add_goal(self, wanted: str | None) -> None:
        if wanted is None:
            return
        describe = partial(_goal_added, wanted)
        point = _as_xy(wanted)
        if point is None:
            self._send("goal.add", describe, label=wanted)
        else:
            self._send("goal.add", describe, x=point[0], y=point[1])

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Offer the chosen object as a goal."""
        self.action_goal(self.query_one(SlotsTable).label_at_cursor())

    def action_cancel(self) -> None:
        """Cancel the goal that is pursued, else the first that waits."""
        goals = rows(self._status, "goals")
        for state in ("active", "queued"):
            for goal in goals:
                if text(goal, "state") == state:
                    label = text(goal, "label") or text(goal, "kind", "goal")
                    describe = partial(_goal_cancelled, label)
                    self._send("goal.cancel", describe, goal_id=str(pick(goal, "goal_id")))
                    return
        self.notify("There is no goal to cancel.", markup=False)

    def action_learn(self) -> None:
        """Start a learning round."""
        self._send("learn.now", lambda _: "asked for a learning round")

    def action_rollback(self) -> None:
        """Go back to the checkpoint before, once confirmed."""
        now = text(self._status, "learning.checkpoint", "no checkpoint")
        question = f"It acts with {now}. Go back to the checkpoint before?"
        self.push_screen(ConfirmScreen(question), self._roll_back)

    def _roll_back(self, is_yes: bool | None) -> None:
        if is_yes:
            self._send("checkpoint.rollback", _rolled_back)

    def action_help(self) -> None:
        """Show the keys and the marks."""
        self.push_screen(HelpScreen(_bindings(), self._glyphs))


def _bindings() -> list[Binding]:
    return [binding for binding in AgentdApp.BINDINGS if isinstance(binding, Binding)]


def _as_xy(words: str) -> tuple[float, float] | None:
    """Read `x, y` in metres; None when the words are a label."""
    try:
        return as_point([float(part) for part in words.split(",")])
    except ValueError:
        return None


def _goal_added(wanted: str, answer: dict[str, Any]) -> str:
    note = text(answer, "note")
    return f"goal added: {wanted}" + (f" ({note})" if note else "")


def _goal_cancelled(label: str, _: dict[str, Any]) -> str:
    return f"cancelled: {label}"


def _rolled_back(answer: dict[str, Any]) -> str:
    return f"acts with {text(answer, 'checkpoint', 'the checkpoint before')} now"


def run_tui(home: Path) -> int:
    """Show the life of a home until the window is closed; return the exit code.

    No life has to run: the window waits for one.
    """
    client = Client(home, timeout_s=_ANSWER_TIMEOUT_S)
    try:
        AgentdApp(client).run()
    finally:
        client.close()
    return int(ExitCode.OK)
