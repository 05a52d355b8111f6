"""One question about remembered objects: any mixture of name, place, room, time, state and looks.

The life and other processes answer it with the same code, from the same columns. Names are matched
against the distinct labels, a few hundred at most, so a full text index would only be one more
thing that can be out of date.

Axis letters: n slots, m chosen slots, q votes, k slots that are returned.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Bool, Float64, Int8, Int64

from memory.objects.existence import STATES
from memory.objects.slot_arrays import SlotArrays
from memory.records import Embedding, SlotState

_SYNONYMS = (
    ("sofa", "couch"),
    ("tv", "television"),
    ("fridge", "refrigerator"),
    ("cupboard", "cabinet"),
    ("bin", "trashcan"),
    ("mug", "cup"),
    ("picture", "painting"),
    ("plant", "flower"),
    ("basin", "sink"),
    ("carpet", "rug"),
)
_SAME = {word: set(group) for group in _SYNONYMS for word in group}

_RANK = np.array([2, 0, 1, 3])
"""Surest state first, by code of `memory.objects.existence.STATES`."""

Span = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotQuery:
    """What to look for; every condition that is given must hold.

    Attributes:
        text: Words that the label, or another label it got votes for, must have.
        label: The exact label.
        near_xy_m: Middle of a circle on the floor, world frame; needs `radius_m`.
        radius_m: Its radius.
        room: Number of a room, see `memory.objects.places`.
        states: Any of these states.
        last_seen_ns: First and last stamp within which it was seen last; None is open.
        first_seen_ns: The same for when it was seen first.
        like: Vector; what looks most like it comes first.
        limit: At most so many.
    """

    text: str | None = None
    label: str | None = None
    near_xy_m: tuple[float, float] | None = None
    radius_m: float | None = None
    room: int | None = None
    states: tuple[SlotState, ...] | None = None
    last_seen_ns: Span = (None, None)
    first_seen_ns: Span = (None, None)
    like: Embedding | None = None
    limit: int = 20

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"limit {self.limit} finds nothing, it must be 1 or more")
        if (self.near_xy_m is None) != (self.radius_m is None):
            raise ValueError("a search near a point needs both: the point and a radius in metres")
        if self.near_xy_m is not None and not all(map(math.isfinite, self.near_xy_m)):
            raise ValueError(f"point {self.near_xy_m} is not two finite numbers of metres")
        if self.radius_m is not None and not (math.isfinite(self.radius_m) and self.radius_m > 0):
            raise ValueError(f"radius {self.radius_m} m must be a number above 0")
        for name, (first, last) in (("last", self.last_seen_ns), ("first", self.first_seen_ns)):
            if first is not None and last is not None and first > last:
                raise ValueError(
                    f"the time span for {name} seen ends {(first - last) / 1e9:.0f} s before it "
                    "begins"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotColumns:
    """What a query looks at, of all slots.

    Attributes:
        slot_id: Ids.
        label_code: Index of the label in `labels`.
        labels: Distinct labels.
        vote_row: Row of each vote.
        vote_code: Label of each vote.
        state: Codes of `memory.objects.existence.STATES`.
        existence: Log-odds.
        xyz_m: Positions, world frame.
        first_seen_ns: Stamps.
        last_seen_ns: Stamps.
    """

    slot_id: Int64[np.ndarray, "n"]
    label_code: Int64[np.ndarray, "n"]
    labels: Sequence[str]
    vote_row: Int64[np.ndarray, "q"]
    vote_code: Int64[np.ndarray, "q"]
    state: Int8[np.ndarray, "n"]
    existence: Float64[np.ndarray, "n"]
    xyz_m: Float64[np.ndarray, "n 3"]
    first_seen_ns: Int64[np.ndarray, "n"]
    last_seen_ns: Int64[np.ndarray, "n"]

    @classmethod
    def of_arrays(cls, arrays: SlotArrays) -> Self:
        """Return the columns of slots in RAM."""
        vote_row, vote_code = arrays.voted()
        return cls(
            slot_id=arrays.slot_id,
            label_code=arrays.label_code,
            labels=arrays.labels(),
            vote_row=vote_row,
            vote_code=vote_code,
            state=arrays.state,
            existence=arrays.existence,
            xyz_m=(arrays.low_m + arrays.high_m) / 2,
            first_seen_ns=arrays.first_seen_ns,
            last_seen_ns=arrays.last_seen_ns,
        )

    def __len__(self) -> int:
        return len(self.slot_id)


def select(
    columns: SlotColumns,
    query: SlotQuery,
    rooms_of: Callable[[Float64[np.ndarray, "m 2"]], Int64[np.ndarray, "m"]],
) -> Bool[np.ndarray, "n"]:
    """Return which slots fulfil every condition of a query but its vector.

    Args:
        columns: The slots.
        query: The query.
        rooms_of: Returns the room of points on the floor; asked only where a room is wanted.
    """
    chosen = np.ones(len(columns), dtype=np.bool_)
    if query.text is not None:
        named = np.array([matches(query.text, label) for label in columns.labels], dtype=np.bool_)
        if len(named):
            voted = np.zeros(len(columns), dtype=np.bool_)
            voted[columns.vote_row[named[columns.vote_code]]] = True
            chosen &= named[columns.label_code] | voted
    if query.label is not None:
        exact = np.array([label == query.label for label in columns.labels], dtype=np.bool_)
        if len(exact):
            chosen &= exact[columns.label_code]
    if query.states is not None:
        chosen &= np.isin(columns.state, [STATES.index(state) for state in query.states])
    for stamps, (first, last) in (
        (columns.last_seen_ns, query.last_seen_ns),
        (columns.first_seen_ns, query.first_seen_ns),
    ):
        if first is not None:
            chosen &= stamps >= first
        if last is not None:
            chosen &= stamps <= last
    if query.near_xy_m is not None and query.radius_m is not None:
        offset = columns.xyz_m[:, :2] - np.array(query.near_xy_m)
        chosen &= np.einsum("nd,nd->n", offset, offset) <= query.radius_m**2
    if query.room is not None:
        at = np.flatnonzero(chosen)
        chosen[at] = rooms_of(columns.xyz_m[at, :2]) == query.room
    return chosen


def in_order(
    columns: SlotColumns, query: SlotQuery, chosen: Bool[np.ndarray, "n"]
) -> Int64[np.ndarray, "k"]:
    """Return the rows of chosen slots: the nearest first where a point was given, else the surest.

    A slot whose label has the words of the query goes before one that only got votes for them.
    """
    rows = np.flatnonzero(chosen)
    keys = [columns.slot_id[rows], -columns.existence[rows], _RANK[columns.state[rows]]]
    if query.near_xy_m is not None:
        offset = columns.xyz_m[rows, :2] - np.array(query.near_xy_m)
        keys.append(np.linalg.norm(offset, axis=1))
    elif query.text is not None:
        named = [matches(query.text, columns.labels[c]) for c in columns.label_code[rows]]
        keys.append(~np.array(named, dtype=np.bool_))
    return rows[np.lexsort(keys)][: query.limit]


def matches(text: str, label: str) -> bool:
    """Return whether a text asks for a label.

    Every word of the text must be, or from three letters on begin, a word of the label; case,
    simple plurals and a few synonyms aside.
    """
    wanted, name = _words(text), _words(label)
    return bool(wanted) and all(any(_is_word(w, word) for word in name) for w in wanted)


def same_words(text: str, label: str) -> bool:
    """Return whether a text and a label are the same words; case, plurals and synonyms aside."""
    wanted, name = _words(text), _words(label)
    return len(wanted) == len(name) > 0 and all(
        word in _SAME.get(one, {one}) for one, word in zip(wanted, name, strict=True)
    )


def _is_word(wanted: str, word: str) -> bool:
    same = _SAME.get(wanted, {wanted})
    return any(word == one or (len(one) >= 3 and word.startswith(one)) for one in same)


def _words(text: str) -> list[str]:
    return [_singular(word) for word in text.lower().replace("_", " ").replace("-", " ").split()]


def _singular(word: str) -> str:
    if len(word) < 3 or word.endswith("ss"):
        return word
    for ending, instead in (("ies", "y"), ("elves", "elf"), ("nives", "nife")):
        if word.endswith(ending):
            return word.removesuffix(ending) + instead
    for ending in ("shes", "ches", "xes", "sses"):
        if word.endswith(ending):
            return word.removesuffix("es")
    return word.removesuffix("s")
