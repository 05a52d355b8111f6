"""Settings of the policies."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

StrategyName = Literal[
    "random",
    "uniform",
    "nearest_frontier",
    "count",
    "rnd",
    "disagreement",
    "surprise",
    "progress",
    "information",
]


class NoiseConfig(BaseModel):
    """What the detector `noisy` gets wrong.

    The defaults lie between a good detector on clean pictures and a poor one: a thing of 200
    pixels two metres away is missed in 11 % of the frames, one of 60 pixels at four metres in 19 %.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    miss: float = Field(0.05, ge=0, le=1)
    """Chance that a large thing right in front is not detected in a frame."""
    miss_px: float = Field(4.0, ge=0)
    """Size in pixels at which half of what is left is missed."""
    miss_per_m: float = Field(0.025, ge=0)
    """Share of what is left that is missed for every metre of range."""
    label: float = Field(0.05, ge=0, le=1)
    """Chance that a detection bears another label, drawn from those seen so far."""
    join: float = Field(0.05, ge=0, le=1)
    """Chance that two of a kind whose masks touch are detected as one."""
    split: float = Field(0.03, ge=0, le=1)
    """Chance that a thing is detected as two."""
    phantom: float = Field(0.05, ge=0, le=1)
    """Share of frames with something detected where nothing is, at a place of its own."""
    shift_px: float = Field(0.5, ge=0)
    """Standard deviation by which a mask is displaced, along each axis."""
    lasts_s: float = Field(2.0, ge=0)
    """How long false labels, false detections and lasting misses, joins and splits go on; 0: every
    frame errs on its own."""
    lasting: float = Field(0.3, ge=0, le=1)
    """Share of misses, joins and splits that last."""


class ComponentsConfig(BaseModel):
    """The detector `components`: what stands out in the depth image, without a name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str = Field("thing", min_length=1)
    """What everything is called."""
    score: float = Field(0.5, gt=0, le=1)
    """Confidence in everything."""
    floor_m: float = Field(0.08, ge=0)
    """What is lower is floor."""
    wall_m: float = Field(1.7, gt=0)
    """Where something reaches this high there is a wall; such places are left out."""
    jump_m: float = Field(0.06, gt=0)
    """Neighbouring pixels whose depths differ by more belong to two things."""
    jump_rel: float = Field(0.04, ge=0)
    """Added to the jump, relative to the depth."""
    max_side_m: float = Field(3.0, gt=0)
    """Larger ones are structure."""


class OpenVocabularyConfig(BaseModel):
    """The detector `open_vocabulary`: a published network that finds what it is asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: str = ""
    """Folder with `config.json`, the processor's files and `model.safetensors`: OWLv2, Grounding
    DINO or another zero-shot object detector of `transformers`."""
    labels: tuple[str, ...] = ()
    """What to look for: categories in plain words."""
    threshold: float = Field(0.25, ge=0, le=1)
    """Boxes with a lower score are left out."""
    max_overlap: float = Field(0.6, gt=0, le=1)
    """Of two boxes that share more than this of their union, the surer one is kept."""
    band_m: float = Field(0.4, gt=0)
    """What is nearer or farther than this from the middle of a box does not belong to the thing."""
    band_rel: float = Field(0.1, ge=0)
    """Added to the band, relative to the depth."""


class PerceptionConfig(BaseModel):
    """Which detector, and its settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    detector: Literal["instances", "noisy", "components", "open_vocabulary"] = "instances"
    """`instances`: the body's own mask. `noisy`: the same with a detector's errors. `components`:
    parts of the depth image. `open_vocabulary`: a network on the colour image."""
    min_px: int = Field(12, ge=1)
    """Masks with fewer pixels are left out."""
    noise: NoiseConfig = NoiseConfig()
    components: ComponentsConfig = ComponentsConfig()
    open_vocabulary: OpenVocabularyConfig = OpenVocabularyConfig()

    @model_validator(mode="after")
    def _can_be_built(self) -> Self:
        if self.detector == "open_vocabulary":
            if not self.open_vocabulary.folder:
                raise ValueError(
                    "detector open_vocabulary needs open_vocabulary.folder: the folder of its "
                    "weights"
                )
            if not any(label.strip() for label in self.open_vocabulary.labels):
                raise ValueError(
                    "detector open_vocabulary needs open_vocabulary.labels: what to look for"
                )
        return self


class MapConfig(BaseModel):
    """Occupancy map."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cell_m: float = Field(0.05, gt=0, le=0.25)
    """Side of a cell."""
    size_m: float = Field(28.0, gt=1)
    """Side of the square map, centred on the first pose."""
    log_odds_hit: float = 0.85
    """Added where depth ends inside the obstacle band."""
    log_odds_free: float = -0.4
    """Added where a ray passes."""
    clip: tuple[float, float] = (-2.0, 3.5)
    """Bounds of the log-odds, so that a moved chair can vanish."""
    fade_steps: float | None = Field(4000.0, gt=0)
    """Steps without a look after which the belief in what stands somewhere has fallen to a third;
    walls are exempt. Unset: nothing fades."""
    band_low_m: float = Field(0.08, gt=0)
    """Lower edge of the obstacle band."""
    clearance_m: float = Field(0.04, ge=0)
    """Added to the body's radius when obstacles are inflated."""


class ExploreConfig(BaseModel):
    """Frontiers and re-visits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_frontier_m: float = Field(0.3, gt=0)
    """Shorter frontiers are ignored."""
    replan_steps: int = Field(5, ge=1)
    """Steps between two looks at frontiers and geodesic fields."""
    strategy: StrategyName = "information"
    """How the next place to discover is chosen; nearest_frontier is the floor of the evaluation."""


class GoalConfig(BaseModel):
    """Goal resolution and verification."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    success_m: float = Field(1.0, gt=0)
    """An object counts as reached within this distance of its footprint."""
    stop_m: float = Field(0.9, gt=0)
    """Distance to the object's box at which the agent stops to verify; below success_m by more than
    a box is wrong."""
    verify_views: int = Field(2, ge=0)
    """Sightings from close by before STOP."""
    use_memory: bool = True
    """Go for remembered objects; off for the evaluation's floor."""


GoalTerm = Literal["way", "line", "quasi"]


class CostConfig(BaseModel):
    """What plans are judged by, in metres of way; 0 leaves a term out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    goal_term: GoalTerm = "way"
    """What counts as left to the target: the way over the map; for comparisons the straight line to
    where the route aims, or the quasi-distance to a latent there (the line where none is known)."""
    progress: float = Field(1.0, ge=0)
    """Way that is left to the target."""
    collision: float = Field(5.0, ge=0)
    """Mean chance of a stop that the model foresees."""
    novelty: float = Field(0.3, ge=0)
    """Dislike of places that were often visited."""
    map_uncertainty: float = Field(0.0, ge=0)
    """Dislike of cells that the map is not sure of, in metres per bit."""
    goal_latent: float = Field(0.2, ge=0)
    """Quasi-distance to the goal's latent, where one is known."""


class PlannerConfig(BaseModel):
    """Latent model-predictive control (CEM)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    """Off: geodesic following only."""
    open_m: float = Field(0.1, ge=0)
    """Room around the body's radius in which the follower drives without a plan; inf: the model
    always plans."""
    num_plans: int = Field(48, ge=4)
    num_elites: int = Field(8, ge=2)
    num_iterations: int = Field(2, ge=1)
    horizon_blocks: int = Field(4, ge=1)
    block_steps: int = Field(2, ge=1)
    """Steps that one action is held."""
    execute_blocks: int = Field(2, ge=1)
    """Blocks carried out before planning again."""
    budget_s: float | None = Field(None, ge=0, allow_inf_nan=False)
    """Seconds from the start of a tick in which planning may go on. Then the best plan so far is
    taken, or the distilled policy acts if there is none. Unset: no bound, and the same seed always
    plans the same."""
    cost: CostConfig = CostConfig()


class DriveConfig(BaseModel):
    """How commands are made for the body as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    adapt: bool = True
    """Learn in every tick how the body moves when told to; off: keep to what is known."""
    forgetting: float = Field(0.97, gt=0.5, le=1)
    """What an old tick still counts after a new one that informs about the same motion."""


class SafetyConfig(BaseModel):
    """Outside of everything learned."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stop_m: float = Field(0.08, ge=0)
    """Forward motion stops when something is nearer than this to the footprint."""
    slow_m: float = Field(0.5, gt=0)
    """Forward speed falls linearly from here to stop_m."""


class PoliciesConfig(BaseModel):
    """The policies."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    perception: PerceptionConfig = PerceptionConfig()
    map: MapConfig = MapConfig()
    explore: ExploreConfig = ExploreConfig()
    goals: GoalConfig = GoalConfig()
    planner: PlannerConfig = PlannerConfig()
    drive: DriveConfig = DriveConfig()
    safety: SafetyConfig = SafetyConfig()
