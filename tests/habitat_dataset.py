"""A tiny ObjectNav dataset in the layout of HM3D, whose scenes are the fake rooms."""

import gzip
import json
import math
from pathlib import Path
from typing import Any

IDS = {"chair": 0, "bed": 1, "plant": 2, "toilet": 3, "tv_monitor": 4, "sofa": 5}
VIEW_POINTS = {  # feet from which the things of the fake rooms are seen
    "chair": [(1.5, 0.1, -1.0), (0.85, 0.1, -1.6)],
    "sofa": [(1.2, 0.1, -6.5), (2.5, 0.1, -7.3)],
    "bed": [(3.6, 0.1, -6.5), (5.0, 0.1, -5.4)],
    "tv_monitor": [(3.4, 0.1, -7.3)],
}
STARTS = [
    ("chair", (5.0, 0.1, -3.0), 90.0, 3.5),
    ("bed", (3.0, 0.1, -1.0), 0.0, None),
    ("sofa", (5.0, 0.1, -1.0), 120.0, None),
]


def scene_id(name: str) -> str:
    return f"hm3d/val/00800-{name}/{name}.basis.glb"


def content(name: str, starts: list = STARTS) -> dict[str, Any]:
    return {
        "category_to_task_category_id": IDS,
        "category_to_scene_annotation_category_id": IDS,
        "goals_by_category": {
            f"{name}.basis.glb_{category}": [
                {
                    "position": list(points[0]),
                    "radius": None,
                    "object_id": 7,
                    "object_name": f"{category}_7",
                    "object_name_id": None,
                    "object_category": category,
                    "room_id": None,
                    "room_name": None,
                    "view_points": [
                        {"agent_state": {"position": list(p), "rotation": [0, 0, 0, 1]}, "iou": 0.5}
                        for p in points
                    ],
                }
            ]
            for category, points in VIEW_POINTS.items()
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
