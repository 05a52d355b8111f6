"""Fakes for the policies: a ray-cast room of upright boxes, an analytic model, fixed memories."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from memory.frames import body_pose, camera_mount, compose, egomotion_between, se3_from_pose
from memory.records import Action, BodySpec, Observation, Rollout, Slot, SlotState
from policies.follower import arc_poses

SIDE_PX = 40
TICK_NS = 200_000_000


def fake_spec() -> BodySpec:
    """Return a small copy of the house's body."""
    f = SIDE_PX / 2 / math.tan(math.radians(79) / 2)
    return BodySpec(
        name="fake",
        width_px=SIDE_PX,
        height_px=SIDE_PX,
        fx_px=f,
        fy_px=f,
        cx_px=SIDE_PX / 2,
        cy_px=SIDE_PX / 2,
        T_body_camera=camera_mount(0.05, 0.88, 0.15),
        radius_m=0.18,
        height_m=1.1,
        v_max_mps=0.75,
        w_max_radps=2.0,
        tick_s=0.2,
        depth_max_m=10.0,
    )


@dataclass(frozen=True)
class Box:
    """An upright box that stands on the floor (or hangs above it)."""

    x0: float
    y0: float
    x1: float
    y1: float
    top_m: float = 2.5
    label: str = ""
    low_m: float = 0.0


def room(width_m: float, depth_m: float) -> list[Box]:
    """Return the four walls of a room with a corner at (0, 0)."""
    t = 0.1
    return [
        Box(-t, -t, width_m + t, 0.0),
        Box(-t, depth_m, width_m + t, depth_m + t),
        Box(-t, 0.0, 0.0, depth_m),
        Box(width_m, 0.0, width_m + t, depth_m),
    ]


@dataclass
class BoxWorld:
    """Boxes, a unicycle that they stop, and a camera."""

    boxes: list[Box]
    pose: np.ndarray
    spec: BodySpec = field(default_factory=fake_spec)
    stamp_ns: int = 0
    bumped: bool = False
    num_bumps: int = 0
    frozen: bool = False
    path_m: float = 0.0
    blind_to: set[int] = field(default_factory=set)
    _egomotion: np.ndarray = field(default_factory=lambda: np.zeros(3, np.float32))

    def __post_init__(self) -> None:
        self.pose = np.asarray(self.pose, dtype=np.float64)
        u = (np.arange(self.spec.width_px) + 0.5 - self.spec.cx_px) / self.spec.fx_px
        v = (np.arange(self.spec.height_px) + 0.5 - self.spec.cy_px) / self.spec.fy_px
        X, Y = np.meshgrid(u, v)
        rays = np.stack([X, Y, np.ones_like(X)], axis=-1)
        self._rays = (rays @ self.spec.T_body_camera[:3, :3].T).reshape(-1, 3)

    def step(self, action: Action) -> Observation:
        """Drive for one tick in small steps and sense."""
        before, self.bumped = self.pose.copy(), False
        v = 0.0 if self.frozen else action.v_mps
        for _ in range(8):
            poses = arc_poses(self.pose, v, action.w_radps, np.array([action.duration_s / 8]))
            if v and self.gap_m(poses[0, :2]) < 0:
                self.bumped, v = True, 0.0
                poses = arc_poses(self.pose, 0.0, action.w_radps, np.array([action.duration_s / 8]))
            self.path_m += float(np.hypot(*(poses[0] - self.pose)[:2]))
            self.pose = poses[0]
        self.num_bumps += self.bumped
        self._egomotion = egomotion_between(before, self.pose)
        return self.observe()

    def gap_m(self, xy_m: np.ndarray) -> float:
        """Return the distance between the footprint and the nearest box at a place."""
        gaps = [
            math.hypot(
                max(b.x0 - xy_m[0], 0, xy_m[0] - b.x1), max(b.y0 - xy_m[1], 0, xy_m[1] - b.y1)
            )
            for b in self.boxes
            if b.low_m < self.spec.height_m
        ]
        return min(gaps) - self.spec.radius_m

    def observe(self) -> Observation:
        """Cast all rays."""
        self.stamp_ns += TICK_NS
        T_body = se3_from_pose(self.pose)
        T = T_body @ self.spec.T_body_camera
        d = self._rays @ T_body[:3, :3].T
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = np.where(d[:, 2] < 0, -T[2, 3] / d[:, 2], np.inf)
            owner = np.zeros(len(d), dtype=np.int32)
            for k, b in enumerate(self.boxes):
                if k in self.blind_to:
                    continue
                low, high = np.array([b.x0, b.y0, b.low_m]), np.array([b.x1, b.y1, b.top_m])
                ta, tb = (low - T[:3, 3]) / d, (high - T[:3, 3]) / d
                near, far = np.minimum(ta, tb).max(axis=1), np.maximum(ta, tb).min(axis=1)
                hit = (near <= far) & (near > 0) & (near < depth)
                depth = np.where(hit, near, depth)
                owner[hit] = k + 1
        labels, instances = [""], np.zeros(len(d), dtype=np.int32)
        for k, b in enumerate(self.boxes):
            if b.label and (owner == k + 1).any():
                instances[owner == k + 1] = len(labels)
                labels.append(b.label)
        depth = np.where(depth > self.spec.depth_max_m, np.nan, depth)
        shape = (self.spec.height_px, self.spec.width_px)
        shade = (owner * 37 % 200 + 30).astype(np.uint8).reshape(shape)
        return Observation(
            stamp_ns=self.stamp_ns,
            rgb=np.stack([shade, shade, shade], axis=-1),
            depth_m=depth.astype(np.float32).reshape(shape),
            instances=instances.reshape(shape),
            labels=tuple(labels),
            T_world_camera=T,
            egomotion=self._egomotion,
            bumped=self.bumped,
        )


class FixedSlots:
    """A memory that always answers the same."""

    def __init__(self, slots: Sequence[Slot] = ()) -> None:
        self.all = list(slots)

    def slots(self, label: str | None = None, *, archived: bool = False) -> list[Slot]:
        return [s for s in self.all if label is None or s.label == label]


def fake_slot(
    slot_id: int,
    label: str,
    xyz_m: tuple[float, float, float],
    extent_m: tuple[float, float, float] = (0.4, 0.4, 0.8),
    existence: float = 3.0,
) -> Slot:
    """Return a confirmed slot."""
    return Slot(
        slot_id=slot_id,
        label=label,
        votes={label: 3.0},
        xyz_m=np.array(xyz_m, dtype=np.float64),
        cov_m2=np.eye(3) * 0.01,
        extent_m=np.array(extent_m, dtype=np.float64),
        existence=existence,
        state=SlotState.CONFIRMED,
        num_hits=5,
        first_seen_ns=-60_000_000_000,
        last_seen_ns=0,
        first_seen_step=0,
        last_seen_step=0,
    )


class UnicycleModel:
    """An analytic LatentModel: the latent is the pose and a padding; distances are exact."""

    DIM = 8

    def __init__(self, spec: BodySpec, *, trusted: bool = True, scale: float = 1.0) -> None:
        self._spec = spec
        self._trusted = trusted
        self._scale = scale
        self.num_rollouts = 0

    @property
    def checkpoint_id(self) -> str:
        return "unicycle-1"

    @property
    def trusted(self) -> bool:
        return self._trusted

    def encode(self, observation: Observation, objects: np.ndarray) -> np.ndarray:
        z = np.zeros(self.DIM, dtype=np.float32)
        z[:3] = body_pose(observation.T_world_camera, self._spec)
        return z

    def rollout(self, z: np.ndarray, plans: np.ndarray) -> Rollout:
        self.num_rollouts += 1
        turn = (plans[..., 1] * plans[..., 2]).astype(np.float64)
        chord = self._scale * plans[..., 0] * plans[..., 2] * np.sinc(turn / (2 * np.pi))
        ego = np.stack([chord * np.cos(turn / 2), chord * np.sin(turn / 2), turn], axis=-1)
        num, horizon = plans.shape[:2]
        zs = np.zeros((num, horizon, self.DIM), dtype=np.float32)
        pose = np.broadcast_to(z[:3].astype(np.float64), (num, 3))
        for t in range(horizon):
            pose = compose(pose, ego[:, t])
            zs[:, t, :3] = pose
        return Rollout(
            z=zs,
            egomotion=ego.astype(np.float32),
            p_collision=np.zeros((num, horizon), dtype=np.float32),
        )

    def distance(self, z: np.ndarray, z_goal: np.ndarray) -> np.ndarray:
        gap = np.hypot(z[:, 0] - z_goal[0], z[:, 1] - z_goal[1]) / 0.15
        return gap.astype(np.float32)
