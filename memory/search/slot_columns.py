"""The columns that a query looks at, read from the tables."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64
from lancedb.table import Table

from memory.objects.existence import STATES
from memory.search.query import SlotColumns

SHOWN = (
    *("slot_id", "label", "xyz_m", "extent_m", "state", "existence", "num_hits"),
    *("first_seen_step", "last_seen_step", "first_seen_ns", "last_seen_ns"),
)
"""Columns that are shown of a slot."""


def shown_rows(table: Table) -> pa.Table:
    """Return what is shown of all slots, and the labels that they got votes for."""
    return table.search().select([*SHOWN, "vote_labels"]).to_arrow().combine_chunks()


def columns_of_rows(rows: pa.Table) -> SlotColumns:
    """Return the columns of all slots."""
    votes = _one(rows["vote_labels"])
    voted = votes.flatten()
    labels = pc.unique(pa.concat_arrays([_one(rows["label"]), voted]))
    states = pa.array([state.value for state in STATES])
    return SlotColumns(
        slot_id=_numbers(rows, "slot_id"),
        labels=labels.to_pylist(),
        label_code=_codes(_one(rows["label"]), labels),
        vote_row=np.repeat(np.arange(len(rows)), pc.list_value_length(votes).to_numpy()),
        vote_code=_codes(voted, labels),
        state=_codes(_one(rows["state"]), states).astype(np.int8),
        existence=_numbers(rows, "existence"),
        xyz_m=_one(rows["xyz_m"]).flatten().to_numpy().reshape(-1, 3),
        first_seen_ns=_numbers(rows, "first_seen_ns"),
        last_seen_ns=_numbers(rows, "last_seen_ns"),
    )


def view_slots(table: Table) -> tuple[Int64[np.ndarray, "n"], Int64[np.ndarray, "n"]]:
    """Return the ids of all views, sorted, and the slot of each."""
    rows = table.search().select(["view_id", "slot_id"]).to_arrow()
    view_ids, slot_ids = _numbers(rows, "view_id"), _numbers(rows, "slot_id")
    order = np.argsort(view_ids, kind="stable")
    return view_ids[order], slot_ids[order]


def _numbers(rows: pa.Table, name: str) -> np.ndarray:
    return np.asarray(rows[name].to_numpy())


def _codes(values: pa.Array, among: pa.Array) -> Int64[np.ndarray, "n"]:
    return pc.index_in(values, among).to_numpy(zero_copy_only=False).astype(np.int64)


def _one(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array; `combine_chunks` of an empty one is a chunked array."""
    return column.chunk(0) if column.num_chunks else pa.array([], type=column.type)
