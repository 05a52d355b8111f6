"""kill -9 at random moments of every phase: nothing that was acknowledged is lost.

20 kills by default; `AGENTD_CHAOS_KILLS=200` and `AGENTD_CHAOS_SEED=1` ask for more or for others.
"""

import contextlib
import json
import os
import random
import select
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from chaos_work import PHASES
from fakes_memory import SPEC, make_transition
from fakes_stored import furnish

from memory.care.access import open_tables
from memory.care.fsck import check_memory
from memory.care.fsck_repair import repair_memory
from memory.care.retention_log import logged_drops
from memory.config import ObjectConfig, ReplayConfig
from memory.objects.memory import SlotMemory
from memory.replay.store import LanceReplay
from memory.vectors.encoders import vector_rows

KILLS = int(os.environ.get("AGENTD_CHAOS_KILLS", "20"))
SEED = int(os.environ.get("AGENTD_CHAOS_SEED", "0"))
TESTS = Path(__file__).parents[1]

LONGEST_S = 0.25
"""A kill comes at most this long after the last line that was waited for: a few commits."""


class Worker:
    """A process of `chaos_work`, ready to go."""

    def __init__(self, folder: Path, phase: str, seed: int) -> None:
        self.phase = phase
        self._process = subprocess.Popen(
            [sys.executable, str(TESTS / "chaos_work.py"), str(folder), phase, str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent}", "OMP_NUM_THREADS": "1"},
        )

    def run_and_kill(self, num_acks: int, delay_s: float) -> list[dict]:
        """Let it work, kill it, and return all that it had said before it died."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.stdin.write(b"go\n")
        process.stdin.flush()
        said: list[dict] = []
        while sum("ack" in line for line in said) < num_acks:
            line = process.stdout.readline()
            assert line, f"{self.phase} ended by itself with {process.wait()}"
            said.append(json.loads(line))
        until = time.monotonic() + delay_s
        # A full pipe must not hold it up: what it says while it is waited for is read.
        while (left_s := until - time.monotonic()) > 0:
            if select.select([process.stdout], [], [], left_s)[0]:
                said.append(json.loads(process.stdout.readline()))
        process.kill()
        said += [json.loads(line) for line in process.stdout if line.endswith(b"\n")]
        self.discard()
        errors = [line for line in said if "error" in line]
        assert not errors, f"{self.phase}: {errors}"
        return said

    def discard(self) -> None:
        """End it and let go of its pipes."""
        self._process.kill()
        with self._process:
            self._process.wait()


@dataclass
class Promised:
    """What was acknowledged since the beginning."""

    rows: set[int] = field(default_factory=set)
    event_id: int = 0
    hits: dict[int, int] = field(default_factory=dict)
    encoder: str = ""
    in_doubt: Counter = field(default_factory=Counter)

    def take_in(self, said: list[dict]) -> tuple[set[int], str]:
        """Note what was acknowledged; return the rows and the encoder that were under way."""
        rows: set[int] = set()
        encoder = ""
        for line in said:
            if attempt := line.get("try"):
                if "rows" in attempt:
                    rows = set(range(attempt["rows"][0], attempt["rows"][1] + 1))
                encoder = attempt.get("encoder", encoder)
            if ack := line.get("ack"):
                if "rows" in ack:
                    self.rows |= rows
                    rows = set()
                if "encoder" in ack:
                    self.encoder, encoder = ack["encoder"], ""
                self.event_id = max(self.event_id, ack.get("event_id", 0))
                self.hits |= {int(k): v for k, v in ack.get("hits", {}).items()}
        return rows, encoder


def check_rows(folder: Path, promised: Promised, under_way: set[int]) -> None:
    replay = LanceReplay(folder, ReplayConfig())
    stored = replay.read(0, len(replay))
    steps = [row.step for row in stored]
    assert steps == sorted(set(steps))
    may_be_gone = {step for a, b in logged_drops(folder) for step in range(a, b + 1)}
    lost = promised.rows - set(steps) - may_be_gone
    assert not lost, f"acknowledged steps are lost: {sorted(lost)[:10]}"
    arrived = under_way & set(steps)
    # Retention never drops from the newest episode, so an append is there whole or not at all.
    assert arrived in (set(), under_way), "half of an append is there"
    promised.in_doubt["arrived" if arrived else "absent"] += bool(under_way)
    promised.rows |= arrived
    for row in stored[-3:]:
        expected = make_transition(row.step, row.episode_id)
        assert row.observation.rgb.tobytes() == expected.observation.rgb.tobytes()
        assert row.pose.tolist() == expected.pose.tolist()
    replay.close()


def check_objects(folder: Path, promised: Promised, said: list[dict], under_way: str) -> None:
    flipped_to = {line["try"]["encoder"] for line in said if "encoder" in line.get("try", {})}
    memory = SlotMemory(folder, ObjectConfig(), SPEC)
    slots = {slot.slot_id: slot.num_hits for slot in memory.slots(archived=True)}
    for slot_id, hits in promised.hits.items():
        assert slots.get(slot_id, 0) >= hits, f"slot {slot_id} has {slots.get(slot_id)} of {hits}"
    tables = open_tables(folder)
    events = set(tables["events"].to_arrow(columns=["event_id"])["event_id"].to_pylist())
    assert set(range(1, promised.event_id + 1)) <= events
    if promised.encoder:
        assert memory.active_encoder in (promised.encoder, under_way)
    promised.encoder = memory.active_encoder
    if memory.active_encoder in flipped_to:
        embedded = set(vector_rows(tables)[memory.active_encoder].view_ids())
        for slot_id in slots:
            assert {view.view_id for view in memory.views(slot_id)} <= embedded


@pytest.mark.slow
@pytest.mark.timeout(60 + 15 * KILLS)
def test_no_kill_loses_what_was_acknowledged(tmp_path: Path) -> None:
    folder = tmp_path / "memory"
    furnish(folder)
    promised = Promised(rows=set(range(40)))
    rng = random.Random(SEED)
    phases = [list(PHASES)[i % len(PHASES)] for i in range(KILLS)]
    rng.shuffle(phases)
    with contextlib.ExitStack() as stack:
        # The next process loads its libraries while this one is at work.
        ahead = [Worker(folder, phases[0], rng.randrange(1 << 30))]
        stack.callback(lambda: [worker.discard() for worker in ahead])
        for kill, phase in enumerate(phases):
            worker = ahead[0]
            if kill + 1 < KILLS:
                ahead.append(Worker(folder, phases[kill + 1], rng.randrange(1 << 30)))
            said = worker.run_and_kill(rng.randrange(1, 5), rng.uniform(0, LONGEST_S))
            ahead.pop(0)
            rows, encoder = promised.take_in(said)
            findings = check_memory(folder, deep=True)
            assert [f for f in findings if f.level == "error"] == [], f"kill {kill}: {phase}"
            check_rows(folder, promised, rows)
            check_objects(folder, promised, said, encoder)
    print(f"{KILLS} kills: {dict(Counter(phases))}; appends cut: {dict(promised.in_doubt)}")
    repair_memory(folder, deep=True)
    assert check_memory(folder, deep=True) == []
