"""What a check of the memory finds, and what may be done about it."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

RepairKind = Literal["restore", "salvage", "drop_rows", "counters", "format", "set_aside"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """Something that loses nothing that is readable.

    Attributes:
        kind: `restore` goes back to the newest readable version of a table, `salvage` copies its
            readable rows into a new one, `drop_rows` removes rows, `counters` and `format` write
            those files anew, `set_aside` moves a file or folder away.
        text: What it does, for people.
        where: Rows that `drop_rows` removes, in SQL.
        path: What `set_aside` moves, relative to the memory folder.
    """

    kind: RepairKind
    text: str
    where: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    Attributes:
        level: Whether something is unusable, or only worth knowing.
        table: In which table or file.
        key: Where in it, as in "slot_id 3"; empty for all of it.
        found: What is wrong.
        repair: What can be done, None if nothing that loses no readable row.
    """

    level: Literal["error", "note"]
    table: str
    key: str
    found: str
    repair: Repair | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def listed(values: list[Any], most: int = 5) -> str:
    """Return the first few values in words."""
    shown = ", ".join(str(value) for value in values[:most])
    return shown + (f" and {len(values) - most} more" if len(values) > most else "")


def any_of(column: str, values: list[int]) -> str:
    """Return the condition that a column has one of some values."""
    return f"{column} IN ({', '.join(str(value) for value in values)})"
