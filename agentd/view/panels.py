"""What the views say, line by line: each function turns answers of a life into lines of text.

The live view and the text interface show the same lines.
"""

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


def headline(status: Facts | None, glyphs: Glyphs) -> Text:
    """Return whose life this is, where, since when."""
    line = Text(no_wrap=True)
    line.append(" agentd ", style(palette.BLACK, palette.SKY_BLUE, bold=True))
    line.append(f" {text(status, 'life.name', 'life')}", palette.STRONG)
    place = text(status, "life.world", "no world yet")
    seed = number(status, "life.house_seed")
    if seed is not None:
        place += f" {seed:.0f}"
    up = f"up {format_duration(number(status, 'life.uptime_s'))}"
    step = f"step {format_count(number(status, 'steps.total'))}"
    for part in (place, up, step):
        line.append(f" {glyphs.dot} ", palette.LABEL)
        line.append(part)
    if pick(status, "steps.paused"):
        line.append("  ")
        line.append(" PAUSED ", style(palette.BLACK, palette.YELLOW, bold=True))
    return line


def doing(status: Facts | None, glyphs: Glyphs) -> list[Text]:
    """Return what the agent does and why: mode, reason, goal, command."""
    mode = Text(no_wrap=True)
    mode.append(text(status, "doing.mode", "waiting").upper(), style(palette.SKY_BLUE, bold=True))
    surprise = number(status, "doing.surprise")
    if surprise is not None:
        mode.append(f" {glyphs.dot} surprise {surprise:.1f}", palette.LABEL)
    command = Text(no_wrap=True)
    command.append("drives ", palette.LABEL)
    v_mps, w_radps = number(status, "doing.action.v_mps"), number(status, "doing.action.w_radps")
    if v_mps is None or w_radps is None:
        command.append("not yet")
    else:
        command.append(f"{v_mps:+.2f} m/s {w_radps:+.2f} rad/s")
        command.append(f" by {text(status, 'doing.action.source', 'none')}", palette.LABEL)
    reason = Text(text(status, "doing.reason", "no reason given yet"))
    return [mode, reason, _goal(status, glyphs), command]


def _goal(status: Facts | None, glyphs: Glyphs) -> Text:
    line = Text(no_wrap=True)
    line.append("goal   ", palette.LABEL)
    label = pick(status, "doing.goal.label") or pick(status, "doing.goal.kind")
    line.append(
        one_line(str(label)) if label else "none, its own curiosity",
        style(palette.PURPLE, bold=True) if label else "",
    )
    states = [text(goal, "state") for goal in rows(status, "goals")]
    counts = [
        f"{states.count(state)} {state}"
        for state in ("queued", "reached", "failed")
        if states.count(state)
    ]
    line.append("".join(f" {glyphs.dot} {count}" for count in counts), palette.LABEL)
    return line


def numbers(status: Facts | None, glyphs: Glyphs, width: int) -> list[Text]:
    """Return the life in numbers: pace, explored area, memory, slots, health."""
    missed = number(status, "steps.missed_ticks")
    pace = [
        f"{format_decimal(number(status, 'steps.per_s'))}/s {text(status, 'steps.pace')}".strip(),
        f"p99 {format_decimal(number(status, 'steps.tick_p99_ms'), 0)} ms",
        f"{format_count(missed)} missed",
    ]
    area = f"{format_decimal(number(status, 'map.explored_m2'))} {glyphs.square_metres} "
    history = [area_m2 for _, area_m2 in points(status, "map.history")]
    stored = [
        f"{format_count(number(status, 'memory.rows_committed'))} rows",
        format_bytes(number(status, "memory.disk_bytes")),
        f"{format_count(number(status, 'memory.views'))} views",
    ]
    ram_mb, ray_mb = number(status, "health.rss_mb"), number(status, "health.ray_rss_mb")
    health = [f"{format_decimal(ram_mb, 0)} MB"]
    if ray_mb is not None:
        health[0] += f" + ray {ray_mb:.0f}"
    health.append(f"{format_count(number(status, 'health.safety_interventions'))} safety stops")
    dropped = number(status, "health.dropped_rows")
    if dropped:
        health.append(f"{dropped:.0f} rows lost")
    explored = _fact("map", [area], glyphs)
    explored.append(sparkline(history, max(0, width - 8 - len(area)), glyphs), style(palette.GREEN))
    return [
        _fact("pace", pace, glyphs, alarm=bool(missed)),
        explored,
        _fact("memory", stored, glyphs),
        _slot_counts(status, glyphs),
        _fact("health", health, glyphs, alarm=bool(dropped)),
    ]


def _fact(name: str, parts: list[str], glyphs: Glyphs, *, alarm: bool = False) -> Text:
    """Return a named line; with `alarm` its last part stands out."""
    line = Text(no_wrap=True)
    line.append(f"{name:<7}", palette.LABEL)
    for i, part in enumerate(parts):
        if i:
            line.append(f" {glyphs.dot} ", palette.LABEL)
        line.append(part, palette.ALARM if alarm and i == len(parts) - 1 else "")
    return line


def _slot_counts(status: Facts | None, glyphs: Glyphs) -> Text:
    line = Text(no_wrap=True)
    line.append("slots  ", palette.LABEL)
    for i, (state, word) in enumerate(palette.STATE_WORDS.items()):
        count = number(status, f"memory.slots.{state}")
        if i:
            line.append(f" {glyphs.dot} ", palette.LABEL)
        line.append(f"{format_count(count)} {word}", style(palette.STATE_COLOURS[state]))
    return line


def learning(status: Facts | None, glyphs: Glyphs) -> list[Text]:
    """Return the model that acts, the round in flight and the last verdict."""
    model = Text(no_wrap=True)
    model.append("model  ", palette.LABEL)
    checkpoint = text(status, "learning.checkpoint")
    if checkpoint:
        is_trusted = bool(pick(status, "learning.trusted"))
        model.append(checkpoint, palette.STRONG)
        model.append(" trusted" if is_trusted else " not trusted yet", palette.LABEL)
        freshness = format_duration(number(status, "learning.freshness_s"))
        model.append(f" {glyphs.dot} freshness {freshness}", palette.LABEL)
    else:
        model.append("none yet, geometry drives")
    flight = Text(no_wrap=True)
    flight.append("round  ", palette.LABEL)
    done = rows(status, "learning.rounds")
    since_s = number(status, "learning.in_flight.since_s")
    if since_s is not None:
        flight.append(f"training for {format_duration(since_s)}", style(palette.ORANGE))
        version = number(status, "learning.in_flight.replay_version")
        flight.append(f" on version {format_count(version)}", palette.LABEL)
    elif pick(status, "learning.enabled") is False:
        flight.append("learning is switched off")
    else:
        flight.append("waits for new experience")
    return [model, flight, _verdict(done, glyphs)]


def _verdict(done: list[Facts], glyphs: Glyphs) -> Text:
    line = Text(no_wrap=True)
    line.append("last   ", palette.LABEL)
    if not done:
        line.append("no round finished yet")
    elif pick(done[-1], "accepted"):
        line.append(f"{glyphs.accepted} accepted ", style(palette.GREEN, bold=True))
        line.append(text(done[-1], "reason"))
    else:
        line.append(f"{glyphs.refused} refused ", style(palette.VERMILION, bold=True))
        line.append(text(done[-1], "reason"))
    return line


def error_curve(status: Facts | None, *, width: int, height: int, glyphs: Glyphs) -> Text:
    """Return the k-step prediction error over the rounds, one line per k, verdicts beneath.

    An error of 1 (the dotted line) is that of a model that always predicts the mean.
    """
    done = rows(status, "learning.rounds")
    series = []
    for k, colour in _K_STEPS:
        errors = [
            (x, y)
            for x, y in ((number(r, "round"), number(r, f"metrics.k_step_error.{k}")) for r in done)
            if x is not None and y is not None
        ]
        series.append(Series(name=f"k={k}", points=errors, colour=colour, mark=k))
    legend = Text("error  ", palette.LABEL, no_wrap=True)
    for line in series:
        last = format_decimal(line.points[-1][1] if line.points else None, 2)
        legend.append(f"{line.name} {last}  ", style(line.colour))
    outcomes = [
        (x, bool(pick(r, "accepted"))) for r in done if (x := number(r, "round")) is not None
    ]
    chart = line_chart(
        series,
        width=width,
        height=height - 1,
        glyphs=glyphs,
        x_word="round",
        outcomes=outcomes,
        reference=1.0,
    )
    return Text("\n", no_wrap=True).join([legend, chart])


def coverage_curve(status: Facts | None, *, width: int, height: int, glyphs: Glyphs) -> Text:
    """Return the explored area over the steps of the life."""
    history = points(status, "map.history")
    explored = format_decimal(number(status, "map.explored_m2"))
    legend = Text("explored  ", palette.LABEL, no_wrap=True)
    legend.append(f"{explored} {glyphs.square_metres}", style(palette.GREEN))
    series = [Series(name="explored", points=history, colour=palette.GREEN)]
    chart = line_chart(
        series, width=width, height=height - 1, glyphs=glyphs, x_word="step", y_digits=0
    )
    return Text("\n", no_wrap=True).join([legend, chart])


def event_line(event: Facts) -> Text:
    """Return one event: step, kind, what happened."""
    kind = text(event, "kind", "life")
    line = Text(no_wrap=True)
    line.append(f"{format_count(number(event, 'step')):>8} ", palette.LABEL)
    line.append(f"{kind:<9}", style(palette.EVENT_COLOURS.get(kind, palette.GREY)))
    line.append(text(event, "text"))
    return line


def map_legend(glyphs: Glyphs) -> Text:
    """Return what the marks of the map stand for."""
    line = Text(no_wrap=True)
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
