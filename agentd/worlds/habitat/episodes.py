"""Files of ObjectNav episodes, as Habitat's benchmarks publish them (HM3D v1 and v2, MP3D).

A dataset is one file `{split}/{split}.json.gz`, which holds the categories and often no episodes,
and a file for each scene in `{split}/content/`. They are read one scene at a time, and whatever
does not fit is named with its file and key.

Axis letters: n view points.
"""

import gzip
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float64

from agentd.worlds.habitat.errors import EpisodeFileError

TASK_IDS = "category_to_task_category_id"
ANNOTATION_IDS = ("category_to_scene_annotation_category_id", "category_to_mp3d_category_id")
_SCENES_PREFIX = "data/scene_datasets/"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalObject:
    """One thing that an episode may end at.

    Attributes:
        object_id: Number in the scene's annotation.
        name: Its name there.
        position_m: Its middle, in Habitat's frame.
        view_points_m: Feet from which it is seen; the episode succeeds there.
    """

    object_id: str
    name: str
    position_m: Float64[np.ndarray, "3"]
    view_points_m: Float64[np.ndarray, "n 3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One task, in Habitat's frame.

    Attributes:
        index: Its number in the file, which identifies it: the ids in files are not unique.
        episode_id: Its id in the file.
        scene_id: The scene, as the file names it.
        dataset: The scene's dataset, as the file names it; "" or "default" for none.
        start_m: Feet at the start.
        start_rotation: [x, y, z, w].
        category: What to find.
        geodesic_m: Shortest path that the file gives, NaN if it gives none.
    """

    index: int
    episode_id: str
    scene_id: str
    dataset: str
    start_m: Float64[np.ndarray, "3"]
    start_rotation: Float64[np.ndarray, "4"]
    category: str
    geodesic_m: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneEpisodes:
    """All episodes of one file and the goals of its scenes.

    Attributes:
        file: Where they came from.
        categories: Task ids of all categories of the dataset.
        episodes: In the order of the file.
        goals: By scene and category, see `goals_of`.
    """

    file: Path
    categories: Mapping[str, int]
    episodes: tuple[Episode, ...]
    goals: Mapping[str, tuple[GoalObject, ...]]

    def goals_of(self, episode: Episode) -> tuple[GoalObject, ...]:
        """Return the things that end an episode."""
        return self.goals[_goals_key(episode.scene_id, episode.category)]

    def view_points_m(self, episode: Episode) -> Float64[np.ndarray, "n 3"]:
        """Return the view points of all things that end an episode."""
        return np.concatenate([goal.view_points_m for goal in self.goals_of(episode)])


def read_dataset(path: Path) -> Iterator[SceneEpisodes]:
    """Yield the episodes of a dataset, a file at a time.

    Args:
        path: The file of a split, of a scene, or the folder of a split.

    Raises:
        EpisodeFileError: If a file cannot be used; nothing is yielded of it.
    """
    if path.is_dir():
        files = [path / f"{path.name}.json.gz", path / f"{path.name}.json"]
        found = next((file for file in files if file.is_file()), None)
        if found is None:
            raise EpisodeFileError(f"{path} holds no {files[0].name}: is it the folder of a split?")
        path = found
    data = _read(path)
    categories = _categories(path, data)
    if _need(path, data, "episodes", list):
        yield _scene(path, data, categories)
        return
    folder = path.parent / "content"
    contents = sorted(file for file in folder.glob("*.json*") if file.is_file())
    if not contents:
        raise EpisodeFileError(
            f"{path} has no episodes, and there are no files in {folder}, where those of each "
            "scene belong"
        )
    for file in contents:
        data = _read(file)
        yield _scene(file, data, _categories(file, data, categories))


def scene_file(name: str, scenes_folder: str) -> str:
    """Return the path of what an episode names, below the folder of the scenes."""
    inside = name.removeprefix("./").removeprefix(_SCENES_PREFIX)
    return str(Path(scenes_folder).expanduser().absolute() / inside)


def scene_stem(scene_id: str) -> str:
    """Return the short name of a scene, as in `TEEsavR23oF`."""
    return PurePosixPath(scene_id).name.split(".")[0]


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = path.read_bytes()
        text = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
        data = json.loads(text)
    except FileNotFoundError:
        raise EpisodeFileError(f"there is no {path}") from None
    except EOFError:
        raise EpisodeFileError(f"{path} is cut off: get it again") from None
    except (OSError, zlib.error, ValueError, RecursionError) as error:
        raise EpisodeFileError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(data, dict):
        raise EpisodeFileError(f"{path} holds a {type(data).__name__}, expected an object")
    return data


def _categories(
    path: Path, data: dict[str, Any], inherited: Mapping[str, int] | None = None
) -> Mapping[str, int]:
    """Return the task ids of the categories, those of the split where a scene names none."""
    if TASK_IDS not in data and inherited is not None:
        return inherited
    tasks = _need(path, data, TASK_IDS, dict)
    name = next((name for name in ANNOTATION_IDS if name in data), None)
    if name is None:
        raise EpisodeFileError(
            f"{path}: the key {' or '.join(ANNOTATION_IDS)} is missing: this is no file of "
            "ObjectNav episodes"
        )
    annotated = _need(path, data, name, dict)
    if tasks.keys() != annotated.keys():
        odd = sorted(tasks.keys() ^ annotated.keys())
        raise EpisodeFileError(
            f"{path}: {TASK_IDS} and {name} must name the same categories; only one of them has "
            f"{', '.join(odd)}"
        )
    for category, number in tasks.items():
        if not isinstance(number, int):
            raise EpisodeFileError(
                f"{path}: {TASK_IDS}.{category} is {number!r}, expected a number"
            )
    return tasks


def _scene(path: Path, data: dict[str, Any], categories: Mapping[str, int]) -> SceneEpisodes:
    rows = _need(path, data, "episodes", list)
    episodes = tuple(_episode(path, row, i, categories) for i, row in enumerate(rows))
    if "goals_by_category" in data:
        listed = _need(path, data, "goals_by_category", dict)
    else:  # older files repeat the goals in each episode
        pairs = zip(episodes, rows, strict=True)
        listed = {_goals_key(e.scene_id, e.category): row.get("goals") for e, row in pairs}
    goals = {key: _goals(path, f"goals_by_category.{key}", rows) for key, rows in listed.items()}
    for episode in episodes:
        key = _goals_key(episode.scene_id, episode.category)
        if not goals.get(key):
            raise EpisodeFileError(
                f"{path}: episodes[{episode.index}] looks for a {episode.category}, but "
                f"goals_by_category.{key} is missing or empty"
            )
        if not any(len(goal.view_points_m) for goal in goals[key]):
            raise EpisodeFileError(f"{path}: no goal in goals_by_category.{key} has view_points")
    return SceneEpisodes(file=path, categories=categories, episodes=episodes, goals=goals)


def _episode(path: Path, row: Any, index: int, categories: Mapping[str, int]) -> Episode:
    where = f"episodes[{index}]"
    category = _need(path, row, "object_category", str, where)
    if category not in categories:
        raise EpisodeFileError(
            f"{path}: {where}.object_category is {category!r}; {TASK_IDS} has "
            f"{', '.join(sorted(categories))}"
        )
    info = row.get("info")
    geodesic_m = info.get("geodesic_distance") if isinstance(info, dict) else None
    return Episode(
        index=index,
        episode_id=str(row.get("episode_id", index)),
        scene_id=_need(path, row, "scene_id", str, where),
        dataset=str(row.get("scene_dataset_config") or ""),
        start_m=_numbers(path, row, "start_position", 3, where),
        start_rotation=_rotation(path, row, where),
        category=category,
        geodesic_m=float(geodesic_m) if isinstance(geodesic_m, int | float) else math.nan,
    )


def _goals(path: Path, where: str, rows: Any) -> tuple[GoalObject, ...]:
    if not isinstance(rows, list):
        raise EpisodeFileError(f"{path}: {where} is {_kind(rows)}, expected a list")
    found = []
    for i, row in enumerate(rows):
        here = f"{where}[{i}]"
        points = _need(path, row, "view_points", list, here)
        places = [
            _view_point(path, point, f"{here}.view_points[{k}]") for k, point in enumerate(points)
        ]
        found.append(
            GoalObject(
                object_id=str(row.get("object_id", "")),
                name=str(row.get("object_name") or ""),
                position_m=_numbers(path, row, "position", 3, here),
                view_points_m=np.array(places, dtype=np.float64).reshape(-1, 3),
            )
        )
    return tuple(found)


def _view_point(path: Path, point: Any, where: str) -> Float64[np.ndarray, "3"]:
    state = _need(path, point, "agent_state", dict, where)
    return _numbers(path, state, "position", 3, f"{where}.agent_state")


def _goals_key(scene_id: str, category: str) -> str:
    return f"{PurePosixPath(scene_id).name}_{category}"


def _rotation(path: Path, row: Any, where: str) -> Float64[np.ndarray, "4"]:
    rotation = _numbers(path, row, "start_rotation", 4, where)
    length = float(np.linalg.norm(rotation))
    if not 0.99 <= length <= 1.01:
        raise EpisodeFileError(
            f"{path}: {where}.start_rotation is {rotation.tolist()} of length {length:.3g}; "
            "expected a unit quaternion [x, y, z, w]"
        )
    return rotation / length


def _numbers(path: Path, row: Any, key: str, count: int, where: str) -> Float64[np.ndarray, "n"]:
    values = _need(path, row, key, list, where)
    fits = len(values) == count and all(
        isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values
    )
    if not fits:
        raise EpisodeFileError(
            f"{path}: {where}.{key} is {values!r:.80}; expected {count} finite numbers"
        )
    return np.array(values, dtype=np.float64)


def _need(path: Path, row: Any, key: str, kind: type, where: str = "") -> Any:
    if not isinstance(row, dict):
        raise EpisodeFileError(f"{path}: {where} is {_kind(row)}, expected an object")
    full = f"{where}.{key}" if where else key
    if key not in row:
        raise EpisodeFileError(
            f"{path}: the key {full} is missing: this is no file of ObjectNav episodes, or one of "
            "another version"
        )
    if not isinstance(row[key], kind):
        raise EpisodeFileError(f"{path}: {full} is {_kind(row[key])}, expected {_kind(kind())}")
    return row[key]


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", type(None): "nothing"}
    return names.get(type(value), f"the value {value!r:.40}")
