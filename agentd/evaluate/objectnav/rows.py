"""What became of the episodes."""

from pydantic import BaseModel, ConfigDict

from agentd.evaluate.rows import Failure


class EpisodeRow(BaseModel):
    """What became of one episode.

    Scores are None where no view point can be reached from the start; such episodes are not played.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    scene: str
    """As the file names it."""
    index: int
    """Its number in the file: ids are not unique."""
    episode_id: str
    category: str
    success: bool | None
    spl: float | None
    soft_spl: float | None
    distance_to_goal_m: float | None
    """DistanceToGoal at the end; None also where nothing is reached any more."""
    start_m: float | None
    """DistanceToGoal at the start."""
    path_m: float
    steps: int
    stopped: bool
    """Whether the agent said stop."""
    reason: str
    """Its last reason."""
    failure: Failure
    """See `agentd.evaluate.runner.failure_of`."""
    first_seen_step: int | None
    """Step at which the category was first detected."""
    modes: dict[str, int]
    """Steps per mode."""
    bumps: int
    interventions: int
    """Commands that safety changed."""
    act_ms: float
    """Mean CPU time of one step without the simulator."""
    restarts: int
    """Times that the simulator ended meanwhile and was started again."""


class PartResult(BaseModel):
    """Some episodes of one scene."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scene: str
    rows: tuple[EpisodeRow, ...]
    seconds: float
    """Wall time with loading the scene."""
