"""Steps between poses, as short as the agent was ever seen to need.

Nodes are cells of (x, y, yaw) as large as the largest motion of one tick, edges are observed
transitions: the shortest path stitches pieces of many episodes together.
"""

import math

import numpy as np
from jaxtyping import Float32, Float64, Int64
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from learners.batch import Scale

_SPAN = 1 << 20


class PoseGraph:
    """Collects observed transitions; answers with numbers of steps."""

    def __init__(self, scale: Scale) -> None:
        self._cell_m = scale.step_m
        self._num_yaws = max(1, round(2 * math.pi / scale.turn_rad))
        self._edges: list[Int64[np.ndarray, "m 2"]] = []

    def add(self, pose: Float32[np.ndarray, "b t 3"]) -> None:
        """Take in windows of consecutive poses."""
        cells = self._cells(pose)
        edges = np.stack([cells[:, :-1].ravel(), cells[:, 1:].ravel()], axis=1)
        self._edges.append(edges[edges[:, 0] != edges[:, 1]])
        if len(self._edges) >= 64:
            self._edges = [np.unique(np.concatenate(self._edges), axis=0)]

    def steps(
        self,
        start: Float32[np.ndarray, "s 3"],
        goal: Float32[np.ndarray, "g 3"],
        limit: float = 20.0,
    ) -> Float64[np.ndarray, "s g"]:
        """Return the steps from each start to each goal; infinite beyond `limit` or if unseen."""
        out = np.full((len(start), len(goal)), np.inf)
        edges = np.concatenate(self._edges) if self._edges else np.zeros((0, 2), np.int64)
        if len(edges) == 0:
            return out
        nodes, flat = np.unique(np.unique(edges, axis=0), return_inverse=True)
        rows, columns = flat.reshape(-1, 2).T
        n = len(nodes)
        graph = csr_array((np.ones(len(rows)), (rows, columns)), shape=(n, n))
        start_node, start_known = _find(nodes, self._cells(start))
        goal_node, goal_known = _find(nodes, self._cells(goal))
        sources, source_of = np.unique(start_node, return_inverse=True)
        found = dijkstra(graph, indices=sources, limit=limit)
        out = found[source_of][:, goal_node]
        out[~start_known] = np.inf
        out[:, ~goal_known] = np.inf
        return out

    def _cells(self, pose: Float32[np.ndarray, "*s 3"]) -> Int64[np.ndarray, "*s"]:
        x, y = (np.floor(pose[..., i] / self._cell_m).astype(np.int64) for i in (0, 1))
        yaw = np.round(pose[..., 2] / (2 * math.pi) * self._num_yaws).astype(np.int64)
        half = _SPAN // 2
        return ((x + half) * _SPAN + (y + half)) * self._num_yaws + yaw % self._num_yaws


def _find(
    nodes: Int64[np.ndarray, "n"], cells: Int64[np.ndarray, "s"]
) -> tuple[Int64[np.ndarray, "s"], np.ndarray]:
    index = np.clip(np.searchsorted(nodes, cells), 0, len(nodes) - 1)
    return index, nodes[index] == cells
