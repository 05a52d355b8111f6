"""The process that the chaos test kills: `python chaos_work.py FOLDER PHASE SEED`.

It says "ready", waits for a line, then works for ever and reports on standard output, one JSON
object per line: {"try": ...} before a commit and {"ack": ...} when the store has promised that it
stays. To add a phase, write a function that works for ever and list it in `PHASES`.
"""

import json
import random
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fakes_memory import SPEC, look_at, make_episode, observe
from fakes_stored import BOXES

import memory.vectors.index
from memory.care.merging import care_turn, merge_all
from memory.care.retention_apply import apply_plan, plan_for
from memory.config import MemoryConfig, ObjectConfig, ReplayConfig, RetentionConfig
from memory.objects.memory import SlotMemory
from memory.replay.store import LanceReplay
from memory.vectors.index import refresh_indexes
from memory.vectors.tables import EmbeddingTables


class NumberedEncoder:
    """Mean colours and a number, so that every version has another vector space."""

    def __init__(self, number: int) -> None:
        self.encoder_version = f"chaos-{number}"
        self._angle = float(number)

    def embed(self, crops: np.ndarray) -> np.ndarray:
        means = crops.reshape(len(crops), -1, 3).mean(axis=1) / 255.0
        turned = np.concatenate([means, np.full((len(crops), 1), self._angle)], axis=1)
        lengths = np.linalg.norm(turned, axis=1, keepdims=True)
        return (turned / lengths).astype(np.float32)


class Work:
    """What all phases need."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.rng = random.Random(seed)
        self.replay = LanceReplay(folder, ReplayConfig())
        self._slots: SlotMemory | None = None
        self._speaking = threading.Lock()

    @property
    def slots(self) -> SlotMemory:
        """The object memory, opened at first use."""
        if self._slots is None:
            self._slots = SlotMemory(self.folder, ObjectConfig(), SPEC)
        return self._slots

    def say(self, kind: str, **facts: Any) -> None:
        """Report; the line is in the pipe when this returns."""
        with self._speaking:
            sys.stdout.write(json.dumps({kind: facts}) + "\n")
            sys.stdout.flush()

    def append(self) -> None:
        """Commit an episode of a few rows."""
        step, episode = self.replay.last_step() + 1, self.replay.last_episode() + 1
        rows = make_episode(step, episode, self.rng.randrange(1, 40))
        self.say("try", rows=[step, rows[-1].step])
        self.replay.append(rows)
        self.say("ack", rows=[step, rows[-1].step])

    def look(self, step: int) -> None:
        """See the boxes from somewhere and commit what is remembered."""
        eye = (self.rng.uniform(-0.5, 0.5), self.rng.uniform(-1.0, 1.0))
        self.slots.update(*observe(BOXES, look_at(eye, (2.0, 0.0)), step), step)
        self.slots.flush()
        changes = self.slots.changes()
        self.say(
            "ack",
            event_id=changes[-1].event_id if changes else 0,
            hits={slot.slot_id: slot.num_hits for slot in self.slots.slots(archived=True)},
        )

    def beside(self, work: Callable[[], None]) -> None:
        """Do something over and over in a thread while rows are appended."""

        def go_on() -> None:
            try:
                while True:
                    work()
                    self.say("ack")
            except BaseException as error:
                self.say("error", text=repr(error))
                raise

        threading.Thread(target=go_on, daemon=True).start()
        while True:
            self.append()


def append(work: Work) -> None:
    while True:
        work.append()


def flush(work: Work) -> None:
    step = 0
    while True:
        work.look(step)
        step += 1


def compact(work: Work) -> None:
    work.append()
    work.beside(lambda: merge_all(work.folder, "transitions"))


def index(work: Work) -> None:
    """Add vectors of an encoder and take them into its index, or build that anew."""
    work.look(0)
    memory.vectors.index.INDEX_FROM = 16
    tables, encoder = EmbeddingTables(work.folder), NumberedEncoder(-1)

    def refresh() -> None:
        known = tables.ids(encoder.encoder_version)
        first, count = int(known.max(initial=1_000_000)) + 1, work.rng.choice((4, 32))
        crops = np.random.default_rng(first).integers(0, 255, (count, 8, 8, 3), dtype=np.uint8)
        vectors = encoder.embed(crops).astype(np.float16)
        tables.add(encoder.encoder_version, np.arange(first, first + count), vectors)
        with care_turn(work.folder):
            refresh_indexes(work.folder)

    work.beside(refresh)


def backfill(work: Work) -> None:
    number = work.rng.randrange(1_000_000)
    work.look(0)
    while True:
        number += 1
        encoder = NumberedEncoder(number)
        work.say("try", encoder=encoder.encoder_version)
        work.slots.reembed(encoder)
        work.say("ack", encoder=encoder.encoder_version)


def retention(work: Work) -> None:
    for _ in range(3):
        work.append()

    def drop() -> None:
        now = plan_for(work.folder, MemoryConfig()).bytes_now
        # 1 MiB is the least that a person may set; this memory is smaller.
        small = RetentionConfig(min_training_rows=0, min_probe_rows=0).model_copy(
            update={"budget_bytes": int(now * 0.7)}
        )
        plan = plan_for(work.folder, MemoryConfig(retention=small))
        if not plan.is_empty:
            apply_plan(work.folder, plan)

    work.beside(drop)


PHASES: dict[str, Callable[[Work], None]] = {
    work.__name__: work for work in (append, flush, compact, index, backfill, retention)
}


def main(folder: str, phase: str, seed: str) -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    PHASES[phase](Work(Path(folder), int(seed)))


if __name__ == "__main__":
    main(*sys.argv[1:])
