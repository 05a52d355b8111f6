import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from configs.recipes import load_recipe
from learners.batch import GEOMETRY_FEATURES, Scale, Windows, to_windows
from learners.errors import RecipeError
from learners.losses.forward import Forward
from learners.losses.object_tracks import foresee, mean_where, object_tracks
from learners.losses.total import total_loss
from learners.parts.kinds import Encoded
from learners.parts.object_masks import ObjectMaskOptions, WholeHistory
from learners.parts.tracks import TRACK_FEATURES, tracks
from learners.recipes.build import build
from learners.recipes.model import ComposedModel
from learners.recipes.spec import Recipe
from learners.update import make_updater
from memory.config import ReplayConfig
from memory.records import NUM_OBJECTS, OBJECT_FEATURES, BodySpec, Transition
from memory.replay.ram import RamReplay

HISTORY, FRAMES, NUM_THINGS = 3, 6, 6
XY = slice(4, 6)
UPDATES = 350


def small(num_hidden: int) -> Recipe:
    fields = load_recipe("c-jepa").model_dump()
    fields["latent_dim"] = 32
    fields["encoder"]["width"] = 64
    fields["predictor"].update(width=32, blocks=1)
    fields["masks"]["num_hidden"] = num_hidden
    fields["heads"]["tracks"].update(history=HISTORY, num_tracks=NUM_THINGS, width=48, layers=2)
    fields["training"].update(batch_size=16, learning_rate=3e-3)
    return Recipe.model_validate(fields)


def with_things(rows: list[Transition], seed: int) -> list[Transition]:
    """Return a drive among things around the body: one drifts and pulls another, the rest stand."""
    rng, out = np.random.default_rng(seed), []
    at = drift = np.zeros(2)
    for row in rows:
        if row.is_first:
            at, drift = rng.uniform(0.3, 3.7, (NUM_THINGS, 2)), rng.normal(0, 0.06, 2)
        pull = at[0] - at[1]
        gap = float(np.hypot(*pull))
        at = at.copy()
        at[1] += pull * max(gap - 0.4, 0) / max(gap, 1e-6)
        at[0] += drift
        objects = np.zeros((NUM_OBJECTS, len(OBJECT_FEATURES)), dtype=np.float32)
        slots = np.zeros(NUM_OBJECTS, dtype=np.int32)
        c, s = math.cos(row.pose[2]), math.sin(row.pose[2])
        seen = rng.permutation(NUM_THINGS)
        for k, i in enumerate(seen[rng.random(NUM_THINGS) > 0.25]):
            dx, dy = at[i] - row.pose[:2]
            place = (c * dx + s * dy, c * dy - s * dx, 0.5)
            objects[k] = (1, 0.3, 0.4, 0.5, 0.7, *place, 0.2 + 0.1 * i, 0.2, 1.0, 0.05)
            slots[k] = i + 1
        out.append(replace(row, objects=objects, object_slots=slots))
    return out


@pytest.fixture(scope="module")
def life(arena_rows: list[Transition]) -> RamReplay:
    replay = RamReplay(ReplayConfig(probe_every=4))
    replay.append(with_things(arena_rows, seed=1))
    return replay


@pytest.fixture(scope="module")
def windows(life: RamReplay, spec: BodySpec) -> Windows:
    rng = np.random.default_rng(0)
    return to_windows(life.sample(6, FRAMES, rng), Scale.of(spec), rng)


class Blind(nn.Module):
    """Sees nothing: objects are told by their geometry alone, and no image has to be encoded."""

    def forward(self, windows: Windows) -> Encoded:
        b, t, k = windows.slots.shape
        return Encoded(
            z=torch.zeros(b, t, 32),
            appearance=torch.zeros(b, t, k, TRACK_FEATURES - GEOMETRY_FEATURES),
        )


def hidden_error(model: ComposedModel, held_out: Windows) -> float:
    """Return the error of places of hidden objects over that of staying where last anchored."""
    model.eval()
    model.masks.num_hidden = 1
    with torch.inference_mode():
        made = foresee(Forward(model, held_out, torch.Generator().manual_seed(0)))
    token, seen = made.found.token, made.found.seen
    first = seen[:, :HISTORY].float().argmax(1)[:, None, :, None].expand(-1, 1, -1, TRACK_FEATURES)
    asked = made.hidden[:, None] & seen & (seen.int().cumsum(1) > 1)
    asked[:, HISTORY:] = False
    error = (made.expected - token)[..., XY].square().mean(-1)
    still = (token.gather(1, first) - token)[..., XY].square().mean(-1)
    return float(mean_where(error, asked) / mean_where(still, asked))


def test_the_interaction_error_is_below_that_of_the_same_model_without_masking(
    life: RamReplay, spec: BodySpec
) -> None:
    """Where a hidden object went is told by the others: only the masked model has learned how."""
    rng = np.random.default_rng(2)
    batches = [to_windows(life.sample(12, FRAMES, rng), Scale.of(spec), rng) for _ in range(30)]
    held_out = to_windows(life.sample(100, FRAMES, rng, held_out=True), Scale.of(spec), rng)
    found = {}
    for num_hidden in (0, 1):
        model = build(small(num_hidden), seed=0)
        model.encoder = Blind()
        updater = make_updater(
            model,
            {"object_tracks": 1.0},
            learning_rate=3e-3,
            weight_decay=1e-3,
            grad_clip=1.0,
        )
        generator = torch.Generator().manual_seed(0)
        for i in range(UPDATES):
            updater.step(batches[i % len(batches)], generator, i / UPDATES)
        found[num_hidden] = hidden_error(model, held_out)
    # 0.88 to 0.91 on different processors; without what masking teaches the ratio is 1.
    assert found[1] < 0.95 * found[0], found


def test_the_mask_sampler_picks_different_objects_across_batch_elements_and_calls() -> None:
    masks = WholeHistory(ObjectMaskOptions(num_hidden=1), None)  # type: ignore[arg-type]
    present, generator = torch.ones(64, 5, dtype=torch.bool), torch.Generator().manual_seed(0)
    first, second = masks.draw(present, generator), masks.draw(present, generator)
    assert (first.sum(1) == 1).all()
    assert first.any(0).all()
    assert not torch.equal(first, second)
    counts = sum(masks.draw(present, generator).sum(0) for _ in range(30))
    np.testing.assert_allclose(counts / (30 * 64), 0.2, atol=0.04)


def test_absent_objects_are_never_hidden_and_one_is_always_left() -> None:
    masks = WholeHistory(ObjectMaskOptions(num_hidden=3), None)  # type: ignore[arg-type]
    present = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]]).bool()
    hidden = masks.draw(present, torch.Generator().manual_seed(0))
    assert not (hidden & ~present).any()
    assert hidden.sum(1).tolist() == [1, 0, 0, 3]


def test_tracks_follow_slots_through_rows_that_change_places() -> None:
    slots = torch.tensor([[[7, 3], [3, 7], [0, 7], [9, 3]]])
    token = slots[..., None].float()
    found = tracks(slots, token, history=3, num_tracks=4)
    assert found.token[0, :, 0, 0].tolist() == [3, 3, 0, 3]
    assert found.token[0, :, 1, 0].tolist() == [7, 7, 7, 0]
    assert found.seen[0, :, 2:].sum() == 0


def test_a_hidden_history_is_not_looked_at_but_for_its_first_sighting(windows: Windows) -> None:
    model = build(small(1), 0).eval()
    nn.init.normal_(model.tracks.read_object.weight)
    world = model.tracks
    token = torch.cat([windows.geometry, model.encode(windows).appearance], dim=-1)
    found = tracks(windows.slots, token, HISTORY, world.num_tracks)
    hidden = torch.zeros(6, world.num_tracks, dtype=torch.bool)
    hidden[:, 0] = True
    first = found.seen.int().cumsum(1) == 1
    later = found.token.clone()
    later[:, :, 0] += 5.0 * (found.seen & ~first)[:, :, 0, None]
    future = found.token.clone()
    future[:, HISTORY:] += 5.0

    def expected(token: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        return world(replace(found, token=token), windows.ego, windows.command, hidden)[0]

    torch.testing.assert_close(expected(later, hidden), expected(found.token, hidden))
    torch.testing.assert_close(expected(future, hidden), expected(found.token, hidden))
    assert not torch.allclose(
        expected(later, torch.zeros_like(hidden)), expected(found.token, torch.zeros_like(hidden))
    )


def test_two_steps_reach_every_part_and_appearance_takes_no_gradient_from_the_tracks(
    windows: Windows,
) -> None:
    recipe = small(1)
    model = build(recipe, 0)
    updater = make_updater(
        model, recipe.losses, learning_rate=1e-3, weight_decay=0.0, grad_clip=1.0
    )
    generator = torch.Generator().manual_seed(0)
    for step in range(2):
        losses = updater.step(windows, generator, step / 2).losses
        assert all(math.isfinite(value) for value in losses.values())
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    model.zero_grad()
    object_tracks(Forward(model, windows, generator)).backward()
    assert all(p.grad is None for p in model.encoder.parameters())


def test_a_window_without_objects_costs_the_body_alone(windows: Windows) -> None:
    empty = replace(windows, slots=torch.zeros_like(windows.slots))
    fwd = Forward(build(small(1), 0), empty, torch.Generator().manual_seed(0))
    total, _ = total_loss(fwd, {"object_tracks": 1.0})
    assert torch.isfinite(total)


def test_windows_without_a_future_are_refused(windows: Windows) -> None:
    names = ("image", "ego", "action", "command", "geometry", "valid", "slots")
    short = Windows(**{name: getattr(windows, name)[:, :HISTORY] for name in names})
    with pytest.raises(ValueError, match="no future beyond a history of 3"):
        object_tracks(Forward(build(small(1), 0), short, torch.Generator()))


def test_tracks_without_a_mask_are_refused() -> None:
    fields = load_recipe("c-jepa").model_dump()
    fields["masks"] = None
    with pytest.raises(RecipeError, match="object_masks"):
        build(Recipe.model_validate(fields), 0)
