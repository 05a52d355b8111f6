"""The object memory of a long life, written straight into its tables: seconds, not years.

    python tests/big_life.py FOLDER --slots 100000 --views 4 --seed 0

Objects stand in rooms on a grid, with surface points, views, vectors and a log as a life leaves
them; sizes and shares of states are those of lives of the house.

Axis letters: n slots, v views of a chunk, p points of a slot, s crop side, d vector.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float16, Float32, Float64, Int64, UInt8
from scipy.ndimage import zoom

from memory.config import ObjectConfig
from memory.files import write_atomic
from memory.format import prepare_folder
from memory.objects.slot_arrays import NUM_POINTS, outermost
from memory.records import SlotState
from memory.schema import EVENTS, SLOTS, VIEWS, events_schema, slots_schema, views_schema
from memory.tables import connect
from memory.vectors.colour_encoder import ColourEncoder
from memory.vectors.tables import EmbeddingTables

LABELS = (
    *("chair", "table", "plant", "lamp", "book", "cup", "shelf", "picture", "bed", "sofa"),
    *("cabinet", "desk", "screen", "bottle", "bowl", "clock", "sink", "toilet", "rug", "door"),
)
"""Chosen with a weight that falls by a sixth from each to the next."""

PER_ROOM = 12
"""Objects per room."""

ROOM_M = 5.0
"""Distance of the middles of two rooms."""

CHUNK_SLOTS = 10_000
"""Slots written at once, with their views."""

STATE_SHARES = {
    SlotState.CONFIRMED: 0.86,
    SlotState.ARCHIVED: 0.08,
    SlotState.SUSPECT: 0.04,
    SlotState.TENTATIVE: 0.02,
}
_LOG_ODDS = {
    SlotState.CONFIRMED: 4.0,
    SlotState.ARCHIVED: -3.0,
    SlotState.SUSPECT: -1.0,
    SlotState.TENTATIVE: 1.0,
}
STEPS_PER_SLOT = 10
"""Steps of the life per slot: 10^5 slots in 10^6 steps."""


def make_big_objects(
    folder: Path,
    num_slots: int,
    views_per_slot: int = 4,
    seed: int = 0,
    *,
    vector_dim: int = 270,
) -> Float64[np.ndarray, "n 3"]:
    """Write the tables of an object memory; return where its objects stand.

    Args:
        folder: Memory folder of a life, new or without objects.
        num_slots: Slots; ids are 1 to this.
        views_per_slot: Views of each; view ids are 1 to their product, slot by slot.
        seed: Of everything random.
        vector_dim: Size of the search vectors, written as those of the cold start encoder, which
            has 270; 0 for a memory of an encoder that is not attached and left no vectors.
    """
    rng = np.random.default_rng(seed)
    prepare_folder(folder)
    database = connect(folder)
    crops = _crop_pool(rng, ObjectConfig().crop_px)
    low_m, high_m = _boxes(rng, num_slots)
    tables = {
        SLOTS: database.create_table(SLOTS, schema=slots_schema()),
        VIEWS: database.create_table(VIEWS, schema=views_schema()),
        EVENTS: database.create_table(EVENTS, schema=events_schema()),
    }
    embeddings, version = EmbeddingTables(folder), ColourEncoder().encoder_version
    num_events = 0
    for first in range(0, num_slots, CHUNK_SLOTS):
        ids = np.arange(first + 1, min(first + CHUNK_SLOTS, num_slots) + 1)
        low, high = low_m[ids - 1], high_m[ids - 1]
        slots = _slots(rng, ids, low, high)
        tables[SLOTS].add(slots)
        tables[VIEWS].add(_views(rng, ids, (low + high) / 2, views_per_slot, crops))
        if vector_dim:
            embeddings.add(version, *_vectors(rng, ids, views_per_slot, vector_dim))
        tables[EVENTS].add(_events(slots, (low + high) / 2, num_events + 1))
        num_events += 2 * len(ids)
    counters = {
        "next_slot_id": num_slots + 1,
        "next_view_id": num_slots * views_per_slot + 1,
        "next_event_id": num_events + 1,
        "encoder_version": version if vector_dim else "elsewhere",
        "same_object": 0.92,
    }
    write_atomic(folder / "objects.json", json.dumps(counters, indent=1).encode())
    return (low_m + high_m) / 2


def _boxes(
    rng: np.random.Generator, num_slots: int
) -> tuple[Float64[np.ndarray, "n 3"], Float64[np.ndarray, "n 3"]]:
    """Return boxes that stand in rooms without touching: one in each cell of a 4 x 3 grid."""
    number = np.arange(num_slots)
    room, place = np.divmod(number, PER_ROOM)
    side = int(np.ceil(np.sqrt(num_slots / PER_ROOM)))
    row, column = np.divmod(room, side)
    middle = np.stack(
        [
            (column - side / 2) * ROOM_M + (place % 4 - 1.5) * 1.1,
            (row - side / 2) * ROOM_M + (place // 4 - 1.0) * 1.3,
            rng.uniform(0.2, 1.2, num_slots),
        ],
        axis=1,
    )
    half = rng.uniform(0.1, 0.35, (num_slots, 3))
    return middle - half, middle + half


def _crop_pool(rng: np.random.Generator, side: int) -> UInt8[np.ndarray, "512 s s 3"]:
    """Return patches with a little noise: zstd makes 1.7 kB of each, 1.9 kB of the house's."""
    coarse = rng.uniform(20, 235, (512, 5, 5, 3))
    flat = zoom(coarse, (1, side / 5, side / 5, 1), order=0)
    return np.clip(flat + rng.normal(0, 0.4, flat.shape), 0, 255).astype(np.uint8)


def _lists(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(values).reshape(-1), type=kind)
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _ragged(values: pa.Array, counts: Int64[np.ndarray, "n"]) -> pa.Array:
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, values)


def _binary(rows: np.ndarray) -> pa.Array:
    """Return one binary value per row."""
    size = rows[0].nbytes
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * size
    data = np.ascontiguousarray(rows)
    return pa.Array.from_buffers(
        pa.binary(), len(rows), [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    )


def _slots(
    rng: np.random.Generator,
    ids: Int64[np.ndarray, "n"],
    low_m: Float64[np.ndarray, "n 3"],
    high_m: Float64[np.ndarray, "n 3"],
) -> pa.Table:
    n = len(ids)
    weight = (5 / 6) ** np.arange(len(LABELS))
    labels = np.array(LABELS)[rng.choice(len(LABELS), n, p=weight / weight.sum())]
    states = np.array(list(STATE_SHARES))[rng.choice(4, n, p=list(STATE_SHARES.values()))]
    hits = np.where(states == SlotState.TENTATIVE, 2, rng.integers(3, 300, n))
    inside = low_m[:, None] + rng.uniform(0, 1, (n, NUM_POINTS, 3)) * (high_m - low_m)[:, None]
    corners = np.stack([low_m, high_m], axis=1)
    spread = np.concatenate([corners, inside[:, 2:]], axis=1)
    points = np.concatenate([outermost(spread), inside[:, 6:]], axis=1).astype(np.float32)
    first = ids * STEPS_PER_SLOT
    last = first + rng.integers(3, 5000, n)
    beside = rng.uniform(size=n) < 0.4
    return pa.table(
        {
            "slot_id": ids,
            "label": labels,
            "vote_labels": _ragged(pa.array(labels), np.ones(n, dtype=np.int64)),
            "vote_scores": _ragged(pa.array(hits.astype(np.float64)), np.ones(n, dtype=np.int64)),
            "xyz_m": _lists((low_m + high_m) / 2, pa.float64()),
            "cov_m2": _lists(np.tile(np.eye(3).ravel() * 1e-4, (n, 1)), pa.float64()),
            "extent_m": _lists(high_m - low_m, pa.float64()),
            "existence": np.array([_LOG_ODDS[SlotState(s)] for s in states]),
            "state": pa.array([SlotState(s).value for s in states]),
            "num_hits": hits,
            "first_seen_ns": first * 100_000_000,
            "last_seen_ns": last * 100_000_000,
            "first_seen_step": first,
            "last_seen_step": last,
            "mean_seen_m": _lists((low_m + high_m) / 2, pa.float64()),
            "scatter_m2": _lists(np.zeros((n, 9)), pa.float64()),
            "area_px_m2": rng.uniform(100, 1500, n),
            "points_m": _binary(points.reshape(n, -1)),
            "seen_beside": _ragged(pa.array(ids[beside] % n + ids[0]), beside.astype(np.int64)),
        },
        schema=slots_schema(),
    )


def _views(
    rng: np.random.Generator,
    ids: Int64[np.ndarray, "n"],
    centre_m: Float64[np.ndarray, "n 3"],
    views_per_slot: int,
    crops: UInt8[np.ndarray, "512 s s 3"],
) -> pa.Table:
    of = np.repeat(ids, views_per_slot)
    v = len(of)
    which = np.arange(v) % views_per_slot
    # The first half of each of the eight directions, so that none falls together with another.
    angle = (which + 0.5 * rng.uniform(size=v) + 0.1) * 2 * np.pi / 8 - np.pi
    range_m = rng.uniform(1.0, 3.5, v)
    centre = np.repeat(centre_m, views_per_slot, axis=0)
    pose = np.stack(
        [
            centre[:, 0] + range_m * np.cos(angle),
            centre[:, 1] + range_m * np.sin(angle),
            (angle + np.pi + np.pi) % (2 * np.pi) - np.pi,
        ],
        axis=1,
    )
    tint = rng.integers(-20, 21, (v, 1, 1, 3), dtype=np.int16)
    pixels = np.clip(crops[of % len(crops)] + tint, 0, 255).astype(np.uint8)
    return pa.table(
        {
            "view_id": (ids[0] - 1) * views_per_slot + 1 + np.arange(v),
            "slot_id": of,
            "crop": _binary(pixels.reshape(v, -1)),
            "crop_px": np.full(v, crops.shape[1]),
            "pose": _lists(pose.astype(np.float32), pa.float32()),
            "range_m": range_m,
            "num_px": rng.integers(30, 1500, v),
            "stamp_ns": of * STEPS_PER_SLOT * 100_000_000 + which,
        },
        schema=views_schema(),
    )


def _vectors(
    rng: np.random.Generator, ids: Int64[np.ndarray, "n"], views_per_slot: int, dim: int
) -> tuple[Int64[np.ndarray, "m"], Float16[np.ndarray, "m d"]]:
    """Return view ids, and vectors that gather around one direction per slot."""
    own: Float32[np.ndarray, "n d"] = rng.standard_normal((len(ids), dim), dtype=np.float32)
    vectors = np.repeat(own, views_per_slot, axis=0)
    vectors += 0.3 * rng.standard_normal(vectors.shape, dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    first = (ids[0] - 1) * views_per_slot + 1
    return first + np.arange(len(vectors)), vectors.astype(np.float16)


def _events(slots: pa.Table, centre_m: Float64[np.ndarray, "n 3"], first_id: int) -> pa.Table:
    """Return that each slot was created and confirmed."""
    n = len(slots)
    twice = np.repeat(np.arange(n), 2)
    return pa.table(
        {
            "event_id": first_id + np.arange(2 * n),
            "step": slots["first_seen_step"].to_numpy()[twice],
            "stamp_ns": slots["first_seen_ns"].to_numpy()[twice],
            "kind": pa.array(["created", "confirmed"] * n),
            "slot_id": slots["slot_id"].to_numpy()[twice],
            "label": slots["label"].take(pa.array(twice)).combine_chunks(),
            "xyz_m": _lists(centre_m[twice], pa.float64()),
            "from_xyz_m": pa.nulls(2 * n, pa.list_(pa.float64(), 3)),
            "other_id": pa.nulls(2 * n, pa.int64()),
        },
        schema=events_schema(),
    )


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--slots", type=int, default=100_000)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    make_big_objects(options.folder, options.slots, options.views, options.seed)


if __name__ == "__main__":
    main()
