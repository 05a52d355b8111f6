"""A sqlite3 bag that was cut off, which `rosbags` refuses: read row by row as far as it goes."""

import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path
from urllib.parse import quote

from memory.logs.bag import Message, Topic, at_time, words_of
from memory.logs.errors import LogError


class SqliteRecords:
    """Reads the rows of a damaged database in their order. Satisfies `Bag`.

    Args:
        path: The file.

    Raises:
        LogError: If not even one message can be read.
    """

    format = "rosbag2 (sqlite3)"
    is_ros1 = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self.broken = ""
        try:
            self._base = sqlite3.connect(
                f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True, check_same_thread=False
            )
            # Else a file that is shorter than it says is refused as a whole.
            self._base.execute("PRAGMA writable_schema = ON")
            rows = self._base.execute("SELECT id, name, type FROM topics").fetchall()
        except sqlite3.Error as error:
            raise LogError(f"{path} cannot be read: {words_of(error)}") from error
        definitions = self._definitions()
        counts: dict[int, int] = {}
        times: list[int] = []
        for topic_id, stamp_ns in self._rows("topic_id, timestamp"):
            counts[topic_id] = counts.get(topic_id, 0) + 1
            times.append(stamp_ns)
        if not times:
            self.close()
            raise LogError(f"{path} holds no sound message: {self.broken or 'it is empty'}")
        self.start_ns, self.end_ns = min(times), max(times)
        self._by_id = {
            number: Topic(
                name=name,
                type=type_,
                count=counts.get(number, 0),
                definition=definitions.get(type_, ("", ""))[1],
                is_idl=definitions.get(type_, ("", ""))[0] == "ros2idl",
            )
            for number, name, type_ in rows
            if isinstance(name, str) and isinstance(type_, str)
        }
        self.topics = list(self._by_id.values())

    def messages(self, topics: Collection[str]) -> Iterator[Message]:
        """Yield messages of some topics in the order in which they were written."""
        wanted = {number for number, topic in self._by_id.items() if topic.name in topics}
        only = ",".join(map(str, sorted(wanted)))
        for number, stamp_ns, data in self._rows(
            "topic_id, timestamp, data", f"WHERE topic_id IN ({only})"
        ):
            topic = self._by_id[number]
            yield Message(topic.name, topic.type, stamp_ns, data)

    def close(self) -> None:
        """Let go of the file; quiet when called twice."""
        self._base.close()

    def _rows(self, columns: str, where: str = "") -> Iterator[tuple]:
        """Yield rows until the damage; the columns and numbers are this module's own."""
        self.broken = ""
        last_ns = 0
        try:
            cursor = self._base.execute(
                f"SELECT {columns} FROM messages NOT INDEXED {where} ORDER BY id"  # noqa: S608
            )
            for row in cursor:
                # In a damaged page a number may be of another kind, or none.
                if not (isinstance(row[0], int) and isinstance(row[1], int)):
                    after = at_time(last_ns)
                    self.broken = f"{self._path} is damaged: a row after {after} lacks a time"
                    continue
                last_ns = max(last_ns, row[1])
                yield row
        except sqlite3.Error as error:
            after = f"{self._path} is cut off or damaged after {at_time(last_ns)}"
            self.broken = f"{after}: {words_of(error)}"

    def _definitions(self) -> dict[str, tuple[str, str]]:
        """Return encoding and text of the definition by type; older bags have none."""
        try:
            rows = self._base.execute(
                "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
            ).fetchall()
        except sqlite3.Error:
            return {}
        return {name: (encoding, text) for name, encoding, text in rows}
