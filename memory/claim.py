"""Which life a prefix on object storage belongs to.

The lock of a folder keeps a second writer away on one machine only. A life that puts its tables
elsewhere marks the prefix as its own, so that another home that was given the same prefix by
mistake is refused instead of writing two lives into one table.
"""

import uuid
from pathlib import Path

import pyarrow as pa

from memory.config import StorageConfig
from memory.errors import PlaceError
from memory.format import FORMAT_FILE
from memory.place import PLACE_FILE, TablesAt, place_of, write_place
from memory.tables import CLAIM, connect, naming, open_table, table_names


def settle_place(folder: Path, config: StorageConfig) -> TablesAt | None:
    """Put down where the tables of a life lie, before its writer opens them.

    Args:
        folder: Folder of the memory; made if it does not exist.
        config: What is asked for.

    Returns:
        The place, None for the folder itself.

    Raises:
        StoreAwayError: If the place cannot be reached, or refuses the credentials.
        PlaceError: If this life's tables lie elsewhere already, or the place holds another life's.
    """
    place = place_of(folder)
    if config.uri is not None:
        is_young = not (folder / FORMAT_FILE).exists()
        if not is_young and (place is None or place.uri != config.uri):
            raise PlaceError(
                f"the tables of this life lie in {place or folder}, and memory.storage.uri says "
                f"{config.uri}: a life's tables do not move; leave the setting out, or begin "
                "another life in another home"
            )
        claim = uuid.uuid4().hex if place is None else place.claim
        place = write_place(folder, config, claim)
    if place is not None:
        _make_own(folder, place)
    return place


def _make_own(folder: Path, place: TablesAt) -> None:
    """Mark a prefix as this life's, or check that it is."""
    table = open_table(folder, CLAIM)
    if table is None:
        if table_names(folder):
            raise PlaceError(
                f"{place} holds tables and no mark of the life that they belong to: give this life "
                "a prefix of its own (memory.storage.uri)"
            )
        with naming(folder, CLAIM, "made"):
            # Two lives that come at once: the store makes one of them fail here.
            table = connect(folder).create_table(CLAIM, data=pa.table({"claim": [place.claim]}))
    with naming(folder, CLAIM):
        found = table.to_arrow()["claim"].to_pylist()
    if found != [place.claim]:
        raise PlaceError(
            f"{place} belongs to another life than that of {folder / PLACE_FILE}: give this life "
            "a prefix of its own (memory.storage.uri)"
        )
