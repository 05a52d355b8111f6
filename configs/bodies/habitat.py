"""Habitat: scanned houses, rendered by habitat-sim."""

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from configs.bodies.base import BodyConfig

RENAME = {
    "couch": "sofa",
    "tv": "tv_monitor",
    "television": "tv_monitor",
    "tv screen": "tv_monitor",
    "potted plant": "plant",
    "house plant": "plant",
}
"""Names of HM3D's annotation and those of its ObjectNav task."""

STRUCTURE = (
    *("wall", "floor", "ceiling", "column", "beam", "stairs", "railing", "door frame"),
    *("window frame", "void", "misc", "unknown", "object"),
)


class HabitatConfig(BodyConfig):
    """Habitat: scanned houses, rendered by habitat-sim."""

    SIMULATED: ClassVar[bool] = True
    BORN_WITH: ClassVar[tuple[str, ...]] = (
        *("scene", "width_px", "height_px", "hfov_deg"),
        *("camera_height_m", "camera_pitch_deg", "floor_gap_m", "control", "forward_m", "turn_deg"),
    )

    scene: str = ""
    """File of the scene (.glb, .ply ...), or its name in `dataset`. Empty: that of the first of
    `episodes`."""
    dataset: str = ""
    """File `*.scene_dataset_config.json`; it is what brings a scene's annotation."""
    navmesh: str = ""
    """File of a navmesh; empty takes the scene's own, or computes one."""
    rebuild_navmesh: bool = False
    """Compute a navmesh for this body even if the scene brings one."""
    semantics: bool = True
    """Render the annotation, if the scene has one, as the body's instance mask."""
    lighting: bool = False
    """Prepare light for scenes that are not baked; costs a dozen seconds of CPU at each start."""
    gpu_device_id: int = Field(-1, ge=-1)
    """-1 renders without CUDA; a number without such a GPU ends the simulator."""

    process: Literal["own", "same"] = "own"
    """`own`: a process of its own, whose end is survived. `same`: this one, if it has
    habitat_sim; its end is then the life's end."""
    python: str = ""
    """Python that has habitat_sim, for its own process; empty: the one that runs this."""
    start_timeout_s: float = Field(300.0, gt=0)
    """Time to load the scene."""
    timeout_s: float = Field(10.0, gt=0)
    """Time for a step."""
    max_restarts: int = Field(3, ge=0)
    """Times in `restart_window_s` that a simulator which ended is started again. A life waits for
    it no longer than `life.world_timeout_s`: raise that where a scene takes long to load."""
    restart_window_s: float = Field(600.0, gt=0)

    width_px: int = Field(64, ge=16, le=2048)
    height_px: int = Field(64, ge=16, le=2048)
    hfov_deg: float = Field(79.0, gt=10, lt=150)
    camera_height_m: float = Field(0.88, gt=0, le=3)
    """Above the feet, which stand on the navmesh."""
    camera_pitch_deg: float = Field(0.0, ge=-60, le=60)
    """Positive looks down."""
    floor_gap_m: float = Field(0.1, ge=0, le=0.3)
    """How far the navmesh lies above the floor: habitat-sim rounds up to 0.2 m; 0.1 was
    measured."""
    depth_max_m: float = Field(10.0, gt=0, le=100)
    """Farther surfaces count as no return."""

    agent_height_m: float = Field(0.88, gt=0, le=3)
    agent_radius_m: float = Field(0.18, gt=0, le=1)
    max_climb_m: float = Field(0.2, ge=0, le=1)
    max_slope_deg: float = Field(45.0, gt=0, lt=90)
    sliding: bool = True
    """Slide along what is touched. ObjectNav is measured without."""

    control: Literal["velocity", "discrete"] = "velocity"
    """`velocity`: speeds, integrated on the navmesh. `discrete`: the primitives of the benchmarks,
    forward and turn, one in a second."""
    forward_m: float = Field(0.25, gt=0, le=2)
    """Length of the primitive."""
    turn_deg: float = Field(30.0, gt=0, le=90)
    """Angle of the primitive."""
    v_max_mps: float = Field(0.75, gt=0, le=2)
    w_max_radps: float = Field(2.0, gt=0, le=5)
    tick_s: float = Field(0.2, gt=0, le=1)
    """Of the control by velocity."""
    seed: int = Field(0, ge=0)
    """Draws the start, and the numbers in the instance mask."""

    rename: dict[str, str] = RENAME
    """Names of the annotation and what to call the things instead."""
    structure: tuple[str, ...] = STRUCTURE
    """Names that are no things: left out of the instance mask."""

    episodes: str = ""
    """File of ObjectNav episodes (.json.gz); the body then starts where they do."""
    scenes_folder: str = "data/scene_datasets"
    """Where the scenes of episodes lie."""
    success_m: float = Field(0.1, gt=0, le=5)
    """An episode succeeds nearer than this to a view point of its goal."""

    @property
    def place(self) -> str:
        """Which scene."""
        scene = Path(self.scene).name or Path(self.episodes).name
        return f"habitat {scene}".strip()

    @property
    def missing(self) -> str:
        """A scene."""
        if self.scene or self.episodes:
            return ""
        return (
            "world.habitat.scene: the file of a scene (.glb), or its name with "
            "world.habitat.dataset; or world.habitat.episodes, a file of episodes"
        )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.process == "same" and self.python:
            raise ValueError(
                f"python = {self.python!r} is for a process of its own; with process = 'same' "
                "leave it out"
            )
        if self.camera_height_m > self.agent_height_m + 0.5:
            raise ValueError(
                f"camera_height_m = {self.camera_height_m} is more than 0.5 m above "
                f"agent_height_m = {self.agent_height_m}"
            )
        return self
