"""Why a choice was made, as data: what was chosen, what else there was, and what it would cost.

Distances are ways to drive in the world frame. Built where the choice is made, which is rarely;
passed along by reference in between.
"""

from dataclasses import dataclass
from typing import Literal

OptionKind = Literal["slot", "seen", "past", "frontier", "place", "view", "point"]

MAX_OTHERS = 4
"""Alternatives that are kept of one choice, the cheapest first."""
MAX_REFUSED = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One thing to go for.

    Attributes:
        kind: A remembered object, one just seen, a place where such a thing stood before, a
            frontier, a place to look at again, a kept view, or a point.
        name: How people call it, as in "chair #12".
        xy_m: Where it is.
        distance_m: Way to it; None where there is none.
        price_m: What it was judged by, as a way to drive; less is better.
        chance: That the goal is there, 0 to 1, where that was estimated.
        slot_id: Remembered object, if it is one.
        age_s: Since it was last seen.
        note: Why it was not chosen, or what speaks for it.
    """

    kind: OptionKind
    name: str
    xy_m: tuple[float, float]
    distance_m: float | None
    price_m: float | None = None
    chance: float | None = None
    slot_id: int | None = None
    age_s: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Something that is not gone for any more, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Why the body goes where it goes.

    Attributes:
        chosen: What it goes for.
        others: What else there was, the cheapest first.
        refused: What was ruled out for this goal so far, the newest last.
        after: How the choice before ended, "" if it was not given up.
    """

    chosen: Option
    others: tuple[Option, ...] = ()
    refused: tuple[Refused, ...] = ()
    after: str = ""
