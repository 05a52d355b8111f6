"""Images made ahead by threads: the same ticks as without, errors where they would be met."""

import itertools
import threading

import numpy as np
import pytest

from memory.logs.ahead import DevelopsAhead
from memory.logs.config import ResampleConfig
from memory.logs.errors import ImageError
from memory.logs.report import LogReport
from memory.logs.resample import Resampler
from memory.logs.samples import Kind, Picture, Pose, Sample

MS = 10**6
PATIENCE_S = 20.0


class Numbers:
    """Makes an image of the number of a picture; 13 cannot be decoded."""

    def __init__(self) -> None:
        self.made: list[tuple[str, int]] = []

    def develop(self, colour: Picture, depth: Picture | None):
        number = colour.colour((2, 2))
        self.made.append((threading.current_thread().name, number))
        if number % 64 == 13:
            raise ImageError("unlucky")
        far = np.nan if depth is None else depth.depth()[0]
        return np.full((2, 2, 3), number % 256, np.uint8), np.full((2, 2), far, np.float32)


class Together(Numbers):
    """Makes no image before another is being made as well."""

    def __init__(self) -> None:
        super().__init__()
        self.both = threading.Barrier(2, timeout=PATIENCE_S)

    def develop(self, colour: Picture, depth: Picture | None):
        self.both.wait()
        return super().develop(colour, depth)


def drive(seed: int, *, anywhere: bool, with_depth: bool = True, images: int = 120) -> list[Sample]:
    """Streams with jitter, late writing, repeated stamps and images out of order."""
    rng = np.random.default_rng(seed)
    found = []

    def add(kind: Kind, at_ms: float, value: object, late_ms: float) -> None:
        stamp_ns = 10**12 + round(at_ms) * MS
        logged_ns = stamp_ns + round(late_ms) * MS
        found.append(
            Sample(kind=kind, topic=kind, stamp_ns=stamp_ns, logged_ns=logged_ns, value=value)
        )

    for k in range(images):
        at_ms = k * 70 + rng.integers(-30, 30) * (k % 3)
        colour = Picture(colour=lambda enough, k=k: k, anywhere=anywhere, packed=anywhere)
        add(Kind.COLOUR, at_ms, colour, rng.integers(0, 120))
        if with_depth:
            depth = Picture(depth=lambda k=k: (k / 2, 1.0), anywhere=anywhere)
            add(Kind.DEPTH, at_ms + rng.integers(-50, 90), depth, rng.integers(0, 300))
    for k in range(images * 4):
        add(Kind.POSE, k * 20 - 40, Pose((k * 0.01, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)), 5)
    return sorted(found, key=lambda s: s.logged_ns)


def resampler_of(samples: list[Sample], lens, master: str = "colour", tick_s: float = 0.1):
    return Resampler(
        ResampleConfig(master=master),
        tick_s=tick_s,
        period_s=0.07,
        kinds={s.kind for s in samples},
        lens=lens,
        report=LogReport(),
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("master", ["colour", "depth"])
@pytest.mark.parametrize("tick_s", [0.07, 0.1, 0.35])
@pytest.mark.parametrize("first", [0, 11])
def test_the_same_ticks_come_out_as_without_threads(seed, master, tick_s, first):
    found = []
    for anywhere in (False, True):
        samples = drive(seed, anywhere=anywhere, with_depth=seed > 0)
        resampler = resampler_of(samples, Numbers(), master, tick_s)
        ticks = list(resampler.ticks(samples, first))
        found.append((ticks, resampler.report.as_dict()))
    (plain, told), (ahead, told_ahead) = found
    assert len(plain) == len(ahead) > 10
    assert told == told_ahead
    for a, b in zip(plain, ahead, strict=True):
        assert (a.index, a.stamp_ns, a.led, a.cut) == (b.index, b.stamp_ns, b.led, b.cut)
        np.testing.assert_array_equal(a.rgb, b.rgb)
        np.testing.assert_array_equal(a.depth_m, b.depth_m)


@pytest.mark.parametrize("tick_s", [0.07, 0.14])
def test_two_images_are_made_at_once_and_none_in_vain(tick_s):
    lens = Together()
    samples = [s for s in drive(0, anywhere=True, with_depth=False) if s.kind is Kind.POSE]
    for k in range(41):
        stamp_ns = 10**12 + k * 70 * MS
        value = Picture(colour=lambda enough, k=k: 1000 + k % 10, anywhere=True, packed=True)
        samples.append(
            Sample(kind=Kind.COLOUR, topic="c", stamp_ns=stamp_ns, logged_ns=stamp_ns, value=value)
        )
    samples.sort(key=lambda s: s.logged_ns)
    # A lone last image would wait for a companion that never comes.
    count = 40 if tick_s == 0.07 else 20
    ticks = resampler_of(samples, lens, tick_s=tick_s).ticks(samples)
    assert len(list(itertools.islice(ticks, count))) == count
    lens.both.abort()
    ticks.close()
    assert {name.partition("_")[0] for name, _ in lens.made} == {"decoding"}
    assert len(lens.made) <= count + 1


def test_frames_of_a_video_are_made_in_their_order_by_the_thread_that_asks():
    lens = Numbers()
    samples = drive(1, anywhere=False)
    list(resampler_of(samples, lens).ticks(samples))
    assert {name for name, _ in lens.made} == {threading.current_thread().name}
    numbers = [number for _, number in lens.made]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("anywhere", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_only_what_is_worth_a_thread_gets_one(anywhere, packed):
    lens = Numbers()
    ahead = DevelopsAhead(lens)
    picture = Picture(colour=lambda enough: 1, anywhere=anywhere, packed=packed)
    raw_depth = Picture(depth=lambda: (1.0, 1.0), anywhere=True)
    ahead.begin(picture, raw_depth)
    ahead.develop(picture, raw_depth)
    ahead.close()
    assert lens.made[0][0].startswith("decoding") == (anywhere and packed)


def test_threads_end_with_the_ticks():
    samples = drive(2, anywhere=True)
    ticks = resampler_of(samples, Numbers()).ticks(samples)
    for _ in range(5):
        next(ticks)
    assert any(t.name.startswith("decoding") for t in threading.enumerate())
    ticks.close()
    assert not any(t.name.startswith("decoding") for t in threading.enumerate())


def test_an_error_is_raised_where_the_image_is_asked_for():
    ahead = DevelopsAhead(Numbers())
    bad = Picture(colour=lambda enough: 13, anywhere=True, packed=True)
    ahead.begin(bad, None)
    with pytest.raises(ImageError, match="unlucky"):
        ahead.develop(bad, None)
    ahead.close()
    ahead.close()
