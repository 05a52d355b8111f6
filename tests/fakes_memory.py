"""Rows, and rooms made of boxes: what the memory's tests feed it."""

import math
from dataclasses import dataclass

import numpy as np

from memory.frames import camera_mount, pixel_rays, se3_from_pose
from memory.records import (
    NUM_OBJECTS,
    OBJECT_FEATURES,
    Action,
    BodySpec,
    Detection,
    Observation,
    Transition,
)

SPEC = BodySpec(
    name="boxes",
    width_px=64,
    height_px=64,
    fx_px=38.8,
    fy_px=38.8,
    cx_px=32.0,
    cy_px=32.0,
    T_body_camera=camera_mount(0.0, 1.0),
    radius_m=0.2,
    height_m=1.2,
    v_max_mps=0.75,
    w_max_radps=2.0,
    tick_s=0.2,
    depth_max_m=10.0,
)


def make_transition(
    step: int, episode_id: int, *, is_first: bool = False, is_last: bool = False, size: int = 8
) -> Transition:
    """Return a row whose every value follows from its step, so that a mix-up shows."""
    rng = np.random.default_rng(step)
    depth_m = rng.uniform(0.1, 9.0, (size, size)).astype(np.float32)
    depth_m[0, 0] = np.nan
    observation = Observation(
        stamp_ns=1_000 * step,
        rgb=rng.integers(0, 256, (size, size, 3), dtype=np.uint8),
        depth_m=depth_m,
        instances=rng.integers(0, 3, (size, size)).astype(np.int32),
        labels=("", "chair", "table"),
        T_world_camera=se3_from_pose(rng.normal(size=3)) @ SPEC.T_body_camera,
        egomotion=rng.normal(size=3).astype(np.float32),
        bumped=bool(step % 3 == 0),
        battery=0.5,
    )
    return Transition(
        step=step,
        episode_id=episode_id,
        observation=observation,
        action=Action(v_mps=0.1 * step, w_radps=-0.2, duration_s=0.2, source="planner"),
        pose=rng.normal(size=3).astype(np.float32),
        objects=rng.normal(size=(NUM_OBJECTS, len(OBJECT_FEATURES))).astype(np.float32),
        object_slots=rng.integers(0, 9, NUM_OBJECTS).astype(np.int32),
        is_first=is_first,
        is_last=is_last,
        is_terminal=False,
        surprise=float("nan"),
        checkpoint_id="none-yet",
    )


def make_episode(
    first_step: int, episode_id: int, num_rows: int, size: int = 8
) -> list[Transition]:
    """Return the rows of one episode."""
    return [
        make_transition(
            first_step + i, episode_id, is_first=i == 0, is_last=i == num_rows - 1, size=size
        )
        for i in range(num_rows)
    ]


@dataclass(frozen=True, kw_only=True)
class Box:
    """A coloured, axis-aligned box; one without a label is no object but hides things."""

    label: str
    xyz_m: tuple[float, float, float]
    extent_m: tuple[float, float, float]
    rgb: tuple[int, int, int] = (200, 30, 30)


WALL = Box(label="", xyz_m=(7.0, 0.0, 1.5), extent_m=(0.2, 60.0, 3.0))
"""Behind everything that the tests put in front of a body that looks along x."""


def look_at(eye_m: tuple[float, float], target_m: tuple[float, float]) -> np.ndarray:
    """Return the pose of a body at `eye_m` that faces `target_m`."""
    yaw = math.atan2(target_m[1] - eye_m[1], target_m[0] - eye_m[0])
    return np.array([*eye_m, yaw])


def observe(
    boxes: list[Box], pose: np.ndarray, stamp_ns: int = 0
) -> tuple[Observation, list[Detection]]:
    """Return what a body sees of boxes in front of a wall, with perfect detections."""
    boxes = [*boxes, WALL]
    T = se3_from_pose(pose) @ SPEC.T_body_camera
    rays = pixel_rays(SPEC) @ T[:3, :3].T
    eye = T[:3, 3]
    depth = np.full(rays.shape[:2], np.inf)
    numbers = np.zeros(rays.shape[:2], dtype=np.int32)
    rgb = np.full(rays.shape, 128, dtype=np.uint8)
    with np.errstate(divide="ignore", invalid="ignore"):
        floor = np.where(rays[..., 2] < 0, -eye[2] / rays[..., 2], np.inf)
        depth = np.minimum(depth, floor)
        for number, box in enumerate(boxes, start=1):
            half = np.array(box.extent_m) / 2
            a = (np.array(box.xyz_m) - half - eye) / rays
            b = (np.array(box.xyz_m) + half - eye) / rays
            near, far = np.minimum(a, b), np.maximum(a, b)
            enter = np.maximum(np.maximum(near[..., 0], near[..., 1]), near[..., 2])
            leave = np.minimum(np.minimum(far[..., 0], far[..., 1]), far[..., 2])
            hit = (enter <= leave) & (enter > 0) & (enter < depth)
            depth[hit], numbers[hit] = enter[hit], number
            rgb[hit] = box.rgb
    depth_m = np.where(depth <= SPEC.depth_max_m, depth, np.nan).astype(np.float32)
    labels = ("", *(box.label for box in boxes))
    instances = np.where(np.array([bool(label) for label in labels])[numbers], numbers, 0)
    observation = Observation(
        stamp_ns=stamp_ns,
        rgb=rgb,
        depth_m=depth_m,
        instances=instances.astype(np.int32),
        labels=labels,
        T_world_camera=T,
        egomotion=np.zeros(3, dtype=np.float32),
        bumped=False,
    )
    return observation, [
        _detection(observation, number, box, pose)
        for number, box in enumerate(boxes, start=1)
        if box.label and (observation.instances == number).sum() >= 12
    ]


def _detection(observation: Observation, number: int, box: Box, pose: np.ndarray) -> Detection:
    assert observation.instances is not None
    v, u = np.nonzero(observation.instances == number)
    depth = observation.depth_m[v, u].astype(np.float64)
    T = observation.T_world_camera
    world = (pixel_rays(SPEC)[v, u] * depth[:, None]) @ T[:3, :3].T + T[:3, 3]
    low, high = world.min(axis=0), world.max(axis=0)
    side = 64
    return Detection(
        instance=number,
        label=box.label,
        score=1.0,
        box=(u.min() / side, v.min() / side, (u.max() + 1) / side, (v.max() + 1) / side),
        xyz_m=(low + high) / 2,
        extent_m=high - low,
        xyz_body_m=(low + high) / 2 - np.array([pose[0], pose[1], 0.0]),
        num_px=len(u),
        range_m=float(np.median(depth)),
        touches_border=bool(u.min() == 0 or v.min() == 0 or u.max() == 63 or v.max() == 63),
    )
