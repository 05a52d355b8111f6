"""Definitions of ROS messages as files, for programs that read them from an installed ROS."""

import json
from pathlib import Path
from typing import Any

from rosbags.interfaces import Nodetype
from rosbags.typesys.store import TIDMAP, Typestore

_PACKAGE = """<package format="3"><name>{0}</name><version>1.0.0</version>
<description>{0}</description><maintainer email="a@b.invalid">a</maintainer>
<license>none</license></package>
"""


def needed(store: Typestore, msgtypes: list[str]) -> set[str]:
    """Return the types with all that they are made of."""
    found: set[str] = set()

    def visit(name: str) -> None:
        if name not in found:
            found.add(name)
            for _, field in store.fielddefs[name][1]:
                kind, detail = field
                if kind in (Nodetype.ARRAY, Nodetype.SEQUENCE):
                    kind, detail = detail[0]
                if kind is Nodetype.NAME:
                    visit(detail)

    for name in msgtypes:
        visit(name)
    return found


def write_prefix(store: Typestore, msgtypes: list[str], prefix: Path) -> None:
    """Write what `AMENT_PREFIX_PATH` points at: a package for each folder of messages."""
    for msgtype in needed(store, msgtypes):
        package, _, name = msgtype.split("/")
        share = prefix / "share" / package
        (share / "msg").mkdir(parents=True, exist_ok=True)
        (share / "package.xml").write_text(_PACKAGE.format(package))
        index = prefix / "share" / "ament_index" / "resource_index" / "packages"
        index.mkdir(parents=True, exist_ok=True)
        (index / package).touch()
        text = store.generate_msgdef(msgtype, ros_version=2)[0].split("=" * 80)[0]
        (share / "msg" / f"{name}.msg").write_text(text)
        described = json.dumps(type_description(store, msgtype))
        (share / "msg" / f"{name}.json").write_text(described)


def type_description(store: Typestore, msgtype: str) -> dict[str, Any]:
    """Return what ROS installs beside a message since Iron (REP 2016): its fields and hashes."""

    def field(name: str, described: Any) -> dict[str, Any]:
        kind, detail = described
        added, capacity = 0, 0
        if kind in (Nodetype.ARRAY, Nodetype.SEQUENCE):
            (inner, detail), capacity = detail
            added = 48 if kind is Nodetype.ARRAY else 96 if capacity else 144
            kind = inner
        named = detail if kind is Nodetype.NAME else ""
        number = 1 if named else TIDMAP[detail[0]]
        of = {"type_id": added + number, "capacity": capacity, "string_capacity": 0}
        return {"name": name, "type": {**of, "nested_type_name": named}, "default_value": ""}

    def struct(name: str) -> dict[str, Any]:
        return {"type_name": name, "fields": [field(*item) for item in store.fielddefs[name][1]]}

    types = sorted(needed(store, [msgtype]))
    return {
        "type_description_msg": {
            "type_description": struct(msgtype),
            "referenced_type_descriptions": [struct(name) for name in types if name != msgtype],
        },
        "type_hashes": [
            {"type_name": name, "hash_string": store.hash_rihs01(name)} for name in types
        ],
    }
