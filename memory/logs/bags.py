"""Raw messages of ROS bags: rosbag2 folders and files (MCAP, sqlite3), and ROS 1 bags.

What `rosbags` reads is read by it. A file that it refuses, because it was cut off or also holds
channels that are not ROS, is read record by record as far as it goes.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from memory.logs.bag import Bag, Message, Topic, at_time, words_of
from memory.logs.bag1_records import Bag1Records
from memory.logs.bag_sqlite import SqliteRecords
from memory.logs.errors import LogError

_MAGIC = b"\x89MCAP0\r\n"
_SQLITE = b"SQLite format 3\x00"


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
                self.broken = f"{name} is damaged after {at_time(last_ns)}: {words_of(error)}"
                return

    def close(self) -> None:
        """Let go of the files; quiet when called twice."""
        readers, self._readers = self._readers, []
        for reader in readers:
            reader.close()


class McapRecords:
    """An MCAP file that is read record by record: without its end, or with channels of others.

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
            raise LogError(f"{path} holds no sound message of ROS: {self.broken or 'it is empty'}")
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
        last_ns, is_whole = 0, False
        self.broken = ""
        with self._path.open("rb") as file:
            try:
                for record in stream_reader.StreamReader(file, validate_crcs=True).records:
                    if isinstance(record, records.Schema):
                        schemas[record.id] = record
                    elif isinstance(record, records.Channel):
                        channels[record.id] = record
                    elif isinstance(record, records.Message):
                        channel = channels[record.channel_id]
                        if channel.message_encoding != "cdr":
                            continue
                        last_ns = max(last_ns, record.log_time)
                        yield schemas.get(channel.schema_id), channel, record
                    elif isinstance(record, records.Footer):
                        is_whole = True
            except GeneratorExit:
                raise
            except Exception as error:  # whatever a damaged file makes of a reader
                self.broken = f"{self._path} is cut off or damaged after {at_time(last_ns)}"
                if text := words_of(error):
                    self.broken += f": {text}"
                return
            if not is_whole:
                self.broken = f"{self._path} has no end: it was cut off after {at_time(last_ns)}"


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
        return _open_sqlite([path])
    if magic.startswith(b"#ROSBAG V"):
        return _open_ros1(path)
    raise LogError(
        f"{path} is no log: accepted are folders of rosbag2, .mcap, .db3 and .bag files, and "
        "folders of LeRobot datasets (v3)"
    )


def _open_folder(path: Path) -> Bag:
    from rosbags.rosbag2 import Reader

    files = {end: sorted(path.glob(f"*{end}")) for end in (".mcap", ".db3")}
    if not (path / "metadata.yaml").exists():
        # The recorder was killed: its files are as good without the list of them.
        if files[".mcap"]:
            return _open_mcap(files[".mcap"])
        if files[".db3"]:
            return _open_sqlite(files[".db3"])
        raise LogError(
            f"{path} holds neither a rosbag2 recording (metadata.yaml, .mcap, .db3) nor a LeRobot "
            "dataset (meta/info.json)"
        )
    reader = Reader(path)
    try:
        reader.open()
    except Exception as error:  # rosbags', sqlite's, and those of other parsers
        if files[".mcap"]:
            return _open_mcap(files[".mcap"])
        if len(files[".db3"]) == 1:
            return SqliteRecords(files[".db3"][0])
        raise LogError(f"{path} cannot be read: {words_of(error)}") from error
    kind = "mcap" if files[".mcap"] else "sqlite3"
    return RosbagsBag([reader], f"rosbag2 ({kind})", is_ros1=False)


def _open_mcap(paths: list[Path]) -> Bag:
    try:
        return _open_files(paths, "mcap")
    except LogError:
        if len(paths) > 1:
            raise
    return McapRecords(paths[0])


def _open_sqlite(paths: list[Path]) -> Bag:
    try:
        return _open_files(paths, "sqlite3")
    except LogError:
        if len(paths) > 1:
            raise
    return SqliteRecords(paths[0])


def _open_files(paths: list[Path], kind: str) -> Bag:
    """Open files of one recording one by one; a broken one ends it."""
    from rosbags.rosbag2 import Reader

    readers: list[Any] = []
    for path in paths:
        try:
            reader = Reader(path)
            reader.open()
        except Exception as error:  # rosbags', sqlite's, and those of a file that ends early
            text = f"{path} cannot be read: {words_of(error)}"
            if readers:
                return RosbagsBag(readers, f"rosbag2 ({kind})", is_ros1=False, broken=text)
            raise LogError(text) from error
        readers.append(reader)
    return RosbagsBag(readers, f"rosbag2 ({kind})", is_ros1=False)


def _open_ros1(path: Path) -> Bag:
    from rosbags.rosbag1 import Reader, ReaderError

    try:
        reader = Reader(path)
        reader.open()
    except (ReaderError, ValueError, KeyError):
        return Bag1Records(path)
    return RosbagsBag([reader], "rosbag1", is_ros1=True)


def _mcap(path: Path) -> tuple[Any, Any]:
    try:
        from mcap import records, stream_reader
    except ImportError as error:
        raise LogError(
            f"{path} was cut off, or holds channels that are not ROS; to read it nevertheless "
            "install the extra: pip install 'agentd[logs]'"
        ) from error
    return records, stream_reader
