from dataclasses import replace

import numpy as np
import pytest
import torch
from masked_recipes import MASKED_RECIPES, small

from configs.recipes import load_recipe
from learners.batch import INPUT_PX, Scale, to_depth_m, to_image
from learners.pose_graph import PoseGraph
from learners.probes import draw_probes
from learners.recipes.build import build
from learners.recipes.dense_probes import (
    FROZEN_METRICS,
    ProbeClips,
    draw_clips,
    egomotion_r2,
    frozen_probes,
    object_auc,
    patch_depth_m,
    place_accuracy,
    token_depth,
)
from learners.recipes.measure import measure
from memory.records import BodySpec
from memory.replay.ram import RamReplay


@pytest.fixture(scope="module")
def clips(arena_replay: RamReplay, spec: BodySpec) -> ProbeClips:
    return draw_clips(arena_replay, Scale.of(spec), 40, 4, np.random.default_rng(0))


def test_depth_comes_back_from_the_image_as_it_went_in() -> None:
    depth_m = np.linspace(0.3, 8.0, INPUT_PX**2, dtype=np.float32).reshape(1, INPUT_PX, INPUT_PX)
    depth_m[0, 0, 0] = np.nan
    image = to_image(np.zeros((1, INPUT_PX, INPUT_PX, 3), np.uint8), depth_m)
    back = to_depth_m(image[0, 3]).numpy()
    assert back[0, 0] == 0.0
    assert np.nanmax(np.abs(back - depth_m[0])) < 1e-2


@pytest.mark.parametrize("name", ["ijepa", "vjepa"])
def test_the_depth_of_a_token_is_the_mean_over_the_pixels_it_spans(
    clips: ProbeClips, name: str
) -> None:
    model = build(small(name), 0)
    span = model.encoder.shape.frames_per_token
    image = clips.test.image[:, :3].clone()
    image[0, 0, 3:, :6, :8] = 0.0
    depth, known = patch_depth_m(model, replace(clips.test, image=image))
    assert depth.shape == (40, -(-3 // span), 64)
    pixels = image[5, :span, :, 8:16, 16:24]
    expected = to_depth_m(pixels[:, 3])[pixels[:, 4] > 0].mean()
    assert torch.allclose(depth[5, 0, 8 + 2], expected, atol=1e-4)
    assert bool(known[0, 0, 0]) is (span == 2)


def test_a_token_that_holds_its_depth_scores_one_and_noise_scores_nothing(
    clips: ProbeClips,
) -> None:
    model = build(small("ijepa"), 0)
    fit, test = (patch_depth_m(model, windows)[0][..., None] for windows in (clips.fit, clips.test))
    told = token_depth(model, 3 * fit + 1, clips.fit, 3 * test + 1, clips.test)
    assert told["r2_token_depth"] > 0.999
    assert told["token_depth_rmse_m"] < 0.02
    generator = torch.Generator().manual_seed(0)
    noise, other = (torch.randn(x.shape, generator=generator) for x in (fit, test))
    assert abs(token_depth(model, noise, clips.fit, other, clips.test)["r2_token_depth"]) < 0.05


def test_places_and_objects_that_features_hold_are_read_and_others_are_not(
    clips: ProbeClips,
) -> None:
    place, place_test = clips.fit_place.ravel(), clips.test_place.ravel()
    seen, seen_test = (x.reshape(-1, 2) for x in (clips.fit_objects, clips.test_objects))
    one_hot, one_hot_test = (
        (p[:, None] == np.unique(place)).astype(float) for p in (place, place_test)
    )
    assert place_accuracy(one_hot, place, one_hot_test, place_test) == 1.0
    assert object_auc(seen.astype(float), seen, seen_test.astype(float), seen_test) == 1.0
    rng = np.random.default_rng(0)
    noise, noise_test = rng.normal(size=(len(place), 4)), rng.normal(size=(len(place_test), 4))
    accuracy = place_accuracy(noise, place, noise_test, place_test)
    area = object_auc(noise, seen, noise_test, seen_test)
    assert accuracy is not None
    assert area is not None
    assert accuracy < 0.4
    assert 0.3 < area < 0.7
    assert place_accuracy(one_hot, place * 0, one_hot_test, place_test * 0) is None
    assert object_auc(noise, seen & False, noise_test, seen_test) is None


def test_motion_is_read_from_both_frames_of_a_step(clips: ProbeClips) -> None:
    path, path_test = (x.ego[..., :3].cumsum(dim=1) for x in (clips.fit, clips.test))
    assert egomotion_r2(path, clips.fit, path_test, clips.test) > 0.99
    still = torch.zeros_like(path), torch.zeros_like(path_test)
    assert egomotion_r2(still[0], clips.fit, still[1], clips.test) < 0.01


def test_kinds_join_the_slots_of_a_category_and_forget_the_nameless(
    arena_replay: RamReplay, spec: BodySpec
) -> None:
    def drawn(kind_of: dict[int, str] | None) -> ProbeClips:
        rng = np.random.default_rng(0)
        return draw_clips(arena_replay, Scale.of(spec), 20, 2, rng, kind_of=kind_of)

    alone, joined, named = drawn(None), drawn({1: "pillar", 2: "pillar"}), drawn({1: "pillar"})
    assert alone.kinds == ("1", "2")
    assert joined.kinds == named.kinds == ("pillar",)
    assert (joined.fit_objects[..., 0] == alone.fit_objects.any(-1)).all()
    assert (named.fit_objects[..., 0] == alone.fit_objects[..., 0]).all()


def test_places_can_be_rooms_that_somebody_knows(arena_replay: RamReplay, spec: BodySpec) -> None:
    rng = np.random.default_rng(0)
    clips = draw_clips(
        arena_replay, Scale.of(spec), 20, 2, rng, place_of=lambda xy: (xy[..., 0] > 2).astype(int)
    )
    assert set(np.unique(clips.fit_place)) == {0, 1}


@pytest.mark.parametrize("name", [*MASKED_RECIPES, "agentd"])
def test_every_encoder_can_be_probed(clips: ProbeClips, name: str) -> None:
    recipe = small(name) if name in MASKED_RECIPES else load_recipe(name)
    found = frozen_probes(build(recipe, 0), clips)
    assert found.keys() == FROZEN_METRICS.keys()
    assert (found["r2_token_depth"] is None) is (name == "agentd")
    assert all(value is None or np.isfinite(value) for value in found.values())


@pytest.mark.parametrize("name", MASKED_RECIPES)
def test_the_common_measures_leave_out_what_a_masked_method_does_not_predict(
    arena_replay: RamReplay, spec: BodySpec, name: str
) -> None:
    scale = Scale.of(spec)
    data = draw_probes(arena_replay, scale, 12, 10, np.random.default_rng(0))
    found = measure(build(small(name), 0), data, PoseGraph(scale), 0)
    assert found["k1"] is None
    assert 0.5 < found["r2_token_depth"] <= 1.0
    assert found["effective_rank"] > 1
