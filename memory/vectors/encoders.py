"""Which tables hold search vectors, by encoder."""

from dataclasses import dataclass

from memory.care.access import TableReader, quoted
from memory.schema import EMBEDDINGS


@dataclass(frozen=True, slots=True)
class VectorRows:
    """The vectors of one encoder: some rows of a table."""

    table: TableReader
    where: str | None

    def view_ids(self) -> list[int]:
        """Return the views that have a vector, in the order of the table.

        Raises:
            DamagedTableError: If the table cannot be read.
        """
        found: list[int] = self.table.to_arrow(columns=["view_id"], where=self.where)[
            "view_id"
        ].to_pylist()
        return found


def vector_rows(tables: dict[str, TableReader]) -> dict[str, VectorRows]:
    """Return where the vectors of every encoder version are.

    An encoder has a table of its own that names it in its schema, or it shares one table with
    others and is named in every row (folders of format 1).

    Raises:
        DamagedTableError: If a table cannot be read.
    """
    found: dict[str, VectorRows] = {}
    for name, table in tables.items():
        if not name.startswith(EMBEDDINGS):
            continue
        if "encoder_version" in table.schema.names:
            rows = table.to_arrow(columns=["encoder_version"])["encoder_version"]
            for version in rows.unique().to_pylist():
                found[version] = VectorRows(table, f"encoder_version = {quoted(version)}")
        else:
            metadata = table.schema.metadata or {}
            version = metadata.get(b"encoder_version", name.encode()).decode()
            found[version] = VectorRows(table, None)
    return dict(sorted(found.items()))
