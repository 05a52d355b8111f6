"""Vector spaces: never mixed, re-made from pixels."""

from pathlib import Path

import numpy as np
import pytest
from fakes_memory import SPEC, Box, look_at, observe

from memory.colour_encoder import ColourEncoder
from memory.config import ObjectConfig
from memory.embeddings import DEFAULT_SAME_OBJECT, cosine, same_object_threshold
from memory.errors import EncoderVersionMismatchError, StoreError
from memory.objects import SlotMemory
from memory.protocols import CropEncoder
from memory.records import Embedding

RED = Box(label="chair", xyz_m=(2.0, -0.8, 0.45), extent_m=(0.5, 0.5, 0.9), rgb=(200, 30, 30))
BLUE = Box(label="chair", xyz_m=(2.0, 0.8, 0.45), extent_m=(0.5, 0.5, 0.9), rgb=(30, 30, 200))


class MeanEncoder:
    """Another vector space: the mean colour."""

    def __init__(self, version: str = "mean-1", *, loses: int = 0) -> None:
        self._version = version
        self._loses = loses

    @property
    def encoder_version(self) -> str:
        return self._version

    def embed(self, crops: np.ndarray) -> np.ndarray:
        means = crops.reshape(len(crops), -1, 3).mean(axis=1)
        vectors = (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)
        return vectors[: len(crops) - self._loses]


def embed_one(encoder: CropEncoder, rgb: tuple[int, int, int]) -> Embedding:
    crop = np.full((1, 32, 32, 3), rgb, dtype=np.uint8)
    return Embedding(encoder_version=encoder.encoder_version, vector=encoder.embed(crop)[0])


def remember(folder: Path | None) -> SlotMemory:
    memory = SlotMemory(folder, ObjectConfig(), SPEC)
    for step in range(5):
        memory.update(*observe([RED, BLUE], look_at((0.0, 0.0), (2.0, 0.0))), step)
    memory.flush()
    return memory


def test_the_cold_start_encoder_is_a_crop_encoder_of_unit_vectors() -> None:
    encoder = ColourEncoder()
    assert isinstance(encoder, CropEncoder)
    crops = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_allclose(np.linalg.norm(encoder.embed(crops), axis=1), 1, atol=1e-5)


def test_the_cold_start_encoder_tells_colours_and_layouts_apart() -> None:
    red, blue = np.zeros((2, 32, 32, 3), dtype=np.uint8)
    red[..., 0], blue[..., 2] = 200, 200
    top_red = red.copy()
    top_red[16:] = blue[16:]
    darker = (red * 0.9).astype(np.uint8)
    vectors = ColourEncoder().embed(np.stack([red, darker, blue, top_red, top_red[::-1]]))
    likeness = vectors @ vectors.T
    assert likeness[0, 1] > 0.95
    assert likeness[0, 2] < 0.3
    assert likeness[3, 4] < 0.7


def test_comparing_two_encoders_raises() -> None:
    a, b = embed_one(ColourEncoder(), RED.rgb), embed_one(MeanEncoder(), RED.rgb)
    assert cosine(a, a) == pytest.approx(1.0)
    with pytest.raises(EncoderVersionMismatchError, match=r"'colour-1'.*'mean-1'"):
        cosine(a, b)


def test_search_by_vector_finds_what_looks_like_it() -> None:
    memory = remember(None)
    blue = next(slot for slot in memory.slots() if slot.xyz_m[1] > 0)
    crop = memory.views(blue.slot_id)[0].crop
    seen = Embedding(encoder_version="colour-1", vector=ColourEncoder().embed(crop[None])[0])
    found = memory.similar(seen, 2)
    assert found[0][0].xyz_m[1] > 0 > found[1][0].xyz_m[1]
    assert found[0][1] == pytest.approx(1.0, abs=1e-3)
    with pytest.raises(EncoderVersionMismatchError, match="'mean-1'"):
        memory.similar(embed_one(MeanEncoder(), BLUE.rgb), 2)


@pytest.mark.parametrize("on_disk", [True, False])
def test_a_new_encoder_embeds_all_views_again_from_pixels(tmp_path: Path, on_disk: bool) -> None:
    memory = remember(tmp_path if on_disk else None)
    report = memory.reembed(MeanEncoder())
    assert report.embedded == report.written == report.expected == memory.num_views() > 0
    assert memory.active_encoder == "mean-1"
    found = memory.similar(embed_one(MeanEncoder(), RED.rgb), 1)
    assert found[0][0].xyz_m[1] < 0
    with pytest.raises(EncoderVersionMismatchError):
        memory.similar(embed_one(ColourEncoder(), RED.rgb), 1)


@pytest.mark.parametrize("on_disk", [True, False])
def test_an_encoder_that_loses_views_does_not_become_active(tmp_path: Path, on_disk: bool) -> None:
    memory = remember(tmp_path if on_disk else None)
    with pytest.raises(StoreError, match="mean-1"):
        memory.reembed(MeanEncoder(loses=1))
    assert memory.active_encoder == "colour-1"
    assert len(memory.similar(embed_one(ColourEncoder(), RED.rgb), 2)) == 2


def test_the_active_encoder_survives_a_restart_and_must_be_attached(tmp_path: Path) -> None:
    remember(tmp_path).reembed(MeanEncoder())
    again = SlotMemory(tmp_path, ObjectConfig(), SPEC)
    assert again.active_encoder == "mean-1"
    assert len(again.similar(embed_one(MeanEncoder(), RED.rgb), 2)) == 2
    with pytest.raises(EncoderVersionMismatchError, match="re-embed"):
        again.set_views_encoder(ColourEncoder())
    for step in range(10, 14):
        again.update(*observe([RED, BLUE], look_at((4.0, 0.0), (2.0, 0.0))), step)
    again.set_views_encoder(MeanEncoder())
    assert again.flush() > 0


def test_the_threshold_of_an_encoder_is_what_few_views_of_different_objects_reach() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(100, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    slot_ids = np.arange(100)
    threshold = same_object_threshold(vectors, slot_ids)
    different = (vectors @ vectors.T)[np.triu_indices(100, k=1)]
    assert np.mean(different > threshold) == pytest.approx(0.05, abs=0.005)
    assert same_object_threshold(vectors[:5], slot_ids[:5]) == DEFAULT_SAME_OBJECT
