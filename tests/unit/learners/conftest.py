"""A small arena with four painted walls and two pillars, drawn by numpy: enough to learn from."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_recipes import arena_recipe

from learners.config import LearnersConfig
from learners.round_spec import RoundSpec, body_to_dict
from memory.config import ReplayConfig
from memory.frames import camera_mount
from memory.records import NUM_OBJECTS, OBJECT_FEATURES, Action, BodySpec, Observation, Transition
from memory.replay.ram import RamReplay

SIDE_M = 4.0
RADIUS_M = 0.2
PX = 64
FOCAL_PX = 38.0
PILLARS = ((1.0, 1.2), (2.8, 3.0))
EPISODE = 40

SPEC = BodySpec(
    name="arena",
    width_px=PX,
    height_px=PX,
    fx_px=FOCAL_PX,
    fy_px=FOCAL_PX,
    cx_px=PX / 2,
    cy_px=PX / 2,
    T_body_camera=camera_mount(0.0, 0.5),
    radius_m=RADIUS_M,
    height_m=1.0,
    v_max_mps=0.75,
    w_max_radps=2.0,
    tick_s=0.2,
    depth_max_m=10.0,
)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def spec() -> BodySpec:
    return SPEC


@pytest.fixture(scope="session")
def arena_rows() -> list[Transition]:
    """800 steps of driving."""
    return drive(800, seed=0)


@pytest.fixture(scope="session")
def arena_replay(arena_rows: list[Transition]) -> RamReplay:
    """All steps of driving; probe episodes included."""
    replay = RamReplay(ReplayConfig(probe_every=4))
    replay.append(arena_rows)
    return replay


@pytest.fixture(scope="session")
def long_arena_replay() -> RamReplay:
    """1600 steps of driving, for what takes more than `arena_replay` holds."""
    replay = RamReplay(ReplayConfig(probe_every=4))
    replay.append(drive(1600, seed=0))
    return replay


@pytest.fixture
def arena_spec(arena_replay: RamReplay, tmp_path: Path) -> Callable[..., RoundSpec]:
    """Makes specs of short rounds on the arena."""

    def make(updates: int = 3, **changes: object) -> RoundSpec:
        learners = LearnersConfig.model_validate(
            {
                "round": {
                    "max_updates": updates,
                    "budget_s": 1e6,
                    "num_probe_windows": 16,
                },
                "gate": {"min_effective_rank": 2.0, "min_latent_std": 1e-3},
            }
        )
        fields = {
            "memory_folder": tmp_path / "memory",
            "checkpoints_folder": tmp_path / "checkpoints",
            "replay_version": arena_replay.version,
            "learners": learners,
            "recipe": arena_recipe(),
            "body": body_to_dict(SPEC),
        }
        return RoundSpec.model_validate(fields | changes)

    return make


def drive(num_steps: int, seed: int) -> list[Transition]:
    """Return a random drive through the arena."""
    rng = np.random.default_rng(seed)
    x, y, yaw = 2.0, 2.0, 0.0
    egomotion, bumped = np.zeros(3, np.float32), False
    v, w = 0.5, 0.0
    rows = []
    for step in range(num_steps):
        if step % 5 == 0 or bumped:
            v, w = float(rng.uniform(0, 0.75)), float(rng.uniform(-2, 2))
        first, last = step % EPISODE == 0, (step + 1) % EPISODE == 0
        observation = _observe(x, y, yaw, egomotion, bumped, step)
        pose = np.array([x, y, yaw], dtype=np.float32)
        nx, ny = x + v * 0.2 * math.cos(yaw), y + v * 0.2 * math.sin(yaw)
        low, high = RADIUS_M, SIDE_M - RADIUS_M
        bumped = not (low < nx < high and low < ny < high)
        applied = 0.0 if bumped else v
        if not bumped:
            x, y = nx, ny
        yaw = (yaw + w * 0.2 + math.pi) % (2 * math.pi) - math.pi
        egomotion = np.array([applied * 0.2, 0, w * 0.2], dtype=np.float32)
        objects, slots = _objects(pose)
        action = Action(v_mps=applied, w_radps=w, duration_s=0.2, source="explorer")
        rows.append(
            Transition(
                step=step,
                episode_id=step // EPISODE,
                observation=observation,
                action=Action(v_mps=0.0, w_radps=0.0, duration_s=0.0) if last else action,
                pose=pose,
                objects=objects,
                object_slots=slots,
                is_first=first,
                is_last=last,
                is_terminal=False,
                surprise=float("nan"),
                checkpoint_id="",
            )
        )
    return rows


def _observe(
    x: float, y: float, yaw: float, egomotion: np.ndarray, bumped: bool, step: int
) -> Observation:
    angle = yaw - np.arctan((np.arange(PX) + 0.5 - PX / 2) / FOCAL_PX)
    dx, dy = np.cos(angle), np.sin(angle)
    to_x = np.where(dx > 0, SIDE_M - x, -x) / np.where(np.abs(dx) < 1e-9, 1e-9, dx)
    to_y = np.where(dy > 0, SIDE_M - y, -y) / np.where(np.abs(dy) < 1e-9, 1e-9, dy)
    reach = np.minimum(to_x, to_y)
    hit_x, hit_y = x + reach * dx, y + reach * dy
    wall = np.where(to_x < to_y, np.where(dx > 0, 0, 1), np.where(dy > 0, 2, 3))
    along = np.where(to_x < to_y, hit_y, hit_x) / SIDE_M
    stripes = (np.floor(along * 8) % 2) * 60
    colours = np.array([[200, 60, 60], [60, 180, 60], [60, 60, 200], [180, 180, 60]])
    wall_colour = colours[wall] * (0.4 + 0.6 * along[:, None]) + stripes[:, None] * 0.5
    depth = (reach * np.cos(angle - yaw)).astype(np.float32)
    half = 0.5 * FOCAL_PX / depth
    row = np.abs(np.arange(PX)[:, None] + 0.5 - PX / 2)
    is_wall = row < half[None, :]
    rgb = np.where(is_wall[..., None], wall_colour[None], 110)
    depth_m = np.where(is_wall, depth[None, :], 0.5 * FOCAL_PX / row).astype(np.float32)
    depth_m[0, 0] = np.nan
    return Observation(
        stamp_ns=step * 200_000_000,
        rgb=np.clip(rgb, 0, 255).astype(np.uint8),
        depth_m=depth_m,
        instances=None,
        labels=("",),
        T_world_camera=np.eye(4),
        egomotion=egomotion,
        bumped=bumped,
    )


def _objects(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = np.zeros((NUM_OBJECTS, len(OBJECT_FEATURES)), dtype=np.float32)
    slots = np.zeros(NUM_OBJECTS, dtype=np.int32)
    found = 0
    for number, (px, py) in enumerate(PILLARS, start=1):
        dx, dy = px - pose[0], py - pose[1]
        forward = math.cos(pose[2]) * dx + math.sin(pose[2]) * dy
        left = -math.sin(pose[2]) * dx + math.cos(pose[2]) * dy
        if forward < 0.3:
            continue
        u, half = 0.5 - left / forward * FOCAL_PX / PX, 0.1 / forward
        if not 0 < u < 1:
            continue
        x0, x1 = max(u - half, 0.0), min(u + half, 1.0)
        rows[found] = (1, x0, 0.4, x1, 0.7, forward, left, 0.5, 0.2, 0.2, 1.0, (x1 - x0) * 0.3)
        slots[found] = number
        found += 1
    return rows, slots


class ArenaWorld:
    """The arena as a world that can be driven; satisfies `image_goals.World`."""

    spec = SPEC

    def begin(self, seed: int) -> Observation:
        """Put the body somewhere and sense."""
        rng = np.random.default_rng(seed)
        x, y = rng.uniform(1.0, SIDE_M - 1.0, 2)
        self.pose = np.array([x, y, rng.uniform(-math.pi, math.pi)])
        return _observe(*self.pose, np.zeros(3, np.float32), False, 0)

    def step(self, v_mps: float, w_radps: float) -> Observation:
        """Move for one tick and sense."""
        x, y, yaw = self.pose
        to = np.array([x + v_mps * 0.2 * math.cos(yaw), y + v_mps * 0.2 * math.sin(yaw)])
        bumped = bool((to <= RADIUS_M).any() or (to >= SIDE_M - RADIUS_M).any())
        applied = 0.0 if bumped else v_mps
        if not bumped:
            self.pose[:2] = to
        self.pose[2] = (yaw + w_radps * 0.2 + math.pi) % (2 * math.pi) - math.pi
        egomotion = np.array([applied * 0.2, 0, w_radps * 0.2], dtype=np.float32)
        return _observe(*self.pose, egomotion, bumped, 0)


@pytest.fixture
def arena_world() -> ArenaWorld:
    """The arena, to be driven."""
    return ArenaWorld()
