"""Views kept with their poses, for goals that are images and for latents of known places.

Axis letters: h w image, k objects, f features, d latent, n keyframes.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from memory.frames import se3_from_pose, wrap_rad
from memory.records import NUM_OBJECTS, OBJECT_FEATURES, BodySpec, Observation
from policies.protocols import LatentModel

MAX_KEYFRAMES = 160
SPACING_M = 0.8
SPACING_RAD = math.radians(45)
EVERY_STEPS = 4
ENCODE_PER_TICK = 3
"""Old keyframes that are encoded per tick after a swap: the tick must not wait."""


@dataclass(slots=True, kw_only=True)
class Keyframe:
    """One kept view. Pixels are kept, latents are made again by every model."""

    pose: Float64[np.ndarray, "3"]
    rgb: UInt8[np.ndarray, "h w 3"]
    depth_m: Float32[np.ndarray, "h w"]
    objects: Float32[np.ndarray, "k f"]
    z: Float32[np.ndarray, "d"] | None = None
    z_rgb: Float32[np.ndarray, "d"] | None = None


class Keyframes:
    """A bounded set of views, spread over poses."""

    def __init__(self, spec: BodySpec) -> None:
        self._spec = spec
        self._model: LatentModel | None = None
        self.items: list[Keyframe] = []

    def use_model(self, model: LatentModel | None) -> None:
        """Swap the model; latents of another model mean nothing."""
        self._model = model
        for item in self.items:
            item.z = item.z_rgb = None

    @property
    def num_pending(self) -> int:
        """Views that `best_match` has yet to encode with the model in use."""
        if self._model is None:
            return 0
        return sum(item.z_rgb is None for item in self.items)

    def clear(self) -> None:
        """Forget all views."""
        self.items = []

    def note(
        self,
        observation: Observation,
        objects: Float32[np.ndarray, "k f"],
        pose: Float64[np.ndarray, "3"],
        step: int,
    ) -> None:
        """Keep the view unless one from about the same pose is kept."""
        if step % EVERY_STEPS or not np.isfinite(pose).all():
            return
        if any(_is_same_pose(item.pose, pose) for item in self.items):
            return
        if len(self.items) >= MAX_KEYFRAMES:
            self.items.pop(0)
        self.items.append(
            Keyframe(
                pose=pose.copy(),
                rgb=observation.rgb.copy(),
                depth_m=observation.depth_m.copy(),
                objects=objects.copy(),
            )
        )

    def latent_near(
        self, xy_m: Float64[np.ndarray, "2"], look_m: Float64[np.ndarray, "2"]
    ) -> Float32[np.ndarray, "d"] | None:
        """Return the latent of a view from about a place towards a point, None if none is kept."""
        if self._model is None:
            return None
        yaw = math.atan2(look_m[1] - xy_m[1], look_m[0] - xy_m[0])
        pose = np.array([xy_m[0], xy_m[1], yaw])
        for item in self.items:
            if _is_same_pose(item.pose, pose):
                if item.z is None:
                    item.z = self._model.encode(self._view(item), item.objects)
                return item.z
        return None

    def best_match(self, rgb: UInt8[np.ndarray, "h w 3"]) -> tuple[Keyframe, float] | None:
        """Return the kept view nearest to an image and its quasi-distance in steps.

        Encodes a few views per call, so the answer may improve over the next ticks. None without
        a model or views.

        Raises:
            ValueError: If the image has another size than the body's.
        """
        if self._model is None or not self.items:
            return None
        shape = (self._spec.height_px, self._spec.width_px, 3)
        if rgb.shape != shape:
            raise ValueError(f"goal image has shape {rgb.shape}, accepted is {shape}")
        missing = [item for item in self.items if item.z_rgb is None]
        for item in missing[:ENCODE_PER_TICK]:
            item.z_rgb = self._encode_rgb(item.rgb)
        ready = [item for item in self.items if item.z_rgb is not None]
        zs = np.stack([item.z_rgb for item in ready if item.z_rgb is not None])
        steps = self._model.distance(zs, self._encode_rgb(rgb))
        best = int(np.argmin(steps))
        return ready[best], float(steps[best])

    def save(self) -> dict[str, np.ndarray]:
        """Return the arrays that `load` takes."""
        h, w = self._spec.height_px, self._spec.width_px
        items, shape = self.items, (len(self.items), h, w)
        return {
            "view_pose": np.array([i.pose for i in items]).reshape(-1, 3),
            "view_rgb": np.array([i.rgb for i in items], dtype=np.uint8).reshape(*shape, 3),
            "view_depth_m": np.array([i.depth_m for i in items], dtype=np.float16).reshape(shape),
            "view_objects": np.array([i.objects for i in items], dtype=np.float32).reshape(
                -1, NUM_OBJECTS, len(OBJECT_FEATURES)
            ),
        }

    def load(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over saved views.

        Raises:
            ValueError: If their images have another size than the body's.
        """
        shape = (self._spec.height_px, self._spec.width_px, 3)
        if arrays["view_rgb"].shape[1:] != shape:
            raise ValueError(
                f"saved views have shape {arrays['view_rgb'].shape[1:]}, accepted is {shape}"
            )
        columns = (arrays[f"view_{name}"] for name in ("pose", "rgb", "depth_m", "objects"))
        self.items = [
            Keyframe(pose=p, rgb=rgb, depth_m=depth.astype(np.float32), objects=objects)
            for p, rgb, depth, objects in zip(*columns, strict=True)
        ]

    def _encode_rgb(self, rgb: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "d"]:
        """Encode colour alone: a goal image brings no depth, so neither may what it is held to."""
        assert self._model is not None
        blank = Keyframe(
            pose=np.zeros(3),
            rgb=rgb,
            depth_m=np.full(rgb.shape[:2], np.nan, dtype=np.float32),
            objects=np.zeros((NUM_OBJECTS, len(OBJECT_FEATURES)), dtype=np.float32),
        )
        return self._model.encode(self._view(blank), blank.objects)

    def _view(self, item: Keyframe) -> Observation:
        return Observation(
            stamp_ns=0,
            rgb=item.rgb,
            depth_m=item.depth_m,
            instances=None,
            labels=("",),
            T_world_camera=se3_from_pose(item.pose) @ self._spec.T_body_camera,
            egomotion=np.zeros(3, dtype=np.float32),
            bumped=False,
        )


def _is_same_pose(a: Float64[np.ndarray, "3"], b: Float64[np.ndarray, "3"]) -> bool:
    near = math.hypot(a[0] - b[0], a[1] - b[1]) < SPACING_M
    return near and abs(wrap_rad(float(a[2] - b[2]))) < SPACING_RAD
