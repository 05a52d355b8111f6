"""Reading what a plan is made of, and carrying a plan out."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool

from memory.care.access import TableReader, open_tables, require_readable
from memory.care.merging import care_turn, merge_all
from memory.care.retention import Bytes, LifeColumns, Plan, make_plan
from memory.care.retention_log import log_drop
from memory.care.stats import table_stats
from memory.config import MemoryConfig
from memory.replay.change_steps import change_steps
from memory.replay.row_index import is_held_out
from memory.schema import EMBEDDINGS, TRANSITIONS, VIEWS
from memory.sizes import folder_bytes
from memory.tables import naming, table_path

RANGES_PER_DELETE = 64
"""A longer condition costs more than another commit."""

_COLUMNS = ("step", "episode_id", "pose", "is_last", "is_terminal", "surprise")


def plan_for(folder: Path, config: MemoryConfig) -> Plan:
    """Return what retention would drop from a memory now; nothing if it fits or is empty.

    Raises:
        NewerFormatError: If a newer program wrote the folder.
        DamagedTableError: If a table cannot be read.
    """
    tables = open_tables(folder) if require_readable(folder) else {}
    life = _life_columns(folder, tables, config)
    size = _sizes(folder, tables, config.objects.max_views)
    return make_plan(life, size, config.retention, config.replay.strata)


def apply_plan(folder: Path, plan: Plan) -> None:
    """Drop what a plan says and merge the files of what remains.

    The log of drops is written first. A kill in between leaves part of the plan undone, and the
    next plan finds it. Readers notice by themselves; see `LanceReplay`.

    Raises:
        OSError: If the log cannot be written; nothing was dropped.
        DamagedTableError: If rows cannot be dropped.
    """
    tables = open_tables(folder)
    if plan.ranges:
        log_drop(folder, plan.ranges, time.time_ns())
        for some in _batches(plan.ranges, RANGES_PER_DELETE):
            _delete(
                tables[TRANSITIONS],
                " OR ".join(f"(step >= {first} AND step <= {last})" for first, last in some),
            )
        merge_all(folder, TRANSITIONS)
    for some_ids in _batches(plan.view_ids, 1000):
        condition = f"view_id IN ({', '.join(map(str, some_ids))})"
        for name in (*(n for n in tables if n.startswith(EMBEDDINGS)), VIEWS):
            _delete(tables[name], condition)


def _delete(reader: TableReader, condition: str) -> None:
    with care_turn(reader.folder), naming(reader.folder, reader.name, "pruned"):
        reader.table.checkout_latest()
        reader.table.delete(condition)


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


def _life_columns(
    folder: Path, tables: dict[str, TableReader], config: MemoryConfig
) -> LifeColumns:
    if TRANSITIONS not in tables:
        none = np.zeros(0, dtype=np.int64)
        return LifeColumns(
            step=none,
            episode_id=none,
            pose=np.zeros((0, 3)),
            is_held_out=none.astype(bool),
            protected_steps=none,
        )
    rows = tables[TRANSITIONS].to_arrow(columns=_COLUMNS).sort_by("step")
    episode_id = rows["episode_id"].to_numpy()
    pose = rows["pose"].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, 3)
    return LifeColumns(
        step=rows["step"].to_numpy(),
        episode_id=episode_id,
        pose=pose,
        is_held_out=is_held_out(episode_id, config.replay.probe_every),
        protected_steps=np.union1d(
            rows["step"].to_numpy()[_is_event(rows, config.replay.strata.surprise)],
            change_steps(folder)[0],
        ),
    )


def _is_event(rows: pa.Table, surprise: float) -> Bool[np.ndarray, "n"]:
    """Return which rows end a goal, reached or not, or were a surprise."""
    ends = rows["is_terminal"].to_numpy() & rows["is_last"].to_numpy()
    return np.asarray(ends | (rows["surprise"].to_numpy() >= surprise))


def _sizes(folder: Path, tables: dict[str, TableReader], max_views: int) -> Bytes:
    """Return what the newest versions take: replaced ones go by themselves within half an hour."""
    stats = {name: table_stats(reader) for name, reader in tables.items()}
    replay, views = stats.get(TRANSITIONS), stats.get(VIEWS)
    excess = _excess_views(tables[VIEWS], max_views) if VIEWS in tables else ()
    per_view = views.bytes_per_row if views is not None else 0.0
    other = sum(
        table.bytes + folder_bytes(table_path(folder, name) / "_indices")
        for name, table in stats.items()
        if name != TRANSITIONS
    )
    return Bytes(
        per_row=replay.bytes_per_row if replay is not None else 0.0,
        per_view=per_view,
        other=max(0, other - round(per_view * len(excess))),
        excess_views=excess,
    )


def _excess_views(views: TableReader, max_views: int) -> tuple[int, ...]:
    """Return the smallest views of slots that have more than they may keep."""
    rows = views.to_arrow(columns=["view_id", "slot_id", "num_px"])
    view_id, slot_id, num_px = (rows[name].to_numpy() for name in rows.column_names)
    order = np.lexsort((view_id, -num_px, slot_id))
    starts = np.ones(len(order), dtype=bool)
    starts[1:] = np.diff(slot_id[order]) != 0
    place = np.arange(len(order))
    rank = place - np.maximum.accumulate(np.where(starts, place, 0))
    return tuple(sorted(view_id[order][rank >= max_views].tolist()))
