"""Whether plans reach what a held-out frame shows: driven in the house that the data are of.

Starts and goals are the first and last frames of probe windows. A plan is judged by the recipe's
own predictor and its own distance to the goal's latent, where it comes nearest; its first action is
driven, then the search begins anew. Everything but the model is the same for all recipes.

Axis letters: w pairs of start and goal, s plans, n parameters.
"""

import math
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64

from agentd.build import build_world
from agentd.worlds.base import StepResult
from configs.worlds import ScenarioConfig, WorldConfig
from learners.batch import Scale
from learners.parts.kinds import LatentPredictor
from learners.probes import ProbeData
from learners.recipes.dense_probes import encode
from learners.recipes.image_goal import ImageGoal, latents_of
from learners.recipes.model import ComposedModel
from memory.frames import body_pose
from memory.records import Action, BodySpec, Observation
from policies.cem import minimise
from policies.config import PoliciesConfig
from policies.detectors.instances import InstanceDetector
from policies.perception import object_rows

NUM_PAIRS = 32
REACHED_TICKS = 1.5
"""A goal is reached at this gap: way or turn, whichever takes longer at full speed."""
MIN_GAP_TICKS = 3.0
"""Windows whose ends are nearer to each other are no goals."""

_BLOCK_TICKS = 2
"""An action is held this long."""
_NUM_BLOCKS = 3
_NUM_ACTIONS = 9
"""Actions that are driven towards a goal: twice the ticks of a window."""
_SAMPLES, _ELITES, _ROUNDS = 20, 4, 2
_LOW, _HIGH = np.tile([0.0, -1.0], _NUM_BLOCKS), np.tile([1.0, 1.0], _NUM_BLOCKS)
_MEAN, _STD = np.tile([0.5, 0.0], _NUM_BLOCKS), np.tile([0.4, 0.5], _NUM_BLOCKS)


@runtime_checkable
class Body(Protocol):
    """A simulated body that can be put somewhere."""

    @property
    def spec(self) -> BodySpec: ...
    def save_state(self) -> bytes: ...
    def load_state(self, state: bytes) -> Observation: ...
    def place(self, pose: Float64[np.ndarray, "3"]) -> None: ...
    def reset(self, seed: int | None = None) -> Observation: ...
    def step(self, action: Action) -> StepResult: ...


class Planner(Protocol):
    """Chooses actions on the way to a goal."""

    def sees(self, observation: Observation, done: Action | None) -> None:
        """Take in what is seen, and the action that led there; None at the start."""
        ...

    def plan(self) -> Float64[np.ndarray, "n"]:
        """Return (v, w) of each block, in units of the largest speeds."""
        ...


class Blind:
    """Plans at random: the floor."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def sees(self, observation: Observation, done: Action | None) -> None:
        """Look at nothing."""

    def plan(self) -> Float64[np.ndarray, "n"]:
        """Return a plan drawn evenly."""
        return self._rng.uniform(_LOW, _HIGH)


class Foresight:
    """Plans by a recipe's predictor towards the latent of a goal image.

    Args:
        model: Has a predictor.
        goal: Latent of the goal image.
        spec: Body.
        rng: Draws plans.
    """

    def __init__(
        self,
        model: ComposedModel,
        goal: Float[torch.Tensor, "d"],
        spec: BodySpec,
        rng: np.random.Generator,
    ) -> None:
        self._model, self._goal, self._rng = model, goal, rng
        self._spec, self._scale = spec, Scale.of(spec)
        self._detector = InstanceDetector(spec, PoliciesConfig().perception)
        self._past = goal.new_zeros(0, len(goal))
        self._done = goal.new_zeros(0, 2)
        self._mean = _MEAN

    def sees(self, observation: Observation, done: Action | None) -> None:
        """Encode what is seen."""
        rows = object_rows(self._detector.detect(observation), self._spec)
        z = latents_of(self._model, [observation], self._scale, rows[None])
        self._past = torch.cat([self._past, z])
        if done is not None:
            taken = torch.tensor([[done.v_mps, done.w_radps, done.duration_s]])
            self._done = torch.cat([self._done, self._scale.actions(taken)])

    def plan(self) -> Float64[np.ndarray, "n"]:
        """Return the best plan found; the next search begins from the rest of it."""
        goal = ImageGoal(self._model, self._past, self._done, self._goal, _BLOCK_TICKS)
        _, best, _ = minimise(
            goal.nearest,
            self._mean,
            _STD,
            (_LOW, _HIGH),
            num_samples=_SAMPLES,
            num_elites=_ELITES,
            num_iterations=_ROUNDS,
            rng=self._rng,
            min_std=0.1 * _STD,
        )
        self._mean = np.concatenate([best[2:], _MEAN[-2:]])
        return best


def image_goals(
    model: ComposedModel, data: ProbeData, config: WorldConfig, seed: int
) -> dict[str, Float64[np.ndarray, "w"]]:
    """Return which image goals plans reach, and which random plans do; nothing without a predictor.

    The house is as it was when the life began, whatever its script changed since.

    Args:
        model: Trained.
        data: Its windows' first and last frames are the starts and goals.
        config: World that the windows are of.
        seed: Draws plans.
    """
    if not (model.has("predictor") and isinstance(model.predictor, LatentPredictor)):
        return {}
    house = config.house.model_copy(update={"scenario": ScenarioConfig()})
    world = build_world(config.model_copy(update={"house": house}))
    try:
        assert isinstance(world, Body), "only simulated bodies tell the settings of their world"
        return reached(model, data, world, seed)
    finally:
        world.close()


def reached(
    model: ComposedModel, data: ProbeData, body: Body, seed: int
) -> dict[str, Float64[np.ndarray, "w"]]:
    """Return for each pair of start and goal whether plans reached it, and random ones; 1 or 0.

    Args: as for `image_goals`; nothing if no window's ends are far enough apart.
    """
    scale = Scale.of(body.spec)
    pairs = pairs_of(data, scale)
    if not len(pairs):
        return {}
    model.eval()
    goals = encode(model, data.windows).z[:, -1]
    fresh = body.save_state()
    found: dict[str, list[float]] = {"planning": [], "planning_random": []}
    for pair in pairs.tolist():
        start, end = data.pose[pair, 0].astype(np.float64), data.pose[pair, -1]
        mine, blind = (np.random.default_rng([seed, pair, arm]) for arm in range(2))
        arms: dict[str, Planner] = {
            "planning": Foresight(model, goals[pair], body.spec, mine),
            "planning_random": Blind(blind),
        }
        for name, planner in arms.items():
            body.load_state(fresh)  # whatever a drive pushed stands where it stood
            found[name].append(float(_drive(body, planner, start, end)))
    return {name: np.array(values) for name, values in found.items()}


def pairs_of(data: ProbeData, scale: Scale) -> Int64[np.ndarray, "w"]:
    """Return the windows whose first and last frames are a start and a goal."""
    gaps = [gap_ticks(pose[0], pose[-1], scale) for pose in data.pose]
    return np.flatnonzero(np.array(gaps) >= MIN_GAP_TICKS)[:NUM_PAIRS]


def gap_ticks(a: Float32[np.ndarray, "3"], b: Float32[np.ndarray, "3"], scale: Scale) -> float:
    """Return the larger of way and turn between two poses, in ticks at full speed."""
    way_m = math.hypot(float(a[0] - b[0]), float(a[1] - b[1]))
    turn_rad = abs((float(a[2] - b[2]) + math.pi) % (2 * math.pi) - math.pi)
    return max(way_m / scale.step_m, turn_rad / scale.turn_rad)


def _drive(
    body: Body,
    planner: Planner,
    start: Float64[np.ndarray, "3"],
    end: Float32[np.ndarray, "3"],
) -> bool:
    """Return whether a planner comes to a pose within its actions."""
    spec, scale = body.spec, Scale.of(body.spec)
    body.place(start)
    planner.sees(body.reset(), None)
    for _ in range(_NUM_ACTIONS):
        v, w = planner.plan()[:2].tolist()
        action = Action(
            v_mps=v * spec.v_max_mps, w_radps=w * spec.w_max_radps, duration_s=spec.tick_s
        )
        for _ in range(_BLOCK_TICKS):
            result = body.step(action)
            pose = body_pose(result.observation.T_world_camera, spec)
            if gap_ticks(pose, end, scale) < REACHED_TICKS:
                return True
            planner.sees(result.observation, result.applied)
    return False
