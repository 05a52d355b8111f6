"""Arrow schemas of the tables.

Frames are stored filtered and packed (memory/replay/pixels.py, memory/replay/codecs.py) as binary
values in Lance file format 2.2: a row of a drive through the house takes 8.0 kB, 6.0 kB with zstd
in place of LZ4, and 21 kB with raw frames.

Depth is stored in whole millimetres (uint16): a depth of 0.5 mm to 65.535 m comes back within half
a millimetre, a larger one as 65.535 m, and NaN or anything below 0.5 mm as NaN.
"""

import pyarrow as pa

from memory.replay.codecs import DELTA_LZ4, FrameCodec

FILE_FORMAT = "2.2"
"""Lance file format of new tables: the first that compresses large binary values well."""

TRANSITIONS = "transitions"
SLOTS = "slots"
VIEWS = "views"
EMBEDDINGS = "embeddings"
EVENTS = "events"

_ZSTD = {b"lance-encoding:compression": b"zstd", b"lance-encoding:compression-level": b"1"}
_UNCOMPRESSED = {b"lance-encoding:compression": b"none"}


def _vector(name: str, kind: pa.DataType, size: int) -> pa.Field:
    return pa.field(name, pa.list_(kind, size), nullable=False)


def _scalar(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


def _pixels(name: str, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, pa.binary(), nullable=nullable, metadata=_ZSTD)


def transitions_schema(
    height_px: int,
    width_px: int,
    num_objects: int,
    num_features: int,
    codec: FrameCodec = DELTA_LZ4,
) -> pa.Schema:
    """Return the schema of a replay table; image and object shapes and codec are its metadata."""
    f32, f64, i64 = pa.float32(), pa.float64(), pa.int64()
    frames = _ZSTD if codec.by_table == "zstd" else _UNCOMPRESSED
    return pa.schema(
        [
            _scalar("step", i64),
            _scalar("episode_id", i64),
            _scalar("stamp_ns", i64),
            _scalar("is_first", pa.bool_()),
            _scalar("is_last", pa.bool_()),
            _scalar("is_terminal", pa.bool_()),
            _scalar("rgb", pa.binary()).with_metadata(frames),
            _scalar("depth_mm", pa.binary()).with_metadata(frames),
            _pixels("instances", nullable=True),
            pa.field("labels", pa.list_(pa.string()), nullable=False),
            _vector("T_world_camera", f64, 16),
            _vector("egomotion", f32, 3),
            _scalar("bumped", pa.bool_()),
            _scalar("battery", f64),
            _vector("action", f64, 3),
            _scalar("action_source", pa.string()),
            _vector("pose", f32, 3),
            _vector("objects", f32, num_objects * num_features),
            _vector("object_slots", pa.int32(), num_objects),
            _scalar("surprise", f64),
            _scalar("checkpoint_id", pa.string()),
        ],
        metadata={
            b"height_px": str(height_px).encode(),
            b"width_px": str(width_px).encode(),
            b"num_objects": str(num_objects).encode(),
            b"num_features": str(num_features).encode(),
            b"pixels": codec.name.encode(),
        },
    )


def slots_schema() -> pa.Schema:
    """Return the schema of the slots; `points_m` holds float32 x y z of kept surface points.

    The points are not compressed: coordinates hardly shrink, and unpacking those of 10^5 slots took
    a second, half of the time to open them.
    """
    f64, i64 = pa.float64(), pa.int64()
    return pa.schema(
        [
            _scalar("slot_id", i64),
            _scalar("label", pa.string()),
            pa.field("vote_labels", pa.list_(pa.string()), nullable=False),
            pa.field("vote_scores", pa.list_(f64), nullable=False),
            _vector("xyz_m", f64, 3),
            _vector("cov_m2", f64, 9),
            _vector("extent_m", f64, 3),
            _scalar("existence", f64),
            _scalar("state", pa.string()),
            _scalar("num_hits", i64),
            _scalar("first_seen_ns", i64),
            _scalar("last_seen_ns", i64),
            _scalar("first_seen_step", i64),
            _scalar("last_seen_step", i64),
            _vector("mean_seen_m", f64, 3),
            _vector("scatter_m2", f64, 9),
            _scalar("area_px_m2", f64),
            _scalar("points_m", pa.binary()),
            pa.field("seen_beside", pa.list_(i64), nullable=False),
        ]
    )


def views_schema() -> pa.Schema:
    """Return the schema of the kept crops."""
    i64 = pa.int64()
    return pa.schema(
        [
            _scalar("view_id", i64),
            _scalar("slot_id", i64),
            _pixels("crop"),
            _scalar("crop_px", i64),
            _vector("pose", pa.float32(), 3),
            _scalar("range_m", pa.float64()),
            _scalar("num_px", i64),
            _scalar("stamp_ns", i64),
        ]
    )


def embeddings_schema(num_features: int) -> pa.Schema:
    """Return the schema of the search vectors of one encoder; see `memory.vectors.tables`."""
    return pa.schema(
        [_scalar("view_id", pa.int64()), _vector("vector", pa.float16(), num_features)]
    )


def events_schema() -> pa.Schema:
    """Return the schema of the log of object changes.

    `from_xyz_m` is set for moves only, `other_id` for moves and merges.
    """
    f64, i64 = pa.float64(), pa.int64()
    return pa.schema(
        [
            _scalar("event_id", i64),
            _scalar("step", i64),
            _scalar("stamp_ns", i64),
            _scalar("kind", pa.string()),
            _scalar("slot_id", i64),
            _scalar("label", pa.string()),
            _vector("xyz_m", f64, 3),
            pa.field("from_xyz_m", pa.list_(f64, 3)),
            pa.field("other_id", i64),
        ]
    )
