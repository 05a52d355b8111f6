"""Pictures of a house for people: every room in colour, depth and instances, and the plan.

`python -m agentd.worlds.house.pictures --seed 3 --out DIR` writes rooms_3.png and plan_3.png.
"""

import argparse
import colorsys
import math
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image, ImageDraw

from agentd.worlds.house.furniture import DECORATION, OBJECT_CATEGORIES
from agentd.worlds.house.maps import cell_centres, main_component
from agentd.worlds.house.parts import Part, Vec3
from agentd.worlds.house.plan import WALL_M, Placed
from agentd.worlds.house.world import HouseWorld
from configs.worlds import HouseConfig
from memory.frames import se3_from_pose
from memory.records import Observation

_IMAGE_PX = 224
_DEPTH_SHOWN_M = 6.0
_PLAN_PX_PER_M = 60
_NUM_VIEWS = 24
_ENOUGH_SHARE = 0.05
"""An object that fills this share of the image counts as well seen."""

Rgb = UInt8[np.ndarray, "h w 3"]


def view_of_room(world: HouseWorld, index: int) -> Float64[np.ndarray, "3"]:
    """Return the pose in a room that has most of the room's objects well in view."""
    house = world.stage.scene.house
    x0, y0, x1, y1 = house.rooms[index].rect
    spots = cell_centres(np.argwhere(main_component(world.stage.maps.navigable())))
    x, y = spots.T
    spots = spots[(x > x0) & (x < x1) & (y > y0) & (y < y1)]
    cx, cy = house.rooms[index].centre
    far = np.argsort(-np.hypot(spots[:, 0] - cx, spots[:, 1] - cy))
    candidates = spots[far[: len(far) // 2 : max(1, len(far) // 2 // _NUM_VIEWS)]]
    own = np.array([k + 1 for k, o in world.stage.standing() if o.room == index])
    best, best_score = np.zeros(3), -1.0
    for x, y in candidates:
        pose = np.array([x, y, math.atan2(cy - y, cx - x)])
        T_world_camera = se3_from_pose(pose) @ world.spec.T_body_camera
        seen = np.bincount(world.camera.take(world.stage.data, T_world_camera).owner.ravel())
        share = seen[own[own < len(seen)]] / seen.sum()
        score = float(np.minimum(share, _ENOUGH_SHARE).sum())
        if score > best_score:
            best, best_score = pose, score
    return best


def depth_picture(observation: Observation) -> Rgb:
    """Return depth in grey, near is dark; no return is black."""
    grey = np.nan_to_num(observation.depth_m / _DEPTH_SHOWN_M, nan=0.0)
    return np.repeat((np.clip(grey, 0, 1) * 255).astype(np.uint8)[..., None], 3, axis=2)


def instance_picture(observation: Observation) -> Rgb:
    """Return one colour per category, lighter or darker per instance."""
    numbers = observation.instances
    if numbers is None:
        return np.zeros_like(observation.rgb)
    palette = np.zeros((len(observation.labels), 3), dtype=np.uint8)
    for number, label in enumerate(observation.labels[1:], start=1):
        hue = OBJECT_CATEGORIES.index(label) / len(OBJECT_CATEGORIES)
        value = 0.65 + 0.35 * (number % 4) / 3
        palette[number] = [round(255 * c) for c in colorsys.hsv_to_rgb(hue, 0.65, value)]
    return palette[numbers]


def rooms_picture(world: HouseWorld) -> Rgb:
    """Return a sheet with colour, depth and instances of every room, two rooms per row."""
    tiles = []
    for index, room in enumerate(world.stage.scene.house.rooms):
        world.place(view_of_room(world, index))
        observation = world.reset()
        views = (observation.rgb, depth_picture(observation), instance_picture(observation))
        tile = Image.fromarray(np.concatenate(views, axis=1))
        draw = ImageDraw.Draw(tile)
        draw.text(
            (6, 4),
            room.name.replace("_", " "),
            (255, 255, 255),
            stroke_width=1,
            stroke_fill=(0, 0, 0),
        )
        tiles.append(np.asarray(tile))
    if len(tiles) % 2:
        tiles.append(np.zeros_like(tiles[0]))
    return np.concatenate([np.concatenate(pair, axis=1) for pair in _pairs(tiles)], axis=0)


def plan_picture(world: HouseWorld) -> Rgb:
    """Return the house from above: floors, walls, doors, furniture in its colours, the robot."""
    house = world.stage.scene.house
    scale = _PLAN_PX_PER_M
    size = [round(s * scale) for s in house.size_m]
    image = Image.new("RGB", (size[0] + 1, size[1] + 1))
    draw = ImageDraw.Draw(image)

    def at(x: float, y: float) -> tuple[float, float]:
        return x * scale, (house.size_m[1] - y) * scale

    for room in house.rooms:
        x0, y0, x1, y1 = room.rect
        box = [*at(x0, y1), *at(x1, y0)]
        draw.rectangle(box, _byte(room.floor_rgb), (40, 40, 44), round(WALL_M * scale))
    for door in house.doors:
        x0, y0, x1, y1 = door.along(door.width_m / 2, WALL_M)
        draw.rectangle([*at(x0, y1), *at(x1, y0)], (214, 205, 190))
    for k, door in enumerate(house.doors):
        if door.has_leaf:
            end = house.leaf_end(door, world.stage.maps.door_angle_rad(k))
            draw.line([at(*door.hinge_xy), at(*end)], (120, 84, 50), 3)
    flat = [o for o in house.objects if o.piece.category in DECORATION]
    standing = [o for _, o in world.stage.standing()]
    for placed in (*flat, *standing):
        for part in sorted(placed.piece.parts, key=lambda p: p.centre_m[2] + p.half_m[2]):
            outline = [at(*p) for p in _outline(placed, part)]
            draw.polygon(outline, _byte(part.rgb), (30, 30, 30))
    for room in house.rooms:
        draw.text(
            at(room.rect[0] + 0.12, room.rect[3] - 0.1),
            room.name,
            (255, 255, 255),
            stroke_width=1,
            stroke_fill=(0, 0, 0),
        )
    x, y, _ = world.stage.base.pose()
    radius = world.spec.radius_m
    draw.ellipse([*at(x - radius, y + radius), *at(x + radius, y - radius)], (220, 30, 60))
    return np.asarray(image)


def _outline(placed: Placed, part: Part) -> list[tuple[float, float]]:
    """Return the outline of a part on the floor, in the world."""
    hx, hy, hz = part.half_m
    turn = 2 * math.atan2(part.rotation[3], part.rotation[0]) if part.rotation else 0.0
    if part.rotation and abs(part.rotation[2]) > 0.5:
        hx = hz
    if part.shape == "box":
        corners = [(hx, hy), (-hx, hy), (-hx, -hy), (hx, -hy)]
    else:
        angles = np.linspace(0, 2 * math.pi, 24, endpoint=False)
        corners = [(hx * math.cos(a), hy * math.sin(a)) for a in angles]
    c, s = math.cos(turn), math.sin(turn)
    cx, cy, _ = part.centre_m
    return [placed.at(cx + c * u - s * v, cy + s * u + c * v) for u, v in corners]


def _byte(rgb: Vec3) -> tuple[int, int, int]:
    r, g, b = (round(255 * c) for c in rgb)
    return r, g, b


def _pairs(items: list[np.ndarray]) -> list[list[np.ndarray]]:
    return [items[k : k + 2] for k in range(0, len(items), 2)]


def main() -> None:
    """Draw the house that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=3, help="which house")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    options = parser.parse_args()
    world = HouseWorld(HouseConfig.model_validate({"seed": options.seed, "image_px": _IMAGE_PX}))
    options.out.mkdir(parents=True, exist_ok=True)
    for name, picture in (("plan", plan_picture(world)), ("rooms", rooms_picture(world))):
        Image.fromarray(picture).save(options.out / f"{name}_{options.seed}.png")


if __name__ == "__main__":
    main()
