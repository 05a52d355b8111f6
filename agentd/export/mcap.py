"""A span of a life as MCAP: what the robot sensed and did, and what the agent made of it."""

import json
import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentd.export.happenings import Happening, Record
from agentd.export.schemas import (
    BELIEF,
    EVENTS,
    GOALS,
    INTERVENTIONS,
    LEARNING,
    PLAN,
    SCHEMAS,
    SURPRISE,
    timestamp,
)
from learners.round_spec import body_to_dict
from memory.export.belief import BeliefTrack, read_belief
from memory.export.markers import Markers
from memory.export.mcap_file import LogClock, McapFile
from memory.export.output import new_file
from memory.export.ros import (
    CHANNELS,
    DEPTH,
    LOG,
    MARKERS,
    RAW_DEPTH,
    TF_STATIC,
    DepthForm,
    RosMessages,
)
from memory.export.span import Calendar, read_rows
from memory.records import BodySpec, Transition

_SLOTS_PER_S = 500
"""Slots told per second of life: the belief is told when it changes, of a small home once a second
at most, of 5000 things once in ten."""

EMPTY = {
    SURPRISE: "no surprise is stored for these steps: no model acted and nothing contradicted it",
    BELIEF: "no object was confirmed",
    MARKERS: "no object was confirmed",
    PLAN: "no decision is kept for these steps",
    INTERVENTIONS: "safety changed no action",
    EVENTS: "the log of events holds none for these steps",
    LOG: "the log of events holds none for these steps",
    GOALS: "no goal was worked on, or its story is no longer kept",
    LEARNING: "no checkpoint came to act and no round was run",
}
"""Why a channel may be empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What is exported.

    Attributes:
        folder: Folder of the life's tables.
        span: Rows.
        newest_step: Newest step of the whole life.
        spec: The body.
        record: Events, goals and decisions.
        facts: What identifies the life, for the file's metadata.
    """

    folder: Path
    span: Calendar
    newest_step: int
    spec: BodySpec
    record: Record
    facts: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class McapReport:
    """What was written.

    Attributes:
        rows: Steps.
        counts: Messages by topic.
        kinds: Message type by topic.
        empty: Why a topic has no message.
        notes: What a reader should know.
    """

    rows: int
    counts: dict[str, int]
    kinds: dict[str, str]
    empty: dict[str, str]
    notes: list[str]


def export_mcap(
    source: Source,
    target: Path,
    *,
    force: bool = False,
    depth: DepthForm = "png",
    json_schemas: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> McapReport:
    """Write a span; the file is complete or absent.

    Args:
        source: What to write.
        target: The file.
        force: Whether an existing file may be replaced.
        depth: How depth is written.
        json_schemas: See `McapFile`.
        on_progress: Called with rows done and rows in all.

    Raises:
        FileExistsError: If the file exists and may not be replaced.
        MissingExtraError: If the library mcap is not installed.
        DiskFullError: If there is no space.
        DamagedTableError: If a table cannot be read.
    """
    with (
        new_file(target, force=force) as partial,
        McapFile(partial, json_schemas=json_schemas) as file,
    ):
        writer = _SpanWriter(file, source, depth)
        for rows in read_rows(source.folder, source.span):
            for row in rows:
                writer.write(row)
            on_progress(writer.num_rows, len(source.span))
        writer.end()
        return writer.report()


class _SpanWriter:
    """Writes row after row, with what happened at its step."""

    def __init__(self, file: McapFile, source: Source, depth: DepthForm) -> None:
        self._file, self._source = file, source
        left_out = DEPTH if depth == "raw" else RAW_DEPTH
        for topic, msgtype in CHANNELS.items():
            if topic == left_out:
                continue
            file.add_ros(topic, msgtype, is_latched=topic == TF_STATIC)
        for topic, schema in SCHEMAS.items():
            file.add_json(topic, schema["title"], schema)
        self._messages = RosMessages(file, source.spec, depth)
        self._markers = Markers(file, self._messages)
        self._belief: BeliefTrack = read_belief(source.folder)
        self._has_news = True
        self._belief_due_ns = 0
        first = source.span.first_step
        happenings = source.record.happenings
        self._waiting = deque(
            _standing(item for item in happenings if item.step < first)
            + [item for item in happenings if item.step >= first]
        )
        self._clock = LogClock(round(source.spec.tick_s * 1e9))
        self._checkpoint: str | None = None
        self._last: Transition | None = None
        self._log_ns = 0
        self.num_rows = 0

    def write(self, row: Transition) -> None:
        """Write a row and what happened until then."""
        stamp_ns = row.observation.stamp_ns
        log_ns = self._log_ns = self._clock.at(stamp_ns)
        if self._last is None:
            for topic, message in self._messages.static(stamp_ns).items():
                self._file.put_ros(topic, message, log_ns)
        for topic, message in self._messages.of_row(row).items():
            self._file.put_ros(topic, message, log_ns)
        while self._waiting and self._waiting[0].step <= row.step:
            self._happen(self._waiting.popleft(), stamp_ns)
        self._tell_row(row)
        self._has_news |= self._belief.advance(row.step)
        self._belief.see(row)
        if self._has_news and log_ns >= self._belief_due_ns:
            self._tell_belief(row, is_newest=False)
        self._last = row
        self.num_rows += 1

    def end(self) -> None:
        """Write what comes after the last row."""
        row = self._last
        if row is not None:
            is_newest = self._source.span.last_step == self._source.newest_step
            if is_newest:
                for item in self._waiting:
                    self._happen(item, row.observation.stamp_ns)
            if is_newest or self._has_news:
                self._tell_belief(row, is_newest=is_newest)
        facts = {
            **self._source.facts,
            "first_step": str(self._source.span.first_step),
            "last_step": str(self._source.span.last_step),
            "body": json.dumps(body_to_dict(self._source.spec)),
            "empty": json.dumps(self._empty()),
        }
        self._file.note("agentd", facts)

    def report(self) -> McapReport:
        """Return what was written."""
        notes = list(self._source.record.notes)
        if self._clock.num_jumps:
            notes.append(
                f"the body's clock was set back {self._clock.num_jumps} times: log times go on, "
                "header stamps are as they were recorded"
            )
        if self.num_rows < len(self._source.span):
            notes.append(f"{len(self._source.span) - self.num_rows} steps were dropped meanwhile")
        return McapReport(
            rows=self.num_rows,
            counts=dict(self._file.counts),
            kinds=dict(self._file.kinds),
            empty=self._empty(),
            notes=notes,
        )

    def _empty(self) -> dict[str, str]:
        return {t: why for t, why in EMPTY.items() if self._file.counts[t] == 0}

    def _tell_row(self, row: Transition) -> None:
        stamp_ns, act = row.observation.stamp_ns, row.action
        if math.isfinite(row.surprise):
            message = {"surprise": row.surprise, "checkpoint_id": row.checkpoint_id}
            self._put(SURPRISE, row.step, stamp_ns, message)
        if act.source == "safety":
            message = {
                "source": "action",
                "text": "safety chose the action",
                "v_mps": act.v_mps,
                "w_radps": act.w_radps,
                "bumped": row.observation.bumped,
            }
            self._put(INTERVENTIONS, row.step, stamp_ns, message)
        if row.checkpoint_id != (self._checkpoint or ""):
            before, now = self._checkpoint, row.checkpoint_id
            text = f"{now} acts" if now else "no model acts"
            message = {"source": "acting", "checkpoint_id": now, "text": text}
            self._put(LEARNING, row.step, stamp_ns, message | {"before": before or ""})
        self._checkpoint = row.checkpoint_id

    def _tell_belief(self, row: Transition, *, is_newest: bool) -> None:
        stamp_ns = row.observation.stamp_ns
        belief = self._belief.now(stamp_ns, is_newest=is_newest)
        if belief or self._file.counts[BELIEF]:
            message = {"slots": [item.as_dict() for item in belief]}
            self._put(BELIEF, row.step, stamp_ns, message)
            self._file.put_ros(MARKERS, self._markers.of(stamp_ns, belief), self._log_ns)
        self._has_news = False
        pause_s = max(1.0, len(belief) / _SLOTS_PER_S)
        self._belief_due_ns = self._log_ns + round(pause_s * 1e9)

    def _happen(self, item: Happening, stamp_ns: int) -> None:
        self._put(item.topic, item.step, stamp_ns, item.message)
        if item.topic == EVENTS:
            kind, text = item.message["kind"], item.message["text"]
            is_warning = kind == "safety" or text.startswith("error: ")
            line = self._messages.log(stamp_ns, f"agentd.{kind}", text, is_warning=is_warning)
            self._file.put_ros(LOG, line, self._log_ns)

    def _put(self, topic: str, step: int, stamp_ns: int, message: dict[str, Any]) -> None:
        fields = {"timestamp": timestamp(stamp_ns), "step": step, **message}
        self._file.put_json(topic, fields, self._log_ns)


def _standing(before: Iterable[Happening]) -> list[Happening]:
    """Return what still holds at the beginning of a span: the last decision, and open goals."""
    plan: list[Happening] = []
    goals: dict[str, Happening] = {}
    for item in before:
        if item.topic == PLAN:
            plan = [item]
        elif item.topic == GOALS:
            goals[item.message["goal_id"]] = item
    return plan + [item for item in goals.values() if item.message["state"] == "active"]
