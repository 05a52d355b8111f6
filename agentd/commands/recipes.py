"""Commands that compare ways to learn: learn recipes, compare, probe."""

import contextlib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentd.commands.options import (
    HomeOption,
    JsonOption,
    ProfileOption,
    SetOption,
    born_home,
    load_settings,
    open_home,
)
from agentd.commands.output import print_json, print_table, say
from agentd.exit_codes import ExitCode, UsageError

if TYPE_CHECKING:
    from agentd.compare.command import Runs
    from agentd.compare.tables import Cells
    from configs.schema import AgentConfig
    from learners.recipes.run_spec import Budget
    from learners.recipes.spec import Recipe

_DEFAULT_UPDATES = 300
_REFERENCE = "lewm"

RecipesOption = Annotated[
    str, typer.Option("--recipes", metavar="A,B", help="Names or .toml files, or all.")
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="FOLDER",
        help="A recorded data set instead of a life.",
        show_default=False,
    ),
]
UpdatesOption = Annotated[
    int | None,
    typer.Option(
        "--updates",
        min=1,
        metavar="N",
        show_default=False,
        help=f"Optimiser steps of each run [default: {_DEFAULT_UPDATES}].",
    ),
]
CpuOption = Annotated[
    float | None,
    typer.Option(
        "--cpu-s",
        min=0.1,
        metavar="S",
        show_default=False,
        help="CPU-seconds of each run instead of a number of steps.",
    ),
]
AgainstOption = Annotated[
    str | None,
    typer.Option(
        "--against",
        metavar="NAME",
        show_default=False,
        help=f"Recipe that the others are compared with [default: {_REFERENCE}, or the first].",
    ),
]


def recipes(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="Show the page of this one [default: list all].",
            show_default=False,
        ),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Show the recipes of world models.

    What each is, where it comes from, what it claims and how many parameters it has.
    """
    from configs.recipes import load_recipe, recipe_names, recipe_page

    if name is not None:
        page = recipe_page(name)
        recipe = load_recipe(name)
        if json_:
            print_json(recipe.model_dump(mode="json"))
        else:
            typer.echo(page, nl=False)
        return
    rows = [_described(load_recipe(known)) for known in recipe_names()]
    if json_:
        print_json({"recipes": rows})
        return
    print_table(
        ("recipe", "parameters", "what", "source", "claim"),
        [[row[key] for key in ("name", "parameters", "title", "source", "claim")] for row in rows],
    )
    for row in rows:
        if row["problem"]:
            say(f"error: {row['problem']}")


def compare(
    recipes_: RecipesOption = "all",
    data: DataOption = None,
    updates: UpdatesOption = None,
    cpu_s: CpuOption = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Runs of each recipe.")] = 3,
    against: AgainstOption = None,
    workers: Annotated[int, typer.Option("--workers", min=1, max=256, help="Runs at a time.")] = 2,
    processes: Annotated[
        int,
        typer.Option(
            "--processes", min=1, max=256, help="Processes that share each run's batches."
        ),
    ] = 1,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for results, table and plots; continued.")
    ] = Path("compare"),
    keep_models: Annotated[
        bool, typer.Option("--keep-models", help="Also keep the trained models.")
    ] = False,
    home: HomeOption = None,
    profile: ProfileOption = None,
    set_: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Train recipes on one replay and compare them.

    All get the same steps of a life (or of --data), the same budget, the same seeds and the same
    held-out windows. Each run is a file in --out: the same command goes on where it was stopped.
    """
    chosen = _chosen(recipes_)
    budget = _budget(updates, cpu_s)
    reference = _reference(chosen, against)
    if data is not None and home is not None:
        raise UsageError("--home and --data exclude each other: name one of them")
    life = open_home(home) if data is not None else born_home(home)
    config = load_settings(life, profile, set_).config
    check_processes(processes, chosen)
    # Only now: a wrong word in the command is told at once.
    from agentd.compare.command import compare as compare_runs
    from agentd.compare.command import pinned, plan
    from agentd.compare.data import of_data_set, of_life

    found = of_life(life, config) if data is None else of_data_set(data, config)
    specs = plan(
        chosen,
        pinned(found, out),
        budget,
        seeds,
        out,
        keep_models=keep_models,
        nice=config.learners.round.nice,
        num_processes=processes,
    )
    with contextlib.closing(make_runs(config, workers * processes, out)) as runs:
        try:
            summary = compare_runs(specs, runs, reference)
        except KeyboardInterrupt:
            say(f"interrupted: what is done is kept in {out}; the same command goes on from there")
            raise
    _show(summary, out, json_=json_)


def probe(
    checkpoint: Annotated[
        str | None,
        typer.Argument(
            metavar="[CHECKPOINT]",
            help="As `checkpoints list` names it [default: the one that acts].",
            show_default=False,
        ),
    ] = None,
    home: HomeOption = None,
    profile: ProfileOption = None,
    set_: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Probe a checkpoint on held-out windows.

    The gate's probes, on the life as it is now, beside what they were in the round that made it.
    """
    from agentd.commands.checkpoint_text import probe_rows
    from agentd.commands.checkpoints import acting_checkpoint

    life = born_home(home)
    config = load_settings(life, profile, set_).config
    chosen = checkpoint or acting_checkpoint(life)
    from agentd.compare.probe import probe_checkpoint

    found = probe_checkpoint(life, config, chosen)
    if json_:
        print_json(found)
        return
    typer.echo(f"{found['checkpoint']} on {found['steps']} steps of this life")
    print_table(
        ("probe", "now", "in its round", "wanted"),
        [
            [name, now, then, want]
            for (name, now, want), (_, then, _) in zip(
                probe_rows(found["now"]), probe_rows(found["then"]), strict=True
            )
        ],
    )


def check_processes(processes: int, chosen: "list[Recipe]") -> None:
    """Check that every recipe's batch can be shared, and that what shares it is installed.

    Raises:
        UsageError: If not; says what would be accepted.
    """
    if processes == 1:
        return
    for recipe in chosen:
        size = recipe.training.batch_size
        if size % processes or size < 2 * processes:
            fitting = [n for n in range(1, size // 2 + 1) if size % n == 0]
            raise UsageError(
                f"--processes {processes}: the {size} windows of a batch of {recipe.name} cannot "
                f"be shared equally; possible are {', '.join(map(str, fitting))}"
            )
    if find_spec("pandas") is None or find_spec("tensorboardX") is None:
        raise UsageError(
            "--processes needs Ray Train, which is not installed: pip install 'agentd[processes]'"
        )


def make_runs(config: "AgentConfig", workers: int, out: Path) -> "Runs":
    """Return where runs are done: a local Ray of so many processors, or the configured cluster."""
    from learners.compare_cluster import RayRuns

    ray = config.learners.ray.model_copy(update={"num_cpus": workers})
    return RayRuns(ray, out / "ray", "agentd.compare.worker")


def _chosen(text: str) -> "list[Recipe]":
    from configs.recipes import load_recipe, recipe_names

    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise UsageError("--recipes is empty: name recipes, as in lewm,sub-jepa, or say all")
    names = recipe_names() if words == ["all"] else words
    return [load_recipe(name) for name in names]


def _budget(updates: int | None, cpu_s: float | None) -> "Budget":
    from learners.recipes.run_spec import Budget

    if updates is not None and cpu_s is not None:
        raise UsageError("--updates and --cpu-s exclude each other: name one of them")
    if cpu_s is not None:
        return Budget(unit="cpu_s", amount=cpu_s)
    return Budget(amount=updates or _DEFAULT_UPDATES)


def _reference(chosen: "list[Recipe]", against: str | None) -> str:
    names = [recipe.name for recipe in chosen]
    if against is None:
        return _REFERENCE if _REFERENCE in names else names[0]
    if against not in names:
        raise UsageError(
            f"--against {against}: it has to be one of the recipes that are compared: "
            f"{', '.join(names)}"
        )
    return against


def _described(recipe: "Recipe") -> dict[str, Any]:
    from learners.errors import RecipeError
    from learners.recipes.build import build

    row: dict[str, Any] = {
        key: getattr(recipe, key) for key in ("name", "title", "source", "claim")
    }
    try:
        model = build(recipe, seed=0)
    except RecipeError as error:
        return row | {"parameters": None, "problem": str(error)}
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return row | {"parameters": parameters, "problem": None}


def _print_narrow(cells: "Cells") -> None:
    from agentd.compare.tables import narrow

    for number, part in enumerate(narrow(cells)):
        if number:
            typer.echo("")
        print_table(*part)


def _show(summary: dict[str, Any], out: Path, *, json_: bool) -> None:
    """Print the table; end with an error if there is nothing in it."""
    from agentd.compare.tables import DIFFERENCES, caption, differences, scores

    if json_:
        print_json(summary)
    else:
        typer.echo(f"{caption(summary)}; mean ± standard deviation over seeds\n")
        _print_narrow(scores(summary))
        if summary["differences"]:
            typer.echo(f"\n{DIFFERENCES}\n")
            _print_narrow(differences(summary))
    say(f"table.json, table.md and plots are in {out}")
    if not any(row["seeds"] for row in summary["rows"]):
        raise typer.Exit(ExitCode.UNEXPECTED)
