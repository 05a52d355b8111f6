"""The embedded house as a World: a wheeled robot with an RGB-D and instance camera."""

import hashlib
import math

import numpy as np
from jaxtyping import Float32, Float64, Int32

from agentd.worlds.base import StepResult, WorldClosedError
from agentd.worlds.house.battery import Battery
from agentd.worlds.house.camera import HouseCamera, Picture
from agentd.worlds.house.casters import make_caster
from agentd.worlds.house.layout import make_house
from agentd.worlds.house.maps import cell_centres, main_component
from agentd.worlds.house.mjcf import ROBOT_HEIGHT_M, build_scene
from agentd.worlds.house.plan import ROBOT_RADIUS_M
from agentd.worlds.house.scenario import Scenario, check_scenario, spare_pieces
from agentd.worlds.house.stage import Stage
from agentd.worlds.house.state import pack_state, unpack_state
from configs.worlds import HouseConfig, ScenarioEvent
from memory.frames import camera_mount, compose, egomotion_between, se3_from_pose
from memory.records import Action, BodySpec, Observation

DEPTH_MAX_M = 10.0
_CAMERA_FORWARD_M = 0.05
_CAMERA_HEIGHT_M = 0.88
_CAMERA_PITCH_RAD = 0.15
"""A little downwards: more floor in view, still the tops of doors."""
_LONGEST_ACTION_S = 5.0
_NOISE_LEVELS = 60.0
"""Colour levels of noise per unit of the scenario's relative camera noise."""
_BALL_GAP_M = 0.4
_NS = 1_000_000_000


class HouseWorld:
    """One house and one robot in it; satisfies World and Resumable.

    Time is simulated: the first observation is stamped one tick after zero and every action and
    reset moves the clock on, so the same seeds and actions give the same bytes. Odometry is
    the true motion (as of visual odometry) unless noise is configured; slipping or drifting wheels
    therefore show as motion that the applied action does not explain.

    Attributes:
        stage: The live scene. Ground truth reads it; nothing that acts may.
        camera: The camera, with the lights.
    """

    def __init__(self, config: HouseConfig) -> None:
        """Build the house of `config.seed` with the robot at a place drawn from the same seed.

        Raises:
            ValueError: If the scenario names what is not in the house, or the caster is missing.
        """
        self._config = config
        self._spec = _body_spec(config)
        house = make_house(config.seed, config.num_rooms)
        check_scenario(config.scenario, house)
        scene = build_scene(house, spare_pieces(config.scenario))
        self.stage = Stage(scene)
        self.camera = HouseCamera(scene, self._spec, make_caster(config.caster, scene, self._spec))
        self._scenario = Scenario(config.scenario, self.stage, self.camera.light)
        text = scene.xml + config.scenario.model_dump_json()
        self._fingerprint = hashlib.sha256(text.encode()).hexdigest()
        self._closed = False
        self.battery = Battery(config.battery)
        self._num_steps = 0
        self._clock_ns = 0
        self._draw_seed = config.seed
        self._num_draws = 0
        self._bumped = False
        self._egomotion = np.zeros(3, dtype=np.float32)
        self._shaded = -1
        self._put(self._free_pose(np.random.default_rng(config.seed)))
        self.battery.dock_m = self._true_pose[:2].copy()

    @property
    def spec(self) -> BodySpec:
        """Constant description of the body."""
        return self._spec

    @property
    def caster_name(self) -> str:
        """Which ray caster draws the images: single edge pixels differ between them."""
        return self.camera.caster.name

    def reset(self, seed: int | None = None) -> Observation:
        """Open an episode.

        Args:
            seed: Draws the robot's pose (and the noise); the house itself stays as it has become.
                None leaves the robot where it is and senses.
        """
        self._check_open()
        if seed is not None:
            rng = np.random.default_rng([self._config.seed, seed])
            self._draw_seed, self._num_draws = seed, 0
            self._put(self._free_pose(rng))
            if self._num_steps == 0:
                self.battery.dock_m = self._true_pose[:2].copy()
        else:
            self._num_draws += 1
        self._egomotion = np.zeros(3, dtype=np.float32)
        self._bumped = False
        self._clock_ns += round(self._spec.tick_s * _NS)
        return self._observe()

    def step(self, action: Action) -> StepResult:
        """Carry out one action and sense.

        Speeds are clipped to what the body can do (backwards as fast as forwards), durations to
        5 s. The applied action holds the mean speed that the wheels were told: when the bumper
        stops the base, `v_mps` shrinks by the share of time that was left, to nearly 0 against a
        wall. What worn motors, a payload or the floor make of it shows in the egomotion alone.

        Raises:
            WorldClosedError: If the world was closed.
            ValueError: If the action is not finite or its duration is not positive.
        """
        self._check_open()
        if not all(map(math.isfinite, (action.v_mps, action.w_radps, action.duration_s))):
            raise ValueError(f"the action {action} is not finite")
        if action.duration_s <= 0:
            raise ValueError(f"duration_s is {action.duration_s}; it must be positive")
        events = self._scenario.apply_due(self._num_steps)
        v_max, w_max = self._spec.v_max_mps, self._spec.w_max_radps
        driven = self.stage.base.drive(
            min(max(action.v_mps, -v_max), v_max),
            min(max(action.w_radps, -w_max), w_max),
            min(action.duration_s, _LONGEST_ACTION_S),
        )
        self.stage.refresh()
        self._num_steps += 1
        self._num_draws += 1
        self._bumped = driven.bumped
        self._clock_ns += round(driven.duration_s * _NS)
        self._sense_motion()
        self.battery.spend(self._true_pose, self._egomotion.astype(np.float64), driven.duration_s)
        applied = Action(
            v_mps=driven.v_mps,
            w_radps=driven.w_radps,
            duration_s=driven.duration_s,
            source=action.source,
        )
        return StepResult(observation=self._observe(), applied=applied, events=events)

    def happen(self, event: ScenarioEvent, rng: np.random.Generator) -> str | None:
        """Make something happen in the house now; see `Scenario.happen`."""
        self._check_open()
        return self._scenario.happen(event, rng)

    def close(self) -> None:
        """Release the house; quiet when called twice."""
        self._closed = True

    def place(self, pose: Float64[np.ndarray, "3"]) -> None:
        """Put the robot at a pose, standing still and localised there; for evaluation."""
        self._check_open()
        self._put(np.asarray(pose, dtype=np.float64))

    def save_state(self) -> bytes:
        """Return the whole state of the world, without pickle."""
        self._check_open()
        return pack_state(self._fields(), self._fingerprint)

    def load_state(self, state: bytes) -> Observation:
        """Put the world into a saved state.

        Returns:
            The observation that was current when the state was saved, with its stamp.

        Raises:
            ValueError: If the state belongs to another world or is damaged.
        """
        self._check_open()
        fields = unpack_state(state, self._fingerprint, self._fields())
        self.stage.set_physics_state(fields["physics"])
        self.camera.light.lamp[:] = fields["lamp"]
        self.camera.light.daylight = float(fields["daylight"])
        self.stage.wear.unpack(fields["wear"])
        self.stage.base.wheels.unpack(fields["wheels"])
        self._scenario.done[:] = fields["done"]
        self._true_pose, self._pose = fields["true_pose"], fields["pose"]
        self._egomotion = fields["egomotion"]
        counters = (int(v) for v in fields["counters"])
        self._num_steps, self._clock_ns, self._draw_seed, self._num_draws, bumped = counters
        if self.battery.is_there:
            self.battery.unpack(fields["battery"])
        self._bumped = bool(bumped)
        return self._observe()

    def _fields(self) -> dict[str, np.ndarray]:
        counters = [self._num_steps, self._clock_ns, self._draw_seed, self._num_draws, self._bumped]
        battery = {"battery": self.battery.pack()} if self.battery.is_there else {}
        return {
            **battery,
            "physics": self.stage.physics_state(),
            "lamp": self.camera.light.lamp.copy(),
            "daylight": np.array(self.camera.light.daylight, dtype=np.float64),
            "wear": self.stage.wear.pack(),
            "wheels": self.stage.base.wheels.pack(),
            "done": self._scenario.done.copy(),
            "true_pose": self._true_pose.copy(),
            "pose": self._pose.copy(),
            "egomotion": self._egomotion.copy(),
            "counters": np.array(counters, dtype=np.int64),
        }

    def _check_open(self) -> None:
        if self._closed:
            raise WorldClosedError(f"the house {self._config.seed} was closed")

    def _put(self, pose: Float64[np.ndarray, "3"]) -> None:
        self.stage.base.place(pose)
        self.stage.refresh()
        self._true_pose = self.stage.base.pose()
        self._pose = self._true_pose.copy()

    def _free_pose(self, rng: np.random.Generator) -> Float64[np.ndarray, "3"]:
        """Return a pose on the largest connected floor, away from balls."""
        spots = cell_centres(np.argwhere(main_component(self.stage.maps.navigable())))
        for _, placed in self.stage.standing():
            if placed.piece.category == "ball":
                apart = np.hypot(spots[:, 0] - placed.x, spots[:, 1] - placed.y)
                spots = spots[apart > _BALL_GAP_M]
        x, y = spots[int(rng.integers(len(spots)))]
        return np.array([x, y, rng.uniform(-math.pi, math.pi)])

    def _rng(self, purpose: int) -> np.random.Generator:
        """Return the generator of this step: what it gives depends on seed and step alone."""
        key = [self._config.seed, self._draw_seed, self._num_draws, purpose]
        return np.random.default_rng(key)

    def _sense_motion(self) -> None:
        """Update odometry, and the localised pose: exact, or integrated from noisy odometry."""
        pose = self.stage.base.pose()
        egomotion = egomotion_between(self._true_pose, pose)
        rel = self._config.noise.odometry_rel
        self._true_pose = pose
        if rel == 0:
            self._egomotion, self._pose = egomotion, pose.copy()
            return
        noise = rel * self._rng(1).standard_normal(2)
        travelled = abs(float(egomotion[2])) + 0.2 * abs(float(egomotion[0]))
        egomotion[0] *= 1 + noise[0]
        egomotion[2] += travelled * noise[1]
        self._egomotion, self._pose = egomotion, compose(self._pose, egomotion)

    def _observe(self) -> Observation:
        self._update_contact_shade()
        mount = self._spec.T_body_camera
        tilted = camera_mount(
            _CAMERA_FORWARD_M, _CAMERA_HEIGHT_M, _CAMERA_PITCH_RAD + self.stage.wear.tilt_rad
        )
        picture = self.camera.take(self.stage.data, se3_from_pose(self._true_pose) @ tilted)
        instances, labels = self._number_instances(picture)
        rgb, depth = self._add_noise(picture)
        return Observation(
            stamp_ns=self._clock_ns,
            rgb=rgb,
            depth_m=depth,
            instances=instances,
            labels=labels,
            T_world_camera=se3_from_pose(self._pose) @ mount,
            egomotion=self._egomotion.copy(),
            bumped=self._bumped,
            battery=self.battery.charge,
        )

    def _update_contact_shade(self) -> None:
        if self._shaded != self.stage.revision:
            self.camera.set_contact_shade(self.stage.maps.contact_shade())
            self._shaded = self.stage.revision

    def _number_instances(
        self, picture: Picture
    ) -> tuple[Int32[np.ndarray, "h w"], tuple[str, ...]]:
        """Return the instance image with numbers drawn anew, so that they carry no identity."""
        objects = self.stage.scene.house.objects
        seen = np.bincount(picture.owner.ravel(), minlength=len(objects) + 1)
        owners = self._rng(2).permutation(np.flatnonzero(seen[1:]) + 1)
        number_of = np.zeros(len(seen), dtype=np.int32)
        number_of[owners] = np.arange(1, len(owners) + 1)
        labels = ("", *(objects[o - 1].piece.category for o in owners))
        return number_of[picture.owner], labels

    def _add_noise(self, picture: Picture) -> tuple[np.ndarray, Float32[np.ndarray, "h w"]]:
        noise, extra = self._config.noise, self.stage.wear.camera_noise
        rgb, depth = picture.rgb, picture.depth_m.copy()
        depth_rel, levels = noise.depth_rel + extra, noise.rgb + _NOISE_LEVELS * extra
        if depth_rel or levels or noise.depth_dropout:
            rng = self._rng(3)
            depth *= 1 + depth_rel * rng.standard_normal(depth.shape, dtype=np.float32)
            speckle = levels * rng.standard_normal(rgb.shape, dtype=np.float32)
            rgb = np.clip(rgb + speckle, 0, 255).astype(np.uint8)
            depth[rng.random(depth.shape) < noise.depth_dropout] = np.nan
        depth[~((depth > 0) & (depth <= DEPTH_MAX_M))] = np.nan
        return rgb, depth


def _body_spec(config: HouseConfig) -> BodySpec:
    size = config.image_px
    focal = size / 2 / math.tan(math.radians(config.hfov_deg) / 2)
    return BodySpec(
        name="house",
        width_px=size,
        height_px=size,
        fx_px=focal,
        fy_px=focal,
        cx_px=size / 2,
        cy_px=size / 2,
        T_body_camera=camera_mount(_CAMERA_FORWARD_M, _CAMERA_HEIGHT_M, _CAMERA_PITCH_RAD),
        radius_m=ROBOT_RADIUS_M,
        height_m=ROBOT_HEIGHT_M,
        v_max_mps=config.v_max_mps,
        w_max_radps=config.w_max_radps,
        tick_s=config.tick_s,
        depth_max_m=DEPTH_MAX_M,
    )
