"""Results on disk: one JSON line per finished result, so that a run can be resumed."""

import json
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentd.exit_codes import UsageError

FORMAT = 1

R = TypeVar("R", bound=BaseModel)

Failure = Literal["", "never_seen", "not_reached", "stop_too_far", "gave_up", "budget"]


class GoalRow(BaseModel):
    """What became of one goal."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    index: int = Field(ge=0)
    """Number of the goal in its house, from 0."""
    label: str
    success: bool
    spl: float
    soft_spl: float
    shortest_m: float
    """True geodesic from the start to the goal."""
    path_m: float
    """Length of the true path."""
    final_m: float | None
    """True geodesic left at the end; None where the body stood off the reachable cells."""
    steps: int
    done: bool
    """Whether the agent declared the goal reached."""
    reason: str
    """The agent's last reason."""
    failure: Failure
    """See `agentd.evaluate.runner.failure_of`."""
    known: bool
    """Whether a trusted slot of the category was in memory at the start."""
    first_seen_step: int | None
    """Step at which the category was first in view."""
    modes: dict[str, int]
    """Steps per mode."""
    bumps: int
    interventions: int
    """Commands that safety changed."""
    act_ms: float
    """Mean CPU time of one tick without the world."""


class HouseResult(BaseModel):
    """All goals of one house, played by one arm."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    house: int
    arm: str
    goals: tuple[GoalRow, ...]
    coverage: float | None
    """Share of the reachable area in the agent's map at the end; None if the arm wipes its map."""
    seconds: float
    """Wall time of the whole house."""


class ResultFile(Generic[R]):
    """JSON lines: a header with the settings, then one line per finished result.

    A last line that was cut by a crash is dropped; what it told of is then played again.

    Args:
        path: The file; begun if it is not there.
        settings: What must be the same for results to stand in one table.
        kind: What a line holds.
    """

    def __init__(self, path: Path, settings: dict[str, Any], kind: type[R]) -> None:
        self._path, self._kind = path, kind
        self._header = {"format": FORMAT, "settings": json.loads(json.dumps(settings))}
        self.results = self._load() if path.exists() else []
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(self._header) + "\n", encoding="utf-8")

    def append(self, result: R) -> None:
        """Add a finished result to the file and to `results`."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(result.model_dump_json() + "\n")
        self.results.append(result)

    def _load(self) -> list[R]:
        whole, cut = self._split()
        if not whole:
            raise UsageError(
                f"{self._path} holds no results of an evaluation; choose another --out"
            )
        self._check_header(whole[0])
        results = []
        for number, line in enumerate(whole[1:], start=2):
            try:
                results.append(self._kind.model_validate_json(line))
            except ValidationError as error:
                raise UsageError(
                    f"line {number} of {self._path} is damaged "
                    f"({error.errors()[0]['msg']}); delete that line or choose another --out"
                ) from error
        if cut:
            self._path.write_text("".join(f"{line}\n" for line in whole), encoding="utf-8")
        return results

    def _split(self) -> tuple[list[str], str]:
        """Return the whole lines and what follows the last line break."""
        *whole, cut = self._path.read_text(encoding="utf-8").split("\n")
        return whole, cut

    def _check_header(self, line: str) -> None:
        try:
            header = json.loads(line)
            found = header["settings"]
            written = int(header["format"])
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{self._path} does not start with the settings of an evaluation; "
                "choose another --out"
            ) from error
        if written != FORMAT:
            raise UsageError(
                f"{self._path} has format {written}, this program writes {FORMAT}; "
                "choose another --out"
            )
        wanted = self._header["settings"]
        for name in sorted({*wanted, *found}):
            if wanted.get(name) != found.get(name):
                raise UsageError(
                    f"{self._path} was played with {name} = {found.get(name)}, not "
                    f"{wanted.get(name)}; ask for the same or choose another --out"
                )
