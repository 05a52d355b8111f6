"""How much of a place the agent's map knows."""

import math

import numpy as np
from jaxtyping import Int8

from agentd.worlds.oracle import TrueMap


def coverage(
    grid: Int8[np.ndarray, "x y"],
    origin_m: tuple[float, float],
    cell_m: float,
    true_map: TrueMap,
) -> float:
    """Return the share of the truly reachable cells that the agent's map knows, 0 to 1.

    Args:
        grid: The agent's map: -1 unknown, 0 free, 1 occupied.
        origin_m: World position of the corner of the agent's cell (0, 0).
        cell_m: Side of the agent's cells.
        true_map: Reachable cells; what lies outside of the agent's map counts as unknown.

    Returns:
        The share; NaN if nothing is reachable.
    """
    cells = np.argwhere(true_map.navigable)
    if len(cells) == 0:
        return math.nan
    xy_m = (cells + 0.5) * true_map.cell_m + np.asarray(true_map.origin_m)
    index = np.floor((xy_m - np.asarray(origin_m)) / cell_m).astype(np.int64)
    inside = np.all((index >= 0) & (index < np.array(grid.shape)), axis=1)
    seen = grid[index[inside, 0], index[inside, 1]] != -1
    return float(seen.sum() / len(cells))
