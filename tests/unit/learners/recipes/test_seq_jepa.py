import math

import numpy as np
import pytest
import torch
from claim_probes import Clips, draw, relative_pose
from torch.nn import functional

from configs.recipes import load_recipe
from learners.batch import Scale, Windows, to_windows
from learners.errors import RecipeError
from learners.losses.forward import Forward
from learners.losses.next_view import next_view
from learners.losses.total import total_loss
from learners.pose_graph import PoseGraph
from learners.probes import draw_probes
from learners.recipes.build import build
from learners.recipes.dense_probes import squares
from learners.recipes.measure import measure
from learners.recipes.spec import Recipe
from learners.recipes.train import Budget, train_recipe
from learners.update import make_updater
from memory.records import BodySpec
from memory.replay.ram import RamReplay

VIEWS, STRIDE = 3, 2


ARENA = {
    "pixel_mean": (-0.2, -0.15, -0.3, 0.3, 1.0),
    "pixel_spread": (0.35, 0.3, 0.35, 0.2, 1.0),
}


def small() -> Recipe:
    fields = load_recipe("seq-jepa").model_dump()
    fields["latent_dim"] = 48
    fields["encoder"].update(width=48, layers=2, projector_width=96, **ARENA)
    fields["heads"]["aggregate"].update(
        views=VIEWS, stride=STRIDE, action_dim=16, layers=2, width=96
    )
    fields["training"].update(batch_size=16, learning_rate=1e-3, horizon=8)
    return Recipe.model_validate(fields)


@pytest.fixture(scope="module")
def windows(arena_replay: RamReplay, spec: BodySpec) -> Windows:
    rng = np.random.default_rng(0)
    return to_windows(arena_replay.sample(6, 8, rng), Scale.of(spec), rng)


def test_two_steps_reach_every_trainable_part_and_the_target_follows(windows: Windows) -> None:
    recipe = small()
    model = build(recipe, 0)
    slow = [p.clone() for p in model.target.parameters()]
    updater = make_updater(
        model,
        recipe.losses,
        learning_rate=1e-3,
        weight_decay=0.0,
        grad_clip=1.0,
        after_step=model.after_step,
    )
    generator = torch.Generator().manual_seed(0)
    for step in range(2):
        losses = updater.step(windows, generator, step / 2).losses
        assert all(math.isfinite(value) for value in losses.values())
    trainable = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    assert [n for n, p in trainable if p.grad is None] == []
    assert any(not torch.equal(a, b) for a, b in zip(slow, model.target.parameters(), strict=True))
    assert all(p.grad is None for p in model.target.parameters())


def test_probe_windows_that_are_shorter_than_a_sequence_leave_its_measure_out(
    arena_replay: RamReplay, spec: BodySpec
) -> None:
    fields = small().model_dump()
    fields["heads"]["aggregate"].update(views=3, stride=4)
    model = build(Recipe.model_validate(fields), 0).eval()
    scale = Scale.of(spec)
    data = draw_probes(arena_replay, scale, 8, 10, np.random.default_rng(0))
    graph = PoseGraph(scale)
    graph.add(data.pose)
    found = measure(model, data, graph, 0)
    assert found["aggregate_place_accuracy"] is None
    assert found["r2_relative_pose"] is not None


def test_the_predicted_view_is_the_one_that_follows_the_sequence(windows: Windows) -> None:
    model = build(small(), 0)
    fwd = Forward(model, windows, torch.Generator())
    found = model.aggregate(fwd.z, windows.command)
    assert found.z.shape[:2] == found.next_z.shape[:2] == (6, 2)
    target = model.target(windows).z
    wanted = [
        1 - functional.cosine_similarity(found.next_z[:, s], target[:, s + VIEWS * STRIDE], dim=-1)
        for s in range(2)
    ]
    torch.testing.assert_close(next_view(fwd), torch.stack(wanted).mean())


def test_a_sequence_looks_at_its_own_views_and_motions_alone(windows: Windows) -> None:
    model = build(small(), 0).eval()
    z, command = model.encode(windows).z.detach(), windows.command
    first = model.aggregate(z, command)
    seen = torch.zeros(8, dtype=torch.bool)
    seen[[0, 2, 4]] = True
    other = torch.where(seen[:, None], z, z + 3.0)
    torch.testing.assert_close(model.aggregate(other, command).z[:, 0], first.z[:, 0])
    late = command.clone()
    late[:, 4:6] += 1.0
    moved = model.aggregate(z, late)
    # The motion that leads on is for the prediction, not for what the views have in common.
    torch.testing.assert_close(moved.z[:, 0], first.z[:, 0])
    assert not torch.allclose(moved.next_z[:, 0], first.next_z[:, 0])


def test_windows_too_short_for_a_sequence_are_refused(windows: Windows) -> None:
    names = ("image", "ego", "action", "command", "geometry", "valid", "slots")
    short = Windows(**{name: getattr(windows, name)[:, :6] for name in names})
    with pytest.raises(ValueError, match="7 frames are needed"):
        total_loss(Forward(build(small(), 0), short, torch.Generator()), {"next_view": 1.0})


def test_without_a_teacher_or_with_odd_sizes_the_recipe_is_refused() -> None:
    fields = load_recipe("seq-jepa").model_dump()
    with pytest.raises(RecipeError, match="loss next_view needs teacher"):
        build(Recipe.model_validate(fields | {"target": {"kind": "live"}}), 0)
    fields["heads"]["aggregate"]["action_dim"] = 33
    with pytest.raises(RecipeError, match="no multiple of heads 4"):
        build(Recipe.model_validate(fields), 0)


@pytest.fixture(scope="module")
def far_clips(long_arena_replay: RamReplay, spec: BodySpec) -> Clips:
    return draw(long_arena_replay, Scale.of(spec), 600, 400, 13, 3, [], squares)


@pytest.mark.slow
def test_the_relative_pose_of_views_is_read_better_than_from_one_view_or_an_untrained_model(
    long_arena_replay: RamReplay, spec: BodySpec, far_clips: Clips
) -> None:
    """Views so far apart that the next one is not in sight of the last alone."""

    def far_apart(views: int) -> Recipe:
        fields = small().model_dump()
        fields["heads"]["aggregate"].update(views=views, stride=4)
        fields["training"].update(batch_size=12, horizon=13)
        return Recipe.model_validate(fields)

    scale = Scale.of(spec)
    split, one_view = (
        train_recipe(far_apart(v), long_arena_replay, scale, Budget(amount=150), seed=0).model
        for v in (3, 1)
    )
    found, of_one, before = (
        relative_pose(model.eval(), far_clips).value()
        for model in (split, one_view, build(far_apart(3), 0))
    )
    assert found > of_one + 0.02
    assert found > before + 0.05
