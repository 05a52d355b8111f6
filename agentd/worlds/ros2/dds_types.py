"""ROS message types as Cyclone DDS wants them, their bytes passed through untouched.

Cyclone refuses a topic whose type it does not know, so the whole structure is declared; its own
codec, which takes 70 ms for an image, is never run.
"""

from typing import Any, cast

from cyclonedds.idl import IdlStruct, make_idl_struct
from cyclonedds.idl import types as idl_types
from rosbags.interfaces import Nodetype
from rosbags.typesys.store import Typestore

from agentd.worlds.ros2.link import LinkError
from agentd.worlds.ros2.names import dds_type

types: Any = idl_types  # what it makes by indexing, its annotations do not tell
_SCALARS: dict[str, Any] = {
    "bool": bool,
    "byte": types.uint8,
    "char": types.uint8,
    "int8": types.int8,
    "int16": types.int16,
    "int32": types.int32,
    "int64": types.int64,
    "uint8": types.uint8,
    "uint16": types.uint16,
    "uint32": types.uint32,
    "uint64": types.uint64,
    "float32": types.float32,
    "float64": types.float64,
    "string": str,
}


def _sent(self: Any, *args: Any, **options: Any) -> bytes:
    return cast(bytes, self.cdr)


def _kept(cls: type[IdlStruct], data: bytes, *args: Any, **options: Any) -> IdlStruct:
    return passed(cls, data)


def passed(kind: type[IdlStruct], data: bytes) -> IdlStruct:
    """Return a message that stays the bytes it is: `cdr`, with their header."""
    message: Any = kind.__new__(kind)
    message.cdr = data
    return cast(IdlStruct, message)


class DdsTypes:
    """Declares the types of one ROS distribution to DDS, each once."""

    def __init__(self, store: Typestore) -> None:
        self._store = store
        self._nested: dict[str, type[IdlStruct]] = {}
        self._topics: dict[str, type[IdlStruct]] = {}

    def topic_type(self, msgtype: str) -> type[IdlStruct]:
        """Return the type of a topic that carries `msgtype`.

        Raises:
            LinkError: If the distribution does not know it, or DDS cannot carry it.
        """
        if msgtype not in self._topics:
            kind: Any = self._declare(msgtype)
            # A base class of ours would become a base of the type that others are told.
            kind.serialize = _sent
            kind.deserialize = kind.deserialize_key = classmethod(_kept)
            self._topics[msgtype] = kind
        return self._topics[msgtype]

    def _declare(self, msgtype: str) -> type[IdlStruct]:
        if msgtype not in self._store.fielddefs:
            raise LinkError(f"unknown message type {msgtype!r}")
        fields = {
            name: self._field(msgtype, field) for name, field in self._store.fielddefs[msgtype][1]
        }
        name = msgtype.rpartition("/")[2]
        typename = dds_type(msgtype).replace("::", ".")
        return make_idl_struct(name, typename, fields, dataclassify=False)

    def _field(self, msgtype: str, field: Any) -> Any:
        kind, detail = field
        if kind is Nodetype.NAME:
            if detail not in self._nested:
                self._nested[detail] = self._declare(detail)
            return self._nested[detail]
        if kind is Nodetype.BASE:
            name, limit = detail
            if name not in _SCALARS:
                raise LinkError(f"{msgtype}: DDS cannot carry a field of type {name}")
            return types.bounded_str[limit] if limit and name == "string" else _SCALARS[name]
        element, length = detail
        inner = self._field(msgtype, element)
        if kind is Nodetype.ARRAY:
            return types.array[inner, length]
        return types.sequence[inner, length] if length else types.sequence[inner]
