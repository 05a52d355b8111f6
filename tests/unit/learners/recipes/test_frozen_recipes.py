"""`vjepa2-ac` and `jepa-wm`: they train, and their plans reach goal images."""

import image_goals
import numpy as np
import pytest
import torch
from image_goals import HIGH, LOW, MEAN, STD, ImageGoal, episode, random_plan, recorded

from configs.recipes import load_recipe
from learners.batch import Scale, to_windows
from learners.errors import RecipeError
from learners.recipes.build import build, check
from learners.recipes.image_goal import minimise_by_gradient
from learners.recipes.spec import Recipe
from learners.recipes.train import Budget, train_recipe
from learners.update import make_updater
from memory.replay.ram import RamReplay
from policies.cem import minimise

NAMES = ("vjepa2-ac", "jepa-wm")


def small(name: str, **training: object) -> Recipe:
    """Return the recipe with tiny sizes."""
    data = load_recipe(name).model_dump()
    data["encoder"] |= {"width": 32, "grid": 2, "layers": 1}
    data["latent_dim"] = 2 * 2 * 32 + 4
    data["predictor"] |= {"width": 64, "layers": 2}
    data["training"] |= training
    return Recipe.model_validate(data)


@pytest.mark.parametrize("name", NAMES)
def test_two_steps_are_finite_and_reach_every_trainable_part(
    name: str, arena_replay: RamReplay, spec
) -> None:
    recipe = small(name)
    model = build(recipe, 0)
    frozen = {n: p.clone() for n, p in model.encoder.named_parameters()}
    updater = make_updater(
        model, recipe.losses, learning_rate=1e-3, weight_decay=0.0, grad_clip=1.0
    )
    rng = np.random.default_rng(0)
    for step in range(2):
        batch = arena_replay.sample(4, recipe.training.horizon, rng)
        seen = updater.step(
            to_windows(batch, Scale.of(spec), rng), torch.Generator().manual_seed(0), step / 2
        )
        assert all(np.isfinite(value) for value in seen.losses.values())
    trainable = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert trainable
    assert all(n.startswith("predictor.") for n in trainable)
    silent = [n for n, p in trainable.items() if p.grad is None or not p.grad.any()]
    assert not silent
    for n, p in model.encoder.named_parameters():
        torch.testing.assert_close(p, frozen[n], rtol=0, atol=0)


def test_a_predictor_over_patches_needs_an_encoder_that_lays_them_out() -> None:
    data = load_recipe("jepa-wm").model_dump() | {"encoder": {"kind": "vit"}}
    with pytest.raises(RecipeError, match="predictor needs frame_tokens"):
        check(Recipe.model_validate(data))
    data = load_recipe("lewm").model_dump()
    data["losses"] = {"multistep": 1.0}
    with pytest.raises(RecipeError, match="loss multistep needs token_predictor"):
        check(Recipe.model_validate(data))


def test_a_latent_that_does_not_hold_the_tokens_is_told() -> None:
    data = load_recipe("jepa-wm").model_dump() | {"latent_dim": 128}
    with pytest.raises(RecipeError, match=r"encoder: latent_dim 128 is not the 1028 of 4 x 4"):
        build(Recipe.model_validate(data), 0)


def cem_plan(goal: ImageGoal, rng: np.random.Generator) -> np.ndarray:
    return minimise(
        goal,
        MEAN,
        STD,
        (LOW, HIGH),
        num_samples=48,
        num_elites=8,
        num_iterations=3,
        rng=rng,
        min_std=0.1 * STD,
    )[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "training"),
    [
        ("vjepa2-ac", {"batch_size": 32, "horizon": 4, "learning_rate": 3e-3}),
        ("jepa-wm", {"batch_size": 16, "learning_rate": 3e-3}),
    ],
)
def test_plans_towards_a_goal_image_end_nearer_than_random_ones(
    name: str, training: dict[str, object], arena_world
) -> None:
    replay = recorded(arena_world, num_episodes=40, length=20, seed=0)
    scale = Scale.of(arena_world.spec)
    model = train_recipe(small(name, **training), replay, scale, Budget(amount=200), seed=0).model
    planned, blind = (
        [ended for seed in range(80) if (ended := episode(arena_world, model, plan, seed))]
        for plan in (cem_plan, random_plan)
    )
    assert len(planned) >= 50
    gain = np.array([b.gap - p.gap for p, b in zip(planned, blind, strict=True)])
    assert gain.mean() > 2 * gain.std() / np.sqrt(len(gain))
    reached, by_chance = (np.mean([e.reached for e in ends]) for ends in (planned, blind))
    assert reached > by_chance + 0.15


def test_an_untrained_model_is_judged_by_the_same_episodes(arena_world) -> None:
    """Episodes that start at their goal are left out, and evaluations are counted."""
    model = build(small("vjepa2-ac"), 0).eval()
    ended = [episode(arena_world, model, cem_plan, seed) for seed in range(8)]
    assert any(e is None for e in ended) or len(ended) == 8
    assert all(e.num_evaluations == 48 * 3 for e in ended if e)
    assert all(e.start_gap >= 1.5 for e in ended if e)


def test_goals_know_the_frames_before_now() -> None:
    model = build(small("jepa-wm"), 0).eval()
    for p in model.predictor.parameters():
        p.data.normal_(std=0.3)
    generator = torch.Generator().manual_seed(0)
    past = torch.randn(5, 132, generator=generator)
    done = torch.randn(4, 2, generator=generator)
    plans = np.random.default_rng(0).uniform(LOW, HIGH, (3, LOW.size))
    goal = ImageGoal(model, past, done, past[0], image_goals.BLOCK_STEPS)
    costs = goal(plans)
    assert goal.num_evaluations == 3
    other = past.clone()
    other[2:4] += 1
    assert np.abs(ImageGoal(model, other, done, past[0], 2)(plans) - costs).max() > 1e-4
    other = past.clone()
    other[1] += 1  # beyond the three frames that the predictor looks at
    np.testing.assert_array_equal(ImageGoal(model, other, done, past[0], 2)(plans), costs)


def test_the_gradient_search_descends_a_bowl_and_stays_inside_the_bounds() -> None:
    target = torch.tensor([0.3, 2.0])
    best, cost = minimise_by_gradient(
        lambda x: (x - target).square().sum(1),
        np.zeros((4, 2)),
        (np.full(2, -1.0), np.full(2, 1.0)),
        num_steps=200,
        learning_rate=0.05,
    )
    np.testing.assert_allclose(best, [0.3, 1.0], atol=1e-2)
    assert cost == pytest.approx(1.0, abs=1e-3)


def test_the_gradient_search_returns_the_best_it_has_when_its_time_is_out() -> None:
    asked = []

    def has_time() -> bool:
        asked.append(1)
        return len(asked) < 3

    best, cost = minimise_by_gradient(
        lambda x: x.square().sum(1),
        np.full((2, 1), 1.0),
        (np.full(1, -2.0), np.full(1, 2.0)),
        num_steps=100,
        learning_rate=0.1,
        has_time=has_time,
    )
    assert len(asked) == 3
    assert cost == pytest.approx(float(best[0] ** 2), rel=1e-5)
    assert 0 < cost < 1
