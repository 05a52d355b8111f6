"""What is given up when a memory outgrows its budget: a plan, made from index columns alone.

The life is cut into pieces of at most `PIECE_ROWS` consecutive rows of one episode, and whole
pieces go, so that no window crosses a hole. They go in this order, until the budget holds:

1. near-duplicates: frames of a body that stands still, beyond the first few of each time;
2. what is over quota: every place has the same quota of rows, and inside a place every visit; the
   level is lowered until enough is freed (water filling), so that the hall that was crossed a
   thousand times gives before the attic that was seen once. Inside a visit the pieces go by a
   fixed hash of their first step, which keeps what remains a uniform sample (a reservoir);
3. protected pieces, around object changes, failures, ends of goals and surprises.

The newest episode never goes, nor do so many rows of training and of probe episodes as the
learner needs; if that does not fit the budget, the plan says by how much.

Axis letters: n rows, m pieces, e protected steps, p places.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int64

from memory.config import RetentionConfig, StrataConfig

PIECE_ROWS = 64
"""Several windows long, and short enough to hit a budget closely."""

STILL_M, STILL_RAD = 0.01, 0.01
"""A body that moved less than this since the last frame stands still."""

DUPLICATE, ORDINARY, PROTECTED = 0, 1, 2
REASONS = ("stands still", "over quota", "protected")
"""Why pieces of each tier are dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeColumns:
    """Index columns of the replay table, in the order of life.

    Attributes:
        step: Step of every row, increasing.
        episode_id: Episode.
        pose: x_m, y_m, yaw_rad in the world frame.
        is_held_out: Whether the row belongs to a probe episode.
        protected_steps: Steps whose neighbourhood goes last, sorted.
    """

    step: Int64[np.ndarray, "n"]
    episode_id: Int64[np.ndarray, "n"]
    pose: Float[np.ndarray, "n 3"]
    is_held_out: Bool[np.ndarray, "n"]
    protected_steps: Int64[np.ndarray, "e"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytes:
    """What the parts of a memory take on disk.

    Attributes:
        per_row: Of the replay table.
        per_view: Of the crops.
        other: Everything that a plan cannot drop.
        excess_views: Views beyond the most that a slot keeps, by id.
    """

    per_row: float
    per_view: float = 0.0
    other: int = 0
    excess_views: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """Rows of one place and visit.

    Attributes:
        x_m: Middle of the place, world frame.
        y_m: Middle of the place, world frame.
        visit: Number of the stretch of life.
        first_step: First of its steps.
        last_step: Last of its steps.
        rows: Rows now.
        dropped: Rows that the plan drops, by reason.
    """

    x_m: float
    y_m: float
    visit: int
    first_step: int
    last_step: int
    rows: int
    dropped: dict[str, int]

    @property
    def num_dropped(self) -> int:
        """Rows that the plan drops."""
        return sum(self.dropped.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to drop.

    Attributes:
        budget_bytes: What the memory may take, None for no limit.
        bytes_now: What it takes.
        bytes_after: What it takes when the plan was carried out and the files were merged.
        bytes_per_row: Bytes of a row of the replay table.
        rows: Rows of the replay table.
        dropped: Rows dropped, by reason.
        ranges: First and last step of every dropped run of rows, increasing.
        view_ids: Dropped views.
        strata: Every place and visit, those that lose most first.
        short_bytes: What the budget is too small by, for the rows that must stay.
    """

    budget_bytes: int | None
    bytes_now: int
    bytes_after: int
    bytes_per_row: float
    rows: int
    dropped: dict[str, int]
    ranges: tuple[tuple[int, int], ...]
    view_ids: tuple[int, ...]
    strata: tuple[Stratum, ...]
    short_bytes: int

    @property
    def is_empty(self) -> bool:
        """Whether nothing is dropped."""
        return not self.ranges and not self.view_ids

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        names = ("budget_bytes", "bytes_now", "bytes_after", "rows", "dropped", "short_bytes")
        strata = [
            {name: getattr(s, name) for name in Stratum.__slots__}
            | {"kept": s.rows - s.num_dropped}
            for s in self.strata
        ]
        return {
            **{name: getattr(self, name) for name in names},
            "ranges": [list(pair) for pair in self.ranges],
            "view_ids": list(self.view_ids),
            "strata": strata,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pieces:
    """Pieces in the order of life: first row and its step, rows, tier, place and visit."""

    first: Int64[np.ndarray, "m"]
    first_step: Int64[np.ndarray, "m"]
    size: Int64[np.ndarray, "m"]
    tier: Int64[np.ndarray, "m"]
    place: Int64[np.ndarray, "m"]
    visit: Int64[np.ndarray, "m"]
    is_held_out: Bool[np.ndarray, "m"]
    can_go: Bool[np.ndarray, "m"]


def make_plan(
    life: LifeColumns, size: Bytes, config: RetentionConfig, strata: StrataConfig
) -> Plan:
    """Return what to drop so that the memory fits its budget; nothing if it does.

    Args:
        life: What is stored.
        size: What it takes.
        config: Budget, floors and quotas.
        strata: Places and visits.
    """
    num_rows = len(life.step)
    view_bytes = round(size.per_view * len(size.excess_views))
    bytes_now = round(size.per_row * num_rows) + size.other + view_bytes
    pieces, cells_m = _cut(life, config, strata)
    gone = np.zeros(len(pieces.first), dtype=bool)
    view_ids: tuple[int, ...] = ()
    short = 0
    if config.budget_bytes is not None and bytes_now > config.budget_bytes:
        view_ids = size.excess_views
        target = round(config.budget_bytes * (1 - config.headroom))
        to_free = bytes_now - view_bytes - target
        wanted = int(np.ceil(max(0, to_free) / size.per_row)) if size.per_row else 0
        gone = _choose(pieces, wanted, config)
    num_gone = int(pieces.size[gone].sum())
    bytes_after = bytes_now - round(num_gone * size.per_row) - (view_bytes if view_ids else 0)
    if config.budget_bytes is not None:
        short = max(0, bytes_after - config.budget_bytes)
    return Plan(
        budget_bytes=config.budget_bytes,
        bytes_now=bytes_now,
        bytes_after=bytes_after,
        bytes_per_row=size.per_row,
        rows=num_rows,
        dropped=_by_reason(pieces, gone),
        ranges=_ranges(life, pieces, gone),
        view_ids=view_ids,
        strata=_strata(life, pieces, gone, cells_m),
        short_bytes=short,
    )


def _cut(
    life: LifeColumns, config: RetentionConfig, strata: StrataConfig
) -> tuple[_Pieces, Float[np.ndarray, "p 2"]]:
    """Return the pieces of a life and the middle of every place."""
    num_rows = len(life.step)
    if num_rows == 0:
        none = np.zeros(0, dtype=np.int64)
        pieces = _Pieces(
            **dict.fromkeys(("first", "first_step", "size", "tier", "place", "visit"), none),
            is_held_out=none.astype(bool),
            can_go=none.astype(bool),
        )
        return pieces, np.zeros((0, 2))
    is_break = np.ones(num_rows, dtype=bool)
    is_break[1:] = (np.diff(life.step) != 1) | (np.diff(life.episode_id) != 0)
    is_duplicate = _since(~_is_still(life, is_break)) >= config.standing_keep
    is_break[1:] |= np.diff(is_duplicate)
    first = np.flatnonzero(is_break | (_since(is_break) % PIECE_ROWS == 0))
    size = np.diff(np.append(first, num_rows))
    middle = first + size // 2
    cells, place = np.unique(
        np.floor(life.pose[middle, :2] / strata.place_m), axis=0, return_inverse=True
    )
    low, high = life.step[first], life.step[first + size - 1]
    near = np.searchsorted(life.protected_steps, low - config.protect_steps) != np.searchsorted(
        life.protected_steps, high + config.protect_steps, side="right"
    )
    tier = np.where(near, PROTECTED, np.where(is_duplicate[first], DUPLICATE, ORDINARY))
    pieces = _Pieces(
        first=first,
        first_step=low,
        size=size,
        tier=tier,
        place=place.reshape(-1),
        visit=life.step[middle] // strata.visit_steps,
        is_held_out=life.is_held_out[first],
        can_go=life.episode_id[first] != life.episode_id[-1],
    )
    return pieces, (cells + 0.5) * strata.place_m


def _is_still(life: LifeColumns, is_break: Bool[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
    moved = np.abs(np.diff(life.pose.astype(np.float64), axis=0))
    turned = np.minimum(moved[:, 2] % (2 * np.pi), -moved[:, 2] % (2 * np.pi))
    is_still = np.zeros(len(life.step), dtype=bool)
    is_still[1:] = (moved[:, :2].max(axis=1) < STILL_M) & (turned < STILL_RAD)
    return is_still & ~is_break


def _since(holds: Bool[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
    """Return how many rows ago something held last."""
    rows = np.arange(len(holds))
    return np.asarray(rows - np.maximum.accumulate(np.where(holds, rows, 0)))


def _choose(pieces: _Pieces, wanted: int, config: RetentionConfig) -> Bool[np.ndarray, "m"]:
    """Return which pieces go so that `wanted` rows go, or as many as may."""
    # Duplicates go oldest first; their rank is the same for all.
    crowding = np.where(pieces.tier == DUPLICATE, 0, _crowding(pieces))
    order = np.lexsort((pieces.first, -crowding, pieces.tier))
    order = order[pieces.can_go[order]]
    allowed = np.ones(len(order), dtype=bool)
    for is_probe, floor in ((False, config.min_training_rows), (True, config.min_probe_rows)):
        of_set = pieces.is_held_out == is_probe
        droppable = int(pieces.size[of_set].sum()) - floor
        mine = of_set[order]
        allowed &= ~mine | (np.cumsum(pieces.size[order] * mine) <= droppable)
    order = order[allowed]
    before = np.cumsum(pieces.size[order]) - pieces.size[order]
    gone = np.zeros(len(pieces.first), dtype=bool)
    gone[order[before < wanted]] = True
    return gone


def _crowding(pieces: _Pieces) -> Int64[np.ndarray, "m"]:
    """Return the rows that a place holds up to each piece, visits taking turns.

    To drop the pieces of the largest value first is to lower one water level over all places, and
    inside each place over all its visits.
    """
    shuffled = _hash(pieces.first_step)
    by_visit = np.lexsort((shuffled, pieces.visit, pieces.place))
    in_visit = _rows_up_to(pieces.size, by_visit, pieces.place, pieces.visit)
    by_turn = np.lexsort((shuffled, in_visit, pieces.place))
    return _rows_up_to(pieces.size, by_turn, pieces.place, np.zeros_like(pieces.visit))


def _rows_up_to(
    size: Int64[np.ndarray, "m"],
    order: Int64[np.ndarray, "m"],
    place: Int64[np.ndarray, "m"],
    visit: Int64[np.ndarray, "m"],
) -> Int64[np.ndarray, "m"]:
    """Return the running sum of rows in each place and visit, along an order that sorts them."""
    total = np.cumsum(size[order])
    starts = np.ones(len(order), dtype=bool)
    starts[1:] = (np.diff(place[order]) != 0) | (np.diff(visit[order]) != 0)
    base = np.maximum.accumulate(np.where(starts, total - size[order], 0))
    found = np.empty_like(total)
    found[order] = total - base
    return found


def _hash(values: Int64[np.ndarray, "m"]) -> Int64[np.ndarray, "m"]:
    """Return a fixed shuffle of numbers (the finaliser of SplitMix64, Steele et al. 2014)."""
    mixed = values.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return (mixed ^ (mixed >> np.uint64(31))).view(np.int64)


def _by_reason(pieces: _Pieces, gone: Bool[np.ndarray, "m"]) -> dict[str, int]:
    rows = np.bincount(pieces.tier[gone], weights=pieces.size[gone], minlength=len(REASONS))
    return {reason: int(count) for reason, count in zip(REASONS, rows, strict=True) if count}


def _ranges(
    life: LifeColumns, pieces: _Pieces, gone: Bool[np.ndarray, "m"]
) -> tuple[tuple[int, int], ...]:
    """Return first and last step of what goes; neighbours are joined."""
    low = life.step[pieces.first[gone]]
    high = life.step[pieces.first[gone] + pieces.size[gone] - 1]
    if len(low) == 0:
        return ()
    is_new = np.append(True, low[1:] != high[:-1] + 1)
    ends = np.append(np.flatnonzero(is_new)[1:] - 1, len(low) - 1)
    return tuple(zip(low[is_new].tolist(), high[ends].tolist(), strict=True))


def _strata(
    life: LifeColumns,
    pieces: _Pieces,
    gone: Bool[np.ndarray, "m"],
    cells_m: Float[np.ndarray, "p 2"],
) -> tuple[Stratum, ...]:
    keys, stratum = np.unique(
        np.stack([pieces.place, pieces.visit], axis=1), axis=0, return_inverse=True
    )
    stratum = stratum.reshape(-1)
    count = len(keys)
    rows = np.bincount(stratum, weights=pieces.size, minlength=count).astype(np.int64)
    low = np.full(count, np.iinfo(np.int64).max)
    high = np.full(count, -1)
    np.minimum.at(low, stratum, life.step[pieces.first])
    np.maximum.at(high, stratum, life.step[pieces.first + pieces.size - 1])
    lost = np.zeros((count, len(REASONS)), dtype=np.int64)
    np.add.at(lost, (stratum[gone], pieces.tier[gone]), pieces.size[gone])
    made = [
        Stratum(
            x_m=float(cells_m[place, 0]),
            y_m=float(cells_m[place, 1]),
            visit=int(visit),
            first_step=int(low[i]),
            last_step=int(high[i]),
            rows=int(rows[i]),
            dropped={r: int(n) for r, n in zip(REASONS, lost[i], strict=True) if n},
        )
        for i, (place, visit) in enumerate(keys.tolist())
    ]
    return tuple(sorted(made, key=lambda s: (-s.num_dropped, s.first_step)))
