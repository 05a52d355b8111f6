"""Ground truth, for scoring only: an import contract keeps policies and memory away from it."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float64

from memory.records import Goal


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueObject:
    """An object that is really there."""

    object_id: int
    label: str
    xyz_m: Float64[np.ndarray, "3"]
    extent_m: Float64[np.ndarray, "3"]
    room: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueMap:
    """Cells that the body's centre can reach.

    Attributes:
        navigable: True where reachable; axis 0 is x, axis 1 is y.
        origin_m: World position of the corner of cell (0, 0).
        cell_m: Side of a cell.
    """

    navigable: Bool[np.ndarray, "x y"]
    origin_m: tuple[float, float]
    cell_m: float


@runtime_checkable
class Oracle(Protocol):
    """What an evaluator may ask of a world that knows itself."""

    def objects(self) -> list[TrueObject]:
        """Return the objects that are present and large enough to be goals."""
        ...

    def true_map(self) -> TrueMap:
        """Return the reachable cells."""
        ...

    def pose(self) -> Float64[np.ndarray, "3"]:
        """Return the true x_m, y_m, yaw_rad of the body."""
        ...

    def place(self, pose: Float64[np.ndarray, "3"]) -> None:
        """Put the body at a pose, standing still."""
        ...

    def geodesic_m(self, goal: Goal, start: Float64[np.ndarray, "3"] | None = None) -> float:
        """Return the shortest path over reachable cells to the goal's success region.

        The region of an ObjectGoal holds the reachable cells within 1.0 m of the footprint of any
        instance of the category, inside that instance's room; of a PointGoal, within 0.25 m.
        Infinite if there is none.
        """
        ...

    def success(self, goal: Goal) -> bool:
        """Return whether the body stands in the goal's success region (0.1 m tolerance)."""
        ...
