"""Records that flow between the packages: frozen, keyword-only, numpy only.

Axis letters: b batch, t time, h w image, p pixels of one thing, k objects of one frame, f
features.
Frames: `world` has z up and metres; `camera` is OpenCV's (x right, y down, z forward); `body` has
x forward, y left, z up with its origin on the floor under the robot's centre. `T_a_b` maps points
of b into a.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64, UInt8

NUM_OBJECTS = 8
"""Object rows kept per frame (the largest in view)."""

OBJECT_FEATURES = (
    "valid",
    *("x0", "y0", "x1", "y1"),
    *("x_m", "y_m", "z_m"),
    *("dx_m", "dy_m", "dz_m"),
    "area",
)
"""Columns of `Transition.objects`: validity 0/1; image box as fractions of width and height;
middle of the visible box in the body frame; axis-aligned extent in the world frame; share of the
image's pixels."""

ActionSource = Literal["planner", "reactive", "explorer", "operator", "safety", "recovery", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BodySpec:
    """What a body is and can do; constant while it runs.

    Attributes:
        name: Name of the world or robot.
        width_px: Image width.
        height_px: Image height.
        fx_px: Focal length along x.
        fy_px: Focal length along y.
        cx_px: Principal point, x (pixel centres lie at integer + 0.5).
        cy_px: Principal point, y.
        T_body_camera: Camera points into the body frame.
        radius_m: Radius of the footprint.
        height_m: Height of the body, for the obstacle band.
        v_max_mps: Largest forward speed.
        w_max_radps: Largest turn rate.
        tick_s: Duration of one action.
        depth_max_m: Largest depth the sensor reports.
    """

    name: str
    width_px: int
    height_px: int
    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    T_body_camera: Float64[np.ndarray, "4 4"]
    radius_m: float
    height_m: float
    v_max_mps: float
    w_max_radps: float
    tick_s: float
    depth_max_m: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Everything sensed at one instant.

    Attributes:
        stamp_ns: Time of the sensors, monotone within a life.
        rgb: Colour image.
        depth_m: Depth along the optical axis; NaN means no return.
        instances: Mask of the things that a detector or the instance camera tells apart; 0 is
            nothing. Numbers are valid in this frame only: they carry no identity over time.
            None when the body has no such sensor.
        labels: `labels[i]` is the category of instance i; `labels[0]` is "".
        T_world_camera: Camera points into the world, as the body localises itself.
        egomotion: dx_m, dy_m, dyaw_rad since the last observation, in the last body frame.
        bumped: Whether something fixed stopped the last action.
        battery: Charge, 0 to 1, or NaN.
    """

    stamp_ns: int
    rgb: UInt8[np.ndarray, "h w 3"]
    depth_m: Float32[np.ndarray, "h w"]
    instances: Int32[np.ndarray, "h w"] | None
    labels: tuple[str, ...]
    T_world_camera: Float64[np.ndarray, "4 4"]
    egomotion: Float32[np.ndarray, "3"]
    bumped: bool
    battery: float = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A velocity command held for a duration, and who asked for it."""

    v_mps: float
    w_radps: float
    duration_s: float
    source: ActionSource = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """One thing seen in one frame, lifted into the world.

    Attributes:
        instance: Its number among the things of this frame, from 1.
        label: Category.
        score: Confidence, 0 to 1.
        box: x0, y0, x1, y1 as fractions of width and height.
        xyz_m: Middle of the box of its visible points in the world frame.
        extent_m: Axis-aligned extent of its visible points in the world frame.
        xyz_body_m: The same in the body frame.
        num_px: Visible pixels.
        range_m: Median depth.
        touches_border: Whether the mask reaches the image border (extent is then a lower bound).
        pixels: Its mask, as indices into the flattened image. None: the pixels that bear its number
            in `Observation.instances`.
    """

    instance: int
    label: str
    score: float
    box: tuple[float, float, float, float]
    xyz_m: Float64[np.ndarray, "3"]
    extent_m: Float64[np.ndarray, "3"]
    xyz_body_m: Float64[np.ndarray, "3"]
    num_px: int
    range_m: float
    touches_border: bool
    pixels: Int64[np.ndarray, "p"] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedBox:
    """A box that a network found in an image.

    Attributes:
        label: What it was asked for.
        score: Confidence, 0 to 1.
        box_px: x0, y0, x1, y1 in pixels of the image.
    """

    label: str
    score: float
    box_px: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One step of a life: the observation and the action that left it, as applied.

    Attributes:
        step: Number of the step in the life, from 0, without gaps inside an episode.
        episode_id: Number of the episode in the life.
        observation: What was sensed before the action.
        action: What the body reports to have applied. Zero on the last row of an episode.
        pose: x_m, y_m, yaw_rad of the body in the world frame.
        objects: One row per object in view, columns `OBJECT_FEATURES`, zero rows at the end.
        object_slots: Slot id of each row, 0 if none.
        is_first: First row of its episode.
        is_last: Last row of its episode: no action follows.
        is_terminal: The episode ended by success or failure, not by a cut.
        surprise: Calibrated prediction error of this observation, NaN without a model.
        checkpoint_id: Model that acted, "" for none.
    """

    step: int
    episode_id: int
    observation: Observation
    action: Action
    pose: Float32[np.ndarray, "3"]
    objects: Float32[np.ndarray, "k f"]
    object_slots: Int32[np.ndarray, "k"]
    is_first: bool
    is_last: bool
    is_terminal: bool
    surprise: float
    checkpoint_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Windows drawn from the replay store; time is contiguous within one episode.

    `action[:, i]` leads from frame i to frame i + 1; the action of the last frame is the one that
    left it (zero at the end of an episode).

    Attributes:
        rgb: Colour.
        depth_m: Depth, NaN for no return.
        action: v_mps, w_radps, duration_s.
        egomotion: Motion that led to each frame; zero on the first of an episode.
        bumped: Whether the motion that led to each frame was stopped.
        pose: x_m, y_m, yaw_rad.
        is_planned: Whether the planner chose the action.
        objects: See `OBJECT_FEATURES`.
        object_slots: Slot ids.
        step: Step numbers.
        episode_id: Episode of each window.
    """

    rgb: UInt8[np.ndarray, "b t h w 3"]
    depth_m: Float32[np.ndarray, "b t h w"]
    action: Float32[np.ndarray, "b t 3"]
    egomotion: Float32[np.ndarray, "b t 3"]
    bumped: Bool[np.ndarray, "b t"]
    pose: Float32[np.ndarray, "b t 3"]
    is_planned: Bool[np.ndarray, "b t"]
    objects: Float32[np.ndarray, "b t k f"]
    object_slots: Int32[np.ndarray, "b t k"]
    step: Int64[np.ndarray, "b t"]
    episode_id: Int64[np.ndarray, "b"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """What a model expects along sampled plans (s plans, t time, d latent).

    Attributes:
        z: Latents after each action.
        egomotion: Expected dx_m, dy_m, dyaw_rad of each step, in the body frame before it.
        p_collision: Chance that the step is stopped by something.
    """

    z: Float32[np.ndarray, "s t d"]
    egomotion: Float32[np.ndarray, "s t 3"]
    p_collision: Float32[np.ndarray, "s t"]


class SlotState(StrEnum):
    """Life of a remembered object: seen a little, trusted, doubted, kept for re-identification."""

    TENTATIVE = "tentative"
    CONFIRMED = "confirmed"
    SUSPECT = "suspect"
    ARCHIVED = "archived"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One remembered object.

    Attributes:
        slot_id: From 1, never reused.
        label: Winner of the label votes.
        votes: Score summed per label.
        xyz_m: Mean position in the world frame.
        cov_m2: Covariance of the position.
        extent_m: Axis-aligned extent in the world frame.
        existence: Log-odds that it is there now.
        state: See SlotState.
        num_hits: Frames in which it was seen.
        first_seen_ns: Stamp of the first sighting.
        last_seen_ns: Stamp of the last sighting.
        first_seen_step: Step of the first sighting.
        last_seen_step: Step of the last sighting.
    """

    slot_id: int
    label: str
    votes: dict[str, float]
    xyz_m: Float64[np.ndarray, "3"]
    cov_m2: Float64[np.ndarray, "3 3"]
    extent_m: Float64[np.ndarray, "3"]
    existence: float
    state: SlotState
    num_hits: int
    first_seen_ns: int
    last_seen_ns: int
    first_seen_step: int
    last_seen_step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Pixels of a slot from one pose, kept so that any encoder can embed them again."""

    view_id: int
    slot_id: int
    crop: UInt8[np.ndarray, "s s 3"]
    pose: Float32[np.ndarray, "3"]
    range_m: float
    num_px: int
    stamp_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """A search vector and the encoder that made it; vectors of two encoders are never compared."""

    encoder_version: str
    vector: Float32[np.ndarray, "d"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectGoal:
    """Find an object of a category.

    Attributes:
        goal_id: Its id.
        label: Category.
        deadline_steps: Steps after which it is given up; None: the life's own limit.
        also: Other labels that mean the same.
    """

    goal_id: str
    label: str
    deadline_steps: int | None = None
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PointGoal:
    """Go to a point of the world frame."""

    goal_id: str
    xy_m: tuple[float, float]
    deadline_steps: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageGoal:
    """Go to where an image was taken."""

    goal_id: str
    rgb: UInt8[np.ndarray, "h w 3"] = field(repr=False, compare=False)
    deadline_steps: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExploreGoal:
    """Explore until nothing within reach is unknown."""

    goal_id: str
    deadline_steps: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PatrolGoal:
    """Look at everything within reach again, the oldest look first; rounds None: until stopped."""

    goal_id: str
    rounds: int | None = 1
    deadline_steps: int | None = None


Goal = ObjectGoal | PointGoal | ImageGoal | ExploreGoal | PatrolGoal
