"""What describes a LeRobotDataset v3.0: its features, `info.json` and the table of tasks."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from memory.export.feature_stats import Stats
from memory.export.lerobot_files import CHUNKS_SIZE
from memory.records import BodySpec

CODEBASE_VERSION = "v3.0"
CAMERA = "observation.images.front"
INFO_PATH = "meta/info.json"
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"

VECTORS: dict[str, tuple[str, ...]] = {
    "observation.state": ("x_m", "y_m", "yaw_rad"),
    "observation.velocity": ("vx_mps", "vy_mps", "w_radps"),
    "action": ("v_mps", "w_radps"),
}
"""Features of floats, and what their columns are."""
NUMBERS = {
    "stamp_ns": "int64",
    "step": "int64",
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}
"""Features of one number, and their types."""


def info_of(
    spec: BodySpec,
    *,
    fps: int,
    num_episodes: int,
    num_frames: int,
    num_tasks: int,
    limits_mb: tuple[float, float],
    video: dict[str, Any],
) -> dict[str, Any]:
    """Return the content of `info.json`.

    Args:
        spec: The body.
        fps: Frames per second.
        num_episodes: Episodes.
        num_frames: Frames of all.
        num_tasks: Tasks.
        limits_mb: Sizes after which Parquet files and videos are ended.
        video: How the videos are encoded.
    """
    features: dict[str, Any] = {
        CAMERA: {
            "dtype": "video",
            "shape": [spec.height_px, spec.width_px, 3],
            "names": ["height", "width", "channels"],
            "info": video,
        }
    }
    for name, columns in VECTORS.items():
        features[name] = {"dtype": "float32", "shape": [len(columns)], "names": list(columns)}
    for name, kind in NUMBERS.items():
        features[name] = {"dtype": kind, "shape": [1], "names": None}
    return {
        "codebase_version": CODEBASE_VERSION,
        "robot_type": spec.name,
        "total_episodes": num_episodes,
        "total_frames": num_frames,
        "total_tasks": num_tasks,
        "chunks_size": CHUNKS_SIZE,
        "data_files_size_in_mb": limits_mb[0],
        "video_files_size_in_mb": limits_mb[1],
        "fps": fps,
        "splits": {"train": f"0:{num_episodes}"},
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH,
        "features": features,
    }


def flat_stats(stats: dict[str, Stats]) -> dict[str, Any]:
    """Return statistics as columns of the table of episodes."""
    return {
        f"stats/{key}/{name}": value.tolist()
        for key, entry in stats.items()
        for name, value in entry.items()
    }


def write_tasks(path: Path, tasks: list[str]) -> None:
    """Write the tasks as pandas does a frame that has them as its index."""
    index = "__index_level_0__"
    described = {
        "index_columns": [index],
        "column_indexes": [],
        "columns": [
            {
                "name": "task_index",
                "field_name": "task_index",
                "pandas_type": "int64",
                "numpy_type": "int64",
                "metadata": None,
            },
            {
                "name": None,
                "field_name": index,
                "pandas_type": "unicode",
                "numpy_type": "object",
                "metadata": None,
            },
        ],
    }
    table = pa.table(
        {"task_index": pa.array(range(len(tasks)), pa.int64()), index: pa.array(tasks, pa.string())}
    )
    table = table.replace_schema_metadata({b"pandas": json.dumps(described).encode()})
    pq.write_table(table, path)
