"""A scanned house of Habitat as a World."""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float64, Int32

from agentd.worlds.base import StepResult, WorldClosedError
from agentd.worlds.habitat import frames
from agentd.worlds.habitat.backend import Images, SceneFacts, Simulator
from agentd.worlds.habitat.drive import Primitives, chords, progress
from agentd.worlds.habitat.episodes import Episode
from agentd.worlds.habitat.errors import HabitatError
from agentd.worlds.habitat.opening import LastingSimulator, Opener, open_caller
from agentd.worlds.habitat.place import configured, draw_start
from agentd.worlds.habitat.saved import pack, unpack
from configs.bodies.habitat import HabitatConfig
from memory.frames import camera_mount, egomotion_between, se3_from_pose
from memory.records import Action, BodySpec, Observation

T = TypeVar("T")

_LONGEST_ACTION_S = 5.0
_PRIMITIVE_S = 1.0
_SNAP_M = 0.3
_NS = 1_000_000_000


class HabitatWorld:
    """One scene with one body in it; satisfies World and Resumable.

    The body localises itself on the floor it stands on, as a wheeled robot does: z is 0 there,
    whatever the storey. Odometry is the true motion. Time is simulated, as in the house.

    Attributes:
        facts: What the scene holds. Ground truth reads it; nothing that acts may.
        episodes: Those of the scene, None without a file of episodes.
    """

    def __init__(self, config: HabitatConfig, opener: Opener = open_caller) -> None:
        """Open the scene with the body at a place drawn by `config.seed`, or at an episode's start.

        Raises:
            HabitatError: If there is no scene, no simulator, or no floor to stand on.
        """
        config, self.episodes = configured(config)
        self._config = config
        self._spec = _body_spec(config)
        self._news: list[str] = []
        self._lasting = LastingSimulator(config, opener, self._news.append)
        self._closed = False
        try:
            self.facts: SceneFacts = self.ask(lambda simulator: simulator.describe())
            self._check_scene()
            kept = {o.semantic_id: config.rename.get(o.label, o.label) for o in self.facts.objects}
            left_out = {"", *config.structure}
            self._labels = {i: label for i, label in kept.items() if label not in left_out}
            self._primitives = Primitives(config.forward_m, math.radians(config.turn_deg))
            self._num_draws, self._draw_seed, self._clock_ns = 0, config.seed, 0
            self._bumped = False
            self._egomotion = np.zeros(3, dtype=np.float32)
            self._start(config.seed)
        except BaseException:
            self.close()
            raise

    @property
    def spec(self) -> BodySpec:
        """Constant description of the body."""
        return self._spec

    @property
    def config(self) -> HabitatConfig:
        """Settings, with the scene that an episode names."""
        return self._config

    def ask(self, question: Callable[[Simulator], T]) -> T:
        """Return what the simulator answers; for ground truth."""
        self._check_open()
        return self._lasting.ask(question)

    def reset(self, seed: int | None = None) -> Observation:
        """Open an episode.

        Args:
            seed: Draws the start: a place on the largest part of the navmesh, or an episode of the
                file. None leaves the body where it is and senses.
        """
        self._check_open()
        if seed is not None:
            self._draw_seed, self._num_draws = seed, 0
            self._start(seed)
        self._begin()
        return self._observe(self._look())

    def begin(self, episode: Episode) -> Observation:
        """Open an episode at the start of an episode of a file; for evaluation."""
        self._check_open()
        self._draw_seed, self._num_draws = episode.index, 0
        self._put(*_pose_of(episode))
        self._begin()
        return self._observe(self._look())

    def place(self, pose: Float64[np.ndarray, "3"]) -> None:
        """Put the body at x_m, y_m, yaw_rad of the storey it is on, standing still."""
        self._check_open()
        feet_m = frames.points_to_habitat(np.array([*pose[:2], self._height_m]))
        floor_m = self.ask(lambda simulator: simulator.snap(feet_m[None]))[0]
        near = np.hypot(*(floor_m - feet_m)[[0, 2]]) < _SNAP_M  # false of NaN
        self._put(np.asarray(pose, dtype=np.float64), floor_m[1] if near else self._height_m)

    def step(self, action: Action) -> StepResult:
        """Carry out one action.

        `v_mps` of the applied action shrinks by the share of the way that something took. With
        control `discrete` a primitive, or none, is what is applied.

        Raises:
            WorldClosedError: If the world was closed.
            ValueError: If the action is not finite or its duration is not positive.
            SimulatorLostError: If the simulator ends again and again.
        """
        self._check_open()
        if not all(map(math.isfinite, (action.v_mps, action.w_radps, action.duration_s))):
            raise ValueError(f"the action {action} is not finite")
        if action.duration_s <= 0:
            raise ValueError(f"duration_s is {action.duration_s}; it must be positive")
        v_max, w_max = self._spec.v_max_mps, self._spec.w_max_radps
        v = min(max(action.v_mps, -v_max), v_max)
        w = min(max(action.w_radps, -w_max), w_max)
        drive = self._drive if self._config.control == "velocity" else self._act
        images, applied = drive(v, w, min(action.duration_s, _LONGEST_ACTION_S))
        self._num_draws += 1
        self._clock_ns += round(applied.duration_s * _NS)
        self._egomotion = egomotion_between(self._sensed, self._pose)
        events, self._news[:] = tuple(self._news), []
        return StepResult(
            observation=self._observe(images),
            applied=replace(applied, source=action.source),
            events=events,
        )

    def close(self) -> None:
        """Release the simulator; quiet when called twice."""
        if not self._closed:
            self._closed = True
            self._lasting.close()

    @property
    def pose(self) -> Float64[np.ndarray, "3"]:
        """True x_m, y_m, yaw_rad; for ground truth."""
        return self._pose.copy()

    @property
    def height_m(self) -> float:
        """Height of the feet in the scene; for ground truth."""
        return self._height_m

    @property
    def feet_m(self) -> Float64[np.ndarray, "3"]:
        """Feet in Habitat's frame; for ground truth."""
        return frames.points_to_habitat(np.array([*self._pose[:2], self._height_m]))

    def save_state(self) -> bytes:
        """Return the whole state of the world, without pickle."""
        self._check_open()
        return pack(self._fields(), self._fingerprint())

    def load_state(self, state: bytes) -> Observation:
        """Put the body where a state says.

        Raises:
            ValueError: If the state belongs to another world or is damaged.
        """
        self._check_open()
        fields = unpack(state, self._fingerprint(), self._fields())
        self._pose = fields["pose"][:3].copy()
        self._height_m = float(fields["pose"][3])
        self._egomotion = fields["egomotion"].astype(np.float32)
        self._primitives.owed[:] = fields["owed"]
        counters = [int(v) for v in fields["counters"]]
        self._clock_ns, self._draw_seed, self._num_draws, bumped = counters
        self._bumped = bool(bumped)
        return self._observe(self._look())

    def _fields(self) -> dict[str, np.ndarray]:
        counters = [self._clock_ns, self._draw_seed, self._num_draws, self._bumped]
        return {
            "pose": np.array([*self._pose, self._height_m], dtype=np.float64),
            "egomotion": self._egomotion.astype(np.float64),
            "owed": self._primitives.owed.copy(),
            "counters": np.array(counters, dtype=np.int64),
        }

    def _fingerprint(self) -> str:
        born = self._config.model_dump(include=set(HabitatConfig.BORN_WITH))
        born["scene"] = Path(self._config.scene).name  # scenes may be moved to another folder
        return hashlib.sha256(json.dumps(born, sort_keys=True).encode()).hexdigest()

    def _check_open(self) -> None:
        if self._closed:
            raise WorldClosedError(f"{self._config.place} was closed")

    def _check_scene(self) -> None:
        config = self._config
        if not self.facts.navmesh:
            raise HabitatError(
                f"the scene {config.scene} has no navmesh and none can be computed for a body of "
                f"radius {config.agent_radius_m} m and height {config.agent_height_m} m: nothing "
                "can move in it. Give world.habitat.navmesh, or check that its floor is level and "
                "its up axis is y"
            )
        if config.semantics and not self.facts.objects:
            self._news.append(
                f"the scene {config.scene} has no annotation: there is no instance mask (use "
                "policies.perception.detector = components or open_vocabulary) and object goals "
                "cannot be scored; colour, depth, moving and episodes work. If it has one, "
                "world.habitat.dataset must name its scene_dataset_config.json"
            )

    def _start(self, seed: int) -> None:
        if self.episodes is None:
            feet_m, yaw_rad = self.ask(lambda simulator: draw_start(simulator, seed))
            x, y, z = frames.points_from_habitat(feet_m)
            self._put(np.array([x, y, yaw_rad[0]]), z)
            return
        episode = self.episodes.episodes[seed % len(self.episodes.episodes)]
        self._put(*_pose_of(episode))
        self._news.append(f"episode {episode.index}: starts where a {episode.category} is to find")

    def _put(self, pose: Float64[np.ndarray, "3"], height_m: float) -> None:
        self._pose, self._height_m = pose.astype(np.float64), float(height_m)

    def _begin(self) -> None:
        self._num_draws += 1
        self._clock_ns += round(self._spec.tick_s * _NS)
        self._egomotion = np.zeros(3, dtype=np.float32)
        self._bumped = False
        self._primitives.owed[:] = 0.0

    def _look(self) -> Images:
        feet_m, rotation = self.feet_m, frames.rotation_from_yaw(float(self._pose[2]))
        return self.ask(lambda simulator: simulator.observe(feet_m, rotation))

    def _drive(self, v_mps: float, w_radps: float, duration_s: float) -> tuple[Images, Action]:
        """Move along the navmesh, and sense."""
        arc = chords(float(self._pose[2]), v_mps, w_radps, duration_s)
        share, self._bumped = 1.0, False
        xyz_m = np.array([*self._pose[:2], self._height_m])
        if len(arc.steps_m):
            feet_m, sliding = self.feet_m, self._config.sliding
            path_m = self.ask(
                lambda simulator: simulator.walk(feet_m, arc.steps_m, sliding=sliding)
            )
            share, self._bumped = progress(arc, path_m)
            xyz_m = frames.points_from_habitat(path_m[-1])
        self._put(np.array([*xyz_m[:2], arc.yaw_rad]), xyz_m[2])
        return self._look(), Action(v_mps=v_mps * share, w_radps=w_radps, duration_s=duration_s)

    def _act(self, v_mps: float, w_radps: float, duration_s: float) -> tuple[Images, Action]:
        """Do the primitive that comes nearest, and sense."""
        name = self._primitives.choose(v_mps * duration_s, w_radps * duration_s)
        applied = Action(v_mps=0.0, w_radps=0.0, duration_s=_PRIMITIVE_S)
        if not name:
            self._bumped = False
            return self._look(), applied
        feet_m, rotation = self.feet_m, frames.rotation_from_yaw(float(self._pose[2]))
        acted = self.ask(lambda simulator: simulator.act(name, feet_m, rotation))
        self._bumped = acted.collided
        x, y, z = frames.points_from_habitat(acted.position_m)
        self._put(np.array([x, y, frames.yaw_of(acted.rotation)]), z)
        if name == "move_forward":
            way_m = np.hypot(*(acted.position_m - feet_m)[[0, 2]]) if acted.collided else math.inf
            v = min(float(way_m), self._config.forward_m) / _PRIMITIVE_S
            return acted.images, replace(applied, v_mps=v)
        w = self._spec.w_max_radps if name == "turn_left" else -self._spec.w_max_radps
        return acted.images, replace(applied, w_radps=w)

    def _observe(self, images: Images) -> Observation:
        depth_m = images.depth_m.astype(np.float32)
        depth_m[~((depth_m > 0) & (depth_m <= self._spec.depth_max_m))] = np.nan
        instances, labels = self._number_instances(images)
        self._sensed = self._pose  # of a step that failed half-way, the next one tells the motion
        return Observation(
            stamp_ns=self._clock_ns,
            rgb=np.ascontiguousarray(images.rgb),
            depth_m=depth_m,
            instances=instances,
            labels=labels,
            T_world_camera=se3_from_pose(self._pose) @ self._spec.T_body_camera,
            egomotion=self._egomotion.copy(),
            bumped=self._bumped,
        )

    def _number_instances(
        self, images: Images
    ) -> tuple[Int32[np.ndarray, "h w"] | None, tuple[str, ...]]:
        """Return the instance image with numbers drawn anew, so that they carry no identity."""
        if images.semantic is None or not self.facts.objects:
            return None, ("",)
        ids, where = np.unique(images.semantic, return_inverse=True)
        known = [k for k, number in enumerate(ids) if int(number) in self._labels]
        rng = np.random.default_rng([self._config.seed, self._draw_seed, self._num_draws])
        order = rng.permutation(known).astype(np.int64)
        number_of = np.zeros(len(ids), dtype=np.int32)
        number_of[order] = np.arange(1, len(order) + 1)
        labels = ("", *(self._labels[int(ids[k])] for k in order))
        return number_of[where.reshape(images.semantic.shape)], labels


def _pose_of(episode: Episode) -> tuple[Float64[np.ndarray, "3"], float]:
    """Return x_m, y_m, yaw_rad and the height of the feet at the start of an episode."""
    x, y, z = frames.points_from_habitat(episode.start_m)
    return np.array([x, y, frames.yaw_of(episode.start_rotation)]), float(z)


def _body_spec(config: HabitatConfig) -> BodySpec:
    focal = config.width_px / 2 / math.tan(math.radians(config.hfov_deg) / 2)
    discrete = config.control == "discrete"
    return BodySpec(
        name="habitat",
        width_px=config.width_px,
        height_px=config.height_px,
        fx_px=focal,
        fy_px=focal,
        cx_px=config.width_px / 2,
        cy_px=config.height_px / 2,
        T_body_camera=camera_mount(
            0.0,
            config.camera_height_m + config.floor_gap_m,
            math.radians(config.camera_pitch_deg),
        ),
        radius_m=config.agent_radius_m,
        height_m=config.agent_height_m,
        v_max_mps=config.forward_m / _PRIMITIVE_S if discrete else config.v_max_mps,
        w_max_radps=math.radians(config.turn_deg) / _PRIMITIVE_S
        if discrete
        else config.w_max_radps,
        tick_s=_PRIMITIVE_S if discrete else config.tick_s,
        depth_max_m=config.depth_max_m,
    )
