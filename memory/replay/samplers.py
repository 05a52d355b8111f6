"""How windows are drawn for training: strategies, and the mix of them.

They know the index of the rows and nothing of pixels, so a draw costs the logarithm of the life's
length. Each keeps what it has sorted out about the windows of one store and adds what is new; what
it draws depends on the rows, the random numbers and its own settings alone.

Axis letters: w windows, b batch, k some of the batch or some stretches, m changes, e episodes.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Float32, Int64

from memory.config import SamplingConfig, StrataConfig
from memory.errors import NotEnoughDataError
from memory.replay.curiosity import Curiosity
from memory.replay.event_windows import EventWindows
from memory.replay.growing import Growing
from memory.replay.row_index import RowIndex, WindowIndex
from memory.replay.strata import Strata
from memory.replay.sum_tree import SumTree

_REDRAWS = 8
"""Times that windows beyond an episode's share are drawn anew before any other episode will do."""


class Sampler(Protocol):
    """A way to choose windows."""

    def draw(
        self, windows: WindowIndex, count: int, rng: np.random.Generator
    ) -> Int64[np.ndarray, "b"]:
        """Return the numbers of `count` windows, or of none if it knows no window to its taste."""
        ...


class Uniform:
    """Every window of life has the same chance."""

    def draw(
        self, windows: WindowIndex, count: int, rng: np.random.Generator
    ) -> Int64[np.ndarray, "b"]:
        """See `Sampler`."""
        return rng.integers(len(windows), size=count)


class Recent:
    """The chance of a window is proportional to its number: triangular over life.

    References:
        Kessler et al. 2023, arXiv:2211.15944: half uniform, half triangular.
    """

    def draw(
        self, windows: WindowIndex, count: int, rng: np.random.Generator
    ) -> Int64[np.ndarray, "b"]:
        """See `Sampler`."""
        return rng.integers(len(windows), size=(2, count)).max(axis=0)


class Between:
    """Every window that begins in a stretch of life has the same chance.

    Args:
        first_step: First step of the stretch.
        last_step: Last step of it.
    """

    def __init__(self, first_step: int, last_step: int) -> None:
        self._first_step, self._last_step = first_step, last_step

    def draw(
        self, windows: WindowIndex, count: int, rng: np.random.Generator
    ) -> Int64[np.ndarray, "b"]:
        """See `Sampler`."""
        steps = windows.step(np.arange(len(windows)))
        low = int(np.searchsorted(steps, self._first_step))
        high = int(np.searchsorted(steps, self._last_step, side="right"))
        if high == low:
            return np.empty(0, dtype=np.int64)
        return rng.integers(low, high, size=count)


class Reservoir:
    """Every place and visit has the same chance; see `memory.replay.strata`.

    Args:
        config: Quota.
        strata: Places and visits.
    """

    def __init__(self, config: SamplingConfig, strata: StrataConfig) -> None:
        self._config, self._kinds = config, strata
        self._windows: WindowIndex | None = None

    def draw(
        self, windows: WindowIndex, count: int, rng: np.random.Generator
    ) -> Int64[np.ndarray, "b"]:
        """See `Sampler`."""
        if windows is not self._windows:
            kinds, self._windows = self._kinds, windows
            self._strata = Strata(windows, kinds.place_m, kinds.visit_steps, self._config.quota)
        return self._strata.draw(count, rng)


class Reserve:
    """Windows with a change or a failure, a first bump, the end of a goal, a surprise.

    Kinds of event share it alike, each up to the quota.

    Args:
        config: Quota.
        strata: From which surprise a row is an event.
        change_steps: Steps of changes and failures; see `memory.replay.change_steps`.
    """

    def __init__(
        self,
        config: SamplingConfig,
        strata: StrataConfig,
        change_steps: Int64[np.ndarray, "m"],
    ) -> None:
        self._config, self._kinds = config, strata
        self._change_steps = np.sort(change_steps)
        self._windows: WindowIndex | None = None

    def draw(
        self, windows: WindowIndex, count: int, rng: np.random.Generator
    ) -> Int64[np.ndarray, "b"]:
        """See `Sampler`."""
        if windows is not self._windows:
            self._windows = windows
            self._events = EventWindows(
                windows, self._change_steps, self._kinds.surprise, self._config.quota
            )
        return self._events.draw(count, rng)


class Curious:
    """Windows of stretches that are new to the learner or that it gets better at.

    Args:
        curiosity: What is known of the stretches; `learn` changes it.
    """

    def __init__(self, curiosity: Curiosity) -> None:
        self.curiosity = curiosity
        self._windows: WindowIndex | None = None

    def draw(
        self, windows: WindowIndex, count: int, rng: np.random.Generator
    ) -> Int64[np.ndarray, "b"]:
        """See `Sampler`."""
        if windows is not self._windows:
            self._windows, self._known = windows, 0
            self._begin, self._count = Growing(np.int32), Growing(np.int32)
            self._tree = SumTree()
        self._catch_up(windows)
        stretch = self._tree.draw(count, rng)
        inside = rng.integers(self._count.values[stretch])
        return self._begin.values[stretch].astype(np.int64) + inside

    def learn(self, step: Int64[np.ndarray, "b"], error: Float32[np.ndarray, "b"]) -> None:
        """Take in the errors of a batch; see `Curiosity.learn`."""
        changed = self.curiosity.learn(step, error)
        if self._windows is not None:
            self._weigh(changed[changed < len(self._count)])

    def _catch_up(self, windows: WindowIndex) -> None:
        if len(windows) == self._known:
            return
        new = np.arange(self._known, len(windows))
        self._known = len(windows)
        stretches, begin, count = np.unique(
            self.curiosity.stretch(windows.step(new)), return_index=True, return_counts=True
        )
        for values in (self._begin, self._count):
            values.resize(max(len(values), int(stretches[-1]) + 1))
        counts = self._count.values
        is_new = counts[stretches] == 0
        self._begin.values[stretches[is_new]] = new[begin[is_new]]
        counts[stretches] += count.astype(np.int32)
        self._weigh(stretches)

    def _weigh(self, stretches: Int64[np.ndarray, "k"]) -> None:
        weight = self.curiosity.priority(stretches) * self._count.values[stretches]
        self._tree.set(stretches, weight)


class Mix:
    """Several samplers, each for a share of the batch, and no episode for more than its own.

    What a sampler cannot give, because nothing is to its taste yet, the first one gives. The cap on
    episodes holds as soon as there are enough of them to fill a batch.

    Args:
        parts: Shares, summing to 1, and samplers. The first must always find windows.
        max_episode_share: Largest share of a batch that one episode may have.
    """

    def __init__(
        self, parts: Sequence[tuple[float, Sampler]], max_episode_share: float = 1.0
    ) -> None:
        shares = np.array([share for share, _ in parts])
        if len(parts) == 0 or (shares < 0).any() or not np.isclose(shares.sum(), 1.0):
            raise ValueError(f"shares must be >= 0 and sum to 1, got {shares.tolist()}")
        self._parts = [(share, sampler) for share, sampler in parts if share > 0]
        self._share_to = np.cumsum([share for share, _ in self._parts])
        self._max_episode_share = max_episode_share
        self._episodes: _Episodes | None = None

    def draw(
        self, windows: WindowIndex, count: int, rng: np.random.Generator
    ) -> Int64[np.ndarray, "b"]:
        """See `Sampler`."""
        # One random offset for all borders: the expected numbers are exact for any batch size.
        border = np.floor(self._share_to * count + rng.random() * (1 - 1e-9))
        border[-1] = count
        numbers, source = [], []
        for part, wanted in enumerate(np.diff(border, prepend=0).astype(int)):
            drawn = self._draw(part, windows, int(wanted), rng)
            numbers.append(drawn)
            source.append(np.full(len(drawn), part))
        return self._cap(windows, np.concatenate(numbers), np.concatenate(source), rng)

    def _draw(
        self, part: int, windows: WindowIndex, count: int, rng: np.random.Generator
    ) -> Int64[np.ndarray, "b"]:
        drawn = self._parts[part][1].draw(windows, count, rng)
        return drawn if len(drawn) == count else self._parts[0][1].draw(windows, count, rng)

    def _cap(
        self,
        windows: WindowIndex,
        numbers: Int64[np.ndarray, "b"],
        source: Int64[np.ndarray, "b"],
        rng: np.random.Generator,
    ) -> Int64[np.ndarray, "b"]:
        """Draw those windows anew by which an episode has more than its share."""
        most = max(1, int(self._max_episode_share * len(numbers) + 1e-9))
        if self._episodes is None or self._episodes.windows is not windows:
            self._episodes = _Episodes(windows)
        episodes = self._episodes.all()
        if len(episodes) * most < len(numbers):
            return numbers
        for redraw in range(_REDRAWS + 1):
            over = np.flatnonzero(_rank(windows.episode_id(numbers)) >= most)
            if len(over) == 0:
                return numbers
            if redraw < _REDRAWS:
                for part in np.unique(source[over]):
                    mine = over[source[over] == part]
                    numbers[mine] = self._draw(int(part), windows, len(mine), rng)
        self._episodes.fill(numbers, over, most, rng)
        return numbers


def training_mix(
    config: SamplingConfig,
    strata: StrataConfig,
    change_steps: Int64[np.ndarray, "m"],
    curious: Curious,
) -> Mix:
    """Return the mix of the settings.

    Args:
        config: Shares and quota.
        strata: Places, visits and surprises.
        change_steps: See `Reserve`.
        curious: The sampler that the round teaches.
    """
    return Mix(
        [
            (config.reservoir, Reservoir(config, strata)),
            (config.uniform, Uniform()),
            (config.recent, Recent()),
            (config.curious, curious),
            (config.reserve, Reserve(config, strata, change_steps)),
        ],
        config.max_episode_share,
    )


def choose(
    rows: RowIndex,
    batch_size: int,
    horizon: int,
    rng: np.random.Generator,
    sampler: Sampler | None,
    *,
    held_out: bool,
) -> Int64[np.ndarray, "b t"]:
    """Return the rows of the windows that a store's `sample` reads; see `ReplayStore.sample`.

    Raises:
        NotEnoughDataError: If there is no window, or none to the sampler's taste.
    """
    if batch_size < 1 or horizon < 1:
        raise ValueError(f"batch_size and horizon must be >= 1, got {batch_size} and {horizon}")
    windows = rows.windows(horizon, held_out=held_out)
    numbers = (sampler or Uniform()).draw(windows, batch_size, rng)
    if len(numbers) < batch_size:
        raise NotEnoughDataError(
            f"none of the {len(windows)} windows of {horizon} frames is to the taste of "
            f"{type(sampler).__name__}"
        )
    return windows.offsets(numbers)


class _Episodes:
    """Where the windows of each episode lie: an episode is one stretch of window numbers."""

    def __init__(self, windows: WindowIndex) -> None:
        self.windows = windows
        self._known = 0
        self._id, self._begin = Growing(np.int64), Growing(np.int64)

    def all(self) -> Int64[np.ndarray, "e"]:
        """Return the episodes that have windows, in the order of life."""
        if len(self.windows) > self._known:
            new = np.arange(self._known, len(self.windows))
            episode_id = self.windows.episode_id(new)
            last = self._id.values[-1] if len(self._id) else episode_id[0] - 1
            starts = np.flatnonzero(np.diff(episode_id, prepend=last) != 0)
            self._id.extend(episode_id[starts])
            self._begin.extend(new[starts])
            self._known = len(self.windows)
        return self._id.values

    def fill(
        self,
        numbers: Int64[np.ndarray, "b"],
        over: Int64[np.ndarray, "k"],
        most: int,
        rng: np.random.Generator,
    ) -> None:
        """Replace windows by ones of episodes that have room."""
        episodes = self.all()
        kept = np.delete(numbers, over)
        ids, count = np.unique(self.windows.episode_id(kept), return_counts=True)
        at = np.minimum(np.searchsorted(ids, episodes), len(ids) - 1)
        used = np.where(ids[at] == episodes, count[at], 0) if len(ids) else np.zeros(len(episodes))
        end = np.append(self._begin.values[1:], len(self.windows))
        room = np.repeat(np.arange(len(episodes)), (most - used).clip(min=0).astype(int))
        chosen = rng.permutation(room)[: len(over)]
        numbers[over] = rng.integers(self._begin.values[chosen], end[chosen])


def _rank(values: Int64[np.ndarray, "b"]) -> Int64[np.ndarray, "b"]:
    """Return for each value how many equal ones stand before it."""
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    begin = np.searchsorted(ranked, ranked, side="left")
    out = np.empty(len(values), dtype=np.int64)
    out[order] = np.arange(len(values)) - begin
    return out
