"""Commands that measure: eval goals (also plain `eval`), eval explore."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from agentd.commands.evaluate_options import (
    ArmsOption,
    BudgetOption,
    FiguresOption,
    HouseSeedsOption,
    OutOption,
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

DEFAULT_COMMAND = "goals"


class DefaultGroup(TyperGroup):
    """Commands of which one runs when none is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command in front of bare options."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = [DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=DefaultGroup, help="Measure the agent; without a command: eval goals.")


@app.command("goals")
def evaluate(
    houses: Annotated[
        int, typer.Option("--houses", min=1, max=10_000, help="Houses to play.")
    ] = 12,
    goals: Annotated[int, typer.Option("--goals", min=1, max=50, help="Goals per house.")] = 6,
    arms: ArmsOption = "floor,reset,kept",
    budget_steps: BudgetOption = 400,
    explore_steps: Annotated[
        int, typer.Option("--explore-steps", min=1, help="Steps that the arm `lived` explores.")
    ] = 600,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Draws goals and starts.")] = 0,
    house_seeds: HouseSeedsOption = None,
    workers: WorkersOption = 2,
    out: OutOption = None,
    figures: FiguresOption = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option(
            "--checkpoints",
            help="Folder of checkpoints, as eval life ships, instead of --home's.",
            show_default=False,
        ),
    ] = None,
    home: HomeOption = None,
    profile: ProfileOption = None,
    set_: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Measure how well objects are found.

    Plays goals in houses with several arms, paired, and compares success, SPL and SoftSPL.

    Arms: floor (frontiers only), reset and kept (memory emptied or kept between goals),
    kept_model (steered by the checkpoint of --home), lived (explores first); of local control fmm,
    mpc_euclid, mpc_qd and mpc_qd_novisits (always planned, along the straight line, by the
    quasi-distance, without costs of visits).
    """
    from agentd.evaluate.command import EvalRequest, run
    from agentd.evaluate.summary import report

    chosen = open_home(home)
    config = load_settings(chosen, profile, set_).config
    request = EvalRequest(
        houses=houses,
        goals=goals,
        arms=names(arms),
        budget_steps=budget_steps,
        explore_steps=explore_steps,
        seed=seed,
        workers=workers,
        checkpoints=checkpoints or (chosen.path / "checkpoints" if chosen.exists else None),
        out=out,
        house_seeds=_numbers(house_seeds),
        world=config.world.house,
        objects=config.memory.objects,
        policies=config.policies,
    )
    summary = run(request)
    show(summary, report, drawer="agentd.evaluate.figures", figures=figures, as_json=json_)


@app.command("explore")
def explore(
    houses: Annotated[
        int, typer.Option("--houses", min=1, max=10_000, help="Houses to explore.")
    ] = 12,
    steps: Annotated[int, typer.Option("--steps", min=10, help="Steps per house.")] = 1500,
    strategies: Annotated[
        str, typer.Option("--strategies", metavar="A,B", help="Strategies to compare, or all.")
    ] = "all",
    seeds: Annotated[
        str, typer.Option("--seeds", metavar="N,N", help="Starts: one per house and seed.")
    ] = "0",
    house_seeds: HouseSeedsOption = None,
    workers: WorkersOption = 2,
    out: OutOption = None,
    figures: FiguresOption = None,
    home: HomeOption = None,
    profile: ProfileOption = None,
    set_: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Measure how fast houses are explored.

    Explores houses without a goal, with several strategies from the same starts. Compares
    coverage, things seen and the time with a noisy screen in view to the nearest frontier.

    Strategies: random, uniform, nearest_frontier, count, rnd, disagreement, surprise, progress,
    information (ours).
    """
    from agentd.evaluate.explore.command import ExploreRequest, run, strategies_named
    from agentd.evaluate.explore.summary import report

    config = load_settings(open_home(home), profile, set_).config
    request = ExploreRequest(
        houses=houses,
        steps=steps,
        strategies=strategies_named(strategies),
        seeds=_numbers(seeds, "--seeds") or (0,),
        workers=workers,
        out=out,
        house_seeds=_numbers(house_seeds),
        world=config.world.house,
        policies=config.policies,
    )
    summary = run(request)
    show(summary, report, drawer="agentd.evaluate.explore.figures", figures=figures, as_json=json_)


def _numbers(text: str | None, option: str = "--house-seeds") -> tuple[int, ...] | None:
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() for word in words):
        raise typer.BadParameter(f"{option} {text}: expected whole numbers, as in 3,4,5")
    return tuple(int(word) for word in words)
