"""Time searches and backfills on tables as large as those of a long life.

Run as `python tests/bench/bench_search.py --slots 100000`; prints tables, asserts nothing about
seconds. Vectors are clustered as those of objects are: kinds, objects of a kind, views of an
object. Recall is measured against the exact answer.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from lancedb.index import BTree
from rich.console import Console
from rich.table import Table

from memory.care.merging import merge_all
from memory.files import write_atomic
from memory.format import prepare_folder
from memory.objects.slot_arrays import NUM_POINTS
from memory.objects.tables import COUNTERS_FILE
from memory.protocols import CropEncoder
from memory.records import Embedding, SlotState
from memory.schema import SLOTS, VIEWS, slots_schema, views_schema
from memory.search.home import SlotSearch
from memory.search.query import SlotQuery
from memory.tables import create_table, open_table
from memory.vectors.backfill import TableCrops, backfill
from memory.vectors.colour_encoder import ColourEncoder
from memory.vectors.index import refresh_indexes
from memory.vectors.tables import EmbeddingTables, open_vectors, table_name

VERSION = "bench"
KINDS, VIEWS_PER_SLOT, SIDE_M = 60, 4, 100.0
CHUNK = 20_000
S = 1_000_000_000


class House:
    """Made-up slots and the vectors of their views.

    Args:
        num_slots: How many.
        dim: Features of a vector.
        seed: Of everything.
    """

    def __init__(self, num_slots: int, dim: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.kind = rng.integers(KINDS, size=num_slots)
        kinds = rng.normal(size=(KINDS, dim)).astype(np.float32)
        self.objects = kinds[self.kind] + 0.8 * rng.normal(size=(num_slots, dim)).astype(np.float32)
        self.xy_m = rng.uniform(0, SIDE_M, (num_slots, 2))
        self.seen_ns = rng.integers(0, 86_400 * 30, num_slots) * S
        self.vectors = self.look(np.repeat(np.arange(num_slots), VIEWS_PER_SLOT), rng)
        self.slot_of = np.repeat(np.arange(1, num_slots + 1), VIEWS_PER_SLOT)

    def look(self, slots: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the vector of one more view of each slot."""
        noise = rng.normal(size=(len(slots), self.objects.shape[1])).astype(np.float32)
        made = self.objects[slots] + 0.4 * noise
        return made / np.linalg.norm(made, axis=1, keepdims=True)

    def write(self, folder: Path) -> None:
        """Write the tables, as a life would leave them after a compaction."""
        prepare_folder(folder)
        counters = f'{{"encoder_version": "{VERSION}"}}'
        write_atomic(folder / COUNTERS_FILE, counters.encode())
        slots, views = (create_table(folder, *pair) for pair in _TABLES)
        for first in range(0, len(self.kind), CHUNK):
            rows = [self._slot(i) for i in range(first, min(first + CHUNK, len(self.kind)))]
            slots.add(pa.Table.from_pylist(rows, schema=slots_schema()))
        ids = np.arange(1, len(self.slot_of) + 1)
        for first in range(0, len(ids), CHUNK):
            some = slice(first, first + CHUNK)
            views.add(_view_rows(ids[some], self.slot_of[some]))
            EmbeddingTables(folder).add(VERSION, ids[some], self.vectors[some].astype(np.float16))
        slots.create_index("slot_id", config=BTree())
        for table in (slots, views):
            table.optimize()
        merge_all(folder, table_name(VERSION))

    def _slot(self, i: int) -> dict[str, object]:
        label, seen = f"kind {self.kind[i]}", int(self.seen_ns[i])
        return {
            "slot_id": i + 1, "label": label, "vote_labels": [label], "vote_scores": [1.0],
            "xyz_m": [*self.xy_m[i], 0.5], "cov_m2": [0.0] * 9, "extent_m": [0.5] * 3,
            "existence": 4.0, "state": "confirmed", "num_hits": 9,
            "first_seen_ns": seen, "last_seen_ns": seen, "first_seen_step": 1,
            "last_seen_step": 1, "mean_seen_m": [0.0] * 3, "scatter_m2": [0.0] * 9,
            "area_px_m2": 1.0, "points_m": bytes(12 * NUM_POINTS), "seen_beside": [],
        }  # fmt: skip


_TABLES = ((SLOTS, slots_schema()), (VIEWS, views_schema()))


def _view_rows(ids: np.ndarray, slot_ids: np.ndarray, crops: list[bytes] | None = None) -> pa.Table:
    side = 32 if crops else 0
    pose = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(3 * len(ids), np.float32)), 3)
    columns = [
        pa.array(ids),
        pa.array(slot_ids),
        pa.array(crops or [b""] * len(ids), type=pa.binary()),
        pa.array(np.full(len(ids), side)),
        pose,
        pa.array(np.ones(len(ids))),
        pa.array(np.full(len(ids), 100)),
        pa.array(ids),
    ]
    return pa.table(columns, schema=views_schema())


def timed(call: Callable[[int], object], repeats: int) -> tuple[str, str, str]:
    """Return median and 95th percentile of the wall time and the mean time of all cores, in ms."""
    taken, cpu = [], time.process_time()
    for i in range(repeats):
        start = time.perf_counter()
        call(i)
        taken.append((time.perf_counter() - start) * 1e3)
    cpu_ms = (time.process_time() - cpu) * 1e3 / repeats
    return f"{np.median(taken):.1f}", f"{np.percentile(taken, 95):.1f}", f"{cpu_ms:.1f}"


def exact(house: House, vector: np.ndarray, wanted: np.ndarray) -> set[int]:
    """Return the ten slots that look most alike among wanted ones (a mask over slots)."""
    cosine = (house.vectors @ vector).reshape(-1, VIEWS_PER_SLOT).max(axis=1)
    cosine[~wanted] = -np.inf
    best = np.argsort(-cosine)[:10]
    return {int(i) + 1 for i in best if np.isfinite(cosine[i])}


def bench_search(house: House, folder: Path, repeats: int, table: Table) -> None:
    """Add a row per kind of question."""
    rng = np.random.default_rng(1)
    search = SlotSearch(folder)
    vectors = house.look(rng.integers(len(house.kind), size=repeats), rng)
    likes = [Embedding(encoder_version=VERSION, vector=v) for v in vectors]
    points = rng.uniform(5, SIDE_M - 5, (repeats, 2))
    everything = np.ones(len(house.kind), dtype=np.bool_)
    late_ns, latest_ns = np.quantile(house.seen_ns, (0.9, 0.99)).astype(np.int64).tolist()

    def near(i: int, radius_m: float) -> np.ndarray:
        return np.linalg.norm(house.xy_m - points[i], axis=1) <= radius_m

    cases: dict[str, tuple[Callable[[int], dict], Callable[[int], np.ndarray]]] = {
        "vector": (lambda i: {}, lambda i: everything),
        "vector, state": (lambda i: {"states": (SlotState.CONFIRMED,)}, lambda i: everything),
        "vector, last tenth of time": (
            lambda i: {"last_seen_ns": (late_ns, None)},
            lambda i: house.seen_ns >= late_ns,
        ),
        "vector, last hundredth of time": (
            lambda i: {"last_seen_ns": (latest_ns, None)},
            lambda i: house.seen_ns >= latest_ns,
        ),
        "vector, kind (1 of 60)": (lambda i: {"label": "kind 7"}, lambda i: house.kind == 7),
        "vector, within 3 m": (
            lambda i: {"near_xy_m": tuple(points[i]), "radius_m": 3.0},
            lambda i: near(i, 3.0),
        ),
        "vector, within 30 m": (
            lambda i: {"near_xy_m": tuple(points[i]), "radius_m": 30.0},
            lambda i: near(i, 30.0),
        ),
    }
    for name, (conditions, wanted) in cases.items():
        asked = [SlotQuery(like=likes[i], limit=10, **conditions(i)) for i in range(repeats)]
        answers: list[set[int]] = []

        def ask(i: int, asked: list = asked, answers: list = answers) -> None:
            answers.append({row["slot_id"] for row in search.find(asked[i])})

        figures = timed(ask, repeats)
        recall = [
            len(answers[i] & best) / max(len(best), 1)
            for i, best in ((i, exact(house, vectors[i], wanted(i))) for i in range(repeats))
        ]
        table.add_row(name, *figures, f"recall@10 {np.mean(recall):.3f}")
    words = {"text": {"text": "kind 7"}, "text, within 3 m": {"text": "kind 7"}}
    for name, conditions in words.items():
        place = {"near_xy_m": (50.0, 50.0), "radius_m": 3.0} if "within" in name else {}
        query = SlotQuery(**conditions, **place)
        figures = timed(lambda i, q=query: search.find(q), repeats)
        table.add_row(name, *figures, "")
    figures = timed(lambda i: SlotSearch(folder).find(SlotQuery(label="kind 7")), 5)
    table.add_row("open and ask", *figures, "")


def bench_index(house: House, folder: Path, table: Table) -> None:
    """Add rows about the exact look without an index, and about building it."""
    rng = np.random.default_rng(2)
    rows = open_vectors(folder, VERSION)
    assert rows is not None
    vectors = house.look(rng.integers(len(house.kind), size=30), rng).astype(np.float16)

    def look(i: int) -> None:
        asked = rows.search(vectors[i], vector_column_name="vector").distance_type("dot")
        asked.select(["view_id", "_distance"]).limit(10).to_arrow()

    figures = timed(look, len(vectors))
    table.add_row("raw LanceDB without index", *figures, "exact")
    start = time.perf_counter()
    refresh_indexes(folder)
    taken_ms = (time.perf_counter() - start) * 1e3
    table.add_row("build the index", f"{taken_ms:.0f}", "", "", "")
    rows.checkout_latest()
    figures = timed(look, len(vectors))
    table.add_row("raw LanceDB with the index", *figures, "not re-ranked")


def bench_backfill(
    folder: Path, num_views: int, encoder: CropEncoder, batch: int
) -> tuple[str, str]:
    """Return views per second of a backfill of 32 px crops, read and write included.

    By the clock, and by the time of one core that it took.
    """
    ids = np.arange(1, num_views + 1)
    if open_table(folder, VIEWS) is None:
        noise = np.random.default_rng(0).integers(0, 256, (256, 32 * 32 * 3), dtype=np.uint8)
        crops = [noise[i % 256].tobytes() for i in ids]
        create_table(folder, VIEWS, views_schema()).add(_view_rows(ids, ids, crops))
    tables = EmbeddingTables(folder)
    tables.keep([])
    start, cpu = time.perf_counter(), time.process_time()
    backfill(tables, TableCrops(folder), encoder, ids, batch=batch)
    taken = time.perf_counter() - start, time.process_time() - cpu
    return f"{num_views / taken[0]:.0f}", f"{num_views / taken[1]:.0f}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slots", type=int, default=10_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--views", type=int, default=8192, help="views of the backfill")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if options.slots:
            house = House(options.slots, options.dim, options.seed)
            num = f"{len(house.kind)} slots, {len(house.slot_of)} vectors of {options.dim}"
            table = Table(
                "what", "p50 ms", "p95 ms", "core ms", "", title=f"{num}, {os.cpu_count()} cores"
            )
            house.write(folder)
            bench_index(house, folder, table)
            bench_search(house, folder, options.repeats, table)
            Console(width=100).print(table)
        shutil.rmtree(folder)
        folder.mkdir()
        table = Table(
            "batch",
            "views/s",
            "views per s of a core",
            title=f"backfill of {options.views} views, colour-1",
        )
        for batch in (32, 128, 256, 512):
            rate = bench_backfill(folder, options.views, ColourEncoder(), batch)
            table.add_row(str(batch), *rate)
        Console(width=100).print(table)


if __name__ == "__main__":
    main()
