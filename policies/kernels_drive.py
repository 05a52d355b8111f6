"""Compiled inner loops of what drives: lines and arcs over the clearance, and the safety look.

Each does what the numpy code of its caller does; see `policies.kernels`.
"""

# ruff: noqa: ANN001, ANN201, ANN202 - the signatures say the types

import math
from typing import no_type_check

import numpy as np

from policies.kernels import compiled


@compiled("f8(f8[:,::1], f8[::1], f8, f8)")
@no_type_check
def _at(values, grid, x, y):
    """Return the clearance at a world point; `grid` is origin x, y and cell side."""
    if values.size == 0:
        return np.inf  # the body has left the grid
    i = min(max(math.floor((x - grid[0]) / grid[2]), 0), values.shape[0] - 1)
    j = min(max(math.floor((y - grid[1]) / grid[2]), 0), values.shape[1] - 1)
    return values[np.int64(i), np.int64(j)]


@compiled("i8(f8[:,::1], f8, f8)")
@no_type_check
def _nearest(path, x, y):
    """Return the index of the first of the points of a path that are nearest."""
    best, best_gap = 0, np.inf
    for k in range(len(path)):
        gap = math.hypot(path[k, 0] - x, path[k, 1] - y)
        if gap < best_gap:
            best, best_gap = k, gap
    return best


@compiled("i8(f8[:,::1], f8[::1], f8[:,::1], f8[::1], f8[::1], f8, f8, f8, f8)")
@no_type_check
def aim(values, grid, path, pose, shares, comfort, tight, lookahead, near):
    """Return the index of the point to aim at; see `follower.Follower.aim`."""
    x, y = pose[0], pose[1]
    start = _nearest(path, x, y)
    needed = min(comfort, max(tight, _at(values, grid, x, y)))
    along, best, ahead = 0.0, -1, -1
    for k in range(start, len(path)):
        if k > start:
            along += math.hypot(path[k, 0] - path[k - 1, 0], path[k, 1] - path[k - 1, 1])
        if ahead < 0 and along >= near:
            ahead = k
        if along > lookahead and ahead >= 0:
            break
        if k == start or along > lookahead:
            continue
        dx, dy = path[k, 0] - x, path[k, 1] - y
        clear = True
        for share in shares:
            if not _at(values, grid, x + share * dx, y + share * dy) >= needed:
                clear = False
                break
        if clear:
            best = k
    if best >= 0:
        return best
    return ahead if ahead >= 0 else len(path) - 1


@compiled("f8(f8[:,::1], f8[::1], f8[::1], f8, f8, f8[::1], f8)")
@no_type_check
def tightest(values, grid, pose, v, w, times, enough):
    """Return the least clearance along an arc, or the first that is below `enough`."""
    least = np.inf
    for t in times:
        turn = w * t
        half = 0.5 * turn
        chord = v * t * (math.sin(half) / half if half != 0.0 else 1.0)
        heading = pose[2] + half
        x, y = pose[0] + chord * math.cos(heading), pose[1] + chord * math.sin(heading)
        least = min(least, _at(values, grid, x, y))
        if least < enough:
            break
    return least


@compiled("b1(f8[:,::1], f8[::1], f8[:,::1], f8[::1], f8, f8)")
@no_type_check
def is_blocked(values, grid, path, xy, needed, range_m):
    """Return whether a point of the path ahead is tight; see `follower.blocked_ahead`."""
    is_first = True
    for k in range(_nearest(path, xy[0], xy[1]), len(path)):
        x, y = path[k, 0], path[k, 1]
        if not math.hypot(x - xy[0], y - xy[1]) < range_m:
            continue
        if not is_first and _at(values, grid, x, y) < needed:
            return True
        is_first = False
    return False


@compiled("b1(f8, f8, f8, f4[:,::1], f8[:,::1], f8[::1], f8, f8)")
@no_type_check
def _is_seen_through(x, y, z, depth, mount, lens, nearest, margin):
    """Return whether the camera measures more than the distance of a point of the body frame.

    `mount` is T_camera_body; `lens` is fx, fy, cx, cy in pixels.
    """
    far = mount[2, 0] * x + mount[2, 1] * y + mount[2, 2] * z + mount[2, 3]
    if not far > nearest:
        return False
    right = mount[0, 0] * x + mount[0, 1] * y + mount[0, 2] * z + mount[0, 3]
    down = mount[1, 0] * x + mount[1, 1] * y + mount[1, 2] * z + mount[1, 3]
    u, v = right / far * lens[0] + lens[2], down / far * lens[1] + lens[3]
    if not (u >= 0 and v >= 0 and u < depth.shape[1] and v < depth.shape[0]):
        return False
    return depth[int(v), int(u)] > far + margin


@compiled(
    "UniTuple(f8[:,::1], 2)(f4[:,::1], f4[:,::1], f4[::1], f4[::1], f8[:,::1], f8[::1],"
    " f8[:,::1], f8[::1], f8, f8, f8)"
)
@no_type_check
def look(
    depth,
    directions,
    mount,
    limits,
    known,
    pose,
    T_camera_body,
    lens,
    near_m,
    margin_m,
    cell_m,
):
    """Return the near obstacle points of the world and of the body frame, thinned.

    See `safety.SafetyFilter._look`. `limits` are the depths and heights between which a pixel
    counts; `pose` is x, y, cosine and sine of the yaw.
    """
    tx, ty, c, s = pose[0], pose[1], pose[2], pose[3]
    low_i, low_j = math.floor((tx - near_m) / cell_m), math.floor((ty - near_m) / cell_m)
    side = math.ceil(2 * near_m / cell_m) + 2
    owner = np.full(side * side, -1, np.int64)
    num = depth.size + len(known)
    world, body = np.empty((num, 3)), np.empty((num, 2))
    count = taken = 0
    pixels = depth.ravel()
    for k in range(num):
        if k < depth.size:
            d = pixels[k]
            height = d * directions[k, 2] + mount[2]
            if not (d > limits[0] and d < limits[1] and height > limits[2] and height < limits[3]):
                continue
            x, y = d * directions[k, 0] + mount[0], d * directions[k, 1] + mount[1]
            bx, by, bz = np.float64(x), np.float64(y), np.float64(height)
        else:
            p = k - depth.size
            dx, dy, bz = known[p, 0] - tx, known[p, 1] - ty, known[p, 2]
            bx, by = c * dx + s * dy, c * dy - s * dx
            if _is_seen_through(bx, by, bz, depth, T_camera_body, lens, limits[0], margin_m):
                continue
        if not bx * bx + by * by < near_m * near_m:
            continue
        wx, wy = c * bx - s * by + tx, s * bx + c * by + ty
        i, j = math.floor(wx / cell_m) - low_i, math.floor(wy / cell_m) - low_j
        cell = np.int64(i) * side + np.int64(j)
        if owner[cell] < 0:
            owner[cell] = count
            world[count, 0], world[count, 1], world[count, 2] = wx, wy, bz
            body[count, 0], body[count, 1] = bx, by
            count += 1
    # In the order of the cells, as the numpy code keeps them.
    world_out, body_out = np.empty((count, 3)), np.empty((count, 2))
    for cell in range(side * side):
        k = owner[cell]
        if k >= 0:
            world_out[taken], body_out[taken] = world[k], body[k]
            taken += 1
    return world_out, body_out


@compiled("f8(f8[:,::1], f8, f8, f8)")
@no_type_check
def gap(points, curvature, radius, near_m):
    """Return the distance along an arc before a circle touches; see `SafetyFilter._gap_m`."""
    least = np.inf
    if abs(curvature) < 1e-3:
        for k in range(len(points)):
            x, y = points[k, 0], points[k, 1]
            if abs(y) < radius and x > 0:
                least = min(least, x - math.sqrt(radius * radius - y * y))
        return least
    turn = 1.0 / abs(curvature)
    for k in range(len(points)):
        x, y = points[k, 0], points[k, 1] * math.copysign(1.0, curvature)
        distance = math.hypot(x, turn - y)
        if not (abs(distance - turn) < radius and math.hypot(x, y) < near_m):
            continue
        angle = math.atan2(x, turn - y)
        # Points behind the body's middle that it drives away from are no obstacle.
        if not (angle > -0.5 * math.pi and (x > 0 or angle > 0.3)):
            continue
        cosine = turn * turn + distance * distance - radius * radius
        cosine /= 2 * turn * max(distance, 1e-6)
        least = min(least, (angle - math.acos(min(max(cosine, -1.0), 1.0))) * turn)
    return least
