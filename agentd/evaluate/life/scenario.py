"""Scenario files: which homes a life sees, in which order, and what changes there."""

import tomllib
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from agentd.exit_codes import UsageError
from configs.worlds import ScenarioEvent


class Phase(BaseModel):
    """A stretch of life in one home."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    home: int = Field(ge=0, le=9)
    """Which of the life's homes, from 0."""
    list: str = Field(min_length=1)
    """Name of the list of goals. It is drawn when its first phase begins, from what is there then;
    a later phase of the same home with that name plays the same goals from the same starts."""
    goals: int = Field(ge=1, le=50)
    repeats: int = Field(1, ge=1, le=20)
    """How often the list is played."""
    after_h: float = Field(0.0, ge=0)
    """Hours that pass before it begins, in which nothing is seen."""
    share_changed: float = Field(0.0, ge=0, le=1)
    """Share of the objects that are moved or removed before it begins."""
    share_removed: float = Field(0.3, ge=0, le=1)
    """Share of those that are removed."""
    doors_closed: int = Field(0, ge=0)
    lamps_dimmed: int = Field(0, ge=0)
    events: tuple[ScenarioEvent, ...] = ()
    """What happens when it begins, as in `world.house.scenario`; `at_step` is 0."""

    @property
    def changes_place(self) -> bool:
        """Whether things stand elsewhere than before."""
        return self.share_changed > 0 or self.doors_closed > 0

    @property
    def changes_body(self) -> bool:
        """Whether the body or its sensors behave differently than before."""
        return bool(self.events)

    @model_validator(mode="after")
    def _happens_at_once(self) -> Self:
        late = [event.action for event in self.events if event.at_step]
        if late:
            raise ValueError(
                f"events of a phase happen when it begins: at_step of {late} must be 0"
            )
        if any(event.action == "add_object" for event in self.events):
            raise ValueError("add_object cannot be an event of a phase: a house is built before")
        return self


class LifeScenario(BaseModel):
    """A life: phases in their order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    about: str
    phases: tuple[Phase, ...] = Field(min_length=1)

    @property
    def num_homes(self) -> int:
        """Homes of one life."""
        return 1 + max(phase.home for phase in self.phases)

    @property
    def num_goals(self) -> int:
        """Goals of one life."""
        return sum(phase.goals * phase.repeats for phase in self.phases)

    @model_validator(mode="after")
    def _lists_agree(self) -> Self:
        names = [phase.name for phase in self.phases]
        if len(set(names)) < len(names):
            raise ValueError(f"two phases have one name: {', '.join(names)}")
        first: dict[str, Phase] = {}
        for phase in self.phases:
            known = first.setdefault(phase.list, phase)
            if (known.home, known.goals) != (phase.home, phase.goals):
                raise ValueError(
                    f"phases {known.name!r} and {phase.name!r} share the list {phase.list!r}, so "
                    "home and goals must be the same"
                )
        return self

    @model_validator(mode="after")
    def _lists_fit_the_place(self) -> Self:
        changes: Counter[int] = Counter()
        drawn: dict[str, int] = {}
        for phase in self.phases:
            changes[phase.home] += phase.changes_place
            if drawn.setdefault(phase.list, changes[phase.home]) != changes[phase.home]:
                raise ValueError(
                    f"phase {phase.name!r} plays the list {phase.list!r}, which was drawn before "
                    "its home changed: what it asks for may be gone, and its ways are others now; "
                    "name a list of its own"
                )
        return self


def scenario_names() -> list[str]:
    """Return the names of the scenarios that are shipped."""
    folder = resources.files("configs") / "scenarios"
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith("toml"))


def load_scenario(name: str) -> LifeScenario:
    """Return a shipped scenario by its name, or the one in a file whose name ends in `.toml`.

    Raises:
        UsageError: If there is none, or the file is not a scenario; names file and key.
    """
    if name.endswith(".toml"):
        path = Path(name)
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"the scenario {path} cannot be read: {error}") from error
    elif name in scenario_names():
        text = (resources.files("configs") / "scenarios" / f"{name}.toml").read_text("utf-8")
    else:
        raise UsageError(
            f"there is no scenario {name!r}; there are {', '.join(scenario_names())}, "
            "or give a file that ends in .toml"
        )
    try:
        return LifeScenario.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the scenario {name} is not valid TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UsageError(f"the scenario {name}: {where}: {first['msg']}") from error
