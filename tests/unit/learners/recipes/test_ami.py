import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from fakes_policies import Box, BoxWorld, FixedSlots, UnicycleModel, fake_spec, room
from tiny_recipes import tiny_recipe

from configs.recipes import load_recipe
from learners.batch import Scale, Windows, to_windows
from learners.errors import RecipeError
from learners.inference import ReactiveModel, TorchModel
from learners.losses.distillation import MAX_AHEAD, MIN_GOAL_M, Examples, examples
from learners.manifest import Manifest, Verdict
from learners.recipes.build import build
from learners.recipes.spec import Recipe
from learners.recipes.train import Budget, Trained, train_recipe
from learners.registry import Registry
from learners.round import run_round
from learners.round_spec import RoundSpec, body_to_dict
from learners.update import make_updater
from memory.config import ReplayConfig
from memory.records import NUM_OBJECTS, OBJECT_FEATURES, PointGoal, Transition
from memory.replay.ram import RamReplay
from policies.config import MapConfig, PlannerConfig, PoliciesConfig
from policies.navigator import Navigator
from policies.protocols import LatentModel, ReactivePolicy

SPEC = fake_spec()
SCALE = Scale.of(SPEC)
MANIFEST = Manifest(
    id="ami-1",
    parent_id=None,
    created_ns=0,
    recipe=load_recipe("ami"),
    body=body_to_dict(SPEC),
    config_sha256="",
    replay_version=0,
    rows=(0, 0),
    trusted=True,
    verdict=Verdict(accepted=True, reasons=()),
)
EPISODE = 30
TAUGHT = ("prediction", "sub_sigreg", "distillation")
PILLARS = (Box(2.2, 1.0, 2.6, 1.4, top_m=1.2), Box(3.4, 2.4, 3.8, 2.8, top_m=1.2))


def rows_of_one_object() -> np.ndarray:
    rows = np.zeros((NUM_OBJECTS, len(OBJECT_FEATURES)), dtype=np.float32)
    rows[0] = (1, 0.3, 0.4, 0.5, 0.7, 1.0, 0.0, 0.5, 0.2, 0.2, 1.0, 0.05)
    return rows


def planned_life(num_steps: int, seed: int) -> list[Transition]:
    """Return a life in which the planner drives to points of a room, with an analytic model."""
    rng = np.random.default_rng(seed)
    world = BoxWorld([*room(6, 4), *PILLARS], np.array([1.0, 2.0, 0.0]))
    planner = PlannerConfig(open_m=math.inf, num_iterations=3)
    config = PoliciesConfig(map=MapConfig(size_m=14.0), planner=planner)
    navigator = Navigator(SPEC, config, FixedSlots(), rng)
    navigator.use_model(UnicycleModel(SPEC))
    observation, rows, number = world.observe(), [], 0
    goal = PointGoal(goal_id="0", xy_m=(5.0, 2.0))
    for step in range(num_steps):
        pose = world.pose.astype(np.float32)
        decision = navigator.act(observation, [], goal)
        if decision.done or decision.failed or step % 25 == 24:
            number += 1
            at = rng.uniform((0.5, 0.5), (5.5, 3.5))
            goal = PointGoal(goal_id=str(number), xy_m=(float(at[0]), float(at[1])))
        rows.append(
            Transition(
                step=step,
                episode_id=step // EPISODE,
                observation=observation,
                action=decision.action,
                pose=pose,
                objects=rows_of_one_object(),
                object_slots=np.zeros(NUM_OBJECTS, dtype=np.int32),
                is_first=step % EPISODE == 0,
                is_last=step % EPISODE == EPISODE - 1,
                is_terminal=False,
                surprise=float("nan"),
                checkpoint_id="",
            )
        )
        observation = world.step(decision.action)
    return rows


def small() -> Recipe:
    fields = load_recipe("ami").model_dump()
    fields["latent_dim"] = 32
    fields["encoder"]["width"] = 64
    fields["predictor"].update(width=32, blocks=1)
    fields["heads"]["reactive"]["width"] = 64
    fields["training"].update(batch_size=12, learning_rate=3e-3)
    return Recipe.model_validate(fields)


@pytest.fixture(scope="module")
def life() -> RamReplay:
    replay = RamReplay(ReplayConfig(probe_every=4))
    replay.append(planned_life(1200, seed=0))
    return replay


@pytest.fixture(scope="module")
def trained(life: RamReplay) -> Trained:
    """Perception, prediction and the policy: what the other heads learn is not asked here."""
    chosen = {n: w for n, w in small().losses.items() if n in TAUGHT}
    recipe = small().model_copy(update={"losses": chosen})
    return train_recipe(recipe, life, SCALE, Budget(amount=160), seed=0)


def held_out(life: RamReplay, count: int = 64) -> tuple[Windows, Examples]:
    rng = np.random.default_rng(1)
    windows = to_windows(life.sample(count, 10, rng, held_out=True), SCALE, rng)
    return windows, examples(windows, torch.Generator().manual_seed(1))


def straight_at(goal_m: np.ndarray) -> np.ndarray:
    """Return what the geodesic follower does where the way to the goal is straight, in units."""
    error = np.arctan2(goal_m[:, 1], goal_m[:, 0])
    gap = np.hypot(*goal_m.T)
    v = np.minimum(SPEC.v_max_mps * np.cos(error) ** 2, gap / SPEC.tick_s)
    v = np.where(np.abs(error) > 0.7, 0.0, v)
    time_s = np.maximum(SPEC.tick_s, 0.5 * gap / np.maximum(v, 1e-3))
    w = error / np.where(v == 0, SPEC.tick_s, time_s)
    w = np.clip(w, -SPEC.w_max_radps, SPEC.w_max_radps)
    return np.stack([v / SPEC.v_max_mps, w / SPEC.w_max_radps], axis=-1)


def test_the_distilled_policy_agrees_with_held_out_plans_better_than_driving_straight_or_standing(
    life: RamReplay, trained: Trained
) -> None:
    windows, found = held_out(life)
    with torch.inference_mode():
        z = trained.model.encode(windows).z[found.window, found.time]
        acted = trained.model.reactive(z, found.goal_m).numpy()
    planned = windows.action[found.window, found.time].numpy()
    assert len(planned) > 100

    def error(actions: np.ndarray) -> float:
        return float(np.square(actions - planned).mean())

    distilled, straight, still = (
        error(a) for a in (acted, straight_at(found.goal_m.numpy()), np.zeros_like(planned))
    )
    assert distilled < 0.9 * straight, (distilled, straight, still)
    assert distilled < 0.3 * still, (distilled, straight, still)


def test_two_steps_reach_every_part(life: RamReplay) -> None:
    recipe, rng = small(), np.random.default_rng(0)
    model = build(recipe, 0)
    updater = make_updater(
        model, recipe.losses, learning_rate=1e-3, weight_decay=0.0, grad_clip=1.0
    )
    windows = to_windows(life.sample(8, 10, rng), SCALE, rng, pairs=64)
    generator = torch.Generator().manual_seed(0)
    for step in range(2):
        losses = updater.step(windows, generator, step / 2).losses
        assert all(math.isfinite(value) for value in losses.values())
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_only_planned_actions_are_distilled_and_goals_lie_where_the_body_went(
    life: RamReplay,
) -> None:
    windows, found = held_out(life)
    assert windows.planned is not None
    assert windows.planned.is_planned[found.window, found.time].all()
    assert (found.goal_m.norm(dim=-1) >= MIN_GOAL_M).all()
    assert (found.goal_m.norm(dim=-1) <= MAX_AHEAD * SCALE.step_m + 0.01).all()
    nobody = replace(
        windows, planned=replace(windows.planned, is_planned=torch.zeros(64, 10, dtype=torch.bool))
    )
    assert len(examples(nobody, torch.Generator()).time) == 0
    with pytest.raises(ValueError, match="do not tell which actions were planned"):
        examples(replace(windows, planned=None), torch.Generator())


def test_acting_needs_no_torch_for_the_policy_and_gives_the_same_commands(
    life: RamReplay, trained: Trained
) -> None:
    actor = ReactiveModel(trained.model, MANIFEST)
    assert isinstance(actor, LatentModel)
    assert isinstance(actor, ReactivePolicy)
    world = BoxWorld([*room(6, 4), *PILLARS], np.array([1.0, 2.0, 0.3]))
    rows = np.zeros((NUM_OBJECTS, len(OBJECT_FEATURES)), dtype=np.float32)
    z, goal_m = actor.encode(world.observe(), rows), np.array([0.6, -0.2])
    with torch.inference_mode():
        wanted = trained.model.reactive(
            torch.from_numpy(z)[None], torch.tensor(goal_m, dtype=torch.float32)[None]
        )[0].numpy()
    command = actor.react(z, goal_m)
    np.testing.assert_allclose(
        command, wanted * (SPEC.v_max_mps, SPEC.w_max_radps), atol=1e-5, rtol=1e-4
    )
    rolled = actor.rollout(z, np.full((3, 4, 3), 0.2, dtype=np.float32))
    assert rolled.egomotion.shape == (3, 4, 3)
    assert actor.distance(rolled.z[:, -1].copy(), z).shape == (3,)


def test_a_life_that_trains_it_acts_with_its_policy(
    arena_spec: Callable[..., RoundSpec], arena_replay: RamReplay
) -> None:
    spec = arena_spec(1, recipe=tiny_recipe("ami"))
    made = run_round(spec, arena_replay).checkpoint_id
    assert made is not None
    registry = Registry(spec.checkpoints_folder)
    model = TorchModel.load(registry.path(made), registry.manifest(made))
    assert isinstance(model, ReactivePolicy)
    assert not isinstance(TorchModel(build(load_recipe("agentd"), 0), MANIFEST), ReactivePolicy)


def test_with_no_time_to_plan_the_distilled_policy_drives_the_body(trained: Trained) -> None:
    world = BoxWorld(room(6, 4), np.array([1.0, 2.0, 0.0]))
    planner = PlannerConfig(open_m=math.inf, budget_s=0.0)
    config = PoliciesConfig(map=MapConfig(size_m=14.0), planner=planner)
    navigator = Navigator(SPEC, config, FixedSlots(), np.random.default_rng(0))
    navigator.use_model(ReactiveModel(trained.model, MANIFEST))
    observation, sources = world.observe(), []
    goal = PointGoal(goal_id="p", xy_m=(4.5, 2.0))
    for _ in range(60):
        decision = navigator.act(observation, [], goal)
        sources.append(decision.action.source)
        observation = world.step(decision.action)
        if decision.done:
            break
    assert navigator.planner.num_plans_made == 0
    assert sources.count("reactive") > 10
    assert world.pose[0] > 2.5


def test_a_distillation_loss_without_a_policy_is_refused() -> None:
    fields = load_recipe("lewm").model_dump()
    fields["losses"]["distillation"] = 1.0
    with pytest.raises(RecipeError, match="loss distillation needs reactive"):
        build(Recipe.model_validate(fields), 0)
