"""Transitions as table rows and back, and rows as batches.

Axis letters: n rows, b batch, t time, h w image, k objects of one frame, f features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int64, UInt16

from memory.errors import DamagedTableError
from memory.records import Action, Batch, Observation, Transition

BATCH_COLUMNS = (
    *("step", "episode_id", "is_first", "rgb", "depth_mm", "action", "egomotion"),
    *("bumped", "pose", "objects", "object_slots"),
)
"""Columns that a batch needs."""

_FRAME_TYPES = {"rgb": np.uint8, "depth_mm": np.uint16, "instances": np.uint16}


@dataclass(frozen=True, slots=True)
class RowShape:
    """Array shapes that all rows of one table share."""

    height_px: int
    width_px: int
    num_objects: int
    num_features: int

    @classmethod
    def of_transition(cls, transition: Transition) -> "RowShape":
        """Return the shape of a row."""
        height, width, _ = transition.observation.rgb.shape
        return cls(height, width, *transition.objects.shape)

    @classmethod
    def of_schema(cls, schema: pa.Schema) -> "RowShape":
        """Return the shape that a table was created with."""
        notes = schema.metadata or {}
        keys = (b"height_px", b"width_px", b"num_objects", b"num_features")
        return cls(*(int(notes[key]) for key in keys))

    def check(self, transitions: Sequence[Transition]) -> None:
        """Check that rows have this shape.

        Raises:
            ValueError: If one has not; names the step and both shapes.
        """
        image = (self.height_px, self.width_px)
        objects = (self.num_objects, self.num_features)
        for row in transitions:
            seen = row.observation
            shapes = {
                "rgb": (seen.rgb.shape, (*image, 3)),
                "depth_m": (seen.depth_m.shape, image),
                "objects": (row.objects.shape, objects),
                "object_slots": (row.object_slots.shape, objects[:1]),
            }
            if seen.instances is not None:
                shapes["instances"] = (seen.instances.shape, image)
            for name, (found, wanted) in shapes.items():
                if found != wanted:
                    raise ValueError(
                        f"{name} of step {row.step} has shape {found}, this table holds {wanted}"
                    )


def to_millimetres(depth_m: Float32[np.ndarray, "*n"]) -> UInt16[np.ndarray, "*n"]:
    """Return depth in whole millimetres; 0 for NaN and for what is below half a millimetre."""
    depth_mm = np.nan_to_num(depth_m * np.float32(1000), nan=0.0, posinf=0.0, neginf=0.0)
    return np.clip(np.rint(depth_mm), 0, 65535).astype(np.uint16)


def to_metres(depth_mm: UInt16[np.ndarray, "*n"]) -> Float32[np.ndarray, "*n"]:
    """Return depth in metres; NaN for 0."""
    depth_m = depth_mm.astype(np.float32) * np.float32(0.001)
    depth_m[depth_mm == 0] = np.nan
    return depth_m


def encode(
    transitions: Sequence[Transition], base_version: int, schema: pa.Schema
) -> pa.RecordBatch:
    """Return rows as one record batch of the table's schema.

    Raises:
        ValueError: If an instance number does not fit into 16 bits.
    """
    seen = [row.observation for row in transitions]
    acts = [row.action for row in transitions]
    columns: dict[str, pa.Array] = {
        "base_version": pa.array(np.full(len(transitions), base_version, dtype=np.int64)),
        "stamp_ns": pa.array([o.stamp_ns for o in seen], pa.int64()),
        "rgb": _frames(np.stack([o.rgb for o in seen])),
        "depth_mm": _frames(to_millimetres(np.stack([o.depth_m for o in seen]))),
        "instances": pa.array([_instance_bytes(row) for row in transitions], pa.binary()),
        "labels": pa.array([list(o.labels) for o in seen], pa.list_(pa.string())),
        "T_world_camera": _vectors([o.T_world_camera for o in seen], np.float64),
        "egomotion": _vectors([o.egomotion for o in seen], np.float32),
        "bumped": pa.array([o.bumped for o in seen], pa.bool_()),
        "battery": pa.array([o.battery for o in seen], pa.float64()),
        "action": _vectors([(a.v_mps, a.w_radps, a.duration_s) for a in acts], np.float64),
        "action_source": pa.array([a.source for a in acts], pa.string()),
        "pose": _vectors([row.pose for row in transitions], np.float32),
        "objects": _vectors([row.objects for row in transitions], np.float32),
        "object_slots": _vectors([row.object_slots for row in transitions], np.int32),
    }
    for field in schema:
        if field.name not in columns:
            values = [getattr(row, field.name) for row in transitions]
            columns[field.name] = pa.array(values, field.type)
    return pa.record_batch([columns[name] for name in schema.names], schema=schema)


def decode(table: pa.Table, shape: RowShape) -> list[Transition]:
    """Return rows of a table as records."""
    columns = {name: _column(table, name, shape) for name in table.column_names}
    instances = table["instances"].to_pylist()
    image = (shape.height_px, shape.width_px)
    found = []
    for i in range(table.num_rows):
        row = {name: column[i] for name, column in columns.items()}
        packed = instances[i]
        observation = Observation(
            stamp_ns=int(row["stamp_ns"]),
            rgb=row["rgb"],
            depth_m=to_metres(row["depth_mm"]),
            instances=None
            if packed is None
            else np.frombuffer(packed, dtype=np.uint16).astype(np.int32).reshape(image),
            labels=tuple(row["labels"]),
            T_world_camera=row["T_world_camera"].reshape(4, 4),
            egomotion=row["egomotion"],
            bumped=bool(row["bumped"]),
            battery=float(row["battery"]),
        )
        v_mps, w_radps, duration_s = (float(value) for value in row["action"])
        found.append(
            Transition(
                step=int(row["step"]),
                episode_id=int(row["episode_id"]),
                observation=observation,
                action=Action(
                    v_mps=v_mps,
                    w_radps=w_radps,
                    duration_s=duration_s,
                    source=row["action_source"],
                ),
                pose=row["pose"],
                objects=row["objects"],
                object_slots=row["object_slots"],
                is_first=bool(row["is_first"]),
                is_last=bool(row["is_last"]),
                is_terminal=bool(row["is_terminal"]),
                surprise=float(row["surprise"]),
                checkpoint_id=str(row["checkpoint_id"]),
            )
        )
    return found


def to_batch(table: pa.Table, order: Int64[np.ndarray, "b t"], shape: RowShape) -> Batch:
    """Return windows of the rows of a table.

    Args:
        table: Distinct rows with at least `BATCH_COLUMNS`.
        order: Row of the table for every frame of every window.
        shape: Shape of the table's rows.
    """
    columns = {name: _column(table, name, shape)[order] for name in BATCH_COLUMNS}
    egomotion = columns["egomotion"]
    egomotion[columns["is_first"]] = 0
    return Batch(
        rgb=columns["rgb"],
        depth_m=to_metres(columns["depth_mm"]),
        action=columns["action"].astype(np.float32),
        egomotion=egomotion,
        bumped=columns["bumped"],
        pose=columns["pose"],
        objects=columns["objects"],
        object_slots=columns["object_slots"],
        step=columns["step"],
        episode_id=columns["episode_id"][:, 0].copy(),
    )


def _instance_bytes(row: Transition) -> bytes | None:
    instances = row.observation.instances
    if instances is None:
        return None
    if instances.min(initial=0) < 0 or instances.max(initial=0) > 65535:
        raise ValueError(f"instance numbers of step {row.step} must lie in 0 to 65535")
    return instances.astype(np.uint16).tobytes()


def _vectors(values: Sequence[object], kind: type) -> pa.FixedSizeListArray:
    stacked: np.ndarray = np.asarray(values, dtype=kind).reshape(len(values), -1)
    return pa.FixedSizeListArray.from_arrays(pa.array(stacked.ravel()), stacked.shape[1])


def _frames(values: np.ndarray) -> pa.Array:
    flat = np.ascontiguousarray(values.reshape(len(values), -1))
    offsets = np.arange(len(flat) + 1, dtype=np.int32) * np.int32(flat[0].nbytes)
    return pa.Array.from_buffers(
        pa.binary(), len(flat), [None, pa.py_buffer(offsets), pa.py_buffer(flat)]
    )


def _column(table: pa.Table, name: str, shape: RowShape) -> np.ndarray:
    """Return one column as an array with the rows on axis 0."""
    column = table[name].combine_chunks()
    if name in _FRAME_TYPES:
        if name == "instances":
            return np.empty((table.num_rows, 0))
        size = (shape.height_px, shape.width_px, 3)[: 3 if name == "rgb" else 2]
        kind = np.dtype(_FRAME_TYPES[name])
        return _frame_array(column, kind, size)
    if pa.types.is_fixed_size_list(column.type):
        values = column.flatten().to_numpy(zero_copy_only=False).copy()
        if name == "objects":
            return values.reshape(-1, shape.num_objects, shape.num_features)
        return values.reshape(table.num_rows, column.type.list_size)
    if pa.types.is_list(column.type) or pa.types.is_string(column.type):
        listed = np.empty(table.num_rows, dtype=object)
        listed[:] = column.to_pylist()
        return listed
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _frame_array(column: pa.Array, kind: np.dtype, size: tuple[int, ...]) -> np.ndarray:
    _, offsets, content = column.buffers()
    num_values = int(np.prod(size))
    first = int(np.frombuffer(offsets, dtype=np.int32)[column.offset])
    last = int(np.frombuffer(offsets, dtype=np.int32)[column.offset + len(column)])
    if last - first != len(column) * num_values * kind.itemsize:
        raise DamagedTableError(f"a stored frame has not the {size} values of this table")
    values = np.frombuffer(content, dtype=np.uint8)[first:last].view(kind)
    return values.reshape(len(column), *size)
