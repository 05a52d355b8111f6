"""What every detector promises, on the same observations."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from fakes_policies import Box, BoxWorld, fake_spec, room

from agentd.build import build_detector
from memory.config import ObjectConfig
from memory.objects.memory import SlotMemory
from memory.records import BodySpec, Detection, NamedBox, Observation
from policies.config import OpenVocabularyConfig, PerceptionConfig
from policies.detectors.open_vocabulary import OpenVocabularyDetector
from policies.protocols import Detector

SPEC = fake_spec()
POSES = [(1.0, 2.0, 0.0), (1.2, 2.1, 0.2), (1.4, 2.3, -0.3), (2.0, 3.2, -1.2), (1.5, 1.0, 0.4)]
THINGS = [
    Box(3.0, 1.8, 3.4, 2.2, top_m=0.9, label="chair"),
    Box(2.4, 0.5, 3.6, 1.2, top_m=0.7, label="table"),
    Box(3.2, 3.0, 3.8, 3.5, top_m=0.8, label="sofa"),
]


class Glimpses:
    """Finds a box around everything that is coloured like a thing. Satisfies `BoxFinder`."""

    def find(self, rgb: np.ndarray) -> Sequence[NamedBox]:
        found = []
        for k, thing in enumerate(THINGS, start=5):
            v, u = np.nonzero(rgb[..., 0] == k * 37 % 200 + 30)
            if len(v):
                box = (float(u.min()), float(v.min()), u.max() + 1.0, v.max() + 1.0)
                found.append(NamedBox(label=thing.label, score=0.8, box_px=box))
        nothing = NamedBox(label="chair", score=float("nan"), box_px=(0.0, 0.0, 9.0, 9.0))
        return [*found, nothing, NamedBox(label="lamp", score=0.01, box_px=(0.0, 0.0, 40.0, 40.0))]


def open_vocabulary(spec: BodySpec) -> Detector:
    asked = OpenVocabularyConfig(folder="weights", labels=("chair", "table", "sofa"))
    config = PerceptionConfig(detector="open_vocabulary", open_vocabulary=asked)
    return OpenVocabularyDetector(spec, config, Glimpses())


def built(name: str) -> Callable[[BodySpec], Detector]:
    config = PerceptionConfig.model_validate({"detector": name})
    return lambda spec: build_detector(spec, config, 3)


DETECTORS = {
    **{name: built(name) for name in ("instances", "noisy", "components")},
    "open_vocabulary": open_vocabulary,
}
every_detector = pytest.mark.parametrize("make", DETECTORS.values(), ids=DETECTORS)


@pytest.fixture(scope="module")
def seen() -> list[Observation]:
    """Thirty looks into a room with three things."""
    found = []
    for i in range(30):
        world = BoxWorld([*room(5, 4), *THINGS], POSES[i % len(POSES)], stamp_ns=i * 200_000_000)
        found.append(world.observe())
    return found


def numbers(found: Sequence[Detection]) -> list[tuple[object, ...]]:
    return [(d.label, d.score, d.box, *d.xyz_m, *d.extent_m, d.num_px) for d in found]


@every_detector
def test_what_is_seen_is_sorted_finite_and_inside_the_image(
    make: Callable[[BodySpec], Detector], seen: list[Observation]
) -> None:
    detector = make(SPEC)
    assert isinstance(detector, Detector)
    total = 0
    for observation in seen:
        found = detector.detect(observation)
        total += len(found)
        sizes = [d.num_px for d in found]
        assert sizes == sorted(sizes, reverse=True)
        assert len({d.instance for d in found}) == len(found)
        taken: set[int] = set()
        for d in found:
            x0, y0, x1, y1 = d.box
            assert 0 <= x0 < x1 <= 1
            assert 0 <= y0 < y1 <= 1
            assert np.isfinite([*d.xyz_m, *d.extent_m, *d.xyz_body_m, d.range_m]).all()
            assert d.label
            assert 0 < d.score <= 1
            assert d.pixels is not None
            assert len(d.pixels) == d.num_px
            assert not taken & set(d.pixels.tolist())
            taken |= set(d.pixels.tolist())
    assert total >= len(seen)


@every_detector
def test_nothing_is_seen_without_depth(
    make: Callable[[BodySpec], Detector], seen: list[Observation]
) -> None:
    for nothing in (np.nan, np.inf, 0.0):
        blind = replace(seen[0], depth_m=np.full_like(seen[0].depth_m, nothing))
        assert make(SPEC).detect(blind) == []


@every_detector
def test_the_same_seed_sees_the_same(
    make: Callable[[BodySpec], Detector], seen: list[Observation]
) -> None:
    first, second = make(SPEC), make(SPEC)
    for observation in seen:
        assert numbers(first.detect(observation)) == numbers(second.detect(observation))


@every_detector
def test_the_observation_is_left_as_it_was(
    make: Callable[[BodySpec], Detector], seen: list[Observation]
) -> None:
    observation = seen[0]
    assert observation.instances is not None
    mask, depth_m = observation.instances.copy(), observation.depth_m.copy()
    make(SPEC).detect(observation)
    np.testing.assert_array_equal(observation.instances, mask)
    np.testing.assert_array_equal(observation.depth_m, depth_m)


@every_detector
def test_the_memory_makes_slots_of_it_where_things_stand(
    make: Callable[[BodySpec], Detector], seen: list[Observation]
) -> None:
    detector, memory = make(SPEC), SlotMemory(None, ObjectConfig(), SPEC)
    for step, observation in enumerate(seen):
        memory.update(observation, detector.detect(observation), step)
    known = [s for s in memory.slots() if s.state == "confirmed"]
    for thing in THINGS:
        middle = np.array([(thing.x0 + thing.x1) / 2, (thing.y0 + thing.y1) / 2])
        reach = np.array([thing.x1 - thing.x0, thing.y1 - thing.y0]) / 2 + 0.15
        near = [s for s in known if (np.abs(s.xyz_m[:2] - middle) <= reach).all()]
        assert near
        if any(s.label != "thing" for s in known):
            assert max(near, key=lambda s: s.num_hits).label == thing.label


def test_another_seed_errs_otherwise(seen: list[Observation]) -> None:
    config = PerceptionConfig(detector="noisy")
    one, other = build_detector(SPEC, config, 1), build_detector(SPEC, config, 2)
    assert any(numbers(one.detect(o)) != numbers(other.detect(o)) for o in seen)


def test_the_noise_errs_about_as_often_as_it_says(seen: list[Observation]) -> None:
    """Averaged over many seeds, as errors last."""
    right = wrong = missed = 0
    for seed in range(40):
        detector = build_detector(SPEC, PerceptionConfig(detector="noisy"), seed)
        for observation in seen[::3]:
            there = {
                d.label for d in build_detector(SPEC, PerceptionConfig(), 0).detect(observation)
            }
            found = [d.label for d in detector.detect(observation)]
            right += sum(label in there for label in set(found))
            wrong += sum(label not in there for label in found)
            missed += sum(label not in found for label in there)
    assert 0.05 < missed / (right + missed) < 0.35
    assert wrong < 0.15 * right


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(ValueError, match=r"open_vocabulary\.folder"):
        PerceptionConfig(detector="open_vocabulary")
    with pytest.raises(ValueError, match=r"open_vocabulary\.labels"):
        PerceptionConfig(
            detector="open_vocabulary", open_vocabulary=OpenVocabularyConfig(folder="weights")
        )
    asked = OpenVocabularyConfig(folder="no/such/folder", labels=("chair",))
    config = PerceptionConfig(detector="open_vocabulary", open_vocabulary=asked)
    with pytest.raises(ValueError, match="no/such/folder"):
        build_detector(SPEC, config, 0)
