"""The `planning` column: plans towards what held-out frames show, driven by a body."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from agentd.compare import image_goals as goals
from agentd.compare.image_goals import Body, gap_ticks, image_goals, pairs_of, reached
from agentd.worlds.base import StepResult
from agentd.worlds.house.world import HouseWorld
from configs.worlds import HouseConfig, ScenarioConfig, ScenarioEvent, WorldConfig
from learners.batch import Scale, Windows, to_depth_m, to_image
from learners.parts.kinds import Encoded
from learners.probes import ProbeData
from memory.frames import camera_mount, se3_from_pose
from memory.records import NUM_OBJECTS, Action, BodySpec, Observation

SPEC = BodySpec(
    name="plane",
    width_px=64,
    height_px=64,
    fx_px=38.0,
    fy_px=38.0,
    cx_px=32.0,
    cy_px=32.0,
    T_body_camera=camera_mount(0.0, 0.5),
    radius_m=0.2,
    height_m=1.0,
    v_max_mps=0.75,
    w_max_radps=2.0,
    tick_s=0.2,
    depth_max_m=10.0,
)
SCALE = Scale.of(SPEC)


class Plane:
    """An empty plane whose depth image tells the pose."""

    spec = SPEC

    def save_state(self) -> bytes:
        return b""

    def load_state(self, state: bytes) -> Observation:
        self.place(np.zeros(3))
        return self.sensed()

    def place(self, pose: np.ndarray) -> None:
        self.pose = pose.copy()

    def reset(self, seed: int | None = None) -> Observation:
        return self.sensed()

    def step(self, action: Action) -> StepResult:
        self.pose[2] += action.w_radps * action.duration_s
        way_m = action.v_mps * action.duration_s
        self.pose[:2] += way_m * np.array([math.cos(self.pose[2]), math.sin(self.pose[2])])
        return StepResult(observation=self.sensed(), applied=action)

    def sensed(self) -> Observation:
        return Observation(
            stamp_ns=0,
            rgb=np.zeros((64, 64, 3), dtype=np.uint8),
            depth_m=pose_as_depth(self.pose),
            instances=None,
            labels=("",),
            T_world_camera=se3_from_pose(self.pose) @ SPEC.T_body_camera,
            egomotion=np.zeros(3, dtype=np.float32),
            bumped=False,
        )


def pose_as_depth(pose: np.ndarray) -> np.ndarray:
    depth_m = np.ones((64, 64), dtype=np.float32)
    depth_m[0, :4] = np.array([pose[0], pose[1], math.sin(pose[2]), math.cos(pose[2])]) + 5
    return depth_m


class Told:
    """A model whose latent is the pose, and whose predictor may know how a body moves.

    Args:
        knows: Whether it does; else it predicts that all stays as it is.
    """

    predictor: Any

    def __init__(self, *, knows: bool, parts: tuple[str, ...] = ("predictor",)) -> None:
        self._knows, self._parts, self.predictor = knows, parts, self

    def eval(self) -> "Told":
        return self

    def has(self, name: str) -> bool:
        return name in self._parts

    def encode(self, windows: Windows) -> Encoded:
        return Encoded(z=to_depth_m(windows.image[:, :, 3, 0, :4]) - 5)

    def rollout(self, z: Tensor, commands: Tensor) -> Tensor:
        found, (x, y, sine, cosine) = [], z.unbind(dim=-1)
        yaw = torch.atan2(sine, cosine)
        for v, w in (c.unbind(dim=-1) for c in commands.unbind(dim=1)):
            if self._knows:
                yaw = yaw + w * SCALE.turn_rad
                x = x + v * SCALE.step_m * torch.cos(yaw)
                y = y + v * SCALE.step_m * torch.sin(yaw)
            found.append(torch.stack([x, y, torch.sin(yaw), torch.cos(yaw)], dim=-1))
        return torch.stack(found, dim=1)


def windows_of(images: Tensor) -> Windows:
    b, t = images.shape[:2]
    return Windows(
        image=images,
        ego=torch.zeros(b, t, 4),
        action=torch.zeros(b, t, 2),
        command=torch.zeros(b, t, 2),
        geometry=torch.zeros(b, t, NUM_OBJECTS, 11),
        valid=torch.zeros(b, t, NUM_OBJECTS, dtype=torch.bool),
        slots=torch.zeros(b, t, NUM_OBJECTS, dtype=torch.int64),
    )


def probes_of(pose: np.ndarray, images: Tensor) -> ProbeData:
    windows = windows_of(images)
    return ProbeData(
        windows=windows,
        pose=pose.astype(np.float32),
        fit=windows,
        fit_pose=pose[:, 0].astype(np.float32),
        shuffle=np.arange(len(pose)),
    )


@pytest.fixture(scope="module")
def plane_probes() -> ProbeData:
    """Random arcs of ten frames on the plane; every fourth window stands still."""
    rng, body, rows = np.random.default_rng(0), Plane(), []
    for number in range(24):
        body.place(np.array([*rng.uniform(-2, 2, 2), rng.uniform(-3, 3)]))
        v, w = (0.0, 0.0) if number % 4 == 0 else (rng.uniform(0.4, 0.75), rng.uniform(-1, 1))
        rows.append([body.pose.copy()])
        for _ in range(9):
            body.step(Action(v_mps=v, w_radps=w, duration_s=0.2))
            rows[-1].append(body.pose.copy())
    pose = np.array(rows)
    depth_m = np.stack([pose_as_depth(p) for p in pose.reshape(-1, 3)])
    rgb = np.zeros((len(depth_m), 64, 64, 3), dtype=np.uint8)
    return probes_of(pose, to_image(rgb, depth_m).unflatten(0, pose.shape[:2]))


def test_plans_of_a_model_that_knows_the_motion_reach_what_random_plans_do_not(
    plane_probes: ProbeData,
) -> None:
    found = reached(Told(knows=True), plane_probes, Plane(), seed=0)  # type: ignore[arg-type]
    assert len(found["planning"]) == len(found["planning_random"]) == 18
    assert found["planning"].mean() > 0.85
    assert found["planning_random"].mean() < 0.5
    ignorant = reached(Told(knows=False), plane_probes, Plane(), seed=0)  # type: ignore[arg-type]
    assert ignorant["planning"].mean() < 0.5
    np.testing.assert_array_equal(ignorant["planning_random"], found["planning_random"])


def test_the_same_seed_drives_the_same_way(plane_probes: ProbeData) -> None:
    first, second = (
        reached(Told(knows=True), plane_probes, Plane(), seed=3)  # type: ignore[arg-type]
        for _ in range(2)
    )
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


def test_windows_that_end_where_they_begin_are_no_goals(plane_probes: ProbeData) -> None:
    pairs = pairs_of(plane_probes, SCALE)
    assert not set(pairs.tolist()) & set(range(0, 24, 4))
    still = probes_of(plane_probes.pose[::4], plane_probes.windows.image[::4])
    assert reached(Told(knows=True), still, Plane(), seed=0) == {}  # type: ignore[arg-type]


def test_a_gap_is_the_longer_of_way_and_turn_the_short_way_round() -> None:
    a, b = np.array([0, 0, 3.0], np.float32), np.array([0.3, 0, -3.0], np.float32)
    assert gap_ticks(a, b, SCALE) == pytest.approx(2.0, abs=1e-5)
    b[0] = 0
    assert gap_ticks(a, b, SCALE) == pytest.approx((2 * math.pi - 6) / 0.4, abs=1e-5)


def test_the_house_drives_as_it_was_built_and_a_model_without_predictor_has_no_plans(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(goals, "NUM_PAIRS", 2)
    script = ScenarioConfig(events=(ScenarioEvent(at_step=0, action="wheel_slip", value=0.9),))
    config = WorldConfig(house=HouseConfig(seed=7, scenario=script))
    world = HouseWorld(config.house)
    assert isinstance(world, Body)
    ends = [world.reset(seed) for seed in range(6)]
    poses = np.stack([goals.body_pose(o.T_world_camera, world.spec) for o in ends]).reshape(3, 2, 3)
    world.close()
    images = to_image(np.stack([o.rgb for o in ends]), np.stack([o.depth_m for o in ends]))
    data = probes_of(poses, images.unflatten(0, (3, 2)))
    built = []
    monkeypatch.setattr(
        goals, "build_world", lambda c: built.append(c) or SimpleNamespace(close=lambda: None)
    )
    assert image_goals(Told(knows=True, parts=()), data, config, 0) == {}  # type: ignore[arg-type]
    assert built == []
    monkeypatch.undo()
    monkeypatch.setattr(goals, "NUM_PAIRS", 2)
    worlds = []
    monkeypatch.setattr(
        goals, "build_world", lambda c: worlds.append(HouseWorld(c.house)) or worlds[0]
    )
    found = image_goals(Told(knows=True), data, config, 0)  # type: ignore[arg-type]
    assert [len(values) for values in found.values()] == [2, 2]
    assert worlds[0]._config.scenario.events == ()
    with pytest.raises(RuntimeError, match="was closed"):
        worlds[0].reset()
