"""Settings of the memory."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class StrataConfig(BaseModel):
    """What the samplers and retention count as one place, one visit and a surprise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    place_m: float = Field(2.0, gt=0)
    """Side of a place."""
    visit_steps: int = Field(3000, ge=1)
    """Steps of life that count as one visit of a place."""
    surprise: float = Field(3.0, gt=0)
    """Surprise, in standard deviations, from which a row is an event."""


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
    frames: Literal["delta-lz4", "delta", "raw"] = "delta-lz4"
    """How a new life stores frames. `delta` (zstd) takes a quarter less disk, a third with a noisy
    camera, and 1.8 times the time to sample; `raw` takes 2.7 times the disk and two thirds of the
    time. A life keeps what it began with."""
    hot_mib: int = Field(256, ge=0)
    """RAM for decoded rows in a process that samples; 0 turns the hot tier off."""
    compact_s: float = Field(120.0, gt=0)
    """Seconds between compactions."""
    strata: StrataConfig = StrataConfig()


class CuriosityConfig(BaseModel):
    """Curious replay: p = count_weight beta^v + (learning progress + epsilon)^alpha."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stretch_steps: int = Field(32, ge=1)
    """Steps of life that share one priority: a window alone is hardly ever seen twice."""
    count_weight: float = Field(1.0, ge=0)
    """Priority of what was never trained on; progress is at most about 1."""
    beta: float = Field(0.7, ge=0, lt=1)
    """Factor of that priority per visit."""
    alpha: float = Field(0.7, gt=0, le=1)
    """Exponent of the progress: lower is closer to uniform."""
    epsilon: float = Field(0.01, gt=0)
    """Progress that everything is granted."""


class SamplingConfig(BaseModel):
    """How training windows are drawn. The shares sum to 1.

    The default draws half of a batch from what is kept for long, a quarter by recency and a quarter
    by curiosity. What is kept for long is a reservoir of 45 parts and a reserve of 15, so the
    reserve takes a quarter of that half.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    reservoir: float = Field(0.375, ge=0, le=1)
    """Share drawn evenly over places and visits."""
    uniform: float = Field(0.0, ge=0, le=1)
    """Share drawn uniformly over life."""
    recent: float = Field(0.25, ge=0, le=1)
    """Share drawn by triangular recency."""
    curious: float = Field(0.25, ge=0, le=1)
    """Share drawn by novelty and learning progress."""
    reserve: float = Field(0.125, ge=0, le=1)
    """Share drawn around changes, failures, bumps, ends of goals and surprises."""
    max_episode_share: float = Field(0.05, gt=0, le=1)
    """Largest share of a batch that one episode may have, once there are enough episodes."""
    quota: int = Field(64, ge=1)
    """Windows up to which a place and visit, or a kind of event, counts for more than fewer."""
    max_samples_per_insert: float = Field(512.0, gt=0)
    """Frames trained on per row of life, at most: a round stops there. Published train ratios of
    world models span 32 to 1024 (Hafner et al. 2023, DreamerV3)."""
    min_samples_per_insert: float = Field(8.0, ge=0)
    """Below this a round says that it learns too little from what is lived."""
    curiosity: CuriosityConfig = CuriosityConfig()

    @model_validator(mode="after")
    def _check(self) -> Self:
        shares = {
            name: getattr(self, name)
            for name in ("reservoir", "uniform", "recent", "curious", "reserve")
        }
        if abs(sum(shares.values()) - 1) > 1e-6:
            listed = ", ".join(f"{name} {share:g}" for name, share in shares.items())
            raise ValueError(f"the shares sum to {sum(shares.values()):g} instead of 1: {listed}")
        if self.min_samples_per_insert > self.max_samples_per_insert:
            raise ValueError(
                f"min_samples_per_insert {self.min_samples_per_insert:g} is above "
                f"max_samples_per_insert {self.max_samples_per_insert:g}"
            )
        return self


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
    """Object memory. Gates and filter: see association.py and existence.py in memory/objects."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gate_m: float = Field(0.5, gt=0)
    """Smallest distance within which a detection may match a slot."""
    confirm_hits: int = Field(3, ge=1)
    """Sightings after which a tentative slot can be confirmed."""
    unsure_hits: int = Field(6, ge=1)
    """The same where the detector is not sure of it."""
    confirm_s: float = Field(2.2, ge=0)
    """Seconds between its first and its last sighting, where the detector is not sure of it; and
    between two times that it counts that a thing in plain view was not detected."""
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
    p_through: float = Field(0.05, gt=0, lt=0.5)
    """Chance that the camera seems to look through an object that stands there."""
    existence_clip: float = Field(4.0, gt=0)
    """Bound of the existence log-odds."""
    embeddings: EmbeddingConfig = EmbeddingConfig()


class RetentionConfig(BaseModel):
    """What is given up when the memory outgrows its budget: docs in memory/care/retention.py."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    budget_bytes: int | None = Field(None, ge=1 << 20)
    """Bytes that the memory folder may take; no limit when not set. Merging files needs as much
    again for half an hour: leave that free on the disk."""
    headroom: float = Field(0.1, ge=0, lt=1)
    """Share of the budget that is freed beyond it, so that dropping is rare."""
    min_training_rows: int = Field(20_000, ge=0)
    """Rows of training episodes that are kept whatever the budget."""
    min_probe_rows: int = Field(2_000, ge=0)
    """Rows of probe episodes that are kept whatever the budget."""
    standing_keep: int = Field(8, ge=1)
    """Frames kept of each time the body stands still; those after them are near-duplicates."""
    protect_steps: int = Field(32, ge=0)
    """Steps before and after a change, a failure, the end of a goal or a surprise that go last."""


class StorageConfig(BaseModel):
    """Where the tables lie.

    Credentials come from the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if there
    is one, AWS_SESSION_TOKEN.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: str | None = Field(None, pattern=r"^s3://[a-z0-9][a-z0-9.-]+/[^/?#]+(/[^/?#]+)*$")
    """Prefix of a bucket for this life alone, as s3://bucket/prefix. Not set: where the life's
    tables are already, and the home of a new life. A life's tables do not move."""
    endpoint: str | None = Field(None, pattern=r"^https?://[^/?#@]+/?$")
    """Server that speaks S3, as https://host:9000; Amazon's when not set."""
    region: str = Field("us-east-1", min_length=1)
    """Region of the bucket."""
    allow_http: bool = False
    """Whether an endpoint may be http://, unencrypted: for a server on this machine."""
    timeout_s: float = Field(20.0, gt=0)
    """Longest single request."""
    retry_s: float = Field(5.0, ge=0)
    """Seconds after a failed attempt before the next; what is lived meanwhile waits."""
    spool_bytes: int = Field(8 << 30, ge=1 << 20)
    """Bytes of rows that may wait on the local disk while the store is away."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (
            self.endpoint is not None
            and self.endpoint.startswith("http://")
            and not self.allow_http
        ):
            raise ValueError(
                f"endpoint {self.endpoint} is not encrypted: use https://, or set allow_http = true"
            )
        if self.endpoint is not None and self.uri is None:
            raise ValueError(f"endpoint {self.endpoint} needs a uri, as s3://bucket/prefix")
        return self


class MemoryConfig(BaseModel):
    """The memory."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    storage: StorageConfig = StorageConfig()
    replay: ReplayConfig = ReplayConfig()
    objects: ObjectConfig = ObjectConfig()
    retention: RetentionConfig = RetentionConfig()
