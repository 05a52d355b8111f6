"""A span of a life as a LeRobotDataset v3.0, with pyarrow and PyAV alone.

An episode of the dataset is a run of consecutive steps of one episode of the life: where retention
dropped steps, it ends and another begins, because the format knows a fixed frame rate only. The
time of a frame is its number over the frame rate; the body's own clock is the column `stamp_ns`.
Depth has no place in v3.0 as lerobot 0.4 reads it, and is left out.
"""

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Shaped

from memory.export.feature_stats import ImageCounts, vector_stats
from memory.export.lerobot_files import DATA_MB, VIDEO_MB, ParquetFiles, VideoFiles
from memory.export.lerobot_meta import (
    CAMERA,
    DATA_PATH,
    EPISODES_PATH,
    INFO_PATH,
    NUMBERS,
    VECTORS,
    VIDEO_PATH,
    flat_stats,
    info_of,
    write_tasks,
)
from memory.export.output import new_folder
from memory.export.ros import measured_speed
from memory.export.span import Calendar, read_rows
from memory.records import BodySpec, Transition

_EPISODES_PER_GROUP = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class LerobotReport:
    """What was written.

    Attributes:
        frames: Steps.
        episodes: Runs of steps.
        tasks: In words, by their numbers.
        fps: Frames per second.
        notes: What a reader should know.
    """

    frames: int
    episodes: int
    tasks: list[str]
    fps: int
    notes: list[str]


def export_lerobot(
    folder: Path,
    span: Calendar,
    spec: BodySpec,
    tasks: Sequence[str],
    target: Path,
    *,
    force: bool = False,
    data_mb: float = DATA_MB,
    video_mb: float = VIDEO_MB,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> LerobotReport:
    """Write a span as a dataset; the folder is complete or absent.

    Args:
        folder: Folder of the life's tables.
        span: Rows to write.
        spec: The body.
        tasks: What was to be done at every step of the span.
        target: Folder to write.
        force: Whether an existing dataset may be replaced.
        data_mb: Size after which a Parquet file is ended.
        video_mb: Size after which a video is ended.
        on_progress: Called with rows done and rows in all.

    Raises:
        FileExistsError: If the folder exists and may not be replaced.
        MissingExtraError: If PyAV is not installed.
        DiskFullError: If there is no space.
        DamagedTableError: If rows cannot be read.
    """
    task_of = dict(zip(span.step.tolist(), tasks, strict=True))
    with new_folder(target, INFO_PATH, force=force) as partial:
        writer = _Writer(partial, spec, task_of, data_mb, video_mb)
        try:
            rows = itertools.chain.from_iterable(read_rows(folder, span))
            for run in _runs(rows):
                for row in run:
                    writer.add(row)
                    if writer.num_frames % 64 == 0:
                        on_progress(writer.num_frames, len(span))
                writer.end_episode()
            return writer.finish()
        except BaseException:
            writer.drop()
            raise


def _runs(rows: Iterator[Transition]) -> Iterator[Iterator[Transition]]:
    """Yield runs of consecutive steps of one episode, one row at a time."""
    key = itertools.count()
    before: list[Transition] = []
    number = next(key)

    def run_of(row: Transition) -> int:
        nonlocal number
        last = before[0] if before else None
        if last is not None and (last.episode_id, last.step + 1) != (row.episode_id, row.step):
            number = next(key)
        before[:] = [row]
        return number

    for _, run in itertools.groupby(rows, run_of):
        yield run


class _Writer:
    def __init__(
        self,
        root: Path,
        spec: BodySpec,
        task_of: dict[int, str],
        data_mb: float,
        video_mb: float,
    ) -> None:
        self._root, self._spec, self._task_of = root, spec, task_of
        self.fps = max(round(1 / spec.tick_s), 1)
        self._limits = (data_mb, video_mb)
        self._data = ParquetFiles(root, DATA_PATH, data_mb)
        self._episodes = ParquetFiles(root, EPISODES_PATH, data_mb)
        video_path = VIDEO_PATH.replace("{video_key}", CAMERA)
        self._video = VideoFiles(root, video_path, self.fps, video_mb)
        self._tasks: dict[str, int] = {}
        self._rows: dict[str, list[Any]] = {}
        self._images, self._all_images = ImageCounts(), ImageCounts()
        self._all: dict[str, list[np.ndarray]] = {}
        self._told: list[dict[str, Any]] = []
        self._before: tuple[int, int] | None = None
        self._most_off_s = 0.0
        self.num_frames = self._num_episodes = 0
        self._forget()

    def add(self, row: Transition) -> None:
        """Take in a frame."""
        stamp_ns = row.observation.stamp_ns
        frame = len(self._rows["frame_index"])
        if frame == 0:
            self._video_from = self._video.num_frames
        self._video.write(row.observation.rgb, is_first=frame == 0)
        self._images.add(row.observation.rgb)
        task = self._task_of[row.step]
        speed = measured_speed(row, self._before, self._spec.tick_s)
        values = {
            "observation.state": row.pose,
            "observation.velocity": speed,
            "action": (row.action.v_mps, row.action.w_radps),
            "stamp_ns": stamp_ns,
            "step": row.step,
            "timestamp": frame / self.fps,
            "frame_index": frame,
            "episode_index": self._num_episodes,
            "index": self.num_frames,
            "task_index": self._tasks.setdefault(task, len(self._tasks)),
        }
        for name, value in values.items():
            self._rows[name].append(value)
        first_ns = self._rows["stamp_ns"][0]
        self._most_off_s = max(
            self._most_off_s, abs((stamp_ns - first_ns) / 1e9 - frame / self.fps)
        )
        self._before = (row.step, stamp_ns)
        self.num_frames += 1

    def end_episode(self) -> None:
        """Write the frames since the last end as an episode."""
        columns = {name: self._array(name) for name in self._rows}
        length = len(columns["index"])
        self._data.write(self._table(columns))
        stats = {name: vector_stats(values) for name, values in columns.items()}
        stats[CAMERA] = self._images.stats()
        self._all_images.merge(self._images)
        for name, values in columns.items():
            self._all.setdefault(name, []).append(values)
        names = {number: task for task, number in self._tasks.items()}
        video = f"videos/{CAMERA}/"
        self._told.append(
            {
                "episode_index": self._num_episodes,
                "tasks": [names[i] for i in np.unique(columns["task_index"]).tolist()],
                "length": length,
                "data/chunk_index": self._data.chunk,
                "data/file_index": self._data.file,
                "dataset_from_index": self.num_frames - length,
                "dataset_to_index": self.num_frames,
                f"{video}chunk_index": self._video.chunk,
                f"{video}file_index": self._video.file,
                f"{video}from_timestamp": self._video_from / self.fps,
                f"{video}to_timestamp": (self._video_from + length) / self.fps,
                **flat_stats(stats),
            }
        )
        self._data.turn()
        self._video.turn()
        self._num_episodes += 1
        if len(self._told) >= _EPISODES_PER_GROUP:
            self._tell_episodes()
        self._forget()

    def finish(self) -> LerobotReport:
        """Write what describes the whole."""
        self._tell_episodes()
        for files in (self._data, self._episodes, self._video):
            files.close()
        stats = {name: vector_stats(np.concatenate(v)) for name, v in self._all.items()}
        stats[CAMERA] = self._all_images.stats()
        as_lists = {
            key: {name: value.tolist() for name, value in entry.items()}
            for key, entry in stats.items()
        }
        self._write_json("meta/stats.json", as_lists)
        write_tasks(self._root / "meta/tasks.parquet", list(self._tasks))
        info = info_of(
            self._spec,
            fps=self.fps,
            num_episodes=self._num_episodes,
            num_frames=self.num_frames,
            num_tasks=len(self._tasks),
            limits_mb=self._limits,
            video=self._video.info,
        )
        self._write_json(INFO_PATH, info)
        return LerobotReport(
            frames=self.num_frames,
            episodes=self._num_episodes,
            tasks=list(self._tasks),
            fps=self.fps,
            notes=self._notes(),
        )

    def drop(self) -> None:
        """Let go of the files after an error."""
        for files in (self._data, self._episodes, self._video):
            files.drop()

    def _forget(self) -> None:
        self._rows = {name: [] for name in (*VECTORS, *NUMBERS)}
        self._images = ImageCounts()
        self._video_from = 0

    def _array(self, name: str) -> Shaped[np.ndarray, "n d"]:
        kind = "float32" if name in VECTORS else NUMBERS[name]
        found: Shaped[np.ndarray, "n d"] = np.array(self._rows[name], dtype=kind)
        return found.reshape(len(found), -1)

    def _table(self, columns: dict[str, Shaped[np.ndarray, "n d"]]) -> pa.Table:
        arrays = {}
        for name, values in columns.items():
            flat = pa.array(values.reshape(-1))
            is_vector = name in VECTORS
            arrays[name] = (
                pa.FixedSizeListArray.from_arrays(flat, values.shape[1]) if is_vector else flat
            )
        return pa.table(arrays)

    def _tell_episodes(self) -> None:
        if not self._told:
            return
        for row in self._told:
            row["meta/episodes/chunk_index"] = self._episodes.chunk
            row["meta/episodes/file_index"] = self._episodes.file
        self._episodes.write(pa.Table.from_pylist(self._told))
        self._episodes.turn()
        self._told = []

    def _notes(self) -> list[str]:
        notes = ["depth is left out: LeRobot v3.0 has no place for it; --mcap has it"]
        if abs(1 / self._spec.tick_s - self.fps) > 1e-6:
            notes.append(
                f"a step takes {self._spec.tick_s:g} s: the dataset plays it at {self.fps} Hz"
            )
        if self._most_off_s > 0.5 / self.fps:
            notes.append(
                f"times of frames are up to {self._most_off_s:.2f} s off the body's clock, "
                "which is in the column stamp_ns"
            )
        return notes

    def _write_json(self, name: str, content: dict[str, Any]) -> None:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=4), encoding="utf-8")
