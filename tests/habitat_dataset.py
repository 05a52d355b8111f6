"""A tiny ObjectNav dataset in the layout of HM3D, whose scenes are the fake rooms."""

import gzip
import json
import math
from pathlib import Path
from typing import Any

IDS = {"chair": 0, "bed": 1, "plant": 2, "toilet": 3, "tv_monitor": 4, "sofa": 5}
BOXES = {  # x0, x1, z0, z1 of the things of the fake rooms, and z of the room they are in
    "chair": (0.6, 1.1, -1.2, -0.7, (-3.8, -0.2)),
    "sofa": (0.3, 2.1, -7.7, -6.9, (-7.8, -4.2)),
    "bed": (4.0, 5.8, -7.8, -5.8, (-7.8, -4.2)),
    "tv_monitor": (3.0, 3.8, -8.0, -7.9, (-7.8, -4.2)),
}
STARTS = [
    ("chair", (5.0, 0.1, -3.0), 90.0, 3.5),
    ("bed", (3.0, 0.1, -1.0), 0.0, None),
    ("sofa", (5.0, 0.1, -1.0), 120.0, None),
]


def view_points(category: str) -> list[tuple[float, float, float]]:
    """Return feet within a metre of a thing, in its room, every 0.2 m as in HM3D's files."""
    x0, x1, z0, z1, (low, high) = BOXES[category]
    points = []
    for i in range(1, 30):
        for k in range(1, 40):
            x, z = 0.2 * i, -0.2 * k
            gap = math.hypot(max(x0 - x, x - x1, 0), max(z0 - z, z - z1, 0))
            if 0.2 <= gap <= 1.0 and low <= z <= high and 0.2 <= x <= 5.8:
                points.append((x, 0.1, z))
    return points


def scene_id(name: str) -> str:
    return f"hm3d/val/00800-{name}/{name}.basis.glb"


def content(name: str, starts: list = STARTS) -> dict[str, Any]:
    return {
        "category_to_task_category_id": IDS,
        "category_to_scene_annotation_category_id": IDS,
        "goals_by_category": {
            f"{name}.basis.glb_{category}": [
                {
                    "position": [0.5 * (x0 + x1), 0.4, 0.5 * (z0 + z1)],
                    "radius": None,
                    "object_id": 7,
                    "object_name": f"{category}_7",
                    "object_name_id": None,
                    "object_category": category,
                    "room_id": None,
                    "room_name": None,
                    "view_points": [
                        {"agent_state": {"position": list(p), "rotation": [0, 0, 0, 1]}, "iou": 0.5}
                        for p in view_points(category)
                    ],
                }
            ]
            for category, (x0, x1, z0, z1, _) in BOXES.items()
        },
        "episodes": [
            {
                "episode_id": "0",  # ids in published files repeat
                "scene_id": scene_id(name),
                "scene_dataset_config": "default",
                "additional_obj_config_paths": [],
                "start_position": list(position),
                "start_rotation": _turned(yaw_deg),
                "info": {"geodesic_distance": geodesic_m, "euclidean_distance": 1.0},
                "goals": [],
                "start_room": None,
                "shortest_paths": None,
                "object_category": category,
            }
            for category, position, yaw_deg, geodesic_m in starts
        ],
    }


def split() -> dict[str, Any]:
    ids = {"category_to_task_category_id": IDS, "category_to_mp3d_category_id": IDS}
    return ids | {"episodes": []}


def write(path: Path, data: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(json.dumps(data).encode()))
    return path


def write_dataset(folder: Path, names: tuple[str, ...] = ("rooms", "rooms2")) -> Path:
    """Write a split `val`, and return its folder."""
    write(folder / "val" / "val.json.gz", split())
    for name in names:
        write(folder / "val" / "content" / f"{name}.json.gz", content(name))
    return folder / "val"


def _turned(yaw_deg: float) -> list[float]:
    half = math.radians(yaw_deg) / 2
    return [0.0, math.sin(half), 0.0, math.cos(half)]
