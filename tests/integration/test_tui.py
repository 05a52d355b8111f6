"""The text interface on a life that is made up: what it shows, what it sends, how it reconnects."""

import asyncio
import copy
import functools
import subprocess
import sys
import threading

import pytest
from fakes_view import FakeClient, FakeLife
from textual.widgets import Footer, Input, OptionList

from agentd.client import NotRunningError, RefusedError
from agentd.tui.app import AgentdApp
from agentd.tui.screens import ConfirmScreen, GoalScreen, HelpScreen
from agentd.tui.widgets.events import EventsLog
from agentd.tui.widgets.map import MapPanel
from agentd.tui.widgets.slots import SlotsTable
from agentd.tui.widgets.texts import CurvesPanel, DoingPanel, Header

LIFE = FakeLife(seed=1, step=2200)
GONE = NotRunningError("no life is running in /a/home; start it: agentd start --home /a/home")


def on_a_screen(test):
    """Run an asynchronous test in an event loop of its own."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        asyncio.run(test(*args, **kwargs))

    return run


async def settle(app, pilot):
    """Wait until workers have answered, their messages are handled and the screen is drawn."""
    await app.workers.wait_for_complete()
    await pilot.pause()
    await app.workers.wait_for_complete()
    await pilot.pause()


async def look(app, pilot):
    app.poll()
    await settle(app, pilot)


def opened(client=None, size=(80, 24)):
    app = AgentdApp(client or FakeClient(LIFE), poll_s=None)
    return app, app.run_test(size=size, notifications=True)


def words(widget):
    lines = [widget.render_line(y) for y in range(widget.size.height)]
    return "\n".join("".join(segment.text for segment in line) for line in lines)


def notices(app):
    return [notice.message for notice in app._notifications]


@pytest.mark.parametrize("size", [(80, 24), (140, 45), (200, 60)])
@on_a_screen
async def test_one_screen_shows_map_slots_curves_events_and_state(size):
    app, running = opened(size=size)
    async with running as pilot:
        await settle(app, pilot)
        assert "first-life" in words(app.query_one(Header))
        assert "NAVIGATE" in words(app.query_one(DoingPanel))
        assert "the memory knows chair" in words(app.query_one(DoingPanel))
        assert "k=8 0.42" in words(app.query_one(CurvesPanel))
        assert "round" in words(app.query_one(CurvesPanel))
        assert "chair reached and verified" in words(app.query_one(EventsLog))
        assert "\N{UPPER HALF BLOCK}" in words(app.query_one(MapPanel))
        table = app.query_one(SlotsTable)
        assert table.row_count == len(LIFE.slots()["slots"])
        assert "sure" in words(table)
        assert table.virtual_size.width <= table.size.width
        for widget in app.query("#map, #doing, #slots, #curves, #events, #header"):
            assert widget.region.right <= size[0]
            assert widget.region.bottom <= size[1] - 1
            assert widget.size.height > 0
        assert app.query_one(Footer).region.bottom == size[1]


@on_a_screen
async def test_pause_goes_out_and_resume_follows_what_the_life_says():
    client = FakeClient(LIFE)
    app, running = opened(client)
    async with running as pilot:
        await settle(app, pilot)
        await pilot.press("p")
        await settle(app, pilot)
        assert client.commands == [("pause", {})]
        client.answers = copy.deepcopy(client.answers)
        client.answers["status"]["steps"]["paused"] = True
        await look(app, pilot)
        assert "PAUSED" in words(app.query_one(Header))
        await pilot.press("p")
        await settle(app, pilot)
        assert client.commands[-1] == ("resume", {})


@on_a_screen
async def test_a_goal_is_completed_from_the_known_labels_and_sent():
    client = FakeClient(LIFE)
    app, running = opened(client)
    async with running as pilot:
        await settle(app, pilot)
        await pilot.press("g", "c", "h", "a")
        await settle(app, pilot)
        assert isinstance(app.screen, GoalScreen)
        await pilot.press("right", "enter")
        await settle(app, pilot)
        assert client.commands == [("goal.add", {"label": "chair"})]
        assert notices(app) == ["goal added: chair"]


@pytest.mark.parametrize(
    ("typed", "args"),
    [
        ("1.5, -2", {"x": 1.5, "y": -2.0}),
        ("red armchair", {"label": "red armchair"}),
        ("nan,1", {"label": "nan,1"}),
    ],
)
@on_a_screen
async def test_a_goal_may_be_a_place_or_a_label_never_seen(typed, args):
    client = FakeClient(LIFE)
    app, running = opened(client)
    async with running as pilot:
        await settle(app, pilot)
        await pilot.press("g")
        app.screen.query_one(Input).value = typed
        await pilot.press("enter")
        await settle(app, pilot)
        assert client.commands == [("goal.add", args)]


@on_a_screen
async def test_a_goal_is_chosen_from_the_list():
    client = FakeClient(LIFE)
    app, running = opened(client)
    async with running as pilot:
        await settle(app, pilot)
        await pilot.press("g", "tab")
        assert app.focused is app.screen.query_one(OptionList)
        await pilot.press("enter")
        await settle(app, pilot)
        first = sorted({slot["label"] for slot in LIFE.slots()["slots"]})[0]
        assert client.commands == [("goal.add", {"label": first})]


@pytest.mark.parametrize("keys", [("g", "escape"), ("g", "enter"), ("r", "n"), ("r", "escape")])
@on_a_screen
async def test_leaving_a_question_sends_nothing(keys):
    client = FakeClient(LIFE)
    app, running = opened(client)
    async with running as pilot:
        await settle(app, pilot)
        await pilot.press(*keys)
        await settle(app, pilot)
        assert client.commands == []
        assert len(app.screen_stack) == 1


@on_a_screen
async def test_enter_on_a_slot_offers_its_label():
    app, running = opened()
    async with running as pilot:
        await settle(app, pilot)
        app.query_one(SlotsTable).focus()
        await pilot.press("down", "enter")
        await settle(app, pilot)
        assert (
            app.screen.query_one(Input).value == app.query_one(SlotsTable).label_at_cursor() != ""
        )


@on_a_screen
async def test_cancel_learn_and_rollback_are_sent():
    client = FakeClient(LIFE)
    app, running = opened(client)
    async with running as pilot:
        await settle(app, pilot)
        await pilot.press("c", "l", "r")
        await settle(app, pilot)
        assert isinstance(app.screen, ConfirmScreen)
        assert ("checkpoint.rollback", {}) not in client.commands
        await pilot.press("y")
        await settle(app, pilot)
        assert sorted(client.commands) == [
            ("checkpoint.rollback", {}),
            ("goal.cancel", {"goal_id": "g1"}),
            ("learn.now", {}),
        ]
        assert "acts with c-0005 now" in notices(app)


@on_a_screen
async def test_without_a_goal_there_is_nothing_to_cancel():
    client = FakeClient(LIFE)
    client.answers = copy.deepcopy(client.answers)
    client.answers["status"]["goals"] = []
    app, running = opened(client)
    async with running as pilot:
        await settle(app, pilot)
        await pilot.press("c")
        await settle(app, pilot)
        assert client.commands == []
        assert notices(app) == ["There is no goal to cancel."]


@on_a_screen
async def test_a_refusal_is_said_in_the_words_of_the_life():
    class Refusing(FakeClient):
        def call(self, cmd, **args):
            if cmd == "learn.now":
                raise RefusedError("not_ready", "learning is off: learners.enabled is false")
            return super().call(cmd, **args)

    app, running = opened(Refusing(LIFE))
    async with running as pilot:
        await settle(app, pilot)
        await pilot.press("l")
        await settle(app, pilot)
        assert notices(app) == ["learning is off: learners.enabled is false"]
        assert app.is_connected


@on_a_screen
async def test_it_opens_without_a_life_and_connects_when_one_starts():
    client = FakeClient(LIFE)
    client.problem = GONE
    app, running = opened(client)
    async with running as pilot:
        await settle(app, pilot)
        await look(app, pilot)
        assert not app.is_connected
        shown = words(app.query_one(Header)).replace("\n", " ")
        assert "no life is running" in shown
        assert "agentd start" in shown
        assert words(app.query_one(EventsLog)).count("no answer") == 1
        client.problem = None
        await look(app, pilot)
        assert app.is_connected
        assert "first-life" in words(app.query_one(Header))
        assert "chair reached and verified" in words(app.query_one(EventsLog))


@on_a_screen
async def test_a_life_that_stops_is_said_and_what_was_shown_stays():
    client = FakeClient(LIFE)
    app, running = opened(client)
    async with running as pilot:
        await settle(app, pilot)
        before = words(app.query_one(DoingPanel))
        for problem in (GONE, ConnectionResetError("cut"), ValueError("no JSON")):
            client.problem = problem
            await look(app, pilot)
            assert not app.is_connected
            assert str(problem)[:20] in words(app.query_one(Header))
            assert words(app.query_one(DoingPanel)) == before
        await pilot.press("p")
        await settle(app, pilot)
        assert notices(app) == ["no JSON"]


@on_a_screen
async def test_a_life_that_was_started_again_tells_its_events_from_the_first():
    client = FakeClient(LIFE)
    app, running = opened(client)
    async with running as pilot:
        await settle(app, pilot)
        client.answers = copy.deepcopy(client.answers)
        client.answers["status"]["life"]["started_ns"] += 10**9
        client.answers["events"] = {
            "next": 1,
            "events": [{"n": 0, "step": 2201, "kind": "life", "text": "opened again"}],
        }
        await look(app, pilot)
        shown = words(app.query_one(EventsLog))
        assert "the life was started again" in shown
        assert shown.count("opened again") == 1


@on_a_screen
async def test_events_are_shown_once():
    app, running = opened(size=(140, 45))
    async with running as pilot:
        await settle(app, pilot)
        await look(app, pilot)
        await look(app, pilot)
        assert words(app.query_one(EventsLog)).count("chair reached and verified") == 1


@on_a_screen
async def test_it_goes_on_looking_while_a_question_is_open():
    client = FakeClient(LIFE)
    app, running = opened(client)
    async with running as pilot:
        await settle(app, pilot)
        await pilot.press("g")
        client.answers = copy.deepcopy(client.answers)
        client.answers["status"]["doing"]["mode"] = "explore"
        await look(app, pilot)
        assert "EXPLORE" in words(app.query_one(DoingPanel))
        client.problem = GONE
        await look(app, pilot)
        assert not app.is_connected
        assert isinstance(app.screen, GoalScreen)


@on_a_screen
async def test_help_names_every_key_and_every_key_has_help():
    app, running = opened(size=(80, 24))
    async with running as pilot:
        await settle(app, pilot)
        assert [binding.key for binding in app.BINDINGS] == [
            *("p", "g", "c", "l", "r", "question_mark", "q")
        ]
        assert all(binding.tooltip and binding.id for binding in app.BINDINGS)
        await pilot.press("question_mark")
        assert isinstance(app.screen, HelpScreen)
        text = app.screen._text().plain
        assert all(binding.tooltip in text for binding in app.BINDINGS)
        await pilot.press("escape")
        assert len(app.screen_stack) == 1


@on_a_screen
async def test_the_command_palette_offers_every_key():
    app, running = opened()
    async with running as pilot:
        await settle(app, pilot)
        titles = [command.title for command in app.get_system_commands(app.screen)]
        assert {"Pause", "Goal", "Cancel", "Learn", "Roll back", "Help", "Quit"} <= set(titles)


@on_a_screen
async def test_quitting_sends_nothing_to_the_life():
    client = FakeClient(LIFE)
    app, running = opened(client)
    async with running as pilot:
        await settle(app, pilot)
        await pilot.press("q")
    assert client.commands == []
    assert app.return_code == 0


@on_a_screen
async def test_a_slow_life_never_blocks_the_keys():
    release = threading.Event()

    class Slow(FakeClient):
        def call(self, cmd, **args):
            assert release.wait(30)
            return super().call(cmd, **args)

    app, running = opened(Slow(LIFE))
    async with running as pilot:
        try:
            await pilot.press("question_mark")
            assert isinstance(app.screen, HelpScreen)
            app.poll()
            assert len(list(app.workers)) == 1
        finally:
            release.set()
        await settle(app, pilot)
        assert app.is_connected


@pytest.mark.parametrize("status", [{}, {"life": None, "steps": 3, "goals": "none"}])
@on_a_screen
async def test_a_life_that_says_little_is_shown(status):
    client = FakeClient(LIFE)
    client.answers = {"status": status, "map": {}, "slots": {}, "events": {"events": [], "next": 0}}
    app, running = opened(client)
    async with running as pilot:
        await settle(app, pilot)
        assert app.is_connected
        assert app.query_one(SlotsTable).row_count == 0
        await pilot.press("g", "escape", "c", "r", "n", "enter")


@on_a_screen
async def test_a_damaged_map_is_named_and_the_rest_is_shown():
    client = FakeClient(LIFE)
    client.answers = {**client.answers, "map": {**client.answers["map"], "cells": "?"}}
    app, running = opened(client)
    async with running as pilot:
        await settle(app, pilot)
        assert "map cells are not base64" in str(app.query_one(MapPanel).border_title)
        assert "NAVIGATE" in words(app.query_one(DoingPanel))


@on_a_screen
async def test_the_cursor_stays_on_its_slot_when_the_table_changes():
    client = FakeClient(LIFE)
    app, running = opened(client)
    async with running as pilot:
        await settle(app, pilot)
        table = app.query_one(SlotsTable)
        table.move_cursor(row=5)
        label = table.label_at_cursor()
        key = table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value
        client.answers = copy.deepcopy(client.answers)
        for slot in client.answers["slots"]["slots"][:3]:
            slot["state"] = "archived"
        await look(app, pilot)
        assert table.label_at_cursor() == label
        assert table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value == key


@on_a_screen
async def test_thousands_of_slots_are_cut_and_counted():
    client = FakeClient(LIFE)
    slot = client.answers["slots"]["slots"][0]
    many = [{**slot, "slot_id": n} for n in range(2000)]
    client.answers = {**client.answers, "slots": {"slots": many}}
    app, running = opened(client)
    async with running as pilot:
        await settle(app, pilot)
        table = app.query_one(SlotsTable)
        assert table.row_count == 300
        assert str(table.border_title) == "slots, 300 of 2000"


@on_a_screen
async def test_resizing_draws_anew():
    app, running = opened(size=(80, 24))
    async with running as pilot:
        await settle(app, pilot)
        for size in ((140, 45), (60, 15), (100, 30)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            panel = app.query_one(MapPanel)
            assert len(words(panel).split("\n")[0]) == panel.size.width


@on_a_screen
async def test_no_color_draws_the_map_in_ascii(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    app, running = opened()
    async with running as pilot:
        await settle(app, pilot)
        shown = words(app.query_one(MapPanel))
        assert "#" in shown
        assert "\N{UPPER HALF BLOCK}" not in shown


@pytest.mark.parametrize("module", ["agentd.tui.app", "agentd.view.live", "agentd.view.plain"])
def test_the_views_load_neither_models_nor_stores(module):
    code = (
        f"import sys, {module}; "
        "print(sorted({'torch', 'ray', 'lancedb', 'pyarrow', 'mujoco'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
