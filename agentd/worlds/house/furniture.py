"""What can stand in a house, by name, and which categories are objects."""

from collections.abc import Callable

import numpy as np

from agentd.worlds.house import pieces_living, pieces_small, pieces_wet
from agentd.worlds.house.parts import Piece

MAKERS: dict[str, Callable[[np.random.Generator], Piece]] = {
    "bed": pieces_living.bed,
    "dining_chair": pieces_living.dining_chair,
    "office_chair": pieces_living.office_chair,
    "couch": pieces_living.couch,
    "dining_table": pieces_living.dining_table,
    "coffee_table": pieces_living.coffee_table,
    "desk": pieces_living.desk,
    "tv": pieces_living.tv,
    "bookcase": pieces_living.bookcase,
    "wardrobe": pieces_living.wardrobe,
    "nightstand": pieces_living.nightstand,
    "toilet": pieces_wet.toilet,
    "sink": pieces_wet.sink,
    "bathtub": pieces_wet.bathtub,
    "refrigerator": pieces_wet.refrigerator,
    "oven": pieces_wet.oven,
    "counter": pieces_wet.counter,
    "bare_counter": pieces_wet.bare_counter,
    "washer": pieces_wet.washer,
    "plant": pieces_small.plant,
    "lamp": pieces_small.lamp,
    "trashcan": pieces_small.trashcan,
    "ball": pieces_small.ball,
    "rug": pieces_small.rug,
    "picture": pieces_small.picture,
    "window": pieces_small.window,
}
"""Maker of each kind of piece; every call draws size, colour and style."""

DECORATION = frozenset({"rug", "picture", "window"})
"""Categories that are part of the building, not objects."""

OBJECT_CATEGORIES = (
    *("bed", "chair", "couch", "table", "desk", "toilet", "sink", "bathtub", "tv", "plant"),
    *("refrigerator", "oven", "counter", "lamp", "bookcase", "wardrobe", "nightstand"),
    *("washer", "trashcan", "ball"),
)
"""Categories that the instance camera names and that can be goals."""

PORTABLE = frozenset({"chair", "plant", "lamp", "trashcan", "ball", "nightstand"})
"""Categories that people carry about: drawn when a scenario names no object."""

MAKER_OF_CATEGORY = {
    **{c: c for c in OBJECT_CATEGORIES if c in MAKERS},
    "chair": "dining_chair",
    "table": "coffee_table",
}
"""Maker used when something of a category is brought into the house."""


def make_piece(kind: str, rng: np.random.Generator) -> Piece:
    """Return a piece of a kind in `MAKERS`."""
    return MAKERS[kind](rng)
