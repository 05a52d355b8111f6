from pathlib import Path

import numpy as np
import pytest
import torch
from fakes_policies import Box, BoxWorld, fake_spec, room

from agentd.build import build_words
from learners.zero_shot import ZeroShotBoxes
from policies.config import OpenVocabularyConfig, PerceptionConfig
from policies.detectors.open_vocabulary import BoxFinder, OpenVocabularyDetector
from policies.words import Meaning, resolve

LABELS = ("chair", "table")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny randomly initialised OWLv2, saved as published ones are."""
    transformers = pytest.importorskip(
        "transformers", reason="the optional library transformers is not installed"
    )
    from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil

    transformers.utils.logging.disable_progress_bar()
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [*letters, *(c + "</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    vocab = {word: i for i, word in enumerate(words)}
    sizes = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    text = {
        **sizes,
        "vocab_size": len(vocab),
        "max_position_embeddings": 16,
        "bos_token_id": vocab["<|startoftext|>"],
        "eos_token_id": vocab["<|endoftext|>"],
        "pad_token_id": 0,
    }
    config = transformers.Owlv2Config(
        text_config=text,
        vision_config={**sizes, "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )
    torch.manual_seed(0)
    where = tmp_path_factory.mktemp("owl")
    network = transformers.Owlv2ForObjectDetection(config)
    network.save_pretrained(where)
    transformers.Owlv2Processor(
        Owlv2ImageProcessorPil(size={"height": 32, "width": 32}),
        transformers.CLIPTokenizer(vocab=vocab, merges=[]),
    ).save_pretrained(where)
    return where


def test_a_published_network_is_a_detector(folder: Path) -> None:
    finder = ZeroShotBoxes.load(str(folder), LABELS, 0.0)
    assert isinstance(finder, BoxFinder)
    world = BoxWorld([*room(5, 4), Box(3.0, 1.8, 3.4, 2.2, top_m=0.9)], [1.0, 2.0, 0.0])
    observation = world.observe()
    boxes = finder.find(observation.rgb)
    assert boxes
    assert {box.label for box in boxes} <= set(LABELS)
    assert all(0 <= box.score <= 1 and len(box.box_px) == 4 for box in boxes)
    assert boxes == finder.find(observation.rgb)
    asked = OpenVocabularyConfig(folder=str(folder), labels=LABELS, threshold=0.0)
    config = PerceptionConfig(detector="open_vocabulary", open_vocabulary=asked)
    for found in OpenVocabularyDetector(world.spec, config, finder).detect(observation):
        assert np.isfinite(found.xyz_m).all()


def test_a_threshold_leaves_weak_boxes_out(folder: Path) -> None:
    rgb = np.zeros((40, 40, 3), dtype=np.uint8)
    assert ZeroShotBoxes.load(str(folder), LABELS, 0.9999).find(rgb) == []


def test_what_is_missing_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no folder"):
        ZeroShotBoxes.load(str(tmp_path / "nothing"), LABELS, 0.1)
    with pytest.raises(ValueError, match="holds no zero-shot detector"):
        ZeroShotBoxes.load(str(tmp_path), LABELS, 0.1)


def test_the_words_it_knows_and_its_vectors_of_texts_serve_goals(folder: Path) -> None:
    finder = ZeroShotBoxes.load(str(folder), LABELS, 0.1)
    vectors = finder.embed_text(["a", "b", "a"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(vectors[0], vectors[2], rtol=1e-5)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
    asked = OpenVocabularyConfig(folder=str(folder), labels=LABELS, threshold=0.1)
    config = PerceptionConfig(detector="open_vocabulary", open_vocabulary=asked)
    words = build_words(OpenVocabularyDetector(fake_spec(), config, finder))
    assert words.vocabulary == LABELS
    assert isinstance(words.matcher, Meaning)
    assert resolve("chairs", LABELS, words.matcher).label == "chair"


def test_a_network_without_text_vectors_says_so() -> None:
    finder = ZeroShotBoxes(torch.nn.Identity(), None, LABELS, 0.1)
    assert not finder.has_text_vectors
    with pytest.raises(ValueError, match="Identity has no vectors of texts"):
        finder.embed_text(["a"])
