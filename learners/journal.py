"""What a registry knows beside the checkpoints: pointers, and the journal of decisions."""

import time

from pydantic import BaseModel, ConfigDict

from learners.manifest import FORMAT_VERSION, Stage


class HistoryEntry(BaseModel):
    """One decision about a checkpoint."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    event: str
    """`promoted` or `rolled_back`: who acts. `shadow` or `canary`: that trial began. `refused`: a
    trial ended. `confirmed`: the time in which it was watched on is over."""
    id: str
    """Checkpoint that acts since then, or that was decided about."""
    time_ns: int
    stage: Stage | None = None
    """Stage of the gate that decided; None where a person did, and in format 2."""
    reason: str = ""


class RegistryState(BaseModel):
    """Who acts, who acted before, what is trained on, and all decisions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: int = FORMAT_VERSION
    promoted: tuple[str, ...] = ()
    """Chain of those that acted; the last one acts."""
    trunk: str | None = None
    """Weights that the next round trains on."""
    anchor: str | None = None
    """Best so far."""
    trial: str | None = None
    """Candidate that a trial was begun with and not ended."""
    history: tuple[HistoryEntry, ...] = ()


def entry(event: str, checkpoint_id: str, stage: Stage | None, reason: str) -> HistoryEntry:
    """Return a decision that is made now."""
    return HistoryEntry(
        event=event, id=checkpoint_id, time_ns=time.time_ns(), stage=stage, reason=reason
    )


def acting(
    state: RegistryState, chain: tuple[str, ...], anchor: str, last: HistoryEntry
) -> RegistryState:
    """Return the state in which the last of a chain acts, and training goes on from it."""
    return RegistryState(
        promoted=chain, trunk=chain[-1], anchor=anchor, history=(*state.history, last)
    )
