"""LeRobot datasets of version 3 as streams of samples, read with pyarrow and PyAV alone.

A dataset has frames at a fixed rate, in episodes whose clocks all begin at 0; here they follow each
other with a pause. Frames with a column `stamp_ns` keep their own clock. It knows no camera
geometry and no depth; velocities whose names end in `.vel` are LeKiwi's, with turning in degrees.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float64

from memory.frames import compose
from memory.logs.config import ResampleConfig, StreamsConfig
from memory.logs.errors import ImageError, LogError
from memory.logs.images import colour_packed
from memory.logs.lerobot_video import VideoFrames
from memory.logs.samples import Command, Kind, LogSummary, Picture, Pose, Sample, Stream

_PAUSE_S = 60.0
"""Between two episodes: longer than any gap that is bridged."""
_ROWS = 512
_MISSHAPEN = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    pa.ArrowException,
)
"""What files that are damaged, or hold something else than a dataset, make of reading them."""

_FORWARD = ("v_mps", "linear.x", "linear_x", "vx_mps", "x.vel", "vx", "linear_velocity", "linear")
_TURN = ("w_radps", "angular.z", "angular_z", "theta.vel", "wz", "angular_velocity", "angular")
_X, _Y = ("x_m", "x", "base_x", "pos_x"), ("y_m", "y", "base_y", "pos_y")
_YAW = ("yaw_rad", "yaw", "theta", "heading", "base_yaw")


class LerobotLog:
    """A dataset. Satisfies `LogReader`.

    Args:
        path: Its folder, with `meta/info.json`.
        streams: `colour` names the feature of the images; `odometry` and `command` those of state
            and action.
        resample: Unused: kept for the same shape as other logs.

    Raises:
        LogError: If it is no dataset of version 3, or lacks what steps are made of.
    """

    def __init__(self, path: Path, streams: StreamsConfig, resample: ResampleConfig) -> None:
        self._path = path
        self._info = _read_info(path)
        self._features: dict[str, Any] = self._info["features"]
        self._asked = streams
        self._notes: list[str] = []
        self.broken = ""
        self._undecodable: Counter[str] = Counter()
        self._integrate: Float64[np.ndarray, "3"] | None = None
        try:
            self._colour = self._choose_colour()
            self._pose = self._choose_pose()
            self._command = self._choose_command()
            if self._is_video and self._info["video_path"] is None:
                raise LogError(f"{path}/meta/info.json has videos, but no video_path")
            # Open until the end: pictures are decoded after the reading went on.
            self._video = VideoFrames(path, self._info["video_path"]) if self._is_video else None
            self._episodes = self._read_episodes()
            self._own_clock = "stamp_ns" in self._features
            self._offsets_ns = self._lay_out()
            self._summary = self._summarise()
        except _MISSHAPEN as error:
            raise LogError(
                f"{path}/meta is not as LeRobot writes it: {type(error).__name__}: {error}"
            ) from error

    @property
    def summary(self) -> LogSummary:
        """What is known about it."""
        return self._summary

    @property
    def undecodable(self) -> dict[str, int]:
        """How many frames of the last reading could not be decoded, by reason."""
        return dict(self._undecodable)

    def close(self) -> None:
        """Let go of the video; quiet when called twice."""
        if self._video is not None:
            self._video.close()

    def samples(self, kinds: Collection[Kind]) -> Iterator[Sample]:
        """Yield samples in the order of the frames; see `LogReader`."""
        self.broken = ""
        self._undecodable.clear()
        wanted = self._columns(kinds)
        last_ns = 0
        try:
            for row in self._rows(wanted):
                for sample in self._of_row(row, kinds):
                    last_ns = sample.logged_ns
                    yield sample
        except _MISSHAPEN as error:
            at = f"{last_ns / 1e9:.3f} s" if last_ns else "its beginning"
            self.broken = f"{self._path} is damaged after {at}: {type(error).__name__}: {error}"

    # ------------------------------------------------------------------ samples
    def _rows(self, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield frames in order, each file opened once."""
        seen: set[Path] = set()
        for episode in self._episodes:
            path = self._path / self._info["data_path"].format(
                chunk_index=episode["data/chunk_index"], file_index=episode["data/file_index"]
            )
            if path in seen:
                continue
            seen.add(path)
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=_ROWS, columns=list(columns)):
                    yield from batch.to_pylist()

    def _of_row(self, row: dict[str, Any], kinds: Collection[Kind]) -> Iterator[Sample]:
        number = int(row["episode_index"])
        episode = self._by_number.get(number)
        if episode is None:
            raise ValueError(f"episode {number} is not in meta/episodes")
        if row["frame_index"] == 0 and self._integrate is not None:
            self._integrate = np.zeros(3)
        stamp_ns = self._stamp_ns(row, number)
        common = {"stamp_ns": stamp_ns, "logged_ns": stamp_ns}
        # Motion first: it is known before an image of the same time is taken.
        if Kind.POSE in kinds:
            name, read = self._pose
            pose = read(row[name])
            yield Sample(kind=Kind.POSE, topic=name, value=pose, **common)
        if Kind.COMMAND in kinds and self._command is not None:
            name, read_command = self._command
            yield Sample(kind=Kind.COMMAND, topic=name, value=read_command(row[name]), **common)
        if Kind.COLOUR in kinds:
            picture = self._picture(row, episode)
            yield Sample(kind=Kind.COLOUR, topic=self._colour, value=picture, **common)

    def _picture(self, row: dict[str, Any], episode: dict[str, Any]) -> Picture:
        key, video = self._colour, self._video
        if video is None:
            image = row[key]
            if not isinstance(image, dict) or not image.get("bytes"):
                raise ImageError(f"{key}: the image is not in the table")
            load = partial(colour_packed, image["bytes"])
            return Picture(colour=load, anywhere=True, packed=True)
        place = {
            "video_key": key,
            "chunk_index": int(episode[f"videos/{key}/chunk_index"]),
            "file_index": int(episode[f"videos/{key}/file_index"]),
        }
        at_s = float(episode[f"videos/{key}/from_timestamp"]) + row["frame_index"] / self._fps
        return Picture(colour=lambda enough_px: video.at(place, at_s))

    def _stamp_ns(self, row: dict[str, Any], number: int) -> int:
        if self._own_clock:
            return int(row["stamp_ns"])
        return self._offsets_ns[number] + round(row["frame_index"] / self._fps * 1e9)

    def _columns(self, kinds: Collection[Kind]) -> list[str]:
        columns = ["episode_index", "frame_index"]
        columns += ["stamp_ns"] if self._own_clock else []
        if Kind.POSE in kinds:
            columns.append(self._pose[0])
        if Kind.COMMAND in kinds and self._command is not None:
            columns.append(self._command[0])
        if Kind.COLOUR in kinds and not self._is_video:
            columns.append(self._colour)
        return list(dict.fromkeys(columns))

    # ------------------------------------------------------------------ at the start
    @property
    def _fps(self) -> float:
        return float(self._info["fps"])

    @property
    def _is_video(self) -> bool:
        return bool(self._features[self._colour]["dtype"] == "video")

    def _choose_colour(self) -> str:
        images = [k for k, f in self._features.items() if f.get("dtype") in ("video", "image")]
        name = self._asked.colour
        if name and name not in images:
            raise LogError(
                f"world.recorded.streams.colour = {name!r}: the dataset has no such images; it has "
                f"{', '.join(images) or 'none'}"
            )
        if not images:
            listed = ", ".join(self._features)
            raise LogError(f"the dataset has no images; its features are {listed}")
        if not name and len(images) > 1:
            fronts = [i for i in images if "front" in i or "head" in i]
            name = (fronts or images)[0]
            others = ", ".join(i for i in images if i != name)
            self._notes.append(f"colour: {name} is read, not {others}")
        return name or images[0]

    def _names(self, feature: str) -> list[str]:
        names = self._features.get(feature, {}).get("names") or []
        if isinstance(names, dict):  # older writers nest them under the kind of the axis
            names = next(iter(names.values()), [])
        return [str(name) for name in names]

    def _choose_pose(self) -> tuple[str, Callable[[Any], Pose]]:
        asked = self._asked.odometry
        states = [asked] if asked else [f for f in self._features if "state" in f or "pose" in f]
        for name in states:
            x, y, yaw = (_place(self._names(name), known) for known in (_X, _Y, _YAW))
            if x is not None and y is not None and yaw is not None:
                return name, partial(_pose_of, at=(x, y, yaw))
        moving = [asked] if asked else [f for f in self._features if f.startswith("observation.")]
        for name in moving:
            v, w = _place(self._names(name), _FORWARD), _place(self._names(name), _TURN)
            if v is not None and w is not None:
                self._integrate = np.zeros(3)
                self._notes.append(f"the pose is integrated from the speeds in {name}: it drifts")
                scale = _turn_scale(self._names(name)[w])
                return name, partial(self._integrated, at=(v, w), scale=scale)
        told = "; ".join(f"{f}: {', '.join(self._names(f))}" for f in self._features)
        raise LogError(
            f"the dataset tells no pose of a body that drives: no feature has x, y and yaw, or "
            f"forward speed and turn rate, among its names ({told})"
        )

    def _integrated(self, values: Any, at: tuple[int, int], scale: float) -> Pose:
        assert self._integrate is not None
        v, w = float(values[at[0]]), float(values[at[1]]) * scale
        here = _planar(*(float(p) for p in self._integrate))
        step = np.array([v, 0.0, w]) / self._fps
        self._integrate = compose(self._integrate, step)
        return here

    def _choose_command(self) -> tuple[str, Callable[[Any], Command]] | None:
        asked = self._asked.command
        if asked != "none":
            for name in [asked] if asked else ["action"]:
                v, w = _place(self._names(name), _FORWARD), _place(self._names(name), _TURN)
                if v is not None and w is not None:
                    scale = _turn_scale(self._names(name)[w])
                    return name, partial(_command_of, at=(v, w), scale=scale)
            if asked:
                raise LogError(
                    f"world.recorded.streams.command = {asked!r} has no forward speed and turn "
                    f"rate among its names: {', '.join(self._names(asked)) or 'none'}"
                )
        self._notes.append("no commanded velocity is read: actions are derived from the motion")
        return None

    def _read_episodes(self) -> list[dict[str, Any]]:
        columns = ["episode_index", "length", "data/chunk_index", "data/file_index"]
        if self._is_video:
            columns += [
                f"videos/{self._colour}/{name}"
                for name in ("chunk_index", "file_index", "from_timestamp")
            ]
        found: list[dict[str, Any]] = []
        files = sorted((self._path / "meta" / "episodes").glob("chunk-*/file-*.parquet"))
        try:
            for file in files:
                found += pq.read_table(file, columns=columns).to_pylist()
        except (OSError, ValueError, pa.ArrowException) as error:
            raise LogError(f"{self._path}/meta/episodes cannot be read: {error}") from error
        if not found:
            raise LogError(f"{self._path}/meta/episodes tells of no episode")
        found.sort(key=lambda episode: int(episode["episode_index"]))
        self._by_number = {int(e["episode_index"]): e for e in found}
        return found

    def _lay_out(self) -> dict[int, int]:
        """Return when each episode begins."""
        begin, offsets = 10**9, {}
        for episode in self._episodes:
            offsets[int(episode["episode_index"])] = begin
            begin += round((int(episode["length"]) / self._fps + _PAUSE_S) * 1e9)
        return offsets

    def _summarise(self) -> LogSummary:
        total = sum(int(e["length"]) for e in self._episodes)
        roles = {self._colour: Kind.COLOUR.value, self._pose[0]: Kind.POSE.value}
        if self._command is not None:
            roles[self._command[0]] = Kind.COMMAND.value
        streams = tuple(
            Stream(name=n, type=str(f.get("dtype")), count=total, role=roles.get(n, ""))
            for n, f in sorted(self._features.items())
        )
        last = self._episodes[-1]
        end_ns = self._offsets_ns[int(last["episode_index"])]
        shape = self._features[self._colour]["shape"]
        names = self._names(self._colour)
        height, width = (shape[1], shape[2]) if names[:1] == ["channels"] else shape[:2]
        why = "a LeRobot dataset does not tell"
        return LogSummary(
            format="lerobot",
            start_ns=next(iter(self._offsets_ns.values())),
            end_ns=end_ns + round(int(last["length"]) / self._fps * 1e9),
            streams=streams,
            camera=None,
            depth_camera=None,
            T_body_camera=None,
            T_colour_depth=None,
            size_px=(int(width), int(height)),
            period_s=1 / self._fps,
            notes=("the dataset has no depth: nothing can be mapped or located", *self._notes),
            missing={"camera": f"{why} the camera's intrinsics", "mount": f"{why} its place"},
        )


def _read_info(path: Path) -> dict[str, Any]:
    file = path / "meta" / "info.json"
    try:
        info = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise LogError(f"{file} cannot be read: {error}") from error
    version = str(info.get("codebase_version", "")) if isinstance(info, dict) else ""
    if not version.startswith("v3."):
        raise LogError(
            f"{path} is a LeRobot dataset of version {version or 'unknown'}; v3 is read (lerobot "
            "converts older ones)"
        )
    missing = [k for k in ("fps", "features", "data_path", "video_path") if k not in info]
    if missing:
        raise LogError(f"{file} lacks {', '.join(missing)}")
    for key in ("data_path", "video_path"):
        pattern = info[key]
        if key == "video_path" and pattern is None:  # of a dataset without videos
            continue
        try:
            pattern.format(video_key="", chunk_index=0, file_index=0)
        except (LookupError, ValueError, AttributeError, TypeError) as error:
            raise LogError(
                f"{file}: {key} = {pattern!r} is no path made of chunk_index, file_index and "
                f"video_key ({error})"
            ) from error
    return info


def _place(names: Sequence[str], known: Sequence[str]) -> int | None:
    """Return the place of the first known name, also at the end of a dotted one."""
    for word in known:
        for i, name in enumerate(names):
            if name == word or name.endswith(("/" + word, "_" + word)):
                return i
    return None


def _turn_scale(name: str) -> float:
    return math.pi / 180 if name.endswith(".vel") else 1.0


def _command_of(values: Any, at: tuple[int, int], scale: float) -> Command:
    return Command(float(values[at[0]]), float(values[at[1]]) * scale)


def _pose_of(values: Any, at: tuple[int, int, int]) -> Pose:
    return _planar(*(float(values[i]) for i in at))


def _planar(x: float, y: float, yaw: float) -> Pose:
    return Pose((x, y, 0.0), (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2)))
