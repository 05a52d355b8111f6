"""What `agentd eval objectnav` does: play the episodes of a file, and score them."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from agentd.evaluate.errors import EvaluationError
from agentd.evaluate.objectnav.play import PartJob, play_part
from agentd.evaluate.objectnav.rows import PartResult
from agentd.evaluate.objectnav.summary import summarise
from agentd.evaluate.pool import play_all
from agentd.evaluate.rows import ResultFile
from agentd.worlds.habitat.episodes import SceneEpisodes, read_dataset, scene_stem
from agentd.worlds.habitat.place import by_scene
from configs.bodies.habitat import HabitatConfig
from memory.config import ObjectConfig
from policies.config import PoliciesConfig

EPISODES_PER_PART = 20
"""Episodes that are lost when a run is cut; a scene is loaded once for them."""

TASK_BODY: dict[str, Any] = {
    "control": "discrete",
    "sliding": False,
    "depth_max_m": 5.0,
    "width_px": 160,
    "height_px": 120,
}
"""The body of the task where nothing else is set: HM3D's is 640 x 480, of which this is a quarter;
the other values of the task are the defaults of `HabitatConfig`."""

TASK_MAP_M = 48.0
"""Side of the map where none is set: the scans are larger than the embedded houses."""


class ObjectNavRequest(BaseModel):
    """What to play."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    episodes: Path
    """File of a split or a scene, or the folder of a split."""
    scenes: tuple[str, ...] = ()
    """Short names of the scenes; empty: all."""
    per_scene: int | None = Field(None, ge=1)
    """Episodes of each scene, the first ones; None: all."""
    budget_steps: int = Field(500, ge=1)
    """Steps of an episode, saying stop among them."""
    seed: int = Field(0, ge=0)
    workers: int = Field(1, ge=1, le=256)
    out: Path | None = None
    """Folder for `episodes.jsonl` (resumed if it is there) and `result.json`."""
    world: HabitatConfig = HabitatConfig()
    objects: ObjectConfig = ObjectConfig()
    policies: PoliciesConfig = PoliciesConfig()


def task_body(config: HabitatConfig, is_set: set[str]) -> HabitatConfig:
    """Return the settings with those of the task for what nobody set."""
    return config.model_copy(update={k: v for k, v in TASK_BODY.items() if k not in is_set})


def task_policies(policies: PoliciesConfig, is_set: bool) -> PoliciesConfig:
    """Return the settings with a map that is large enough for a scan, unless its size is set."""
    if is_set:
        return policies
    large = policies.map.model_copy(update={"size_m": TASK_MAP_M})
    return policies.model_copy(update={"map": large})


def run(request: ObjectNavRequest) -> dict[str, Any]:
    """Play what is asked for and is not yet in `request.out`; return the scores.

    Raises:
        EpisodeFileError: If a file cannot be used; nothing is played then.
        EvaluationError: If no episode is asked for.
        UsageError: If `request.out` was played with other settings.
        HabitatError: If a scene cannot be opened; the others are played first.
    """
    jobs, asked = [], set()
    path = None if request.out is None else request.out / "episodes.jsonl"
    file = None if path is None else ResultFile(path, _settings(request), PartResult)
    results = [] if file is None else list(file.results)
    played = {(row.scene, row.index) for result in results for row in result.rows}
    for part in _asked(request):
        scene = part.episodes[0].scene_id
        indices = [episode.index for episode in part.episodes][: request.per_scene]
        asked |= {(scene, index) for index in indices}
        left = [index for index in indices if (scene, index) not in played]
        for start in range(0, len(left), EPISODES_PER_PART):
            jobs.append(_job(request, part.file, scene, left[start : start + EPISODES_PER_PART]))
    if not asked:
        raise EvaluationError(f"{request.episodes} has no episode to play")
    for result in play_all(play_part, jobs, request.workers, "parts of scenes"):
        if file is not None:
            file.append(result)
        results.append(result)
    rows = [row for result in results for row in result.rows if (row.scene, row.index) in asked]
    rows.sort(key=lambda row: (row.scene, row.index))
    summary = summarise(rows, seed=request.seed)
    summary["request"] = request.model_dump(
        mode="json", exclude={"workers", "out", "world", "objects", "policies"}
    )
    summary["body"] = request.world.model_dump(mode="json", include={*TASK_BODY, "success_m"})
    summary["detector"] = request.policies.perception.detector
    if request.out is not None:
        text = json.dumps(summary, indent=1, allow_nan=False)
        (request.out / "result.json").write_text(text + "\n", encoding="utf-8")
    return summary


def _asked(request: ObjectNavRequest) -> Iterator[SceneEpisodes]:
    """Yield the episodes of each scene that is asked for; the files are all read, and checked.

    Raises:
        EvaluationError: If a scene is asked for that has none.
    """
    known = []
    for found in read_dataset(request.episodes):
        for part in by_scene(found):
            known.append(scene_stem(part.episodes[0].scene_id))
            if not request.scenes or known[-1] in request.scenes:
                yield part
    for name in request.scenes:
        if name not in known:
            listed = ", ".join(known[:8]) + (" ..." if len(known) > 8 else "")
            raise EvaluationError(f"{request.episodes} has no scene {name!r}; it has {listed}")


def _job(request: ObjectNavRequest, file: Path, scene: str, indices: list[int]) -> PartJob:
    return PartJob(
        file=file,
        scene=scene,
        indices=tuple(indices),
        budget_steps=request.budget_steps,
        seed=request.seed,
        world=request.world,
        objects=request.objects,
        policies=request.policies,
    )


def _settings(request: ObjectNavRequest) -> dict[str, Any]:
    """Return what must be the same for results to stand in one table.

    Where and by which interpreter the simulator runs is none of it.
    """
    elsewhere = {"python", "process", "gpu_device_id", "scenes_folder", "episodes"}
    elsewhere |= {name for name in HabitatConfig.model_fields if name.endswith("timeout_s")}
    parts = [
        request.world.model_dump_json(exclude=elsewhere),
        request.objects.model_dump_json(),
        request.policies.model_dump_json(),
    ]
    return {
        "episodes": str(request.episodes.name),
        "budget_steps": request.budget_steps,
        "seed": request.seed,
        "config_sha256": hashlib.sha256("".join(parts).encode()).hexdigest()[:16],
    }
