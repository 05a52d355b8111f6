"""Which scene a body is in, and where it starts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from agentd.worlds.habitat.backend import Simulator
from agentd.worlds.habitat.episodes import SceneEpisodes, read_dataset, scene_file, scene_stem
from agentd.worlds.habitat.errors import HabitatError
from configs.bodies.habitat import HabitatConfig

_NUM_DRAWS = 64
_SAME_ISLAND = 0.95
"""Points whose islands differ less than this in radius are taken to be on the largest one."""


def configured(config: HabitatConfig) -> tuple[HabitatConfig, SceneEpisodes | None]:
    """Return the settings with the scene that the episodes name, and its episodes.

    Raises:
        HabitatError: If neither a scene nor episodes are set, or no episode is in the scene.
    """
    if not config.episodes:
        if not config.scene:
            raise HabitatError(f"habitat needs {config.missing}")
        return config, None
    found = _episodes_of(Path(config.episodes).expanduser(), scene_stem(config.scene))
    return in_scene(config, found), found


def in_scene(config: HabitatConfig, episodes: SceneEpisodes) -> HabitatConfig:
    """Return the settings with scene and dataset of some episodes, where they set none."""
    first = episodes.episodes[0]
    scene, dataset = config.scene, config.dataset
    if not scene:
        scene = scene_file(first.scene_id, config.scenes_folder)
    if not dataset and first.dataset.endswith(".json"):
        dataset = scene_file(first.dataset, config.scenes_folder)
    return config.model_copy(update={"scene": scene, "dataset": dataset})


def by_scene(found: SceneEpisodes) -> list[SceneEpisodes]:
    """Return the episodes of one file by scene, in the order of the file."""
    scenes = dict.fromkeys(episode.scene_id for episode in found.episodes)
    return [
        replace(found, episodes=tuple(e for e in found.episodes if e.scene_id == scene))
        for scene in scenes
    ]


def _episodes_of(path: Path, stem: str) -> SceneEpisodes:
    seen = []
    for found in read_dataset(path):
        for scene in by_scene(found):
            seen.append(scene_stem(scene.episodes[0].scene_id))
            if not stem or seen[-1] == stem:
                return scene
    known = ", ".join(seen[:5]) + (" ..." if len(seen) > 5 else "")
    raise HabitatError(f"{path} has no episode in the scene {stem!r}; it has {known or 'none'}")


def draw_start(
    simulator: Simulator, seed: int
) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "1"]]:
    """Return feet on the largest part of the navmesh, and a heading in rad, by the seed.

    Tops of furniture are parts of their own, where nothing can be reached.

    Raises:
        HabitatError: If there is no floor.
    """
    points_m, islands_m = simulator.sample(seed, _NUM_DRAWS)
    fine = np.isfinite(points_m).all(axis=1) & np.isfinite(islands_m)
    if not fine.any():
        raise HabitatError("the navmesh of the scene has no place to stand on")
    largest = fine & (islands_m >= _SAME_ISLAND * islands_m[fine].max())
    yaw_rad = np.random.default_rng(seed).uniform(-np.pi, np.pi, 1)
    return points_m[int(np.flatnonzero(largest)[0])], yaw_rad
