"""What people say becomes a label, or a clear no."""

import numpy as np
import pytest

from policies.words import CLOSE, SAME, Meaning, Spelling, resolve, same_thing

LABELS = ("chair", "couch", "coffee table", "table", "tv", "refrigerator", "plant")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("chair", "chair"),
        ("Chairs", "chair"),
        ("sofas", "couch"),
        ("television", "tv"),
        ("fridge", "refrigerator"),
        ("  Coffee   tables ", "coffee table"),
    ],
)
def test_plurals_synonyms_and_case_name_the_same_thing(text: str, label: str) -> None:
    found = resolve(text, LABELS, Spelling())
    assert (found.label, found.known, found.guessed) == (label, True, False)
    assert same_thing(label, found.label)


@pytest.mark.parametrize(
    ("text", "label"),
    [("chari", "chair"), ("refridgerator", "refrigerator"), ("dining table", "table")],
)
def test_a_near_word_is_taken_and_told(text: str, label: str) -> None:
    found = resolve(text, LABELS, Spelling())
    assert (found.label, found.known, found.guessed) == (label, True, True)


@pytest.mark.parametrize("text", ["cable", "bicycle", "", "  "])
def test_what_is_unlike_everything_is_not_guessed(text: str) -> None:
    found = resolve(text, LABELS, Spelling())
    assert not found.known
    assert found.label == text.strip()
    assert not same_thing(text, "table")


def test_near_words_are_offered() -> None:
    assert resolve("cable", LABELS, Spelling()).near == ("table",)
    assert resolve("bicycle", LABELS, Spelling()).near == ()
    assert resolve("bicycle", (), Spelling()).near == ()


def test_two_labels_of_one_thing_are_both_looked_for() -> None:
    found = resolve("sofa", ("couch", "sofa", "chair"), Spelling())
    assert (found.label, found.also) == ("sofa", ("couch",))


class Vectors:
    """A text encoder that knows what one sits on."""

    has_text_vectors = True

    def embed_text(self, texts):
        seats = {"something to sit on", "chair"}
        rows = [[1.0, 0.1] if text in seats else [0.6, 0.8] for text in texts]
        v = np.array(rows, dtype=np.float32)
        return v / np.linalg.norm(v, axis=1, keepdims=True)


def test_a_text_encoder_is_asked_where_spelling_finds_nothing() -> None:
    labels = ("chair", "lamp", "oven")
    found = resolve("something to sit on", labels, Meaning(Vectors()))
    assert (found.label, found.known, found.guessed) == ("chair", True, True)
    nothing = resolve("a dragon", labels, Meaning(Vectors()))
    assert not nothing.known
    assert Meaning(Vectors()).likeness("lamps", labels).max() >= SAME > CLOSE
