"""Settings of the memory."""

from pydantic import BaseModel, ConfigDict, Field


class ReplayConfig(BaseModel):
    """Replay store."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch_rows: int = Field(64, ge=1)
    """Rows per append: single-row appends cost a file each."""
    flush_s: float = Field(2.0, gt=0)
    """At most this many seconds of experience are lost on a power cut."""
    queue_rows: int = Field(4096, ge=64)
    """Rows that wait for the recorder before the loop cuts the episode."""
    probe_every: int = Field(8, ge=2)
    """One episode in this many is held out for probes."""
    compact_s: float = Field(120.0, gt=0)
    """Seconds between compactions."""


class EmbeddingConfig(BaseModel):
    """Search vectors, and the change from one encoder to the next."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch: int = Field(256, ge=1)
    """Crops encoded at once when all are embedded again."""
    worse_margin: float = Field(0.03, ge=0, le=1)
    """Fall of recall@1 from which a new encoder counts as worse than the active one."""
    refuse_worse: bool = False
    """Whether a worse encoder is refused; otherwise that is only told."""


class ObjectConfig(BaseModel):
    """Object memory. Gates and filter: docs in memory/association.py and memory/existence.py."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gate_m: float = Field(0.5, gt=0)
    """Smallest distance within which a detection may match a slot."""
    confirm_hits: int = Field(3, ge=1)
    """Sightings after which a tentative slot can be confirmed."""
    max_views: int = Field(8, ge=1, le=8)
    """Views kept per slot, each from another eighth of the directions."""
    crop_px: int = Field(32, ge=8)
    """Side of a stored crop."""
    crop_context: float = Field(1.5, ge=1)
    """Side of the square that is cut, over the longer side of the detection's box."""
    p_detect: float = Field(0.8, gt=0.5, lt=1)
    """Chance to detect a visible object."""
    p_false: float = Field(0.05, gt=0, lt=0.5)
    """Chance of a false detection."""
    existence_clip: float = Field(4.0, gt=0)
    """Bound of the existence log-odds."""
    embeddings: EmbeddingConfig = EmbeddingConfig()


class MemoryConfig(BaseModel):
    """The memory."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    replay: ReplayConfig = ReplayConfig()
    objects: ObjectConfig = ObjectConfig()
