"""An MCAP file of the profile `ros2`, with JSON channels beside those of ROS.

JSON channels carry their JSON Schema in the channel's metadata and, unless asked otherwise, no
schema record: that is how MCAP and Foxglove define schemaless JSON, and rosbags, which knows ROS
schemas only, can then open the file.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from memory.export.extras import require

JSON_SCHEMA_KEY = "json_schema"
"""Key of a JSON channel's metadata that holds its JSON Schema."""

_QOS = (
    "- history: 1\n  depth: {depth}\n  reliability: 1\n  durability: {durability}\n"
    "  deadline:\n    sec: 2147483647\n    nsec: 4294967295\n"
    "  lifespan:\n    sec: 2147483647\n    nsec: 4294967295\n"
    "  liveliness: 1\n"
    "  liveliness_lease_duration:\n    sec: 2147483647\n    nsec: 4294967295\n"
    "  avoid_ros_namespace_conventions: false"
)
_TRANSIENT_LOCAL, _VOLATILE = 1, 2


class McapFile:
    """Writes chunks compressed with zstd, with an index; a context that ends the file if all went.

    Args:
        path: File to write.
        json_schemas: Whether JSON channels get schema records as well: Foxglove then completes
            field names, and rosbags 0.11 refuses the file.

    Raises:
        MissingExtraError: If the library mcap is not installed.
        OSError: If the file cannot be written.
    """

    def __init__(self, path: Path, *, json_schemas: bool = False) -> None:
        writers = require("mcap.writer", "writing MCAP")
        typesys = require("rosbags.typesys", "writing MCAP")
        self.store = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
        self.counts: dict[str, int] = {}
        self.kinds: dict[str, str] = {}
        self._json_schemas = json_schemas
        self._channels: dict[str, int] = {}
        self._schemas: dict[str, int] = {}
        self._file = path.open("wb", buffering=2**20)
        self._writer = writers.Writer(self._file, compression=writers.CompressionType.ZSTD)
        self._writer.start(profile="ros2", library="agentd")

    def __enter__(self) -> "McapFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._writer.finish()
        finally:
            self._file.close()

    def type(self, msgtype: str) -> Any:
        """Return the class of a ROS message, as in `std_msgs/msg/Header`."""
        return self.store.types[msgtype]

    def add_ros(self, topic: str, msgtype: str, *, is_latched: bool = False) -> None:
        """Open a channel for ROS messages of a type; latched ones reach later listeners, too."""
        if msgtype not in self._schemas:
            text, _ = self.store.generate_msgdef(msgtype, ros_version=2)
            self._schemas[msgtype] = self._writer.register_schema(msgtype, "ros2msg", text.encode())
        qos = _QOS.format(
            depth=1 if is_latched else 10, durability=_TRANSIENT_LOCAL if is_latched else _VOLATILE
        )
        self._add(topic, "cdr", self._schemas[msgtype], msgtype, {"offered_qos_profiles": qos})

    def add_json(self, topic: str, name: str, schema: Mapping[str, Any]) -> None:
        """Open a channel for JSON objects that fulfil a JSON Schema of type object."""
        text = json.dumps(schema)
        schema_id = 0
        if self._json_schemas:
            schema_id = self._writer.register_schema(name, "jsonschema", text.encode())
        self._add(topic, "json", schema_id, name, {JSON_SCHEMA_KEY: text})

    def _add(
        self, topic: str, encoding: str, schema_id: int, kind: str, metadata: dict[str, str]
    ) -> None:
        self._channels[topic] = self._writer.register_channel(topic, encoding, schema_id, metadata)
        self.counts[topic], self.kinds[topic] = 0, kind

    def put_ros(self, topic: str, message: Any, log_ns: int) -> None:
        """Write a ROS message."""
        data = self.store.serialize_cdr(message, message.__msgtype__)
        self._put(topic, bytes(data), log_ns)

    def put_json(self, topic: str, message: Mapping[str, Any], log_ns: int) -> None:
        """Write a JSON object."""
        self._put(topic, json.dumps(message, allow_nan=False).encode(), log_ns)

    def _put(self, topic: str, data: bytes, log_ns: int) -> None:
        self._writer.add_message(
            channel_id=self._channels[topic],
            log_time=log_ns,
            data=data,
            publish_time=log_ns,
            sequence=self.counts[topic],
        )
        self.counts[topic] += 1

    def note(self, name: str, values: Mapping[str, str]) -> None:
        """Write facts about the whole file."""
        self._writer.add_metadata(name, dict(values))


class LogClock:
    """Times that never go back, of a clock that may be set back between two episodes.

    Args:
        gap_ns: Time put between two messages where the clock went back.
    """

    def __init__(self, gap_ns: int) -> None:
        self._gap_ns = gap_ns
        self._offset_ns = 0
        self._last_ns = 0
        self.num_jumps = 0

    def at(self, stamp_ns: int) -> int:
        """Return the time in the log of a stamp of the body's clock."""
        now_ns = stamp_ns + self._offset_ns
        if now_ns < self._last_ns:
            self._offset_ns = self._last_ns + self._gap_ns - stamp_ns
            self.num_jumps += 1
            now_ns = stamp_ns + self._offset_ns
        self._last_ns = now_ns
        return now_ns
