"""The simulator itself: the only file that imports habitat_sim.

It runs in the process that serves it (see serve.py), with that process's Python: numpy and
habitat_sim are all it needs, Python 3.9 is enough. Every call takes and gives plain values and
arrays, in Habitat's own frame: metres, y up, rotations [x, y, z, w]. A call that depends on where
the agent is brings its pose along, so that a simulator that was started again goes on the same.

One thread must make and use it: a renderer belongs to the thread that made it.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

Values = dict[str, Any]
Arrays = dict[str, np.ndarray]
Answer = tuple[Values, Arrays]


def open_backend(config: Values) -> HabitatBackend:
    """Return the simulator with the scene of a configuration."""
    return HabitatBackend(config)


class HabitatBackend:
    """One scene with one agent in it.

    Args:
        config: Settings by name, see `HabitatConfig`.

    Raises:
        FileNotFoundError: If scene, dataset or navmesh is not there.
        ImportError: If habitat_sim is not.
        RuntimeError: If the navmesh cannot be read.
    """

    def __init__(self, config: Values) -> None:
        for name in ("dataset", "navmesh"):
            if config[name] and not Path(config[name]).is_file():
                raise FileNotFoundError(f"there is no {name} {config[name]}")
        # A scene of a dataset may be a name; without one it can only be a file.
        if not config["dataset"] and not Path(config["scene"]).is_file():
            raise FileNotFoundError(f"there is no scene {config['scene']}")
        for name in ("MAGNUM_LOG", "HABITAT_SIM_LOG"):  # read when the library is loaded
            os.environ.setdefault(name, "quiet")
        import habitat_sim

        self._lib = habitat_sim
        self._config = config
        with _folder_without_lighting(config["lighting"]):
            self._sim = habitat_sim.Simulator(_configuration(habitat_sim, config))
        self._agent = self._sim.get_agent(0)
        self._navmesh = self._prepare_navmesh()

    def describe(self, args: Values, arrays: Arrays) -> Answer:
        """Return what the scene is and what it holds.

        Values: name, version, navmesh ("scene", "file", "computed", or "" for none), islands,
        area_m2, labels and rooms of the objects. Arrays: bounds_m (2 3), of the objects
        semantic_ids (n), centres_m (n 3), sizes_m (n 3), rotations (n 4).
        """
        values: Values = {
            "name": "habitat-sim",
            "version": str(getattr(self._lib, "__version__", "unknown")),
            "navmesh": self._navmesh,
            "area_m2": 0.0,
            "islands": 0,
        }
        bounds = np.zeros((2, 3))
        if self._navmesh:
            paths = self._sim.pathfinder
            bounds = np.array([np.array(corner) for corner in paths.get_bounds()], dtype=np.float64)
            values["area_m2"] = float(paths.navigable_area)
            values["islands"] = int(paths.num_islands)
        labels, rooms, objects = self._objects()
        values["labels"], values["rooms"] = labels, rooms
        return values, dict(objects, bounds_m=bounds)

    def observe(self, args: Values, arrays: Arrays) -> Answer:
        """Put the agent at position_m (3), rotation (4), and sense.

        Arrays: rgb (h w 3), depth_m (h w; 0 is no surface), semantic (h w) if there is one.
        """
        self._place(arrays)
        return {}, self._images(self._sim.get_sensor_observations())

    def act(self, args: Values, arrays: Arrays) -> Answer:
        """Put the agent at position_m, rotation, do `action`, and sense.

        Values: collided. Arrays: those of `observe`, and where the agent is then.
        """
        self._place(arrays)
        sensed = self._sim.step(args["action"])
        state = self._agent.get_state()
        turned = state.rotation
        where = {
            "position_m": np.array(state.position, dtype=np.float64),
            "rotation": np.array([turned.x, turned.y, turned.z, turned.w], dtype=np.float64),
        }
        return {"collided": bool(sensed["collided"])}, dict(self._images(sensed), **where)

    def walk(self, args: Values, arrays: Arrays) -> Answer:
        """Return the path_m (n + 1, 3) of feet that try the displacements steps_m (n 3) one by one.

        Args: start_m (3); sliding: walls are slid along instead of stopping the feet.
        """
        paths = self._paths()
        step = paths.try_step if args["sliding"] else paths.try_step_no_sliding
        path = [np.array(arrays["start_m"], dtype=np.float32)]
        for displacement in arrays["steps_m"]:
            wanted = (path[-1] + displacement).astype(np.float32)
            path.append(np.array(step(path[-1], wanted), dtype=np.float32))
        return {}, {"path_m": np.array(path, dtype=np.float64)}

    def snap(self, args: Values, arrays: Arrays) -> Answer:
        """Return the navigable points_m (n 3) nearest to points_m, NaN where none is near."""
        paths = self._paths()
        points = [np.array(paths.snap_point(p)) for p in arrays["points_m"].astype(np.float32)]
        return {}, {"points_m": np.array(points, dtype=np.float64).reshape(-1, 3)}

    def navigable(self, args: Values, arrays: Arrays) -> Answer:
        """Return which points_m (n 3) are navigable within max_dy_m of their height."""
        paths, slack_m = self._paths(), float(args["max_dy_m"])
        found = [paths.is_navigable(p, slack_m) for p in arrays["points_m"].astype(np.float32)]
        return {}, {"navigable": np.array(found, dtype=bool)}

    def sample(self, args: Values, arrays: Arrays) -> Answer:
        """Return `count` navigable points_m by `seed`, and how large the island of each is."""
        paths = self._paths()
        paths.seed(int(args["seed"]))
        points = [np.array(paths.get_random_navigable_point()) for _ in range(int(args["count"]))]
        radii = [paths.island_radius(p) if np.isfinite(p).all() else np.nan for p in points]
        return {}, {
            "points_m": np.array(points, dtype=np.float64).reshape(-1, 3),
            "islands_m": np.array(radii, dtype=np.float64),
        }

    def geodesics(self, args: Values, arrays: Arrays) -> Answer:
        """Return the lengths_m (n) of the shortest paths from starts_m (n 3) to the nearest end.

        Args: ends_m (m 3). Also `nearest` (n): which end; -1 and infinity where none is reached.
        """
        paths = self._paths()
        starts, ends = (arrays[name].astype(np.float32) for name in ("starts_m", "ends_m"))
        lengths_m, nearest = np.full(len(starts), np.inf), np.full(len(starts), -1, dtype=np.int32)
        path = self._lib.MultiGoalShortestPath()
        if len(ends):
            path.requested_ends = ends
        for i, start in enumerate(starts if len(ends) else ()):
            path.requested_start = start
            if paths.find_path(path):
                lengths_m[i], nearest[i] = path.geodesic_distance, path.closest_end_point_index
        return {}, {"lengths_m": lengths_m, "nearest": nearest}

    def close(self) -> None:
        """Release the simulator."""
        self._sim.close()

    def _paths(self) -> Any:
        # A query of a navmesh that is not loaded ends the process.
        if not self._navmesh:
            raise RuntimeError("the scene has no navmesh")
        return self._sim.pathfinder

    def _prepare_navmesh(self) -> str:
        paths, config = self._sim.pathfinder, self._config
        if config["navmesh"]:
            if not paths.load_nav_mesh(config["navmesh"]):
                raise RuntimeError(f"{config['navmesh']} is no navmesh that habitat-sim can read")
            return "file"
        if paths.is_loaded and not config["rebuild_navmesh"]:
            return "scene"
        settings = self._lib.NavMeshSettings()
        settings.set_defaults()
        settings.agent_height = config["agent_height_m"]
        settings.agent_radius = config["agent_radius_m"]
        settings.agent_max_climb = config["max_climb_m"]
        settings.agent_max_slope = config["max_slope_deg"]
        computed = self._sim.recompute_navmesh(paths, settings)
        return "computed" if computed and paths.is_loaded else ""

    def _place(self, arrays: Arrays) -> None:
        state = self._lib.AgentState()
        state.position = arrays["position_m"].astype(np.float32)
        state.rotation = [float(v) for v in arrays["rotation"]]
        self._agent.set_state(state)

    def _images(self, sensed: Values) -> Arrays:
        images = {"rgb": sensed["rgb"][..., :3], "depth_m": sensed["depth"]}
        if "semantic" in sensed:
            images["semantic"] = sensed["semantic"].astype(np.int32)
        return images

    def _objects(self) -> tuple[list[str], list[str], Arrays]:
        scene = self._sim.semantic_scene
        found = [o for o in (scene.objects if scene is not None else []) if o is not None]
        labels = [o.category.name() if o.category is not None else "" for o in found]
        rooms = [str(o.region.id) if o.region is not None else "" for o in found]
        # `aabb` of an object always holds the origin of the world (a defect); `obb` is right.
        boxes = [o.obb for o in found]
        return (
            labels,
            rooms,
            {
                "semantic_ids": np.array([o.semantic_id for o in found], dtype=np.int32),
                "centres_m": _rows([np.array(b.center) for b in boxes], 3),
                "sizes_m": _rows([np.array(b.sizes) for b in boxes], 3),
                "rotations": _rows([_xyzw(b.rotation) for b in boxes], 4),
            },
        )


def _configuration(lib: Any, config: Values) -> Any:
    sim = lib.SimulatorConfiguration()
    sim.scene_id = config["scene"]
    if config["dataset"]:
        sim.scene_dataset_config_file = config["dataset"]
    sim.gpu_device_id = config["gpu_device_id"]
    sim.random_seed = config["seed"]
    sim.allow_sliding = config["sliding"]
    sim.enable_physics = False
    kinds = {"rgb": lib.SensorType.COLOR, "depth": lib.SensorType.DEPTH}
    if config["semantics"]:
        kinds["semantic"] = lib.SensorType.SEMANTIC
    agent = lib.agent.AgentConfiguration()
    agent.height, agent.radius = config["agent_height_m"], config["agent_radius_m"]
    agent.sensor_specifications = [_camera(lib, config, *kind) for kind in kinds.items()]
    agent.action_space = {
        name: lib.agent.ActionSpec(name, lib.agent.ActuationSpec(amount=amount))
        for name, amount in (
            ("move_forward", config["forward_m"]),
            ("turn_left", config["turn_deg"]),
            ("turn_right", config["turn_deg"]),
        )
    }
    return lib.Configuration(sim, [agent])


def _camera(lib: Any, config: Values, name: str, kind: Any) -> Any:
    spec = lib.CameraSensorSpec()
    spec.uuid, spec.sensor_type = name, kind
    spec.sensor_subtype = lib.SensorSubType.PINHOLE
    spec.resolution = [config["height_px"], config["width_px"]]
    spec.position = [0.0, config["camera_height_m"], 0.0]
    # Turning about the axis to the right by a positive angle looks up.
    spec.orientation = [-float(np.deg2rad(config["camera_pitch_deg"])), 0.0, 0.0]
    spec.hfov = config["hfov_deg"]
    return spec


@contextlib.contextmanager
def _folder_without_lighting(lighting: bool) -> Iterator[None]:
    """Work in a folder whose settings name no environment map.

    With one, every simulator spends a dozen seconds on light that unlit scenes never use. The only
    way to say so is a file below the working folder.
    """
    if lighting:
        yield
        return
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="agentd-habitat-") as folder:
        settings = Path(folder) / "data" / "default.pbr_config.json"
        settings.parent.mkdir()
        settings.write_text(json.dumps({"ibl_envmap_filename": "no_such_map.hdr"}))
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def _rows(rows: list[np.ndarray], width: int) -> np.ndarray:
    return np.array(rows, dtype=np.float64).reshape(-1, width)


def _xyzw(rotation: Any) -> np.ndarray:
    if hasattr(rotation, "scalar"):  # magnum.Quaternion
        return np.array([*rotation.vector, rotation.scalar])
    return np.array(rotation)
