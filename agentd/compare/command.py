"""What `agentd learn compare` does: train every recipe with every seed, and put one table together.

Standard output stays free: progress goes to standard error, the result is returned.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from agentd.compare.figures import draw
from agentd.compare.summary import summarise
from agentd.compare.tables import to_markdown
from agentd.exit_codes import UsageError
from learners.recipes.run_spec import (
    FORMAT,
    Budget,
    DataSpec,
    RunResult,
    RunSpec,
    keeps_model,
    read_result,
)
from learners.recipes.spec import Recipe
from memory.files import write_atomic

_DATA_FILE = "data.json"


class Runs(Protocol):
    """Where runs are done; `learners.compare_cluster.RayRuns`."""

    def results(self, specs: Sequence[RunSpec]) -> Iterable[RunResult | None]:
        """Yield results as runs end, and None now and then."""
        ...

    def close(self) -> None:
        """Give up what still runs."""
        ...


def pinned(data: DataSpec, out: Path) -> DataSpec:
    """Return the data, at the version that was compared on in this folder before, if any.

    A life goes on between two calls; without this nothing could be resumed on it.

    Raises:
        UsageError: If the folder holds a comparison on other data.
    """
    file = out / _DATA_FILE
    if not file.exists():
        return data
    try:
        found = DataSpec.model_validate_json(file.read_text("utf-8"))
    except (OSError, ValidationError) as error:
        raise UsageError(
            f"{file} cannot be read ({str(error).splitlines()[0]}); choose another --out"
        ) from error
    for name in DataSpec.model_fields:
        if name not in ("version", "replay", "world") and getattr(found, name) != getattr(
            data, name
        ):
            raise UsageError(
                f"{out} holds a comparison with {name} = {getattr(found, name)}, not "
                f"{getattr(data, name)}; choose another --out"
            )
    if found.version > data.version:
        raise UsageError(
            f"{out} holds a comparison on {found.version} steps of {data.memory_folder}, which "
            f"has {data.version} now; choose another --out"
        )
    return found.model_copy(update={"world": data.world})


def plan(
    recipes: Sequence[Recipe],
    data: DataSpec,
    budget: Budget,
    num_seeds: int,
    out: Path,
    *,
    keep_models: bool = False,
    nice: int = 10,
    num_processes: int = 1,
) -> list[RunSpec]:
    """Return all runs, seed by seed: cut short, a comparison has all recipes with fewer seeds.

    Raises:
        UsageError: If two recipes have one name.
    """
    names = [recipe.name for recipe in recipes]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(
            f"--recipes names {twice[0]!r} twice; the name inside of a recipe's file counts"
        )
    return [
        RunSpec(
            recipe=recipe,
            seed=seed,
            budget=budget,
            data=data,
            out=out.absolute(),
            keep_model=keep_models,
            nice=nice,
            num_processes=num_processes,
        )
        for seed in range(num_seeds)
        for recipe in recipes
    ]


def compare(specs: Sequence[RunSpec], runs: Runs, against: str) -> dict[str, Any]:
    """Do what is not done yet; write table and plots into the runs' folder and return the table.

    Args:
        specs: As `plan` returns them.
        runs: Does them.
        against: Recipe that all others are compared with.

    Returns:
        Numbers only a JSON file can hold; `agentd.compare.tables` shows them.

    Raises:
        UsageError: If finished runs were probed on other windows: rows went since.
    """
    out, data = specs[0].out, specs[0].data
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / _DATA_FILE, data.model_dump_json(indent=1).encode() + b"\n")
    finished = {result.name: result for spec in specs if (result := _done(spec)) is not None}
    left = [spec for spec in specs if spec.name not in finished]
    again = _to_measure_again(specs, finished)
    for result in _watched(runs, [*left, *again], len(finished) - len(again)):
        # What cannot be measured again keeps what it had.
        if result.failure is None or result.name not in finished:
            finished[result.name] = result
    results = list(finished.values())
    _check_probes(results, out)
    order = {spec.name: place for place, spec in enumerate(specs)}
    results.sort(key=lambda result: order[result.name])
    titles = {spec.recipe.name: spec.recipe.title for spec in specs}
    summary: dict[str, Any] = {
        "format": FORMAT,
        "budget": specs[0].budget.model_dump(),
        "seeds": sorted({spec.seed for spec in specs}),
        "steps": data.version,
        "probe_windows": data.num_windows,
        "body": data.body["name"],
    }
    summary |= summarise(results, titles, against)
    text = json.dumps(summary, indent=1, allow_nan=False)
    write_atomic(out / "table.json", text.encode() + b"\n")
    write_atomic(out / "table.md", to_markdown(summary).encode())
    draw(summary, out)
    return summary


def _done(spec: RunSpec) -> RunResult | None:
    """Return the result of a run that was finished, None if it is still to be done."""
    return None if spec.keep_model and not keeps_model(spec) else read_result(spec)


def _to_measure_again(specs: Sequence[RunSpec], finished: Mapping[str, RunResult]) -> list[RunSpec]:
    """Return finished runs that lack a metric of this program and kept their model; tell of all."""
    # Only here: it brings torch along.
    from learners.recipes.measure import METRICS

    missing = {name: METRICS.keys() - result.metrics.keys() for name, result in finished.items()}
    old = [spec for spec in specs if missing.get(spec.name)]
    again = [spec for spec in old if keeps_model(spec)]
    if old:
        names = [m for m in METRICS if any(m in missing[spec.name] for spec in old)]
        told = f"{len(old)} finished runs lack {', '.join(names)}, which this program measures"
        if again:
            told += f"; {len(again)} of them kept their models, which are measured again"
        if len(again) < len(old):
            told += (
                f"; {len(old) - len(again)} kept none: their columns stay empty "
                "(--keep-models trains them again)"
            )
        Console(stderr=True).print(told, markup=False, soft_wrap=True)
    return again


def _check_probes(results: Sequence[RunResult], out: Path) -> None:
    found = {result.probes_sha256 for result in results if result.failure is None}
    if len(found) > 1:
        raise UsageError(
            f"the runs in {out} were probed on different windows: retention dropped steps between "
            "them; choose another --out"
        )


def _watched(runs: Runs, specs: Sequence[RunSpec], num_done: int) -> Iterator[RunResult]:
    """Yield results as they come, with a bar for all and one for each that is on its way."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        total = num_done + len(specs)
        everything = progress.add_task(
            "recipes x seeds", total=total, completed=num_done, told=f"{num_done}/{total}"
        )
        bars: dict[str, TaskID] = {}
        for result in runs.results(specs):
            if result is not None:
                num_done += 1
                progress.update(everything, completed=num_done, told=f"{num_done}/{total}")
                if result.failure is not None:
                    progress.console.print(f"{result.name}: {result.failure}", markup=False)
                yield result
            _show(progress, bars, specs)


def _show(progress: Progress, bars: dict[str, TaskID], specs: Sequence[RunSpec]) -> None:
    """Give each run that is on its way a bar."""
    for spec in specs:
        told = _updates(spec)
        if told is None:
            if spec.name in bars:
                progress.remove_task(bars.pop(spec.name))
            continue
        if spec.name not in bars:
            bars[spec.name] = progress.add_task(f"  {spec.recipe.name}, seed {spec.seed}", told="")
        done, planned = told
        progress.update(
            bars[spec.name], completed=done, total=planned, told=f"{done}/{planned} updates"
        )


def _updates(spec: RunSpec) -> tuple[int, int] | None:
    try:
        done, planned = spec.progress_file.read_text("ascii").split()
        return int(done), int(planned)
    except (OSError, ValueError):
        return None  # not begun, over, or just being written
