"""From windows of the replay store to the tensors of the world model.

Axis letters: b batch, t time, n = b * t frames, c channels, h w image, k objects of one frame,
f features, p pairs of crops.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, Int32, UInt8
from torch import Tensor
from torch.nn import functional

from memory.records import NUM_OBJECTS, OBJECT_FEATURES, Batch, BodySpec

INPUT_PX = 64
"""Side of the encoder's input; other images are resized."""

CROP_PX = 32
"""Side of the crops that are embedded."""

IMAGE_CHANNELS = 5
"""Red, green, blue, depth, has depth."""

EGO_FEATURES = 4
"""dx, dy, dyaw in units of the largest motion of one tick, and whether it was stopped."""

GEOMETRY_FEATURES = len(OBJECT_FEATURES) - 1

NEAR_STEPS = 20.0
"""The quasi-distance is trained up to here; farther is just far."""

_DEPTH_SCALE_M = 2.0
_XYZ_SCALE_M = 4.0
_EXTENT_SCALE_M = 1.0
_CROP_CONTEXT = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Largest motion of one tick: the unit of actions and egomotion."""

    step_m: float
    turn_rad: float

    @classmethod
    def of(cls, spec: BodySpec) -> "Scale":
        """Return the scale of a body."""
        return cls(step_m=spec.v_max_mps * spec.tick_s, turn_rad=spec.w_max_radps * spec.tick_s)

    def actions(self, action: Float[Tensor, "*s 3"]) -> Float[Tensor, "*s 2"]:
        """Return (v * duration, w * duration) of (v_mps, w_radps, duration_s) in this unit."""
        unit = torch.tensor([self.step_m, self.turn_rad])
        return action[..., :2] * action[..., 2:] / unit

    @property
    def egomotion_unit(self) -> Float[Tensor, "3"]:
        """dx_m, dy_m, dyaw_rad of one unit."""
        return torch.tensor([self.step_m, self.step_m, self.turn_rad])


@dataclass(frozen=True, slots=True, kw_only=True)
class CropPairs:
    """Two crops of the same remembered object, from different frames; no label is involved."""

    first: Float[Tensor, "p c s s"]
    second: Float[Tensor, "p c s s"]
    slot: Int[Tensor, "p"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PosePairs:
    """Pairs of frames of a batch and the steps that no body could undercut between their poses."""

    start: Int[Tensor, "q"]
    """Index into the flattened frames."""
    goal: Int[Tensor, "q"]
    steps: Float[Tensor, "q"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """Which actions were planned, and where they led."""

    is_planned: Bool[Tensor, "b t"]
    pose: Float[Tensor, "b t 3"]
    """x_m, y_m, yaw_rad."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """A batch of windows, ready for the model.

    Attributes:
        image: Colour in [-1, 1], depth squashed to [0, 1) with 0 for no return, has-depth 0/1.
        ego: Motion that led to the frame (see `EGO_FEATURES`).
        action: Applied action in units of `Scale`; leads from frame i to i + 1.
        command: The same, but where the motion was stopped a speed that would have been stopped
            too. The log keeps applied actions, so without this a model learns that commanding full
            speed never ends in a bump.
        geometry: Normalised object features without `valid`.
        valid: Which object rows hold an object.
        slots: Slot id of each object row, 0 for none.
        crops: Pairs for the appearance contrast, None if no object was seen twice.
        pairs: Pairs for the quasi-distance, None outside training.
        planned: What the planner did, None where nothing is distilled from it.
    """

    image: Float[Tensor, "b t c h w"]
    ego: Float[Tensor, "b t e"]
    action: Float[Tensor, "b t 2"]
    command: Float[Tensor, "b t 2"]
    geometry: Float[Tensor, "b t k g"]
    valid: Bool[Tensor, "b t k"]
    slots: Int[Tensor, "b t k"]
    crops: CropPairs | None = None
    pairs: PosePairs | None = None
    planned: Planned | None = None


def rows_of(windows: Windows, rows: slice) -> Windows:
    """Return some windows of a batch. Pairs of crops and of poses stay those of all of them.

    Args:
        windows: The whole batch.
        rows: Which of its windows.
    """
    planned = windows.planned
    return replace(
        windows,
        image=windows.image[rows],
        ego=windows.ego[rows],
        action=windows.action[rows],
        command=windows.command[rows],
        geometry=windows.geometry[rows],
        valid=windows.valid[rows],
        slots=windows.slots[rows],
        planned=planned and Planned(is_planned=planned.is_planned[rows], pose=planned.pose[rows]),
    )


def tensor(array: np.ndarray) -> Tensor:
    """Return a tensor of the array, without a copy unless it is read-only or strided."""
    return torch.from_numpy(np.require(array, requirements=("C", "W")))


def to_windows(
    batch: Batch, scale: Scale, rng: np.random.Generator, *, crops: int = 0, pairs: int = 0
) -> Windows:
    """Return the tensors of a batch.

    Args:
        batch: From the replay store.
        scale: Unit of actions and egomotion.
        rng: Draws the speeds of stopped commands and the pairs of crops.
        crops: At most this many pairs of crops.
        pairs: At most this many pairs of poses.
    """
    b, t = batch.rgb.shape[:2]
    image = to_image(
        batch.rgb.reshape(-1, *batch.rgb.shape[2:]),
        batch.depth_m.reshape(-1, *batch.rgb.shape[2:4]),
    )
    objects = tensor(batch.objects)
    action = scale.actions(tensor(batch.action))
    return Windows(
        image=image.unflatten(0, (b, t)),
        ego=to_ego(tensor(batch.egomotion), tensor(batch.bumped), scale),
        action=action,
        command=_stopped_commands(action, tensor(batch.bumped), rng),
        geometry=to_geometry(objects),
        valid=objects[..., 0] > 0.5,
        slots=tensor(batch.object_slots.astype(np.int64)),
        crops=_crop_pairs(image, batch.objects, batch.object_slots, rng, crops) if crops else None,
        pairs=_pose_pairs(batch.pose.reshape(-1, 3), scale, rng, pairs) if pairs else None,
        planned=Planned(is_planned=tensor(batch.is_planned), pose=tensor(batch.pose)),
    )


def to_image(
    rgb: UInt8[np.ndarray, "n h w 3"], depth_m: Float32[np.ndarray, "n h w"]
) -> Float[Tensor, "n c s s"]:
    """Return the encoder's input (channels last in memory, which the convolutions prefer)."""
    n, h, w = depth_m.shape
    # Each channel goes to its place at once: joining them would take twice the time and memory.
    out = torch.empty(n, h, w, IMAGE_CHANNELS)
    out[..., :3] = tensor(rgb).float().mul_(2 / 255).sub_(1)
    # Infinite depth squashes to 1, so marking it first keeps "no return" apart from "far".
    depth = tensor(depth_m)
    out[..., 4] = depth.isfinite()
    out[..., 3] = depth.nan_to_num(posinf=0.0).mul_(-1 / _DEPTH_SCALE_M).expm1_().neg_()
    image = out.permute(0, 3, 1, 2)
    if (h, w) != (INPUT_PX, INPUT_PX):
        image = functional.interpolate(image, (INPUT_PX, INPUT_PX), mode="area")
    return image


def to_depth_m(squashed: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """Return the depth of which `to_image` made this; what has none becomes 0."""
    return -_DEPTH_SCALE_M * torch.log1p(-squashed.clamp(max=1 - 1e-6))


def to_crop_image(crops: UInt8[np.ndarray, "n s s 3"]) -> Float[Tensor, "n c q q"]:
    """Return the input for embedding colour crops: no depth, `CROP_PX` wide."""
    n, s = crops.shape[:2]
    out = torch.zeros((n, s, s, IMAGE_CHANNELS))
    out[..., :3] = tensor(crops)
    out[..., :3].mul_(2 / 255).sub_(1)
    image = out.permute(0, 3, 1, 2)
    if s != CROP_PX:
        image = functional.interpolate(image, (CROP_PX, CROP_PX), mode="area")
    return image


def to_ego(
    egomotion: Float[Tensor, "*s 3"], bumped: Bool[Tensor, "*s"], scale: Scale
) -> Float[Tensor, "*s e"]:
    """Return the ego token's input."""
    return torch.cat([egomotion / scale.egomotion_unit, bumped[..., None].float()], dim=-1)


def to_geometry(objects: Float[Tensor, "*s f"]) -> Float[Tensor, "*s g"]:
    """Return object features without `valid`, each of about unit size."""
    parts = objects[..., 1:5], objects[..., 5:8], objects[..., 8:11], objects[..., 11:]
    box, xyz, extent, area = parts
    return torch.cat([box, xyz / _XYZ_SCALE_M, extent / _EXTENT_SCALE_M, area], dim=-1)


def _stopped_commands(
    action: Float[Tensor, "b t 2"], bumped: Bool[Tensor, "b t"], rng: np.random.Generator
) -> Float[Tensor, "b t 2"]:
    """Draw a command for each stopped action: whatever is at least as fast is stopped too."""
    stopped = torch.zeros_like(bumped)
    stopped[:, :-1] = bumped[:, 1:]
    share = tensor(rng.random(stopped.shape, dtype=np.float32))
    applied = action[..., 0]
    limit = torch.where(applied < 0, torch.minimum(applied, -torch.ones(())), applied.clamp(min=1))
    drawn = applied + share * (limit - applied)
    return torch.stack([torch.where(stopped, drawn, applied), action[..., 1]], dim=-1)


def _pose_pairs(
    pose: Float32[np.ndarray, "n 3"], scale: Scale, rng: np.random.Generator, count: int
) -> PosePairs:
    """Draw pairs from the whole batch, half of them near each other."""
    gap = pose[:, None] - pose[None, :]
    turn = np.abs((gap[..., 2] + np.pi) % (2 * np.pi) - np.pi) / scale.turn_rad
    steps = np.maximum(np.hypot(gap[..., 0], gap[..., 1]) / scale.step_m, turn)
    near = np.flatnonzero(steps.ravel() <= NEAR_STEPS)
    chosen = np.concatenate(
        [rng.choice(near, count // 2), rng.integers(steps.size, size=count - count // 2)]
    )
    start, goal = np.divmod(chosen, len(pose))
    bound = np.minimum(steps.ravel()[chosen], NEAR_STEPS).astype(np.float32)
    return PosePairs(start=tensor(start), goal=tensor(goal), steps=tensor(bound))


def _crop_pairs(
    image: Float[Tensor, "n c h w"],
    objects: Float32[np.ndarray, "b t k f"],
    slots: Int32[np.ndarray, "b t k"],
    rng: np.random.Generator,
    count: int,
) -> CropPairs | None:
    """Cut pairs of crops of the same slot, drawn from the whole batch."""
    frame, row = np.nonzero(slots.reshape(-1, NUM_OBJECTS) > 0)
    order = rng.permutation(len(frame))
    frame, row = frame[order], row[order]
    ids = slots.reshape(-1, NUM_OBJECTS)[frame, row]
    sorting = np.argsort(ids, kind="stable")
    same = ids[sorting][1:] == ids[sorting][:-1]
    first = np.nonzero(same)[0]
    # Neighbours of the shuffled, sorted list are random pairs; every second one would share a crop.
    first = first[rng.permutation(len(first))[:count]]
    if len(first) < 2:
        return None
    a, b = sorting[first], sorting[first + 1]
    boxes = objects.reshape(-1, *objects.shape[2:])[..., 1:5]
    return CropPairs(
        first=_cut(image, frame[a], boxes[frame[a], row[a]]),
        second=_cut(image, frame[b], boxes[frame[b], row[b]]),
        slot=tensor(ids[a].astype(np.int64)),
    )


def _cut(
    image: Float[Tensor, "n c h w"],
    frame: Int[np.ndarray, "p"],
    boxes: Float32[np.ndarray, "p 4"],
) -> Float[Tensor, "p c s s"]:
    """Return square colour crops with a little context; depth is left out, as in stored crops."""
    box = tensor(boxes)
    centre = (box[:, :2] + box[:, 2:]) - 1
    half = (box[:, 2:] - box[:, :2]).amax(dim=1).clamp(min=1 / INPUT_PX) * _CROP_CONTEXT
    steps = (torch.arange(CROP_PX) + 0.5) / CROP_PX * 2 - 1
    across = centre[:, 0, None] + half[:, None] * steps
    down = centre[:, 1, None] + half[:, None] * steps
    grid = torch.stack(
        [
            across[:, None, :].expand(-1, CROP_PX, -1),
            down[:, :, None].expand(-1, -1, CROP_PX),
        ],
        dim=-1,
    )
    colour = image[tensor(frame), :3]
    crops = functional.grid_sample(colour, grid, padding_mode="border", align_corners=False)
    blank = torch.zeros((len(crops), IMAGE_CHANNELS - 3, CROP_PX, CROP_PX))
    return torch.cat([crops, blank], dim=1)
