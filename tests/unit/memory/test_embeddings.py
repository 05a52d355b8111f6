"""Vector spaces: never mixed, re-made from pixels."""

import importlib
import inspect
import math
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from fakes_memory import SPEC, Box, look_at, observe

from memory import __path__ as memory_package
from memory.config import EmbeddingConfig, ObjectConfig
from memory.errors import EncoderVersionMismatchError, StoreError, WorseRetrievalError
from memory.objects.memory import SlotMemory
from memory.objects.timeline import Timeline
from memory.protocols import CropEncoder
from memory.records import Embedding
from memory.search.home import SlotSearch
from memory.search.query import SlotQuery
from memory.vectors.colour_encoder import ColourEncoder
from memory.vectors.embeddings import (
    DEFAULT_SAME_OBJECT,
    EmbeddingBook,
    cosine,
    require_version,
    same_object_threshold,
)
from memory.vectors.tables import EmbeddingTables

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


ENCODERS = [MeanEncoder("mean-1"), MeanEncoder("mean-2")]


class Watching(MeanEncoder):
    """Does something while it is in the middle of a backfill."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        super().__init__("watching-1")
        self._meanwhile: Callable[[], None] | None = meanwhile

    def embed(self, crops: np.ndarray) -> np.ndarray:
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return super().embed(crops)


@pytest.mark.parametrize("on_disk", [True, False])
def test_during_a_backfill_it_answers_in_the_old_space_and_takes_in_views(
    tmp_path: Path, on_disk: bool
) -> None:
    memory = remember(tmp_path if on_disk else None)
    num_views = memory.num_views()
    answers = []

    def meanwhile() -> None:
        answers.append(memory.similar(embed_one(ColourEncoder(), RED.rgb), 1)[0][0].slot_id)
        for step in range(10, 14):
            memory.update(*observe([RED, BLUE], look_at((4.0, 0.0), (2.0, 0.0))), step)
        memory.flush()

    report = memory.reembed(Watching(meanwhile))
    assert answers == [memory.slots("chair")[0].slot_id]
    assert report.written == report.expected == memory.num_views() > num_views
    found = memory.similar(embed_one(Watching(lambda: None), RED.rgb), 2)
    assert [slot.xyz_m[1] < 0 for slot, _ in found] == [True, False]


@pytest.mark.parametrize("on_disk", [True, False])
def test_views_that_arrive_right_after_a_write_wait_for_the_next(
    tmp_path: Path, on_disk: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = remember(tmp_path if on_disk else None)
    write = memory._write_changes
    sides = iter([(4.0, 0.0), (2.0, 3.0)])

    def write_and_see_more() -> int:
        written = write()
        eye_m, first = next(sides), 10 + memory.num_views()
        for step in range(first, first + 4):
            memory.update(*observe([RED, BLUE], look_at(eye_m, (2.0, 0.0))), step)
        return written

    monkeypatch.setattr(memory, "_write_changes", write_and_see_more)
    report = memory.reembed(ENCODERS[0])
    waiting = len(memory._tracker.unwritten.views)
    assert waiting or not on_disk, "nothing arrived after the last write"
    assert report.written == report.expected == memory.num_views() - on_disk * waiting
    monkeypatch.undo()
    memory.flush()
    assert len(memory._vectors.book) == memory.num_views()


def test_two_encoders_are_kept_and_going_back_brings_back_every_bit(tmp_path: Path) -> None:
    memory = remember(tmp_path)
    tables = EmbeddingTables(tmp_path)
    before = tables.read("colour-1")
    asked = embed_one(ColourEncoder(), RED.rgb)
    answer = [(slot.slot_id, cosine) for slot, cosine in memory.similar(asked, 2)]
    memory.reembed(ENCODERS[0])
    assert tables.versions() == ["colour-1", "mean-1"]
    assert memory.reembed(ENCODERS[0]).embedded == 0
    assert tables.versions() == ["colour-1", "mean-1"]
    again = SlotMemory(tmp_path, ObjectConfig(), SPEC)
    assert again.reembed(ENCODERS[0]).embedded == 0
    assert tables.versions() == ["colour-1", "mean-1"]
    assert again.reembed(ColourEncoder()).embedded == 0
    assert [(slot.slot_id, cosine) for slot, cosine in again.similar(asked, 2)] == answer
    for found, expected in zip(tables.read("colour-1"), before, strict=True):
        np.testing.assert_array_equal(found, expected)
    again.reembed(ENCODERS[1])
    assert EmbeddingTables(tmp_path).versions() == ["colour-1", "mean-2"]


class Blind(MeanEncoder):
    """Makes the same vector of everything that it sees often, and others at random."""

    def embed(self, crops: np.ndarray) -> np.ndarray:
        made = np.random.default_rng(0).normal(size=(len(crops), 8))
        return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def remember_from_two_sides(folder: Path | None, config: ObjectConfig) -> SlotMemory:
    memory = SlotMemory(folder, config, SPEC)
    row = [
        Box(
            label="chair",
            xyz_m=(2.0, 3.0 * i, 0.45),
            extent_m=(0.5, 0.5, 0.9),
            rgb=(100 * (i % 3), 100 * (i // 3 % 3), 100 * (i // 9)),
        )
        for i in range(10)
    ]
    for step in range(70):
        y, angle = 3.0 * (step // 7), math.pi + math.pi / 8 * (step % 7)
        eye = (2.0 + 2.0 * math.cos(angle), y + 2.0 * math.sin(angle))
        memory.update(*observe([row[step // 7]], look_at(eye, (2.0, y))), step)
    memory.flush()
    return memory


@pytest.mark.parametrize("refuse", [True, False])
def test_a_worse_encoder_is_told_or_refused(tmp_path: Path, refuse: bool) -> None:
    config = ObjectConfig(embeddings=EmbeddingConfig(refuse_worse=refuse))
    memory = remember_from_two_sides(tmp_path, config)
    if refuse:
        with pytest.raises(WorseRetrievalError, match=r"'mean-1' finds .* 'colour-1' stays active"):
            memory.reembed(Blind())
        assert memory.active_encoder == "colour-1"
        assert SlotMemory(tmp_path, config, SPEC).active_encoder == "colour-1"
        return
    report = memory.reembed(Blind())
    assert report.recall_before > report.recall_after + 0.3
    assert report.is_worse(0.03)
    assert memory.active_encoder == "mean-1"


def public_calls(module: ModuleType, names: set[str]) -> set[str]:
    """Return public functions and methods of a module with a parameter of one of some types."""
    found = set()
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", "") != module.__name__:
            continue
        members = vars(thing).items() if inspect.isclass(thing) else [("", thing)]
        for member, call in members:
            if member.startswith("_") or not inspect.isfunction(call):
                continue
            kinds = map(str, inspect.get_annotations(call).values())
            takes = [
                k
                for p, k in zip(inspect.get_annotations(call), kinds, strict=True)
                if p != "return"
            ]
            if any(re.search(rf"\.{kind}\b", text) for text in takes for kind in names):
                found.add(f"{name}.{member}".rstrip("."))
    return found


def test_no_public_call_compares_vectors_of_two_encoders(tmp_path: Path) -> None:
    """Every public call of the memory that takes an embedding, or a query that may hold one."""
    memory = remember(tmp_path)
    own, other = embed_one(ColourEncoder(), RED.rgb), embed_one(MeanEncoder(), RED.rgb)
    book = EmbeddingBook("colour-1")
    query = SlotQuery(like=other)
    refused: dict[str, Callable[[], object]] = {
        "cosine": lambda: cosine(own, other),
        "require_version": lambda: require_version(other, "colour-1"),
        "EmbeddingBook.likeness": lambda: book.likeness(other),
        "ViewVectors.nearest": lambda: memory._vectors.nearest(other, 1),
        "SlotMemory.similar": lambda: memory.similar(other, 1),
        "SlotMemory.find": lambda: memory.find(query),
        "SlotSearch.find": lambda: SlotSearch(tmp_path).find(query),
    }
    unable = {
        "select",  # looks at everything but the vector
        "in_order",
        "Timeline.slots_at",  # refuses any vector, whatever its encoder
    }
    modules = [
        importlib.import_module(m.name)
        for m in pkgutil.walk_packages(memory_package, prefix="memory.")
    ]
    calls = set().union(*(public_calls(m, {"Embedding", "SlotQuery"}) for m in modules))
    assert calls == refused.keys() | unable
    for call in refused.values():
        with pytest.raises(EncoderVersionMismatchError):
            call()
    with pytest.raises(ValueError, match="not by looks"):
        Timeline([]).slots_at(0, query)
    with pytest.raises(EncoderVersionMismatchError):
        book.add("mean-1", {1: other.vector})


def test_many_views_without_a_vector_are_embedded_in_portions_that_a_restart_goes_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(tmp_path)
    tables = EmbeddingTables(tmp_path)
    views = tables.ids("colour-1")
    assert len(views) >= 2
    tables.remove("colour-1", views.tolist())
    monkeypatch.setattr("memory.vectors.view_vectors.PORTION", 1)
    for count in range(1, len(views) + 1):
        SlotMemory(tmp_path, ObjectConfig(), SPEC).flush()
        there = EmbeddingTables(tmp_path).ids("colour-1")
        np.testing.assert_array_equal(there, views[-count:], "the newest come first")
    again = SlotMemory(tmp_path, ObjectConfig(), SPEC)
    again.flush()
    np.testing.assert_array_equal(EmbeddingTables(tmp_path).ids("colour-1"), views)
    assert len(again.similar(embed_one(ColourEncoder(), RED.rgb), 2)) == 2


def test_new_views_are_embedded_at_once_however_many_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(tmp_path)
    tables = EmbeddingTables(tmp_path)
    tables.remove("colour-1", tables.ids("colour-1").tolist())
    monkeypatch.setattr("memory.vectors.view_vectors.PORTION", 1)
    again = SlotMemory(tmp_path, ObjectConfig(), SPEC)
    lamps = [Box(label="lamp", xyz_m=(2.0, y, 0.5), extent_m=(0.3, 0.3, 1.0)) for y in (3.5, 4.5)]
    for step in range(200, 204):
        again.update(*observe(lamps, look_at((0.0, 4.0), (2.0, 4.0))), step)
    again.flush()
    found = EmbeddingTables(tmp_path).ids("colour-1")
    for slot in again.slots("lamp"):
        assert np.isin([view.view_id for view in again.views(slot.slot_id)], found).all()
    assert len(again.slots("lamp")) == 2
