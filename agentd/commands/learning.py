"""Commands about learning and its proof: learn now, eval."""

from pathlib import Path
from typing import Annotated

import typer

from agentd.commands.options import (
    HomeOption,
    JsonOption,
    ProfileOption,
    SetOption,
    load_settings,
    open_home,
)
from agentd.commands.output import print_json, say

app = typer.Typer(no_args_is_help=True, help="Learning rounds, and ways to learn compared.")


@app.command()
def now(home: HomeOption = None) -> None:
    """Ask for a learning round as soon as none is running."""
    from agentd.client import Client

    chosen = open_home(home)
    with Client(chosen.path) as client:
        answer = client.call("learn.now")
    when = "after the round that is running" if answer.get("in_flight") else "at once"
    say(f"a learning round starts {when}; watch it with: {chosen.command('status')}")


def evaluate(
    houses: Annotated[
        int, typer.Option("--houses", min=1, max=10_000, help="Houses to play.")
    ] = 12,
    goals: Annotated[int, typer.Option("--goals", min=1, max=50, help="Goals per house.")] = 6,
    arms: Annotated[
        str, typer.Option("--arms", metavar="A,B", help="Arms to compare.")
    ] = "floor,reset,kept",
    budget_steps: Annotated[
        int, typer.Option("--budget-steps", min=1, help="Steps per goal.")
    ] = 400,
    explore_steps: Annotated[
        int, typer.Option("--explore-steps", min=1, help="Steps that the arm `lived` explores.")
    ] = 600,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Draws goals and starts.")] = 0,
    house_seeds: Annotated[
        str | None,
        typer.Option(
            "--house-seeds",
            metavar="N,N",
            help="Play these houses instead of held-out ones.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, max=256, help="Processes.")] = 2,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the results; continued.", show_default=False),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option("--figures", help="Folder for the plots (PNG).", show_default=False),
    ] = None,
    home: HomeOption = None,
    profile: ProfileOption = None,
    set_: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Measure how well objects are found.

    Plays goals in houses with several arms, paired, and compares success, SPL and SoftSPL.

    Arms: floor (frontiers only), reset and kept (memory emptied or kept between goals),
    kept_model (steered by the checkpoint of --home), lived (explores first).
    """
    from agentd.evaluate.command import EvalRequest, run
    from agentd.evaluate.summary import report

    chosen = open_home(home)
    config = load_settings(chosen, profile, set_).config
    request = EvalRequest(
        houses=houses,
        goals=goals,
        arms=tuple(name.strip() for name in arms.split(",") if name.strip()),
        budget_steps=budget_steps,
        explore_steps=explore_steps,
        seed=seed,
        workers=workers,
        checkpoint_home=chosen.path if chosen.exists else None,
        out=out,
        house_seeds=_numbers(house_seeds),
        world=config.world.house,
        objects=config.memory.objects,
        policies=config.policies,
    )
    summary = run(request)
    if figures is not None:
        from agentd.evaluate.figures import draw

        say(f"drew {', '.join(str(path) for path in draw(summary, figures))}")
    if json_:
        print_json(summary)
        return
    from rich.console import Console

    Console().print(report(summary))


def _numbers(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() for word in words):
        raise typer.BadParameter(f"--house-seeds {text}: expected whole numbers, as in 3,4,5")
    return tuple(int(word) for word in words)
