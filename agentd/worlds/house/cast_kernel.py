"""The compiled ray caster: boxes, cylinders and ellipsoids, nearest first, in screen tiles.

Every geom is projected to a rectangle of the image and tested only there, in order of how near it
can be; a tile whose farthest pixel is nearer than that is skipped. Importing this module needs
numba.
"""

from collections.abc import Callable
from typing import Any, no_type_check

import numba
import numpy as np

_TILE_PX = 8
_NEAR_M = 0.02
_FAR_M = 1e9
_BOX, _CYLINDER = 6, 5
_EPS = 1e-9


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function compiled, kept on disk where a place for that can be written.

    numba keeps machine code beside the source or, where that cannot be written, in the user's
    cache folder; with neither it refuses, and the code is compiled for this process alone.
    """
    try:
        return numba.njit(cache=True, nogil=True, fastmath=True)(function)
    except RuntimeError:
        return numba.njit(nogil=True, fastmath=True)(function)


# The kernels stay out of run-time type checks: numba compiles the plain functions.


@compiled
@no_type_check
def _hit_box(o, d, half):  # noqa: ANN001, ANN202
    """Return the ray parameter where it enters a centred box, negative for a miss."""
    enter, leave = -_FAR_M, _FAR_M
    for a in range(3):
        inverse = 1.0 / d[a] if abs(d[a]) > _EPS else 1.0 / _EPS
        first, second = (-half[a] - o[a]) * inverse, (half[a] - o[a]) * inverse
        if first > second:
            first, second = second, first
        enter, leave = max(enter, first), min(leave, second)
    return enter if enter <= leave else -1.0


@compiled
@no_type_check
def _hit_cylinder(o, d, half):  # noqa: ANN001, ANN202
    """Return the ray parameter where it meets an upright cylinder, negative for a miss."""
    best = -1.0
    r2, top = half[0] * half[0], half[2]
    a = d[0] * d[0] + d[1] * d[1]
    b = d[0] * o[0] + d[1] * o[1]
    c = o[0] * o[0] + o[1] * o[1] - r2
    root = b * b - a * c
    if root > 0 and a > _EPS:
        t = (-b - root**0.5) / a
        if abs(o[2] + t * d[2]) <= top:
            best = t
    if abs(d[2]) > _EPS:
        t = ((-top if d[2] > 0 else top) - o[2]) / d[2]
        x, y = o[0] + t * d[0], o[1] + t * d[1]
        if x * x + y * y <= r2 and t > 0 and (best < 0 or t < best):
            best = t
    return best


@compiled
@no_type_check
def _hit_ellipsoid(o, d, half):  # noqa: ANN001, ANN202
    """Return the ray parameter where it meets a centred ellipsoid, negative for a miss."""
    a = b = 0.0
    c = -1.0
    for k in range(3):
        u, v = d[k] / half[k], o[k] / half[k]
        a += u * u
        b += u * v
        c += v * v
    root = b * b - a * c
    return (-b - root**0.5) / a if root > 0 else -1.0


@compiled
@no_type_check
def _extend(box, x, y, z, intrinsics):  # noqa: ANN001, ANN202
    """Grow a pixel rectangle by the projection of a point before the camera."""
    u = x / z * intrinsics[0] + intrinsics[2]
    v = y / z * intrinsics[1] + intrinsics[3]
    box[0], box[1] = min(box[0], u), min(box[1], v)
    box[2], box[3] = max(box[2], u), max(box[3], v)


@compiled
@no_type_check
def _screen_box(o, m, half, intrinsics, width, height, corner, out):  # noqa: ANN001, ANN202
    """Write the pixel rectangle of a geom and return whether any of it can be in view.

    Edges that cross the near plane are cut there, so that what is mostly behind the camera does
    not cover the whole image.
    """
    num_front = 0
    for k in range(8):
        x = (half[0] if k & 1 else -half[0]) - o[0]
        y = (half[1] if k & 2 else -half[1]) - o[1]
        z = (half[2] if k & 4 else -half[2]) - o[2]
        for a in range(3):
            corner[k, a] = m[0, a] * x + m[1, a] * y + m[2, a] * z
        num_front += corner[k, 2] > _NEAR_M
    if num_front == 0:
        return False
    box = np.array((_FAR_M, _FAR_M, -_FAR_M, -_FAR_M), np.float32)
    for k in range(8):
        if corner[k, 2] > _NEAR_M:
            _extend(box, corner[k, 0], corner[k, 1], corner[k, 2], intrinsics)
        if num_front == 8:
            continue
        for bit in (1, 2, 4):
            other = k ^ bit
            if corner[k, 2] > _NEAR_M and corner[other, 2] <= _NEAR_M:
                share = (corner[k, 2] - _NEAR_M) / (corner[k, 2] - corner[other, 2])
                x = corner[k, 0] + share * (corner[other, 0] - corner[k, 0])
                y = corner[k, 1] + share * (corner[other, 1] - corner[k, 1])
                _extend(box, x, y, _NEAR_M, intrinsics)
    if box[2] < 0 or box[3] < 0 or box[0] > width or box[1] > height:
        return False
    out[0], out[1] = int(max(0.0, box[0])), int(max(0.0, box[1]))
    out[2], out[3] = int(min(width, box[2] + 1)), int(min(height, box[3] + 1))
    return True


@compiled
@no_type_check
def _least_depth(o, half, longest_ray):  # noqa: ANN001, ANN202
    """Return a depth that no ray of the image meets the box before."""
    d2 = 0.0
    for a in range(3):
        out = max(abs(o[a]) - half[a], 0.0)
        d2 += out * out
    return d2**0.5 / longest_ray


@compiled
@no_type_check
def _draw_tile(o, m, half, kind, number, intrinsics, box, depth, geom):  # noqa: ANN001, ANN202
    """Test the rays of a pixel rectangle against one geom; return whether any pixel changed."""
    fx, fy, cx, cy = intrinsics
    d = np.empty(3, np.float32)
    changed = False
    for j in range(box[1], box[3]):
        y = (j + 0.5 - cy) / fy
        for i in range(box[0], box[2]):
            x = (i + 0.5 - cx) / fx
            for a in range(3):
                d[a] = m[a, 0] * x + m[a, 1] * y + m[a, 2]
            if kind == _BOX:
                t = _hit_box(o, d, half)
            elif kind == _CYLINDER:
                t = _hit_cylinder(o, d, half)
            else:
                t = _hit_ellipsoid(o, d, half)
            if 0 < t < depth[j, i]:
                depth[j, i] = t
                geom[j, i] = number
                changed = True
    return changed


@compiled
@no_type_check
def cast(position, rotation, geom_pos, geom_mat, half, kind, seen, intrinsics, depth, geom):  # noqa: ANN001, ANN201
    """Fill `depth` (optical axis, metres) and `geom` (number, -1 for nothing) of an image.

    Args:
        position: Camera in the world.
        rotation: `R_world_camera`.
        geom_pos: Centres of the geoms in the world.
        geom_mat: Rotations of the geoms, `R_world_geom`.
        half: Half extents.
        kind: mjtGeom numbers.
        seen: Numbers of the geoms to test.
        intrinsics: fx, fy, cx, cy in pixels.
        depth: Written (h, w).
        geom: Written (h, w).
    """
    height, width = depth.shape
    depth[:] = _FAR_M
    geom[:] = -1
    count = seen.shape[0]
    nearest = np.full(count, np.float32(_FAR_M))
    boxes = np.empty((count, 4), np.int32)
    origins = np.empty((count, 3), np.float32)
    turns = np.empty((count, 3, 3), np.float32)
    corner = np.empty((8, 3), np.float32)
    fx, fy, cx, cy = intrinsics
    across, down = max(cx, width - cx) / fx, max(cy, height - cy) / fy
    longest_ray = (1 + across * across + down * down) ** 0.5
    for k in range(count):
        g = seen[k]
        for a in range(3):
            origins[k, a] = 0.0
            for c in range(3):
                origins[k, a] += geom_mat[g, c, a] * (position[c] - geom_pos[g, c])
                turns[k, a, c] = (
                    geom_mat[g, 0, a] * rotation[0, c]
                    + geom_mat[g, 1, a] * rotation[1, c]
                    + geom_mat[g, 2, a] * rotation[2, c]
                )
        if _screen_box(origins[k], turns[k], half[g], intrinsics, width, height, corner, boxes[k]):
            nearest[k] = _least_depth(origins[k], half[g], longest_ray)
    tiles_y, tiles_x = -(-height // _TILE_PX), -(-width // _TILE_PX)
    farthest = np.full((tiles_y, tiles_x), np.float32(_FAR_M))
    tile = np.empty(4, np.int32)
    for k in np.argsort(nearest):
        if nearest[k] == _FAR_M:
            break
        x0, y0, x1, y1 = boxes[k]
        for ty in range(y0 // _TILE_PX, -(-y1 // _TILE_PX)):
            for tx in range(x0 // _TILE_PX, -(-x1 // _TILE_PX)):
                if nearest[k] >= farthest[ty, tx]:
                    continue
                left, upper = tx * _TILE_PX, ty * _TILE_PX
                tile[0], tile[1] = max(x0, left), max(y0, upper)
                tile[2], tile[3] = min(x1, left + _TILE_PX), min(y1, upper + _TILE_PX)
                g = seen[k]
                if _draw_tile(
                    origins[k], turns[k], half[g], kind[g], g, intrinsics, tile, depth, geom
                ):
                    right, lower = min(width, left + _TILE_PX), min(height, upper + _TILE_PX)
                    farthest[ty, tx] = depth[upper:lower, left:right].max()
