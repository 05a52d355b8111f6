"""Raw messages of ROS bags: rosbag2 folders and files (MCAP, sqlite3), and ROS 1 bags.

What `rosbags` reads is read by it. An MCAP file that was cut off, which it refuses, is read record
by record as far as it goes.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from memory.logs.errors import LogError

_MAGIC = b"\x89MCAP0\r\n"
_SQLITE = b"SQLite format 3\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic of a bag.

    Attributes:
        name: Name.
        type: ROS type, as in `sensor_msgs/msg/Image`.
        count: Messages.
        definition: Text of its definition, "" for none.
        is_idl: Whether the definition is IDL.
    """

    name: str
    type: str
    count: int
    definition: str = ""
    is_idl: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it lies in the bag."""

    topic: str
    type: str
    logged_ns: int
    data: bytes


class Bag(Protocol):
    """A file or folder of messages."""

    format: str
    is_ros1: bool
    topics: list[Topic]
    start_ns: int
    end_ns: int
    broken: str
    """Why the last reading ended early."""

    def messages(self, topics: Collection[str]) -> Iterator[Message]:
        """Yield messages of some topics in the order in which they were written."""
        ...

    def close(self) -> None: ...


class RosbagsBag:
    """A bag that `rosbags` can open, or several files of one recording.

    Args:
        readers: Opened readers of rosbags, in the order of their times.
        format_: For people.
        is_ros1: Whether the messages are ROS 1's.
        broken: What is known to be missing.
    """

    def __init__(self, readers: list[Any], format_: str, is_ros1: bool, broken: str = "") -> None:
        self.format, self.is_ros1 = format_, is_ros1
        self._readers = readers
        self._known_broken = self.broken = broken
        found: dict[str, Topic] = {}
        for reader in readers:
            for connection in reader.connections:
                before = found.get(connection.topic)
                if before is not None and before.type != connection.msgtype:
                    raise LogError(
                        f"topic {connection.topic} has messages of two types, {before.type} and "
                        f"{connection.msgtype}"
                    )
                found[connection.topic] = Topic(
                    name=connection.topic,
                    type=connection.msgtype,
                    count=connection.msgcount + (before.count if before else 0),
                    definition=connection.msgdef.data or (before.definition if before else ""),
                    is_idl=connection.msgdef.format.name == "IDL",
                )
        self.topics = list(found.values())
        filled = [reader for reader in readers if reader.message_count]
        self.start_ns = min((reader.start_time for reader in filled), default=0)
        self.end_ns = max((reader.end_time for reader in filled), default=0)

    def messages(self, topics: Collection[str]) -> Iterator[Message]:
        """Yield messages of some topics in the order in which they were written."""
        self.broken = self._known_broken
        for reader in self._readers:
            wanted = [c for c in reader.connections if c.topic in topics and c.msgcount != 0]
            if not wanted:
                continue
            last_ns = 0
            try:
                for connection, logged_ns, data in reader.messages(connections=wanted):
                    last_ns = max(last_ns, logged_ns)
                    yield Message(connection.topic, connection.msgtype, logged_ns, data)
            except GeneratorExit:
                raise
            except Exception as error:  # whatever a damaged file makes of a reader
                name = getattr(reader, "path", "the bag")
                self.broken = f"{name} is damaged after {_at(last_ns)}: {_words(error)}"
                return

    def close(self) -> None:
        """Let go of the files; quiet when called twice."""
        readers, self._readers = self._readers, []
        for reader in readers:
            reader.close()


class CutMcap:
    """An MCAP file without its end, as a power cut leaves it: read record by record.

    Args:
        path: The file.

    Raises:
        LogError: If not even its beginning can be read.
    """

    format = "rosbag2 (mcap)"
    is_ros1 = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self.broken = ""
        self.start_ns = self.end_ns = 0
        counts: dict[str, int] = {}
        known: dict[str, tuple[str, str, bool]] = {}
        for schema, channel, message in self._records():
            if not counts:
                self.start_ns = message.log_time
            counts[channel.topic] = counts.get(channel.topic, 0) + 1
            self.end_ns = max(self.end_ns, message.log_time)
            if schema is not None:
                text = schema.data.decode(errors="replace")
                known[channel.topic] = (schema.name, text, schema.encoding == "ros2idl")
        if not counts:
            raise LogError(f"{path} holds no sound message: {self.broken}")
        self.topics = [
            Topic(
                name=name,
                type=known[name][0],
                count=n,
                definition=known[name][1],
                is_idl=known[name][2],
            )
            for name, n in counts.items()
            if name in known
        ]

    def messages(self, topics: Collection[str]) -> Iterator[Message]:
        """Yield messages of some topics in the order in which they were written."""
        types = {topic.name: topic.type for topic in self.topics}
        for _, channel, message in self._records():
            if channel.topic in topics:
                yield Message(channel.topic, types[channel.topic], message.log_time, message.data)

    def close(self) -> None:
        """Nothing is held."""

    def _records(self) -> Iterator[tuple[Any, Any, Any]]:
        records, stream_reader = _mcap(self._path)
        schemas: dict[int, Any] = {}
        channels: dict[int, Any] = {}
        last_ns = 0
        self.broken = f"{self._path} has no end: the recording was cut off"
        with self._path.open("rb") as file:
            try:
                for record in stream_reader.StreamReader(file, validate_crcs=True).records:
                    if isinstance(record, records.Schema):
                        schemas[record.id] = record
                    elif isinstance(record, records.Channel):
                        channels[record.id] = record
                    elif isinstance(record, records.Message):
                        channel = channels[record.channel_id]
                        last_ns = max(last_ns, record.log_time)
                        yield schemas.get(channel.schema_id), channel, record
            except GeneratorExit:
                raise
            except Exception as error:  # whatever a damaged file makes of a reader
                self.broken = f"{self._path} is cut off or damaged after {_at(last_ns)}"
                if text := _words(error):
                    self.broken += f": {text}"
                return
            if last_ns:
                self.broken = f"{self._path} has no end: it was cut off after {_at(last_ns)}"


def open_bag(path: Path) -> Bag:
    """Open a bag by what it is.

    Args:
        path: Folder of a rosbag2 recording, an .mcap, .db3 or .bag file.

    Raises:
        LogError: If it is none, or damaged beyond reading.
    """
    if path.is_dir():
        return _open_folder(path)
    with path.open("rb") as file:
        magic = file.read(16)
    if magic.startswith(_MAGIC):
        return _open_mcap([path])
    if magic.startswith(_SQLITE):
        return _open_files([path], "sqlite3")
    if magic.startswith(b"#ROSBAG V"):
        return _open_ros1(path)
    raise LogError(
        f"{path} is no log: accepted are folders of rosbag2, .mcap, .db3 and .bag files, and "
        "folders of LeRobot datasets (v3)"
    )


def _open_folder(path: Path) -> Bag:
    from rosbags.rosbag2 import Reader, ReaderError

    files = {end: sorted(path.glob(f"*{end}")) for end in (".mcap", ".db3")}
    if not (path / "metadata.yaml").exists():
        # The recorder was killed: its files are as good without the list of them.
        if files[".mcap"]:
            return _open_mcap(files[".mcap"])
        if files[".db3"]:
            return _open_files(files[".db3"], "sqlite3")
        raise LogError(
            f"{path} holds neither a rosbag2 recording (metadata.yaml, .mcap, .db3) nor a LeRobot "
            "dataset (meta/info.json)"
        )
    reader = Reader(path)
    try:
        reader.open()
    except ReaderError as error:
        if files[".mcap"]:
            return _open_mcap(files[".mcap"])
        raise LogError(f"{path} cannot be read: {_words(error)}") from error
    except Exception as error:  # sqlite's own errors, and those of yaml
        raise LogError(f"{path} cannot be read: {_words(error)}") from error
    kind = "mcap" if files[".mcap"] else "sqlite3"
    return RosbagsBag([reader], f"rosbag2 ({kind})", is_ros1=False)


def _open_mcap(paths: list[Path]) -> Bag:
    from rosbags.rosbag2 import ReaderError

    try:
        return _open_files(paths, "mcap")
    except LogError as error:
        if len(paths) > 1 or not isinstance(error.__cause__, ReaderError | TypeError):
            raise
    return CutMcap(paths[0])


def _open_files(paths: list[Path], kind: str) -> Bag:
    """Open files of one recording one by one; a broken one ends it."""
    from rosbags.rosbag2 import Reader

    readers: list[Any] = []
    for path in paths:
        try:
            reader = Reader(path)
            reader.open()
        except Exception as error:  # rosbags', sqlite's, and those of a file that ends early
            text = f"{path} cannot be read: {_words(error)}"
            if readers:
                return RosbagsBag(readers, f"rosbag2 ({kind})", is_ros1=False, broken=text)
            raise LogError(text) from error
        readers.append(reader)
    return RosbagsBag(readers, f"rosbag2 ({kind})", is_ros1=False)


def _open_ros1(path: Path) -> Bag:
    from rosbags.rosbag1 import Reader, ReaderError

    reader = Reader(path)
    try:
        reader.open()
    except (ReaderError, ValueError, KeyError) as error:
        raise LogError(
            f"{path} cannot be read: {_words(error)}; a bag whose recorder was killed has no "
            "index: `rosbag reindex` makes one"
        ) from error
    return RosbagsBag([reader], "rosbag1", is_ros1=True)


def _mcap(path: Path) -> tuple[Any, Any]:
    try:
        from mcap import records, stream_reader
    except ImportError as error:
        raise LogError(
            f"{path} was cut off; to read what is left install the extra: "
            "pip install 'agentd[logs]'"
        ) from error
    return records, stream_reader


def _at(stamp_ns: int) -> str:
    return f"{stamp_ns / 1e9:.3f} s of the recorder's clock" if stamp_ns else "its beginning"


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")
