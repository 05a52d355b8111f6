"""The live view, the plain log and the picture: what goes wrong in them never hurts the life."""

import io
import threading
import xml.etree.ElementTree

import pytest
from fakes_view import FakeLife
from rich.console import Console

from agentd.view.live import LiveView
from agentd.view.picture import save_svg
from agentd.view.plain import PlainLog


@pytest.fixture(scope="module")
def answers():
    return FakeLife(seed=1, step=900).answers()


def terminal():
    return Console(width=80, height=24, file=io.StringIO(), force_terminal=True, _environ={})


class Source:
    """Answers; tells when it was asked a number of times."""

    def __init__(self, answers, times=2):
        self.answers = answers
        self.calls = 0
        self.times = times
        self.enough = threading.Event()

    def __call__(self):
        self.calls += 1
        if self.calls >= self.times:
            self.enough.set()
        if isinstance(self.answers, Exception):
            raise self.answers
        return self.answers


def test_the_view_draws_again_and_again_and_leaves_its_last_picture(answers):
    console, source = terminal(), Source(answers, times=3)
    view = LiveView(source, console, period_s=0.001)
    view.start()
    assert source.enough.wait(20)
    view.stop()
    view.stop()
    printed = console.file.getvalue()
    assert printed.count("\x1b[?1049h") == printed.count("\x1b[?1049l") == 1
    last = printed.split("\x1b[?1049l")[1]
    assert "first-life" in last
    assert last.endswith("\n")
    assert view.last_error is None


@pytest.mark.parametrize(
    "broken", [RuntimeError("no status"), {"status": 5, "map": {"cells": 3}}, {"map": None}]
)
def test_a_source_that_fails_is_shown_and_drawing_goes_on(broken):
    source = Source(broken)
    view = LiveView(source, terminal(), period_s=0.001)
    view.start()
    assert source.enough.wait(20)
    view.stop()
    assert view.last_error is None or view.last_error.startswith("live view: ")


def test_the_error_of_a_drawing_is_named_in_the_next_one(answers):
    source = Source(ValueError("map cells hold 3 bytes"))
    view = LiveView(source, terminal())
    assert "map cells hold 3 bytes" in view.draw().segments[0].text
    source.answers = answers
    text = "".join(segment.text for segment in view.draw().segments)
    assert "last error: live view: ValueError: map cells hold 3 bytes" in text


def test_a_terminal_that_is_gone_ends_the_view_quietly(answers):
    stream = io.StringIO()
    console = Console(width=80, height=24, file=stream, force_terminal=True, _environ={})
    stream.close()
    view = LiveView(Source(answers), console, period_s=0.001)
    view.start()
    view.stop()
    assert view.last_error.startswith("live view ended: ValueError")


def test_the_log_writes_each_event_once_and_the_life_every_ten_seconds(answers):
    log = PlainLog(lambda: answers)
    first = log.lines(0.0)
    assert len(first) == len(answers["events"]["events"]) + 1
    assert first[0].startswith("life     step 580: opened the life")
    assert first[-1].startswith("status   step 900, 5.0/s, p99 49 ms")
    assert log.lines(5.0) == []
    assert len(log.lines(10.0)) == 1


def test_an_error_of_the_log_is_written_once():
    log = PlainLog(Source(RuntimeError("no status")))
    assert log.lines(0.0) == ["log: RuntimeError: no status"]
    assert log.lines(1.0) == []


def test_the_log_writes_what_is_left_when_it_stops(answers):
    stream = io.StringIO()
    log = PlainLog(lambda: answers, stream)
    log.start()
    log.stop()
    log.stop()
    assert "chair reached and verified" in stream.getvalue()
    assert "navigate: the memory knows" in stream.getvalue()


def test_a_log_whose_stream_is_closed_ends_quietly(answers):
    stream = io.StringIO()
    stream.close()
    log = PlainLog(lambda: answers, stream)
    log.start()
    log.stop()
    assert log.last_error is not None


def test_a_life_without_any_answer_is_logged():
    assert PlainLog(dict).lines(0.0) == [
        "status   step -, -/s, p99 - ms, - m2 explored, - slots confirmed, - rows, "
        "no model yet, waiting: -"
    ]


def test_the_picture_is_an_svg_that_needs_nothing_from_elsewhere(answers, tmp_path):
    path = tmp_path / "life.svg"
    save_svg(answers, path, width=100, height=30)
    root = xml.etree.ElementTree.parse(path).getroot()
    assert root.tag.endswith("svg")
    text = path.read_text(encoding="utf-8")
    assert "NAVIGATE" in text
    assert "\N{UPPER HALF BLOCK}" not in text
    assert "url(" not in text
    assert text.count("http") == 1  # the name of the SVG language itself
