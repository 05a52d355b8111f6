"""The command that plays the episodes of a benchmark: eval objectnav."""

from pathlib import Path
from typing import Annotated

import typer

from agentd.commands.evaluate_options import BudgetOption, OutOption, names, show
from agentd.commands.options import (
    HomeOption,
    JsonOption,
    ProfileOption,
    SetOption,
    load_settings,
    open_home,
)
from agentd.exit_codes import UsageError


def evaluate_objectnav(
    episodes: Annotated[
        Path | None,
        typer.Option(
            "--episodes",
            metavar="PATH",
            help="Split or scene file (.json.gz) [default: world.habitat.episodes].",
            show_default=False,
        ),
    ] = None,
    scenes: Annotated[
        str, typer.Option("--scenes", metavar="A,B", help="Only these scenes, by short name.")
    ] = "",
    per_scene: Annotated[
        int | None,
        typer.Option("--per-scene", min=1, help="Episodes of each scene.", show_default=False),
    ] = None,
    budget_steps: BudgetOption = 500,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The agent's own draws.")] = 0,
    workers: Annotated[
        int, typer.Option("--workers", min=1, max=256, help="Processes, a simulator each.")
    ] = 1,
    out: OutOption = None,
    home: HomeOption = None,
    profile: ProfileOption = None,
    set_: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Play ObjectNav episodes in Habitat.

    Prints success, SPL, SoftSPL and DistanceToGoal by habitat-lab's definitions. Each episode is
    played by a new agent. Unless set, the body is the task's: discrete steps, no sliding.
    """
    from agentd.evaluate.objectnav.command import (
        ObjectNavRequest,
        run,
        task_body,
        task_policies,
    )
    from agentd.evaluate.objectnav.summary import report

    loaded = load_settings(open_home(home), profile, set_)
    config = loaded.config
    if episodes is None and not config.world.habitat.episodes:
        raise UsageError("no episodes: give --episodes PATH, or set world.habitat.episodes")
    prefix = "world.habitat."
    is_set = {
        key.removeprefix(prefix)
        for key, origin in loaded.origins.items()
        if key.startswith(prefix) and origin != "default"
    }
    request = ObjectNavRequest(
        episodes=(episodes or Path(config.world.habitat.episodes)).expanduser(),
        scenes=names(scenes),
        per_scene=per_scene,
        budget_steps=budget_steps,
        seed=seed,
        workers=workers,
        out=out,
        world=task_body(config.world.habitat, is_set),
        objects=config.memory.objects,
        policies=task_policies(config.policies, loaded.origins["policies.map.size_m"] != "default"),
    )
    show(run(request), report, as_json=json_)
