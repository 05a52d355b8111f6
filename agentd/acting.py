"""Who acts: loads a checkpoint, swaps it in between two episodes, lets the memory follow.

The control loop only ever receives a loaded model, between two episodes: all steps of an episode
were acted by one checkpoint.
"""

import threading
from collections.abc import Callable
from typing import NamedTuple, Protocol

from agentd.loop import Loop, SurprisingModel
from memory.errors import StoreError
from memory.protocols import CropEncoder
from memory.vectors.backfill import BackfillReport


class Vectors(Protocol):
    """The part of an object memory that changes its encoder; `memory.objects.memory.SlotMemory`."""

    def prepare_encoder(self, encoder: CropEncoder) -> BackfillReport: ...
    def activate_encoder(self, encoder: CropEncoder, report: BackfillReport) -> BackfillReport: ...


class _Ready(NamedTuple):
    """What acts next; the memory follows where there is a report."""

    model: SurprisingModel | None
    report: BackfillReport | None


class Acting:
    """Swaps models and encoders.

    Args:
        load_model: Returns the model of a checkpoint; raises CheckpointError if it cannot.
        loop: Acts.
        vectors: Memory whose encoder follows.
        emit: Called with a sentence to be told.
    """

    def __init__(
        self,
        *,
        load_model: Callable[[str], SurprisingModel],
        loop: Loop,
        vectors: Vectors,
        emit: Callable[[str], None],
    ) -> None:
        self.load = load_model
        self._loop, self._vectors, self._emit = loop, vectors, emit
        self._changing = threading.Lock()
        self._next: _Ready | None = None
        self._begun: tuple[SurprisingModel, BackfillReport] | None = None
        self._told = ""

    @property
    def model(self) -> SurprisingModel | None:
        """The model that acts."""
        return self._loop.model

    def prepare(self, model: SurprisingModel) -> BackfillReport:
        """Give the memory's crops vectors of a model; the memory does not use them yet.

        Raises:
            WorseRetrievalError: If the memory refuses them.
            StoreError: If they cannot be written.
        """
        return self._vectors.prepare_encoder(model)

    def act_with(
        self, model: SurprisingModel, report: BackfillReport, *, at_once: bool = False
    ) -> None:
        """Act with a model from the next episode on; the memory's vectors follow.

        Args:
            model: The model.
            report: What `prepare` returned.
            at_once: Cut the episode that is going on.
        """
        self._swap_later(_Ready(model, report))
        if at_once:
            self._loop.cut_episode()
        self._emit(f"{model.checkpoint_id} acts from the next episode on; {report.text()}")

    def try_out(self, model: SurprisingModel) -> None:
        """Act with a model from the next episode on; the memory keeps its vectors."""
        self._swap_later(_Ready(model, None))

    def go_back_to(self, model: SurprisingModel | None) -> None:
        """Act again with a model that the memory's vectors are of, at once: the episode is cut."""
        self._swap_later(_Ready(model, None))
        self._loop.cut_episode()

    def act_from_the_start(self, checkpoint_id: str) -> None:
        """Act with a checkpoint before the loop runs.

        Raises:
            CheckpointError: If it cannot be loaded.
        """
        model = self.load(checkpoint_id)
        self._next = _Ready(model, self.prepare(model))
        self._swap()

    def change_encoder(self) -> None:
        """Let the memory compare vectors of the model that acts; one that fails is tried again."""
        with self._changing:
            begun = self._begun
            if begun is None:
                return
            try:
                self._vectors.activate_encoder(*begun)
            except (StoreError, OSError) as error:
                text = f"the encoder is not changed yet, to be tried again: {error}"
                if text != self._told:
                    self._emit(text)
                self._told = text
                return
            self._told = ""
            # A newer model may have come meanwhile.
            if self._begun is begun:
                self._begun = None

    def _swap_later(self, ready: _Ready) -> None:
        self._next = ready
        self._loop.post_between_episodes(self._swap)

    def _swap(self) -> None:
        """Act with the newest model that is ready; called by the loop between two episodes."""
        ready, self._next = self._next, None
        if ready is None:
            return
        self._loop.use_model(ready.model)
        if ready.model is None or ready.report is None:
            return
        self._begun = (ready.model, ready.report)
        # The views since then are still to be embedded and the change to be written: not here.
        threading.Thread(target=self.change_encoder, name="encoder", daemon=True).start()
