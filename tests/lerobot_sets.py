"""LeRobot datasets of version 3, written by hand as lerobot lays them out."""

import json
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bags import png

FPS, SIZE = 10, (64, 48)
KEY = "observation.images.front"
POSE = ("x_m", "y_m", "yaw_rad")


def grey(k: int) -> np.ndarray:
    return np.full((SIZE[1], SIZE[0], 3), 20 + 8 * (k % 25), dtype=np.uint8)


def write_dataset(
    root: Path,
    lengths: tuple[int, ...] = (12, 9),
    *,
    state: tuple[str, ...] = POSE,
    action: tuple[str, ...] = ("v_mps", "w_radps"),
    images: str = "video",
    version: str = "v3.0",
    state_of=lambda t: (0.3 * t, 0.0, 0.1 * t),
    action_of=lambda t: (0.3, 0.1),
) -> Path:
    total = sum(lengths)
    for folder in ("meta/episodes/chunk-000", "data/chunk-000", f"videos/{KEY}/chunk-000"):
        (root / folder).mkdir(parents=True)
    rows: list[dict] = []
    episodes: list[dict] = []
    for number, length in enumerate(lengths):
        episodes.append(
            {
                "episode_index": number,
                "length": length,
                "data/chunk_index": 0,
                "data/file_index": 0,
                f"videos/{KEY}/chunk_index": 0,
                f"videos/{KEY}/file_index": 0,
                f"videos/{KEY}/from_timestamp": len(rows) / FPS,
            }
        )
        for k in range(length):
            row = {
                "observation.state": [float(v) for v in state_of(k / FPS)],
                "action": [float(v) for v in action_of(k / FPS)],
                "timestamp": k / FPS,
                "frame_index": k,
                "episode_index": number,
                "index": len(rows),
            }
            if images == "image":
                row[KEY] = {"bytes": png(grey(len(rows))), "path": None}
            rows.append(row)
    pq.write_table(pa.Table.from_pylist(rows), root / "data/chunk-000/file-000.parquet")
    pq.write_table(
        pa.Table.from_pylist(episodes), root / "meta/episodes/chunk-000/file-000.parquet"
    )
    if images == "video":
        write_video(root / f"videos/{KEY}/chunk-000/file-000.mp4", total)
    info = {
        "codebase_version": version,
        "fps": FPS,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": {
            KEY: {
                "dtype": images,
                "shape": [SIZE[1], SIZE[0], 3],
                "names": ["height", "width", "channels"],
            },
            "observation.state": {"dtype": "float32", "shape": [len(state)], "names": list(state)},
            "action": {"dtype": "float32", "shape": [len(action)], "names": list(action)},
            "timestamp": {"dtype": "float32", "shape": [1], "names": None},
        },
    }
    (root / "meta/info.json").write_text(json.dumps(info))
    return root


def write_video(path: Path, count: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for k in range(count):
            frame = av.VideoFrame.from_ndarray(grey(k), format="rgb24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
