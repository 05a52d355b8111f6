"""Transitions as table rows and back, and rows as batches.

Axis letters: n rows, b batch, t time, h w image, k objects of one frame, f features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, UInt16

from memory.errors import RefusedRowError
from memory.records import Action, Batch, Observation, Transition
from memory.replay.codecs import DELTA_LZ4, PLAIN, FrameCodec, codec_named, of_column, to_column
from memory.replay.pixels import (
    pack_depth,
    pack_instances,
    pack_rgb,
    unpack_depth,
    unpack_instances,
    unpack_rgb,
)

BATCH_COLUMNS = ("step", "rgb", "depth_mm", "action", "egomotion", "objects", "object_slots")
"""Columns that a batch reads. In a long life each costs as much as a frame's bytes: what the index
knows is not among them."""

_BYTES_PER_PIXEL = {"rgb": 3, "depth_mm": 2}

_FORMAT_1_COLUMN = "base_version"
"""Tables of format 1 demand it; nothing reads it."""

_UNFIT = (pa.ArrowException, TypeError, ValueError, OverflowError)
"""What building a column raises for a value that does not fit."""

_FINITE = ("pose", "objects", "T_world_camera", "egomotion")
"""What poisons a model or a map if it is not a number."""


@dataclass(frozen=True, slots=True)
class RowShape:
    """Array shapes that all rows of one table share, and how its frames are stored."""

    height_px: int
    width_px: int
    num_objects: int
    num_features: int
    codec: FrameCodec = DELTA_LZ4

    @property
    def batch_bytes(self) -> int:
        """Bytes of a row's decoded batch columns, scalars left out."""
        vectors = self.num_objects * (4 * self.num_features + 4) + 24 + 12 + 12
        return 5 * self.height_px * self.width_px + vectors

    @classmethod
    def of_transition(cls, transition: Transition) -> "RowShape":
        """Return the shape of a row."""
        height, width, _ = transition.observation.rgb.shape
        return cls(height, width, *transition.objects.shape)

    @classmethod
    def of_schema(cls, schema: pa.Schema) -> "RowShape":
        """Return the shape that a table was created with."""
        notes = schema.metadata or {}
        return cls(
            height_px=int(notes[b"height_px"]),
            width_px=int(notes[b"width_px"]),
            num_objects=int(notes[b"num_objects"]),
            num_features=int(notes[b"num_features"]),
            codec=codec_named(notes.get(b"pixels", PLAIN.name.encode()).decode()),
        )

    def check(self, transitions: Sequence[Transition]) -> None:
        """Check that rows have this shape.

        Raises:
            RefusedRowError: If one has not; names the step and both shapes.
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
                "pose": (row.pose.shape, (3,)),
                "T_world_camera": (seen.T_world_camera.shape, (4, 4)),
                "egomotion": (seen.egomotion.shape, (3,)),
            }
            if seen.instances is not None:
                shapes["instances"] = (seen.instances.shape, image)
            for name, (found, wanted) in shapes.items():
                if found != wanted:
                    why = f"{name} has shape {found}, this table holds {wanted}"
                    raise RefusedRowError(row.step, why)


def check_values(transitions: Sequence[Transition]) -> None:
    """Check that every value can be stored and used.

    Raises:
        RefusedRowError: If a frame has another type, an instance number does not fit into 16 bits,
            or a pose, a transform, an object or the action is not finite; names step and value.
    """
    for row in transitions:
        seen, act = row.observation, row.action
        if seen.rgb.dtype != np.uint8:
            raise RefusedRowError(row.step, f"rgb is {seen.rgb.dtype}, expected uint8")
        if seen.depth_m.dtype != np.float32:
            raise RefusedRowError(row.step, f"depth_m is {seen.depth_m.dtype}, expected float32")
        instances = seen.instances
        if instances is not None and (
            instances.min(initial=0) < 0 or instances.max(initial=0) > 65535
        ):
            found = f"{instances.min()} to {instances.max()}"
            raise RefusedRowError(row.step, f"instance numbers must be 0 to 65535, found {found}")
        values = {name: getattr(row if hasattr(row, name) else seen, name) for name in _FINITE}
        values["action"] = np.array((act.v_mps, act.w_radps, act.duration_s))
        for name, value in values.items():
            wrong = value[~np.isfinite(value)]
            if len(wrong):
                raise RefusedRowError(row.step, f"{name} holds {wrong[0]}, expected finite numbers")


def check_order(
    transitions: Sequence[Transition], last_step: int, newest: tuple[int, int] | None
) -> None:
    """Check that steps increase over the life, and that time never goes back inside an episode.

    A clock that was set back may start a new episode; no window then spans the jump.

    Args:
        transitions: New rows.
        last_step: Newest stored step, -1 for an empty table.
        newest: Episode and stamp of the newest stored row, None for an empty table.

    Raises:
        RefusedRowError: If one does not; names the step and what it follows.
    """
    for row in transitions:
        stamp_ns = row.observation.stamp_ns
        if row.step <= last_step:
            why = f"steps must increase over the life, step {row.step} follows step {last_step}"
            raise RefusedRowError(row.step, why)
        if newest is not None and row.episode_id == newest[0] and stamp_ns < newest[1]:
            why = f"its time {stamp_ns} ns lies before {newest[1]} ns of the row before it"
            raise RefusedRowError(row.step, f"{why} in episode {row.episode_id}")
        last_step, newest = row.step, (row.episode_id, stamp_ns)


def to_millimetres(depth_m: Float32[np.ndarray, "*n"]) -> UInt16[np.ndarray, "*n"]:
    """Return depth in whole millimetres; 0 for NaN and for what is below half a millimetre."""
    depth_mm = np.nan_to_num(depth_m * np.float32(1000), nan=0.0, posinf=0.0, neginf=0.0)
    return np.clip(np.rint(depth_mm), 0, 65535).astype(np.uint16)


def to_metres(depth_mm: UInt16[np.ndarray, "*n"]) -> Float32[np.ndarray, "*n"]:
    """Return depth in metres; NaN for 0."""
    depth_m = depth_mm.astype(np.float32) * np.float32(0.001)
    depth_m[depth_mm == 0] = np.nan
    return depth_m


def encode(transitions: Sequence[Transition], schema: pa.Schema) -> pa.RecordBatch:
    """Return checked rows as one record batch of the table's schema.

    Raises:
        RefusedRowError: If a value has a type that its column cannot hold.
    """
    try:
        return _encode(transitions, schema)
    except _UNFIT:
        for row in transitions:
            try:
                _encode([row], schema)
            except _UNFIT as error:
                raise RefusedRowError(row.step, f"it cannot be written: {error}") from error
        raise


def _encode(transitions: Sequence[Transition], schema: pa.Schema) -> pa.RecordBatch:
    seen = [row.observation for row in transitions]
    acts = [row.action for row in transitions]
    codec = RowShape.of_schema(schema).codec
    depth_mm = to_millimetres(np.stack([o.depth_m for o in seen]))
    instances = [None if o.instances is None else pack_instances(o.instances, codec) for o in seen]
    columns: dict[str, pa.Array] = {
        "stamp_ns": pa.array([o.stamp_ns for o in seen], pa.int64()),
        "rgb": to_column(pack_rgb(np.stack([o.rgb for o in seen]), codec), codec),
        "depth_mm": to_column(pack_depth(depth_mm, codec), codec),
        "instances": pa.array(instances, pa.binary()),
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
    if _FORMAT_1_COLUMN in schema.names:
        columns[_FORMAT_1_COLUMN] = pa.array(np.zeros(len(transitions), dtype=np.int64))
    for field in schema:
        if field.name not in columns:
            values = [getattr(row, field.name) for row in transitions]
            columns[field.name] = pa.array(values, field.type)
    return pa.record_batch([columns[name] for name in schema.names], schema=schema)


def decode(table: pa.Table, shape: RowShape) -> list[Transition]:
    """Return rows of a table as records."""
    columns = {n: _column(table, n, shape) for n in table.column_names if n != "instances"}
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
            instances=None if packed is None else unpack_instances(packed, *image),
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


def decode_columns(table: pa.Table, shape: RowShape) -> dict[str, np.ndarray]:
    """Return `BATCH_COLUMNS` of a table as arrays with its rows on axis 0."""
    return {name: _column(table, name, shape) for name in BATCH_COLUMNS}


def to_batch(columns: dict[str, np.ndarray]) -> Batch:
    """Return windows as a batch.

    Args:
        columns: `BATCH_COLUMNS` and what the index knows of rows, with windows and frames on the
            first two axes.
    """
    egomotion = columns["egomotion"]
    egomotion[columns["is_first"]] = 0
    return Batch(
        rgb=columns["rgb"],
        depth_m=to_metres(columns["depth_mm"]),
        action=columns["action"].astype(np.float32),
        egomotion=egomotion,
        bumped=columns["bumped"],
        pose=columns["pose"],
        is_planned=columns["is_planned"],
        objects=columns["objects"],
        object_slots=columns["object_slots"],
        step=columns["step"],
        episode_id=columns["episode_id"][:, 0].copy(),
    )


def _vectors(values: Sequence[object], kind: type) -> pa.FixedSizeListArray:
    stacked: np.ndarray = np.asarray(values, dtype=kind).reshape(len(values), -1)
    return pa.FixedSizeListArray.from_arrays(pa.array(stacked.ravel()), stacked.shape[1])


def _column(table: pa.Table, name: str, shape: RowShape) -> np.ndarray:
    """Return one column as an array with the rows on axis 0."""
    column = table[name].combine_chunks()
    if name in _BYTES_PER_PIXEL:
        unpack = unpack_rgb if name == "rgb" else unpack_depth
        num_bytes = shape.height_px * shape.width_px * _BYTES_PER_PIXEL[name]
        packed = of_column(column, shape.codec, num_bytes)
        return unpack(packed, shape.codec, shape.height_px, shape.width_px)
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
