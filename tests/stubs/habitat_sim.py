"""The parts of habitat-sim 0.3.3 that are used, with the behaviour that was measured of it.

Attributes that do not exist raise, a navmesh that is not loaded ends the process, another thread
than the one that made a simulator is an error, points of whole numbers are refused. What is seen
and where one can go is that of tests/habitat_fake.py, which is to be imported as `habitat_fake`.
"""

from __future__ import annotations

import json
import math
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import habitat_fake
import numpy as np

__version__ = "0.3.3"
LOADED_WITH_LIGHT = []


class _Settings:
    """Takes values of the names it was born with, and no others."""

    def __init__(self, **values):
        self.__dict__.update(values)

    def __setattr__(self, name, value):
        if name not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no {name}")
        self.__dict__[name] = value


class SimulatorConfiguration(_Settings):
    def __init__(self):
        super().__init__(
            scene_id="",
            scene_dataset_config_file="default",
            gpu_device_id=0,
            random_seed=0,
            allow_sliding=True,
            create_renderer=True,
            enable_physics=False,
            load_semantic_mesh=True,
            navmesh_settings=None,
        )


class CameraSensorSpec(_Settings):
    def __init__(self):
        super().__init__(
            uuid="rgba_camera",
            sensor_type=SensorType.COLOR,
            sensor_subtype=SensorSubType.PINHOLE,
            resolution=[128, 128],
            position=[0, 1.5, 0],
            orientation=[0, 0, 0],
            hfov=90,
            near=0.01,
            far=1000,
        )


class NavMeshSettings(_Settings):
    def __init__(self):
        super().__init__(agent_height=0, agent_radius=0, agent_max_climb=0, agent_max_slope=0)

    def set_defaults(self):
        self.agent_height, self.agent_radius = 1.5, 0.1
        self.agent_max_climb, self.agent_max_slope = 0.2, 45.0


class SensorType:
    COLOR, DEPTH, SEMANTIC = "color", "depth", "semantic"


class SensorSubType:
    PINHOLE = "pinhole"


class AgentState:
    def __init__(self):
        self.position, self.rotation = np.zeros(3), SimpleNamespace(x=0.0, y=0.0, z=0.0, w=1.0)


class _AgentConfiguration(_Settings):
    def __init__(self):
        super().__init__(
            height=1.5, radius=0.1, sensor_specifications=[], action_space={}, body_type="cylinder"
        )


agent = SimpleNamespace(
    AgentConfiguration=_AgentConfiguration,
    ActionSpec=lambda name, actuation: SimpleNamespace(name=name, actuation=actuation),
    ActuationSpec=lambda amount, constraint=None: SimpleNamespace(amount=amount),
)


class Configuration:
    def __init__(self, sim_cfg, agents):
        self.sim_cfg, self.agents = sim_cfg, agents


class MultiGoalShortestPath(_Settings):
    def __init__(self):
        super().__init__(
            requested_start=None,
            requested_ends=None,
            geodesic_distance=math.inf,
            closest_end_point_index=-1,
            points=[],
        )


def _point(value):
    array = np.asarray(value)
    if array.dtype.kind == "i":
        raise TypeError("incompatible function arguments: points are of floats")
    return array.astype(np.float64)


class PathFinder:
    def __init__(self, fake, loaded):
        self._fake, self.is_loaded = fake, loaded

    def _alive(self):
        if not self.is_loaded:
            os.abort()  # SIGSEGV in the real one
        return self._fake

    def get_bounds(self):
        low, high = self._alive().describe({}, {})[1]["bounds_m"]
        return low, high

    navigable_area = property(lambda self: 40.0 if self._alive() else 0.0)
    num_islands = property(lambda self: 1 if self._alive() else 0)

    def snap_point(self, p):
        found = self._alive().snap({}, {"points_m": _point(p)[None]})
        return found[1]["points_m"][0]

    def is_navigable(self, p, max_y_delta=0.5):
        args, arrays = {"max_dy_m": max_y_delta}, {"points_m": _point(p)[None]}
        return bool(self._alive().navigable(args, arrays)[1]["navigable"][0])

    def seed(self, n):
        self._rng = np.random.default_rng(n)

    def get_random_navigable_point(self):
        args = {"seed": int(self._rng.integers(1 << 30)), "count": 8}
        points = self._alive().sample(args, {})[1]["points_m"]
        return points[self._rng.integers(8)]

    def island_radius(self, p):
        self._alive()
        return 5.0 if _point(p)[1] < 0.5 else 0.9

    def try_step(self, start, end):
        return self._alive()._try(_point(start), _point(end), True)

    def try_step_no_sliding(self, start, end):
        return self._alive()._try(_point(start), _point(end), False)

    def find_path(self, path):
        arrays = {"starts_m": _point(path.requested_start)[None]}
        arrays["ends_m"] = _point(path.requested_ends)
        _, found = self._alive().geodesics({}, arrays)
        path.geodesic_distance = float(found["lengths_m"][0])
        path.closest_end_point_index = int(found["nearest"][0])
        return bool(np.isfinite(path.geodesic_distance))

    def load_nav_mesh(self, path):
        self.is_loaded = Path(path).read_bytes().startswith(b"MSET")
        return self.is_loaded


class _Agent:
    def __init__(self):
        self.state = AgentState()

    def get_state(self):
        state = AgentState()
        state.position, state.rotation = self.state.position, self.state.rotation
        return state

    def set_state(self, state, reset_sensors=True):
        x, y, z, w = state.rotation
        self.state.position = np.asarray(state.position, dtype=np.float32)
        self.state.rotation = SimpleNamespace(x=x, y=y, z=z, w=w)

    def pose(self):
        r = self.state.rotation
        return {"position_m": self.state.position, "rotation": np.array([r.x, r.y, r.z, r.w])}


class Simulator:
    def __init__(self, cfg):
        sim, (body,) = cfg.sim_cfg, cfg.agents
        if sim.gpu_device_id >= 0:
            print("unable to find CUDA device 0 among 1 EGL devices", flush=True)
            os._exit(1)
        light = Path("data/default.pbr_config.json")
        dark = light.is_file() and "ibl_envmap_filename" in json.loads(light.read_text())
        LOADED_WITH_LIGHT.append(not dark)
        self._thread = threading.get_ident()
        self._kinds = {s.uuid: s for s in body.sensor_specifications}
        camera = next(iter(self._kinds.values()))
        self._fake = habitat_fake.FakeBackend(
            {
                "scene": sim.scene_id,
                "height_px": camera.resolution[0],
                "width_px": camera.resolution[1],
                "hfov_deg": float(camera.hfov),
                "camera_height_m": camera.position[1],
                "camera_pitch_deg": -math.degrees(camera.orientation[0]),
                "agent_radius_m": 0.18,
                "sliding": sim.allow_sliding,
                "forward_m": body.action_space["move_forward"].actuation.amount,
                "turn_deg": body.action_space["turn_left"].actuation.amount,
                "semantics": "semantic" in self._kinds,
            }
        )
        name = Path(sim.scene_id).name
        self.pathfinder = PathFinder(self._fake, "solid" not in name and "unmeshed" not in name)
        self._agent = _Agent()
        self.semantic_scene = None if "bare" in name else self._annotation()

    def get_agent(self, number):
        assert number == 0
        return self._agent

    def recompute_navmesh(self, pathfinder, settings):
        assert settings.agent_radius > 0
        pathfinder.is_loaded = "solid" not in Path(self._fake.config["scene"]).name
        return pathfinder.is_loaded

    def get_sensor_observations(self):
        return self._sensed(self._fake._images(**self._here()))

    def step(self, action):
        pose = self._agent.pose()
        values, arrays = self._fake.act({"action": action}, pose)
        state = AgentState()
        state.position, state.rotation = arrays["position_m"], list(arrays["rotation"])
        self._agent.set_state(state)
        return self._sensed(arrays) | {"collided": values["collided"]}

    def close(self):
        self._check()

    def _here(self):
        pose = self._agent.pose()
        return {"position": pose["position_m"], "rotation": pose["rotation"]}

    def _sensed(self, arrays):
        self._check()
        alpha = np.full((*arrays["depth_m"].shape, 1), 255, dtype=np.uint8)
        sensed = {"rgb": np.concatenate([arrays["rgb"], alpha], -1), "depth": arrays["depth_m"]}
        if "semantic" in self._kinds:
            sensed["semantic"] = arrays["semantic"].astype(np.uint32)
        return sensed

    def _check(self):
        if threading.get_ident() != self._thread:
            os.abort()  # no current context

    def _annotation(self):
        values, arrays = self._fake.describe({}, {})
        things = [SimpleNamespace(semantic_id=0, category=None, region=None, obb=_box())]
        for i, label in enumerate(values["labels"]):
            things.append(
                SimpleNamespace(
                    semantic_id=int(arrays["semantic_ids"][i]),
                    category=SimpleNamespace(name=lambda label=label: label),
                    region=SimpleNamespace(id=f"_{i}"),
                    obb=_box(arrays["centres_m"][i], arrays["sizes_m"][i]),
                )
            )
        return SimpleNamespace(objects=things)


def _box(centre=(0.0, 0, 0), size=(0.0, 0, 0)):
    return SimpleNamespace(center=np.array(centre), sizes=np.array(size), rotation=[0.0, 0, 0, 1.0])
