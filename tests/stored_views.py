"""A table of views without a life around it, and a backfill of it in a process of its own."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
from fakes_memory import SPEC

from memory.config import EmbeddingConfig, ObjectConfig
from memory.objects.memory import SlotMemory
from memory.schema import VIEWS, views_schema
from memory.tables import create_table, open_table
from memory.vectors.backfill import TableCrops, backfill
from memory.vectors.colour_encoder import ColourEncoder
from memory.vectors.tables import EmbeddingTables

BATCH = 8
"""Crops per encoder batch: sixteen of them are one commit."""


def write_views(folder: Path, num_slots: int, views_per_slot: int, side: int = 16) -> np.ndarray:
    """Write views of coloured squares, one colour per slot, in two appends; return their ids."""
    rng = np.random.default_rng(0)
    rows = []
    for view_id in range(1, num_slots * views_per_slot + 1):
        slot_id = 1 + (view_id - 1) // views_per_slot
        colour = np.random.default_rng(slot_id).integers(0, 256, 3)
        crop = np.clip(colour + rng.integers(-20, 20, (side, side, 3)), 0, 255).astype(np.uint8)
        rows.append(
            {
                "view_id": view_id,
                "slot_id": slot_id,
                "crop": crop.tobytes(),
                "crop_px": side,
                "pose": [0.0, 0.0, 0.0],
                "range_m": 1.0,
                "num_px": 100,
                "stamp_ns": view_id,
            }
        )
    order = rng.permutation(len(rows))
    table = create_table(folder, VIEWS, views_schema())
    for part in np.array_split(order, 2):
        table.add(pa.Table.from_pylist([rows[i] for i in part], schema=views_schema()))
    return np.arange(1, len(rows) + 1)


def view_ids(folder: Path) -> np.ndarray:
    """Return the ids of the stored views."""
    table = open_table(folder, VIEWS)
    assert table is not None
    return table.search().select(["view_id"]).to_arrow()["view_id"].to_numpy()


class Announcing(ColourEncoder):
    """Tells its parent process about every batch."""

    def embed(self, crops: np.ndarray) -> np.ndarray:
        sys.stdout.write("batch\n")
        sys.stdout.flush()
        return super().embed(crops)


class MeanColours(Announcing):
    """Another vector space."""

    @property
    def encoder_version(self) -> str:
        return "mean-colours"

    def embed(self, crops: np.ndarray) -> np.ndarray:
        return super().embed(crops)[:, -27:]


def change_encoder(home: Path) -> None:
    """Change the encoder of an object memory, one crop at a time."""
    config = ObjectConfig(embeddings=EmbeddingConfig(batch=1))
    SlotMemory(home, config, SPEC).reembed(MeanColours())


if __name__ == "__main__":
    home = Path(sys.argv[2])
    if sys.argv[1] == "reembed":
        change_encoder(home)
    else:
        backfill(EmbeddingTables(home), TableCrops(home), Announcing(), view_ids(home), batch=BATCH)
