"""A life, opened for reading beside whoever lives it.

>>> import agentd                                                    # doctest: +SKIP
>>> life = agentd.open("~/.local/share/agentd/life")                 # doctest: +SKIP
>>> life.steps(where="step > 5000").pandas()                         # doctest: +SKIP
>>> windows = life.windows(32, 8, seed=0)      # tensors for a recipe  # doctest: +SKIP
>>> life.slots(at="2d").rows()                 # two days before the newest step  # doctest: +SKIP
>>> model = life.checkpoint().model()                                # doctest: +SKIP
>>> life.plan(life.step(100).observation, life.step(112).observation)  # doctest: +SKIP

Nothing takes a lock, nothing is written. Steps are pinned: what the life appends after it was
opened is not seen; slots, goals, events, map and checkpoints are those of the moment of asking.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float64, Int8

from agentd.api.checkpoints import Checkpoint, Plan, plan_between
from agentd.api.tables import Rows
from agentd.exit_codes import NotYetError, UsageError
from agentd.home import Home, LifeRecord, default_home
from learners.registry import Registry
from memory.care.access import PIXEL_COLUMNS, TableReader, open_reader, require_readable
from memory.objects.timeline import read_timeline
from memory.records import Batch, BodySpec, Observation, Transition
from memory.replay.rows import RowShape, decode
from memory.replay.store import LanceReplay
from memory.schema import SLOTS, TRANSITIONS

if TYPE_CHECKING:
    from configs.schema import AgentConfig
    from learners.batch import Windows


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """The occupancy map.

    Attributes:
        grid: -1 unknown, 0 free, 1 occupied; axis 0 is world x, axis 1 world y.
        origin_m: World position of the corner of cell (0, 0).
        cell_m: Side of a cell.
    """

    grid: Int8[np.ndarray, "x y"]
    origin_m: Float64[np.ndarray, "2"]
    cell_m: float

    def __repr__(self) -> str:
        free_m2 = float((self.grid == 0).sum()) * self.cell_m**2
        return f"<map of {self.grid.shape} cells of {self.cell_m} m: {free_m2:.1f} m2 free>"


def open_life(path: str | Path | None = None) -> "OpenLife":
    """Open a life for reading; it may be running.

    Args:
        path: Its home; None takes $AGENTD_HOME, else the user's data folder.

    Raises:
        NotFoundError: If there is no life.
        NewerHomeError: If a newer agentd wrote it.
        NewerFormatError: If a newer agentd wrote its memory.
        DamagedHomeError: If its birth record cannot be read.
        ConfigError: If its settings cannot be read.
    """
    return OpenLife(Home(default_home() if path is None else Path(path)))


class OpenLife:
    """What a life has seen and learned. Made by `open_life`.

    Attributes:
        record: What it was born with.
        version: Steps below this are seen, whatever is appended later; 0 before the first.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self.record: LifeRecord = home.read()
        self._folder = home.memory_folder
        self.version = 0
        if require_readable(self._folder):
            reader = open_reader(self._folder, TRANSITIONS)
            steps = None if reader is None else reader.to_arrow(columns=["step"])["step"]
            self.version = 1 + max(steps.to_numpy(), default=-1) if steps is not None else 0

    @property
    def home(self) -> Path:
        """Folder of the life."""
        return self._home.path

    @cached_property
    def config(self) -> "AgentConfig":
        """Settings of the life, without those that its run was given on the command line."""
        from configs.load import load_config

        return load_config(home_toml=self._home.config_file, born=self.record.born).config

    @cached_property
    def body(self) -> BodySpec:
        """Camera, size and limits of the body."""
        from agentd.body_record import recorded_body

        return recorded_body(self._home, self.config)

    def __repr__(self) -> str:
        return (
            f"<life {self.record.life_id[:8]} in {self.home}: {self.version} steps; .steps() "
            ".windows() .slots() .goals() .events() .checkpoints() .plan() .map()>"
        )

    # ------------------------------------------------------------------ steps
    def steps(self, columns: Sequence[str] | None = None, where: str | None = None) -> Rows:
        """Return steps, in their order.

        Args:
            columns: Which; None takes all but pixels. `pose` is x_m, y_m, yaw_rad in the world
                frame, `action` v_mps, w_radps, duration_s, `egomotion` dx_m, dy_m, dyaw_rad in the
                body frame before it, `stamp_ns` the body's clock.
            where: Condition in SQL, as in "step > 5000 AND bumped".

        Raises:
            NotYetError: If the life has no step yet.
            UsageError: If a column does not exist.
            DamagedTableError: If the table cannot be read or the condition makes no sense.
        """
        reader = self._steps()
        known = reader.schema.names
        odd = [name for name in columns or () if name not in known]
        if odd:
            raise UsageError(f"no column {odd[0]!r}; there are {', '.join(known)}")
        chosen = list(columns or (n for n in known if n not in PIXEL_COLUMNS))
        pinned = f"step < {self.version}" + (f" AND ({where})" if where else "")
        read = [*chosen, *({"step"} - set(chosen))]
        found = reader.to_arrow(columns=read, where=pinned)
        return Rows(found.sort_by("step").select(chosen))

    def step(self, number: int) -> Transition:
        """Return one step with its images.

        Raises:
            UsageError: If there is no such step.
            NotYetError: If the life has no step yet.
            DamagedTableError: If the table cannot be read.
        """
        reader = self._steps()
        found = reader.to_arrow(where=f"step = {int(number)}")
        if number >= self.version or found.num_rows == 0:
            raise UsageError(
                f"no step {number}: the life has steps up to {self.version - 1}, and retention or "
                "a refused row may have taken some"
            )
        return decode(found, RowShape.of_schema(reader.schema))[0]

    @cached_property
    def replay(self) -> LanceReplay:
        """The steps as a replay store, pinned and read-only; training on a recipe takes it."""
        self._steps()
        return LanceReplay.reading(self._folder, self.config.memory.replay, self.version)

    def batch(self, batch_size: int, horizon: int, *, seed: int, held_out: bool = False) -> Batch:
        """Draw windows of consecutive steps as numpy arrays, uniformly over life.

        Args:
            batch_size: Windows.
            horizon: Frames of each; none crosses an episode.
            seed: The same seed and version give the same windows.
            held_out: From the probe episodes, which no round trains on.

        Raises:
            NotYetError: If the life has no step yet.
            NotEnoughDataError: If no episode is long enough.
        """
        rng = np.random.default_rng(seed)
        return self.replay.sample(batch_size, horizon, rng, held_out=held_out)

    def windows(
        self, batch_size: int, horizon: int, *, seed: int, held_out: bool = False
    ) -> "Windows":
        """Draw windows as torch tensors, as a recipe's model and losses take them; see `batch`."""
        from learners.batch import Scale, to_windows

        batch = self.batch(batch_size, horizon, seed=seed, held_out=held_out)
        return to_windows(batch, Scale.of(self.body), np.random.default_rng(seed))

    def _steps(self) -> TableReader:
        # Anew each time: the files of an older table version are cleaned up half an hour later.
        reader = open_reader(self._folder, TRANSITIONS) if self.version else None
        if reader is None:
            raise NotYetError(
                f"the life in {self.home} has no step yet; let it live: "
                f"{self._home.command('run')}, then open it again"
            )
        return reader

    # ------------------------------------------------------------------ objects
    def slots(self, at: "int | str | datetime.datetime | None" = None) -> Rows:
        """Return the remembered objects, or what was known of them at a time.

        Args:
            at: None for now. Else nanoseconds by the body's clock, a date and time, or how long
                before the newest step, as in "90m" or "7d". The past knows position (world frame),
                label and state; `now_id` is the slot that it goes on as.

        Raises:
            UsageError: If `at` is no time.
            DamagedTableError: If a table cannot be read.
        """
        if not require_readable(self._folder):
            return Rows(pa.table({"slot_id": pa.array([], pa.int64())}))
        if at is None:
            reader = open_reader(self._folder, SLOTS)
            if reader is None:
                return Rows(pa.table({"slot_id": pa.array([], pa.int64())}))
            return Rows(reader.to_arrow(columns=reader.small_columns()).sort_by("slot_id"))
        known = read_timeline(self._folder).slots_at(self._stamp(at))
        names = ("slot_id", "now_id", "label", "since_ns", "created_ns")
        columns = {name: [getattr(past, name) for past in known] for name in names}
        columns["state"] = [past.state.value for past in known]
        columns["xyz_m"] = [past.xyz_m.tolist() for past in known]
        return Rows(pa.table(columns))

    def _stamp(self, at: "int | str | datetime.datetime") -> int:
        if isinstance(at, datetime.datetime):
            return round(at.timestamp() * 1e9)
        if isinstance(at, str):
            import typer

            from agentd.commands.memory_search import parse_time

            try:
                stamp_ns = parse_time(at, "at", self._folder)
            except typer.BadParameter as error:
                raise UsageError(error.message) from error
            assert stamp_ns is not None
            return stamp_ns
        return int(at)

    # ------------------------------------------------------------------ what happened
    def goals(self) -> list[dict[str, Any]]:
        """Return the goals of the last snapshot, oldest first, with state, reason and story.

        Raises:
            DamagedStateError: If they cannot be read.
        """
        from agentd.export.happenings import read_goals

        return read_goals(self._home.state_folder / "life_state.json")

    def events(self) -> Rows:
        """Return the kept events, oldest first: step, stamp_ns (computer's clock), kind, text."""
        from agentd.export.happenings import read_events

        rows = read_events(self._home.log_folder / "events.jsonl", [])
        kinds = {"step": pa.int64(), "stamp_ns": pa.int64(), "kind": pa.string()}
        schema = pa.schema([*kinds.items(), ("text", pa.string())])
        return Rows(pa.Table.from_pylist(rows, schema=schema))

    def map(self) -> Map:
        """Return the occupancy map of the last snapshot.

        Raises:
            NotYetError: If none was saved yet.
            DamagedMapError: If it cannot be read.
        """
        from agentd.api.maps import read_map

        grid, origin_m, cell_m = read_map(self._home, self.body, self.config.policies.map)
        return Map(grid=grid, origin_m=origin_m, cell_m=cell_m)

    # ------------------------------------------------------------------ what was learned
    def checkpoints(self) -> list[Checkpoint]:
        """Return all checkpoints, the oldest first, pruned ones included.

        Raises:
            DamagedCheckpointError: If a manifest cannot be read.
        """
        folder = self._home.checkpoints_folder
        if not folder.is_dir():
            return []
        registry = Registry(folder)
        history, acting = registry.history(), registry.promoted()
        whole = [(m, folder / m.id) for m in registry.list()]
        pruned: list[tuple[Any, None]] = [(m, None) for m in registry.pruned()]
        found = {m.id: (m, path) for m, path in [*pruned, *whole]}
        return [
            Checkpoint(
                folder=path,
                manifest=manifest,
                decisions=tuple(item for item in history if item.id == name),
                acts=name == acting,
            )
            for name, (manifest, path) in sorted(found.items())
        ]

    def checkpoint(self, name: str | None = None) -> Checkpoint:
        """Return a checkpoint by its id; None takes the one that acts.

        Raises:
            NotYetError: If none acts yet.
            UsageError: If there is none of that id.
        """
        known = {found.id: found for found in self.checkpoints()}
        if name is None:
            acting = next((found for found in known.values() if found.acts), None)
            if acting is None:
                raise NotYetError(
                    f"no checkpoint acts in {self.home} yet; name one of: "
                    f"{', '.join(known) or 'none so far'}"
                )
            return acting
        if name not in known:
            raise UsageError(f"no checkpoint {name!r}; there are {', '.join(known) or 'none yet'}")
        return known[name]

    def plan(
        self,
        start: Observation,
        goal: Observation,
        *,
        checkpoint: str | None = None,
        seed: int = 0,
    ) -> Plan:
        """Plan from one observation to another with a checkpoint's model; see `plan_between`.

        Object rows of the two observations are left out.

        Args:
            start: Where the plan begins, as in `life.step(100).observation`.
            goal: Where it should end.
            checkpoint: Whose model; None takes the one that acts.
            seed: Draws the samples.

        Raises: as `checkpoint` and `Checkpoint.module`.
        """
        from memory.records import NUM_OBJECTS, OBJECT_FEATURES

        model = self.checkpoint(checkpoint).model()
        none = np.zeros((NUM_OBJECTS, len(OBJECT_FEATURES)), dtype=np.float32)
        z, z_goal = model.encode(start, none), model.encode(goal, none)
        return plan_between(model, self.body, self.config.policies.planner, z, z_goal, seed)
