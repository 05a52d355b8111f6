"""What the views say, line by line: each function turns answers of a life into lines of text.

The live view and the text interface show the same lines. What may be
long is broken into lines here; who draws the lines cuts them at the edge.
"""

import textwrap
from collections.abc import Mapping, Sequence

from rich.style import Style
from rich.text import Text

from agentd.view import palette
from agentd.view.charts import Series, line_chart, sparkline
from agentd.view.fields import (
    Facts,
    format_bytes,
    format_count,
    format_decimal,
    format_duration,
    number,
    one_line,
    pick,
    points,
    rows,
    text,
)
from agentd.view.palette import Glyphs, style

_K_STEPS = (("1", palette.SKY_BLUE), ("4", palette.ORANGE), ("8", palette.PURPLE))
"""Prediction horizons of the learning curve, in steps."""
_LOW_CHARGE = 0.3
_LOW_CHART_LINES = 9
"""Below this height three lines would hide one another: the middle one is left out."""


def headline(status: Facts | None, glyphs: Glyphs) -> Text:
    """Return whose life this is, where, since when."""
    line = Text()
    line.append(" agentd ", style(palette.BLACK, palette.SKY_BLUE, bold=True))
    line.append(f" {text(status, 'life.name', 'life')}", palette.STRONG)
    if pick(status, "steps.paused"):
        line.append(" ")
        line.append(" PAUSED ", style(palette.BLACK, palette.YELLOW, bold=True))
    is_armed = pick(status, "guardian.is_armed")
    if pick(status, "guardian.is_estop") or is_armed is False:
        word = " E-STOP " if pick(status, "guardian.is_estop") else " NOT ARMED "
        line.append(" ")
        line.append(word, style(palette.BLACK, palette.VERMILION, bold=True))
    for word in _needs(status):
        line.append(" ")
        line.append(f" {word} ", style(palette.BLACK, palette.YELLOW, bold=True))
    place = text(status, "life.place", "no world yet")
    up = f"up {format_duration(number(status, 'life.uptime_s'))}"
    step = f"step {format_count(number(status, 'steps.total'))}"
    for part in (place, step, up):
        line.append(f" {glyphs.dot} ", palette.LABEL)
        line.append(part)
    return line


def _needs(status: Facts | None) -> list[str]:
    """Return what the body needs, in a word each."""
    words = []
    charge = number(status, "care.charge")
    if charge is not None and (charge < _LOW_CHARGE or pick(status, "care.doing")):
        words.append(f"{charge:.0%} {text(status, 'care.doing', '')}".strip().upper())
    if pick(status, "care.is_lost"):
        words.append("LOST")
    if pick(status, "care.rung"):
        words.append("BOXED IN")
    return words


def doing(status: Facts | None, glyphs: Glyphs, *, width: int, num_reason_lines: int) -> list[Text]:
    """Return what the agent does and why: mode, reason (always as many lines), goal, command."""
    mode = Text()
    mode.append(text(status, "doing.mode", "waiting").upper(), style(palette.SKY_BLUE, bold=True))
    source = text(status, "doing.action.source")
    if source:
        mode.append(f" by {source}", palette.LABEL)
    surprise = number(status, "doing.surprise")
    if surprise is not None:
        mode.append(f" {glyphs.dot} surprise {surprise:.1f}", palette.LABEL)
    reason = _broken(
        text(status, "doing.reason", "no reason given yet"), width, num_reason_lines, glyphs
    )
    reason += [""] * (num_reason_lines - len(reason))
    v_mps, w_radps = number(status, "doing.action.v_mps"), number(status, "doing.action.w_radps")
    command = _named("drives")
    if v_mps is None or w_radps is None:
        command.append("not yet")
    else:
        command.append(f"{v_mps:+.2f} m/s {w_radps:+.2f} rad/s")
    lines = [mode, *(Text(part) for part in reason), _goal(status, glyphs), command]
    return lines


def _named(name: str) -> Text:
    """Begin a line with the name of what it says."""
    return Text().append(f"{name:<7}", palette.LABEL)


def _broken(words: str, width: int, max_lines: int, glyphs: Glyphs) -> list[str]:
    """Break words into at most so many lines; an ellipsis ends what does not fit."""
    return textwrap.wrap(
        words, max(8, width), max_lines=max(1, max_lines), placeholder=f" {glyphs.ellipsis}"
    )


def _goal(status: Facts | None, glyphs: Glyphs) -> Text:
    line = _named("goal")
    label = pick(status, "doing.goal.label") or pick(status, "doing.goal.kind")
    if label:
        line.append(one_line(str(label)), style(palette.PURPLE, bold=True))
    else:
        line.append("none, its own curiosity")
    states = [text(goal, "state") for goal in rows(status, "goals")]
    for state in ("queued", "reached", "failed"):
        if states.count(state):
            line.append(f" {glyphs.dot} {states.count(state)} {state}", palette.LABEL)
    return line


def numbers(status: Facts | None, glyphs: Glyphs, *, width: int) -> list[Text]:
    """Return the life in numbers: pace, explored area, memory, slots, health."""
    missed = number(status, "steps.missed_ticks")
    pace = [
        f"{format_decimal(number(status, 'steps.per_s'))}/s",
        f"p99 {format_decimal(number(status, 'steps.tick_p99_ms'), 0)} ms",
        f"{format_count(missed)} missed",
    ]
    area = f"{format_decimal(number(status, 'map.explored_m2'))} {glyphs.square_metres}"
    history = [area_m2 for _, area_m2 in points(status, "map.history")]
    explored = _fact("map", [area + " "], glyphs, width)
    explored.append(sparkline(history, width - len(explored), glyphs), style(palette.GREEN))
    stored = [
        f"{format_count(number(status, 'memory.rows_committed'))} rows",
        format_bytes(number(status, "memory.disk_bytes")),
        f"{format_count(number(status, 'memory.objects.views'))} views",
    ]
    ram_mb, ray_mb = number(status, "health.rss_mb"), number(status, "health.ray_rss_mb")
    ram = format_decimal(ram_mb, 0) + ("" if ray_mb is None else f" + {ray_mb:.0f}")
    health = [
        f"{ram} MB",
        f"{format_count(number(status, 'health.safety_interventions'))} safety stops",
    ]
    held = _sum(pick(status, "guardian.counts"))
    if held:
        health.append(f"guardian {format_count(held)}")
    dropped = number(status, "health.dropped_rows")
    if dropped:
        health.append(f"{dropped:.0f} rows lost")
    return [
        _fact("pace", pace, glyphs, width, alarm=bool(missed)),
        explored,
        _fact("memory", stored, glyphs, width),
        _slot_counts(status, glyphs, width),
        _fact("health", health, glyphs, width, alarm=bool(dropped)),
    ]


def _sum(counts: object) -> float:
    """Return the sum of counts by name; 0 where there are none."""
    if not isinstance(counts, Mapping):
        return 0.0
    return float(sum(num for num in counts.values() if isinstance(num, int)))


def _fact(
    name: str,
    parts: Sequence[str],
    glyphs: Glyphs,
    width: int,
    *,
    styles: Sequence[Style] = (),
    alarm: bool = False,
) -> Text:
    """Return a named line; dots part the facts where they fit. `alarm` lets the last stand out."""
    free = width - 7 - sum(map(len, parts))
    gaps = (f" {glyphs.dot} ", "  ", " ")
    gap = next((gap for gap in gaps if len(gap) * (len(parts) - 1) <= free), gaps[-1])
    line = _named(name)
    for i, part in enumerate(parts):
        if i:
            line.append(gap, palette.LABEL)
        is_last = i == len(parts) - 1
        line.append(part, palette.ALARM if alarm and is_last else styles[i] if styles else "")
    return line


def _slot_counts(status: Facts | None, glyphs: Glyphs, width: int) -> Text:
    counts = [
        f"{format_count(number(status, f'memory.slots.{state}'))} {word}"
        for state, word in palette.STATE_WORDS.items()
    ]
    colours = [style(palette.STATE_COLOURS[state]) for state in palette.STATE_WORDS]
    return _fact("slots", counts, glyphs, width, styles=colours)


def learning(
    status: Facts | None, glyphs: Glyphs, *, width: int, num_verdict_lines: int
) -> list[Text]:
    """Return the model that acts, the round in flight and the last verdict with its reason."""
    checkpoint = text(status, "learning.checkpoint")
    if checkpoint:
        trust = " trusted" if pick(status, "learning.trusted") else " not trusted yet"
        freshness = f"freshness {format_duration(number(status, 'learning.freshness_s'))}"
        model = _fact("model", [checkpoint + trust, freshness], glyphs, width)
    else:
        model = _fact("model", ["none yet, geometry drives"], glyphs, width)
    since_s = number(status, "learning.in_flight.since_s")
    if since_s is not None:
        version = format_count(number(status, "learning.in_flight.replay_version"))
        training = f"training {format_duration(since_s)} on version {version}"
        flight = _fact("round", [training], glyphs, width, styles=[style(palette.ORANGE)])
    elif pick(status, "learning.enabled") is False:
        flight = _fact("round", ["learning is switched off"], glyphs, width)
    else:
        flight = _fact("round", ["waits for new experience"], glyphs, width)
    return [model, flight, *_verdict(status, glyphs, width, num_verdict_lines)]


def _verdict(status: Facts | None, glyphs: Glyphs, width: int, num_lines: int) -> list[Text]:
    """Return the last verdict and its reason, always as many lines."""
    done = rows(status, "learning.rounds")
    first = _named("last")
    reason: list[str] = []
    if not done:
        first.append("no round finished yet")
    else:
        is_accepted = bool(pick(done[-1], "accepted"))
        mark = f"{glyphs.accepted} accepted" if is_accepted else f"{glyphs.refused} refused"
        colour = palette.GREEN if is_accepted else palette.VERMILION
        if pick(done[-1], "on_trial"):
            mark, colour = "on trial", palette.BLUE
        first.append(mark, style(colour, bold=True))
        words = text(done[-1], "reason", "-")
        if num_lines > 1:
            room = max(8, width - len(first) - 1)
            reason = textwrap.wrap(words, room) or [""]
            rest = words.removeprefix(reason[0]).strip()
            reason[1:] = _broken(rest, width - 7, num_lines - 1, glyphs) if rest else []
            words = reason[0]
        first.append(f" {words}")
    more = [Text(" " * 7 + part) for part in reason[1:]]
    more += [Text()] * (num_lines - 1 - len(more))
    return [first, *more]


def error_curve(status: Facts | None, *, width: int, height: int, glyphs: Glyphs) -> Text:
    """Return the k-step prediction error over the rounds, one line per k, verdicts beneath.

    An error of 1 (the dotted line) is that of a model that always predicts the mean.
    """
    done = rows(status, "learning.rounds")
    series = []
    is_low = height < _LOW_CHART_LINES
    for k, colour in _K_STEPS:
        errors = [
            (x, y)
            for x, y in ((number(r, "round"), number(r, f"metrics.k_step_error.{k}")) for r in done)
            if x is not None and y is not None
        ]
        series.append(Series(name=f"k={k}", points=errors, colour=colour, mark=k))
    legend = _named("error")
    if not any(line.points for line in series):
        return legend.append("no round has been measured yet")
    for line in series:
        last = format_decimal(line.points[-1][1] if line.points else None, 2)
        is_drawn = not is_low or line is not series[1]
        legend.append(f"{line.name} {last}  ", style(line.colour) if is_drawn else palette.LABEL)
    outcomes = [
        (x, bool(pick(r, "accepted"))) for r in done if (x := number(r, "round")) is not None
    ]
    chart = line_chart(
        series[::2] if is_low else series,
        width=width,
        height=height - 1,
        glyphs=glyphs,
        x_word="round",
        outcomes=outcomes,
        reference=1.0,
    )
    return Text("\n").join([legend, chart])


def coverage_curve(status: Facts | None, *, width: int, height: int, glyphs: Glyphs) -> Text:
    """Return the explored area over the steps of the life."""
    history = points(status, "map.history")
    explored = format_decimal(number(status, "map.explored_m2"))
    legend = Text().append("explored  ", palette.LABEL)
    legend.append(f"{explored} {glyphs.square_metres}", style(palette.GREEN))
    series = [Series(name="explored", points=history, colour=palette.GREEN)]
    chart = line_chart(
        series, width=width, height=height - 1, glyphs=glyphs, x_word="step", y_digits=0
    )
    return Text("\n").join([legend, chart])


def event_line(event: Facts, *, has_step: bool = True) -> Text:
    """Return one event: at which step (where there is room), kind, what happened."""
    kind = text(event, "kind", "life")
    line = Text()
    if has_step:
        line.append(f"{format_count(number(event, 'step')):>8} ", palette.LABEL)
    line.append(f"{kind:<9}", style(palette.EVENT_COLOURS.get(kind, palette.GREY)))
    return line.append(text(event, "text"))


def map_legend(glyphs: Glyphs) -> Text:
    """Return what the marks of the map stand for."""
    line = Text()
    line.append(glyphs.arrows[0], style(palette.VERMILION, bold=True))
    line.append(" robot  ")
    line.append("X", style(palette.PURPLE, bold=True))
    line.append(" target  ")
    line.append("+", style(palette.GREEN, bold=True))
    line.append(" frontier  ")
    line.append("A", style(palette.YELLOW, bold=True))
    line.append(" sure ")
    line.append("a", style(palette.SKY_BLUE, bold=True))
    line.append(" not yet")
    return line
