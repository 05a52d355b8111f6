"""The command `eval life`."""

from pathlib import Path
from typing import Annotated

import typer

from agentd.commands.evaluate_options import (
    ArmsOption,
    BudgetOption,
    FiguresOption,
    WorkersOption,
    names,
    show,
)
from agentd.commands.options import (
    HomeOption,
    JsonOption,
    ProfileOption,
    SetOption,
    load_settings,
    open_home,
)

LifeOutOption = Annotated[
    Path, typer.Option("--out", help="Folder for results and shipped models; continued.")
]
ScenarioOption = Annotated[
    str, typer.Option("--scenario", metavar="NAME", help="abca, tiny, or a .toml file.")
]
LivesOption = Annotated[int, typer.Option("--lives", min=1, help="Lives to live.")]
SeedsOption = Annotated[
    int, typer.Option("--learner-seeds", min=1, help="Shipped models, taken in turns.")
]
UpdatesOption = Annotated[
    int, typer.Option("--updates", min=1, help="Updates of a learning round.")
]
EveryOption = Annotated[int, typer.Option("--learn-every", min=1, help="Steps between two rounds.")]
ShipRoundsOption = Annotated[
    int, typer.Option("--ship-rounds", min=1, help="Rounds that make a shipped model.")
]
ShipGoalsOption = Annotated[
    int, typer.Option("--ship-goals", min=1, max=50, help="Goals in each of its homes.")
]
DrawOption = Annotated[int, typer.Option("--seed", min=0, help="Draws goals and changes.")]
SoFarOption = Annotated[
    bool, typer.Option("--so-far", help="Live nothing; compare what all arms have lived.")
]
DetectorOption = Annotated[
    str, typer.Option("--detector", help="instances (perfect masks) or noisy.")
]


def evaluate_life(
    out: LifeOutOption = Path("eval-life"),
    scenario: ScenarioOption = "abca",
    lives: LivesOption = 30,
    arms: ArmsOption = "floor,memory,frozen,learning,ungated",
    learner_seeds: SeedsOption = 3,
    updates: UpdatesOption = 30,
    learn_every: EveryOption = 700,
    budget_steps: BudgetOption = 400,
    ship_rounds: ShipRoundsOption = 4,
    ship_goals: ShipGoalsOption = 16,
    seed: DrawOption = 0,
    workers: WorkersOption = 2,
    detector: DetectorOption = "noisy",
    so_far: SoFarOption = False,
    figures: FiguresOption = None,
    home: HomeOption = None,
    profile: ProfileOption = None,
    set_: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Measure whole lives in homes that change.

    Several homes, one that has changed, then a body that drifts. Lives are resumed from --out.
    Arms: floor (nearest frontier, perfect masks, no memory), memory, adapting (memory, and the
    motion model learns), frozen (memory and the shipped model), learning (as frozen, and learns
    through the gate), ungated.
    """
    from agentd.evaluate.life.command import LifeRequest, run
    from agentd.evaluate.life.tables import report

    settings = [
        f"policies.perception.detector={detector}",
        *(set_ or []),
    ]  # --set has the last word
    config = load_settings(open_home(home), profile, settings).config
    request = LifeRequest(
        scenario=scenario,
        lives=lives,
        arms=names(arms),
        learner_seeds=learner_seeds,
        budget_steps=budget_steps,
        learn_every=learn_every,
        updates=updates,
        ship_rounds=ship_rounds,
        ship_goals=ship_goals,
        seed=seed,
        workers=workers,
        so_far=so_far,
        out=out,
        world=config.world.house,
        objects=config.memory.objects,
        policies=config.policies,
        learners=config.learners,
    )
    summary = run(request)
    show(summary, report, drawer="agentd.evaluate.life.figures", figures=figures, as_json=json_)
