"""From the words of a person to the labels that a detector and the memory use.

Axis letters: n labels, d numbers of a vector.
"""

import difflib
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64

from memory.search.query import same_words

SAME = 0.9
"""From this likeness on two words name the same thing."""
CLOSE = 0.8
"""From this likeness on a word is taken for a label, and the person is told."""
HINT = 0.6
"""Labels below are not offered as "did you mean"."""
HEAD_WORD = 0.85
"""Likeness of "table" and "coffee table": one names a kind of the other."""
SHARP = 0.05
"""A text encoder is heeded when the best label is so much more alike than the mean."""


@runtime_checkable
class TextMatcher(Protocol):
    """Tells how well labels fit a text."""

    def likeness(self, text: str, labels: Sequence[str]) -> Float64[np.ndarray, "n"]:
        """Return a number from 0 to 1 for each label; see `SAME`, `CLOSE` and `HINT`."""
        ...


@runtime_checkable
class TextEncoder(Protocol):
    """Turns texts into unit vectors of one space; `learners.zero_shot` may be one."""

    @property
    def has_text_vectors(self) -> bool:
        """Whether it can."""
        ...

    def embed_text(self, texts: Sequence[str]) -> Float32[np.ndarray, "n d"]:
        """Return one vector per text."""
        ...


class Spelling:
    """Matches by words: case, plurals, synonyms, a kind's head word, and misspelt words."""

    def likeness(self, text: str, labels: Sequence[str]) -> Float64[np.ndarray, "n"]:
        """Return 1 for the same words, less for a kind of it and for near spellings."""
        return np.array([_alike(text, label) for label in labels], dtype=np.float64)


class Meaning:
    """Matches by the vectors of a text encoder where spelling finds nothing.

    Cosines of short texts lie close together, so what counts is how far the best stands out.

    Args:
        encoder: Makes the vectors.
        spelling: Asked first.
    """

    def __init__(self, encoder: TextEncoder, spelling: TextMatcher | None = None) -> None:
        self._encoder = encoder
        self._spelling = spelling or Spelling()

    def likeness(self, text: str, labels: Sequence[str]) -> Float64[np.ndarray, "n"]:
        """Return the spelling's likeness, raised to `CLOSE` for a label that stands out."""
        found = self._spelling.likeness(text, labels)
        if len(labels) < 2 or found.max(initial=0.0) >= CLOSE:
            return found
        vectors = self._encoder.embed_text([text, *labels]).astype(np.float64)
        cosine = vectors[1:] @ vectors[0]
        best = int(cosine.argmax())
        others = np.delete(cosine, best)
        if cosine[best] - others.mean() >= SHARP and cosine[best] - others.max() >= SHARP / 2:
            found[best] = CLOSE
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What a text was taken for.

    Attributes:
        label: The label to look for; the text itself if nothing known is like it.
        also: Other labels that mean the same.
        known: Whether the label is in the vocabulary.
        guessed: Whether the text had to be read as another word.
        near: Labels that come close, the nearest first, where nothing fits.
    """

    label: str
    also: tuple[str, ...] = ()
    known: bool = False
    guessed: bool = False
    near: tuple[str, ...] = ()


def resolve(text: str, vocabulary: Sequence[str], matcher: TextMatcher) -> Resolved:
    """Return what a person who says `text` looks for, in the words of a vocabulary.

    Args:
        text: The words of the person.
        vocabulary: Labels that are known.
        matcher: Compares them.
    """
    wanted = " ".join(text.lower().split())
    labels = list(dict.fromkeys(label for label in vocabulary if label))
    likeness = matcher.likeness(wanted, labels)
    order = sorted(range(len(labels)), key=lambda i: (-likeness[i], labels[i] != wanted, labels[i]))
    ranked = [labels[i] for i in order]
    best = float(likeness.max(initial=0.0))
    if best < CLOSE:
        near = tuple(labels[i] for i in order if likeness[i] >= HINT)[:3]
        return Resolved(label=wanted, near=near)
    also = [labels[i] for i in order[1:] if likeness[i] >= min(best, SAME)]
    if best < SAME:
        also = [labels[i] for i in order[1:] if likeness[i] >= best - 1e-9]
    return Resolved(label=ranked[0], also=tuple(also), known=True, guessed=best < SAME)


@functools.lru_cache(maxsize=4096)
def same_thing(text: str, label: str) -> bool:
    """Return whether two words name the same thing, by spelling and synonyms alone."""
    return text == label or _alike(text, label) >= SAME


def _alike(text: str, label: str) -> float:
    if text == label:
        return 1.0
    if same_words(text, label):
        return 0.95
    a, b = text.lower().replace("_", " ").split(), label.lower().replace("_", " ").split()
    if a and b and len(a) != len(b) and same_words(a[-1], b[-1]):
        return HEAD_WORD
    ratio = difflib.SequenceMatcher(None, " ".join(a), " ".join(b)).ratio()
    # People rarely misspell the first letter: "cable" is no "table".
    return min(ratio, SAME - 0.01) if label[:1] == text[:1] else min(ratio, CLOSE - 0.01)
