"""Replay store in RAM: the reference that the one on disk is held against, and a test double."""

from collections.abc import Sequence

import numpy as np

from memory.config import ReplayConfig
from memory.records import Batch, Transition
from memory.replay.row_index import IndexRows, RowIndex
from memory.replay.rows import RowShape, check_order, check_values
from memory.replay.samplers import Sampler, choose


class RamReplay:
    """Replay store that forgets when the process ends. Satisfies `ReplayStore`.

    Args:
        config: Settings.
    """

    def __init__(self, config: ReplayConfig) -> None:
        self._config = config
        self._rows: list[Transition] = []
        self._index = RowIndex(config.probe_every)

    def append(self, transitions: Sequence[Transition]) -> int:
        """Keep rows; see `ReplayStore.append`.

        Raises:
            RefusedRowError: If a step does not increase, time goes backwards inside an episode, a
                shape differs from that of the first row, or a value is not finite.
        """
        if not transitions:
            return self.version
        before = [(row.episode_id, row.observation.stamp_ns) for row in self._rows[-1:]]
        check_order(transitions, self.last_step(), before[0] if before else None)
        RowShape.of_transition((self._rows or transitions)[0]).check(transitions)
        check_values(transitions)
        self._index.extend(IndexRows.of_transitions(transitions))
        self._rows.extend(transitions)
        return self.version

    def sample(
        self,
        batch_size: int,
        horizon: int,
        rng: np.random.Generator,
        *,
        sampler: Sampler | None = None,
        held_out: bool = False,
    ) -> Batch:
        """Draw windows; see `ReplayStore.sample`.

        Raises:
            NotEnoughDataError: If there is no such window.
        """
        offsets = choose(self._index, batch_size, horizon, rng, sampler, held_out=held_out)
        rows = [[self._rows[i] for i in window] for window in offsets]

        def gather(values: Sequence[Sequence[object]], kind: type) -> np.ndarray:
            return np.array(values, dtype=kind)

        seen = [[row.observation for row in window] for window in rows]
        egomotion = [
            [np.zeros(3) if row.is_first else row.observation.egomotion for row in window]
            for window in rows
        ]
        action = [
            [(r.action.v_mps, r.action.w_radps, r.action.duration_s) for r in window]
            for window in rows
        ]
        return Batch(
            rgb=gather([[o.rgb for o in window] for window in seen], np.uint8),
            depth_m=gather([[o.depth_m for o in window] for window in seen], np.float32),
            action=gather(action, np.float32),
            egomotion=gather(egomotion, np.float32),
            bumped=gather([[o.bumped for o in window] for window in seen], np.bool_),
            pose=gather([[row.pose for row in window] for window in rows], np.float32),
            is_planned=gather([[r.action.source == "planner" for r in w] for w in rows], np.bool_),
            objects=gather([[row.objects for row in window] for window in rows], np.float32),
            object_slots=gather([[r.object_slots for r in window] for window in rows], np.int32),
            step=gather([[row.step for row in window] for window in rows], np.int64),
            episode_id=gather([[w[0].episode_id] for w in rows], np.int64)[:, 0],
        )

    def at_version(self, version: int) -> "RamReplay":
        """Return a view of the rows with steps below a version.

        Raises:
            ValueError: If the life has not come that far.
        """
        if not 0 <= version <= self.version:
            raise ValueError(f"version {version} does not exist, the newest is {self.version}")
        view = RamReplay(self._config)
        view.append([row for row in self._rows if row.step < version])
        return view

    @property
    def version(self) -> int:
        """One more than the newest step, 0 for an empty store."""
        return self.last_step() + 1

    def __len__(self) -> int:
        return len(self._rows)

    def last_step(self) -> int:
        """Return the newest step, -1 if there is none."""
        return self._index.last_step()

    def last_episode(self) -> int:
        """Return the newest episode, -1 if there is none."""
        return self._index.last_episode()

    def num_training_rows(self, since_version: int = 0) -> int:
        """Return how many rows of training episodes were appended after a version."""
        return self._index.num_training_rows(since_version)
