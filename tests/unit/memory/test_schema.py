"""The format of the folder and its migrations."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from memory.errors import DamagedTableError, NewerFormatError
from memory.format import FORMAT_FILE, FORMAT_VERSION, MIGRATIONS, Migration, prepare_folder
from memory.schema import (
    embeddings_schema,
    events_schema,
    slots_schema,
    transitions_schema,
    views_schema,
)

GOLDEN = {
    "transitions": (
        "step:int64 episode_id:int64 stamp_ns:int64 is_first:bool is_last:bool "
        "is_terminal:bool rgb:binary depth_mm:binary instances:binary? labels:list<string> "
        "T_world_camera:double[16] egomotion:float[3] bumped:bool battery:double action:double[3] "
        "action_source:string pose:float[3] objects:float[96] object_slots:int32[8] "
        "surprise:double checkpoint_id:string"
    ),
    "slots": (
        "slot_id:int64 label:string vote_labels:list<string> vote_scores:list<double> "
        "xyz_m:double[3] cov_m2:double[9] extent_m:double[3] existence:double state:string "
        "num_hits:int64 first_seen_ns:int64 last_seen_ns:int64 first_seen_step:int64 "
        "last_seen_step:int64 mean_seen_m:double[3] scatter_m2:double[9] area_px_m2:double "
        "points_m:binary seen_beside:list<int64>"
    ),
    "views": (
        "view_id:int64 slot_id:int64 crop:binary crop_px:int64 pose:float[3] range_m:double "
        "num_px:int64 stamp_ns:int64"
    ),
    "embeddings": "view_id:int64 vector:halffloat[272]",
    "events": (
        "event_id:int64 step:int64 stamp_ns:int64 kind:string slot_id:int64 label:string "
        "xyz_m:double[3] from_xyz_m:double[3]? other_id:int64?"
    ),
}


def describe(schema: pa.Schema) -> str:
    """Return the fields of a schema on one line."""
    parts = []
    for field in schema:
        kind = str(field.type)
        if pa.types.is_fixed_size_list(field.type):
            kind = f"{field.type.value_type}[{field.type.list_size}]"
        elif pa.types.is_list(field.type):
            kind = f"list<{field.type.value_type}>"
        parts.append(f"{field.name}:{kind}{'?' if field.nullable else ''}")
    return " ".join(parts)


def test_the_schemas_are_those_of_the_newest_format() -> None:
    """A change here is a new format: raise FORMAT_VERSION and add a migration."""
    assert FORMAT_VERSION == 4
    schemas = {
        "transitions": transitions_schema(64, 64, 8, 12),
        "slots": slots_schema(),
        "views": views_schema(),
        "embeddings": embeddings_schema(272),
        "events": events_schema(),
    }
    assert {name: describe(schema) for name, schema in schemas.items()} == GOLDEN


def test_there_is_one_migration_per_format_after_the_first() -> None:
    assert [m.from_format for m in MIGRATIONS] == list(range(1, FORMAT_VERSION))


def note(name: str, from_format: int) -> Migration:
    def apply(folder: Path) -> None:
        log = folder / "log"
        log.write_text((log.read_text() if log.exists() else "") + name)

    return Migration(name=name, from_format=from_format, apply=apply)


def test_an_older_folder_is_migrated_step_by_step_and_once(tmp_path: Path) -> None:
    prepare_folder(tmp_path, [])
    steps = [note("a", 1), note("b", 2)]
    prepare_folder(tmp_path, steps[:1])
    prepare_folder(tmp_path, steps)
    prepare_folder(tmp_path, steps)
    assert (tmp_path / "log").read_text() == "ab"
    assert json.loads((tmp_path / FORMAT_FILE).read_text()) == {"format": 3}


def test_a_migration_that_fails_is_tried_again(tmp_path: Path) -> None:
    def fail(_: Path) -> None:
        raise OSError("disk full")

    prepare_folder(tmp_path, [])
    broken = Migration(name="b", from_format=2, apply=fail)
    with pytest.raises(OSError, match="disk full"):
        prepare_folder(tmp_path, [note("a", 1), broken])
    prepare_folder(tmp_path, [note("a", 1), note("b", 2)])
    assert (tmp_path / "log").read_text() == "ab"


@pytest.mark.parametrize("content", ["", "[]", '{"format": "one"}', '{"format": 0}', "{}"])
def test_a_damaged_format_file_is_named_and_left_alone(tmp_path: Path, content: str) -> None:
    (tmp_path / FORMAT_FILE).write_text(content)
    with pytest.raises(DamagedTableError, match=FORMAT_FILE):
        prepare_folder(tmp_path)
    assert (tmp_path / FORMAT_FILE).read_text() == content


def test_tables_without_a_format_file_are_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "slots.lance").mkdir()
    with pytest.raises(DamagedTableError, match="is missing"):
        prepare_folder(tmp_path)


def test_a_newer_folder_names_both_formats(tmp_path: Path) -> None:
    (tmp_path / FORMAT_FILE).write_text('{"format": 7}')
    with pytest.raises(NewerFormatError, match=r"has format 7 .* up to 4"):
        prepare_folder(tmp_path)
