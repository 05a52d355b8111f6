import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from learners.batch import Scale, Windows, to_windows
from learners.errors import RecipeError
from learners.parts.frozen import FROZEN, FrozenEncoder
from learners.parts.kinds import Shape
from learners.parts.pretrained import PRETRAINED
from learners.parts.vit import VIT
from learners.recipes.build import build
from learners.recipes.spec import Recipe

TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
FAMILIES = {
    "Dinov2": {"patch_size": 14, "image_size": 56},
    "DINOv3ViT": {"patch_size": 14, "intermediate_size": 64, "num_register_tokens": 3},
    "VJEPA2": {
        "patch_size": 14,
        "crop_size": 56,
        "frames_per_clip": 4,
        "pred_hidden_size": 24,
        "pred_num_attention_heads": 2,
        "pred_num_hidden_layers": 1,
    },
}
DIM = 4 * 4 * 32 + 4


@pytest.fixture
def windows(arena_replay, spec) -> Windows:
    rng = np.random.default_rng(0)
    return to_windows(arena_replay.sample(2, 3, rng), Scale.of(spec), rng)


@pytest.fixture
def transformers():
    return pytest.importorskip(
        "transformers", reason="the optional library transformers is not installed"
    )


def saved(transformers, family: str, folder: Path) -> str:
    """Save a tiny randomly initialised model of a family as published ones are saved."""
    config = getattr(transformers, f"{family}Config")(**TINY, **FAMILIES[family])
    torch.manual_seed(0)
    transformers.utils.logging.disable_progress_bar()
    getattr(transformers, f"{family}Model")(config).save_pretrained(folder)
    return str(folder)


def make(name: str, latent_dim: int = DIM, **options: object) -> FrozenEncoder:
    options = {"name": name, "image_px": 56} | options
    return PRETRAINED.make(PRETRAINED.options.model_validate(options), Shape(latent_dim=latent_dim))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_published_encoder_gives_tokens_of_every_frame_alone(
    transformers, family: str, tmp_path: Path, windows: Windows
) -> None:
    encoder = make(saved(transformers, family, tmp_path)).train()
    out = encoder(windows)
    assert out.dense.shape == (2, 3, 16, 32)
    assert out.z.shape == (2, 3, DIM)
    torch.testing.assert_close(out.z[..., -4:], windows.ego)
    torch.testing.assert_close(out.dense.mean(-1), torch.zeros(2, 3, 16), atol=1e-5, rtol=0)
    assert not out.z.requires_grad
    assert not any(p.requires_grad for p in encoder.parameters())
    assert not encoder.patches.training
    changed = windows.image.clone()
    changed[:, 2] = 0.5
    other = make(str(tmp_path))(dataclasses.replace(windows, image=changed))
    torch.testing.assert_close(other.dense[:, :2], out.dense[:, :2])
    assert (other.dense[:, 2] - out.dense[:, 2]).abs().max() > 1e-2


def test_patches_stay_where_they_are_in_the_image(
    transformers, tmp_path: Path, windows: Windows
) -> None:
    """Class and register tokens come first and must not be taken for patches."""
    encoder = make(saved(transformers, "DINOv3ViT", tmp_path))
    network, seen = encoder.patches.network, []
    network.register_forward_hook(lambda _, __, out: seen.append(out.last_hidden_state))
    tokens = encoder.patches(windows)
    torch.testing.assert_close(tokens.flatten(0, 1), seen[0][:, 4:])


def test_frames_that_were_seen_before_are_not_encoded_again(
    transformers, tmp_path: Path, windows: Windows
) -> None:
    name = saved(transformers, "Dinov2", tmp_path)
    encoder, forgetful = make(name), make(name, cache_mib=0)
    for one in (encoder, forgetful):
        first, second = one(windows), one(windows)
        torch.testing.assert_close(first.z, second.z, rtol=0, atol=0)
    num_frames = len(torch.unique(windows.image[:, :, :3].flatten(0, 1), dim=0))
    assert encoder.patches.num_encoded == num_frames
    assert forgetful.patches.num_encoded == 2 * num_frames


def test_weights_that_are_not_there_are_told_with_the_folder_and_the_remedy(
    transformers, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"no folder 'some/encoder'.*hf download some/encoder"):
        make("some/encoder")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match=rf"{empty}.*model.safetensors.*hf download"):
        make(str(empty))


def test_pickled_weights_are_refused(transformers, tmp_path: Path) -> None:
    name = saved(transformers, "Dinov2", tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="pickled weights are not read"):
        make(name)


def test_sizes_that_do_not_fit_are_told(transformers, tmp_path: Path) -> None:
    name = saved(transformers, "Dinov2", tmp_path)
    with pytest.raises(ValueError, match="latent_dim 128 is not the 516 of 4 x 4 tokens of 32"):
        make(name, latent_dim=128)
    with pytest.raises(ValueError, match="image_px 60 is no multiple of the 14 px patches"):
        make(name, image_px=60)
    with pytest.raises(ValueError, match="grid 3 does not divide the 4 patches"):
        make(name, grid=3)


def test_other_families_are_refused(transformers, tmp_path: Path) -> None:
    config = transformers.ViTConfig(**TINY, intermediate_size=64, image_size=56, patch_size=14)
    transformers.utils.logging.disable_progress_bar()
    transformers.ViTModel(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="is a 'vit'; known families: dinov2"):
        make(str(tmp_path))


def test_our_own_trained_encoder_can_be_frozen(tmp_path: Path, windows: Windows) -> None:
    torch.manual_seed(0)
    sizes = {"patch_px": 16, "width": 32, "layers": 1, "heads": 2}
    vit = VIT.make(VIT.options.model_validate(sizes), Shape(latent_dim=24)).eval()
    file = tmp_path / "model.safetensors"
    save_file({f"encoder.{n}": v for n, v in vit.state_dict().items()}, file)
    options = FROZEN.options.model_validate(sizes | {"weights": str(file)})
    encoder = FROZEN.make(options, Shape(latent_dim=DIM))
    with torch.no_grad():
        dense = torch.nn.functional.layer_norm(vit(windows).dense, (32,))
    torch.testing.assert_close(encoder(windows).dense, dense)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read as safetensors"),
        ({"place": torch.zeros(1)}, "hold no '"),
        ({}, "hold no '"),
    ],
)
def test_a_file_that_holds_no_encoder_is_told(tmp_path: Path, content, told: str) -> None:
    file = tmp_path / "other.safetensors"
    if content is None:
        file.write_bytes(b"not weights")
    else:
        save_file(content, file)
    recipe = Recipe.model_validate(
        {
            "name": "test",
            "title": "",
            "source": "",
            "claim": "",
            "latent_dim": 1028,
            "encoder": {"kind": "frozen", "weights": str(file)},
            "losses": {},
        }
    )
    with pytest.raises(RecipeError, match=rf"recipe 'test', encoder: weights '{file}'.*{told}"):
        build(recipe, 0)
