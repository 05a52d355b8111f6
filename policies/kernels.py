"""Compiled inner loops: the map's fold of one image, clearance, arcs, and the safety look.

Each does what the numpy code of its caller does, in one pass without intermediate arrays; that
code stays in use where numba is missing. Importing this module needs numba: `policies.compiled`
decides.
"""

# ruff: noqa: ANN001, ANN201, ANN202 - the signatures say the types

import math
from collections.abc import Callable
from typing import Any, no_type_check

import numba
import numpy as np

_CLEARS, _HITS, _STANDS, _VISIT = 1, 2, 4, 8
_FAR = 1 << 20


def compiled(signature: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that compiles for one signature, kept on disk where that can be written.

    The signature makes the import compile (or load) the code, so that no tick has to.
    """

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return numba.njit(signature, cache=True, nogil=True)(function)
        except RuntimeError:  # no folder to keep it in: for this process alone
            return numba.njit(signature, nogil=True)(function)

    return wrap


# The kernels stay out of run-time type checks: numba compiles the plain functions.


@compiled("f4[::1](f4[:,::1], f4[:,::1], f4[:,::1], i8[:,::1], f4, f4[::1], f4, i8)")
@no_type_check
def reach(depth, horizontal, dz, bins, camera_z, limits, margin, num_sub):
    """Return how far each sub-ray is free; see `scan.RayTable._reach`."""
    num = depth.shape[1]
    nearest = np.full(num, np.float32(np.inf), np.float32)
    farthest = np.zeros(num, np.float32)
    for v in range(depth.shape[0]):
        for u in range(depth.shape[1]):
            d = depth[v, u]
            if d > limits[0] and d < limits[1]:
                z = camera_z + d * dz[v, u]
                if z < limits[3]:
                    far, b = d * horizontal[v, u], bins[v, u]
                    farthest[b] = max(farthest[b], far)
                    if z > limits[2]:
                        nearest[b] = min(nearest[b], far)
    free = np.minimum(nearest - margin, farthest)
    out = np.empty((num - 1) * num_sub + 1, np.float32)
    for b in range(num - 1):
        out[b * num_sub] = free[b]
        for k in range(1, num_sub):
            out[b * num_sub + k] = min(free[b], free[b + 1])
    out[-1] = free[-1]
    return out


@compiled("b1(f4, f4, f4, f4)")
@no_type_check
def _hangs(left, middle, right, edge):
    """Return whether a pixel lies between a nearer and a farther neighbour."""
    jump = edge * middle
    rises = middle - left > jump and right - middle > jump
    return rises or (left - middle > jump and middle - right > jump)


@compiled("i8(f8, f8, f8[::1], i8)")
@no_type_check
def _flat(x, y, grid, n):
    """Return the flat cell of a world point, -1 outside; `grid` is origin x, y and cell side."""
    i, j = math.floor((x - grid[0]) / grid[2]), math.floor((y - grid[1]) / grid[2])
    return np.int64(i) * n + np.int64(j) if 0 <= i < n and 0 <= j < n else -1


@compiled("i8(i8, i4, i4[::1], i4[::1], i8)")
@no_type_check
def _touch(cell, what, marks, touched, count):
    """Note a visit of a cell; return the number of cells visited so far."""
    if cell < 0:
        return count
    if marks[cell] == 0:
        touched[count] = cell
        count += 1
    marks[cell] = (marks[cell] | what) + _VISIT
    return count


@compiled(
    "i8(f4[:,::1], f4[:,::1], f4[:,::1], f8[::1], f8[::1], f8[::1], f4[::1], f8, f8, f8[::1], i8,"
    " b1[::1], i4[::1], i4[::1], i8)"
)
@no_type_check
def touch_pixels(
    depth,
    horizontal,
    dz,
    dx,
    dy,
    camera,
    limits,
    c,
    s,
    grid,
    n,
    lintels,
    marks,
    touched,
    count,
):
    """Mark the cells that pixels hit, and the lintels; return the number of cells visited."""
    height, width = depth.shape
    zero, z0 = np.float32(0), np.float32(camera[2])
    for v in range(height):
        middle = right = zero
        for u in range(-1, width):
            left, middle = middle, right
            right = zero
            if u + 1 < width and depth[v, u + 1] > limits[0] and depth[v, u + 1] < limits[1]:
                right = depth[v, u + 1]
            if u < 0 or not middle * horizontal[v, u] < limits[4]:
                continue
            z = z0 + middle * dz[v, u]
            hit = middle > zero and z > limits[2] and z < limits[3]
            lintel = z > limits[5] and z < limits[6]
            if not (hit or lintel):
                continue
            if hit and 0 < u < width - 1 and _hangs(left, middle, right, limits[7]):
                continue
            p = v * width + u
            f, side = np.float64(middle) * dx[p], np.float64(middle) * dy[p]
            cell = _flat(c * f - s * side + camera[0], s * f + c * side + camera[1], grid, n)
            if lintel and cell >= 0:
                lintels[cell] = True
            if hit:
                count = _touch(cell, _HITS, marks, touched, count)
    return count


@compiled(
    "i8(f4[::1], f8[::1], f8[::1], f8[::1], f8[::1], f8, f8, f8, f8[::1], i8, f4[::1], f4,"
    " i4[::1], i4[::1], i8)"
)
@no_type_check
def touch_rays(
    free,
    cosines,
    sines,
    steps,
    camera,
    c,
    s,
    blind,
    grid,
    n,
    log_odds,
    spared,
    marks,
    touched,
    count,
):
    """Mark the cells that free rays pass; return the number of cells visited."""
    for r in range(len(free)):
        x, y = c * cosines[r] - s * sines[r], s * cosines[r] + c * sines[r]
        for step in steps:
            if not step < free[r]:
                break
            cell = _flat(x * step + camera[0], y * step + camera[1], grid, n)
            # A ray that passes above a cell says nothing about what stands there.
            clears = cell >= 0 and (not step < blind or log_odds[cell] <= spared)
            count = _touch(cell, _CLEARS if clears else 0, marks, touched, count)
    return count


@compiled("i8(f8[:,::1], f8[::1], f8[::1], i8, i4[::1], i4[::1], i8)")
@no_type_check
def touch_footprint(offsets, body, grid, n, marks, touched, count):
    """Mark the cells under the body; return the number of cells visited."""
    for k in range(len(offsets)):
        cell = _flat(body[0] + offsets[k, 0], body[1] + offsets[k, 1], grid, n)
        count = _touch(cell, _STANDS, marks, touched, count)
    return count


@compiled("i8(f4[::1], i4[::1], b1[::1], i4[::1], i4[::1], i8, f4[::1], i4, i8[::1], i8)")
@no_type_check
def settle(log_odds, seen, lintels, marks, touched, count, weights, step, bounds, n):
    """Apply what was marked and clear the marks; return how many visits changed a cell's state.

    `weights` are hit, free, lowest and highest log-odds.
    """
    changed, zero, one = 0, np.float32(0), np.float32(1)
    for k in range(count):
        cell = np.int64(touched[k])
        mark, before = marks[cell], log_odds[cell]
        after = before
        if mark & _CLEARS:
            after = max(before + weights[1], weights[2])
        if mark & _HITS:  # a hit outweighs the free rays of the same image
            after = min(before + weights[0], weights[3])
        if mark & _STANDS:
            after = max(min(after, zero) - one, weights[2])
        if np.sign(after) != np.sign(before):
            changed += mark // _VISIT
        if before > zero and after < zero:
            lintels[cell] = False
        log_odds[cell], seen[cell], marks[cell] = after, step, 0
        i, j = cell // n, cell % n
        bounds[0], bounds[1] = min(bounds[0], i), max(bounds[1], i)
        bounds[2], bounds[3] = min(bounds[2], j), max(bounds[3], j)
    return changed


@compiled("f8[:,::1](b1[:,::1], f8)")
@no_type_check
def clearance(occupied, cell_m):
    """Return the distance to the nearest occupied cell, infinite if there is none.

    References:
        Meijster et al. 2000, A general algorithm for computing distance transforms in linear time.
    """
    n, m = occupied.shape
    if not occupied.any():
        return np.full((n, m), np.inf)
    gap = np.empty((n, m), np.int64)
    for j in range(m):
        gap[0, j] = 0 if occupied[0, j] else _FAR
    for i in range(1, n):
        for j in range(m):
            gap[i, j] = 0 if occupied[i, j] else min(gap[i - 1, j] + 1, _FAR)
    for i in range(n - 2, -1, -1):
        for j in range(m):
            gap[i, j] = min(gap[i, j], gap[i + 1, j] + 1)
    out = np.empty((n, m), np.float64)
    owner, start = np.empty(m, np.int64), np.empty(m, np.int64)
    for i in range(n):
        row = gap[i] * gap[i]
        q = 0
        owner[0] = start[0] = 0
        for u in range(1, m):
            while q >= 0:
                t, k = start[q], owner[q]
                if (t - k) ** 2 + row[k] <= (t - u) ** 2 + row[u]:
                    break
                q -= 1
            if q < 0:
                q = 0
                owner[0], start[0] = u, 0
                continue
            k = owner[q]
            # A quotient of floats is exact enough here and much cheaper than one of integers.
            begin = 1 + math.floor((u * u - k * k + row[u] - row[k]) / (2.0 * (u - k)))
            if begin < m:
                q += 1
                owner[q], start[q] = u, begin
        for u in range(m - 1, -1, -1):
            k = owner[q]
            out[i, u] = math.sqrt((u - k) ** 2 + row[k]) * cell_m
            if u == start[q]:
                q -= 1
    return out


@compiled("f8[::1](f8[:,::1], f8[:,::1])")
@no_type_check
def interpolate(values, at):
    """Return a field between the middles of its cells; see `geodesic.Field.at`.

    Args:
        values: Of the cells, infinite where there is no way.
        at: Points in cells, from the middle of the first.
    """
    out = np.empty(len(at), np.float64)
    corners = np.empty(4, np.float64)
    for p in range(len(at)):
        i, j = math.floor(at[p, 0]), math.floor(at[p, 1])
        best = np.inf
        for k in range(4):
            a, b = i + k // 2, j + k % 2
            inside = 0 <= a < values.shape[0] and 0 <= b < values.shape[1]
            corners[k] = values[a, b] if inside else np.inf
            best = min(best, corners[k])
        u, v = at[p, 0] - i, at[p, 1] - j
        out[p] = np.inf
        if best < np.inf:
            out[p] = 0.0
            for k in range(4):
                share = (u if k // 2 else 1 - u) * (v if k % 2 else 1 - v)
                out[p] += share * (corners[k] if corners[k] < np.inf else best + 1.0)
    return out
