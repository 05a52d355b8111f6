"""Settings of the policies."""

from pydantic import BaseModel, ConfigDict, Field


class PerceptionConfig(BaseModel):
    """Detections from the instance mask."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_px: int = Field(12, ge=1)
    """Masks with fewer pixels are left out."""


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
    nearest_only: bool = False
    """Nearest frontier without any other term: the floor of the evaluation."""


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


class CostConfig(BaseModel):
    """What plans are judged by, in metres of way; 0 leaves a term out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
    safety: SafetyConfig = SafetyConfig()
