"""Commands about learned models: checkpoints list, show, rollback, verify. They read files."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentd.commands.options import HomeOption, JsonOption, born_home, load_settings
from agentd.commands.output import ago, print_json, print_table, say
from agentd.exit_codes import ExitCode, NotFoundError

if TYPE_CHECKING:
    from agentd.home import Home
    from learners.registry import Registry

app = typer.Typer(no_args_is_help=True, help="Learned models: look, verify, go back.")

_PRUNED = "pruned"

IdArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[ID]",
        help="Checkpoint, as `checkpoints list` names it [default: the one that acts].",
        show_default=False,
    ),
]


def checkpoint_ids(folder: Path) -> list[str]:
    """Return the checkpoints whose weights are on disk, oldest first; damaged ones too."""
    if not folder.is_dir():
        return []
    names = (entry.name for entry in folder.iterdir() if entry.is_dir())
    return sorted(name for name in names if not name.startswith(".") and name != _PRUNED)


def _pruned_ids(folder: Path) -> list[str]:
    """Return the checkpoints of which only the manifest was kept."""
    return [path.stem for path in (folder / _PRUNED).glob("*.json")]


@app.command("list")
def list_(home: HomeOption = None, json_: JsonOption = False) -> None:
    """Show all checkpoints and which one acts."""
    from learners.errors import CheckpointError

    folder = born_home(home).checkpoints_folder
    pruned = set(_pruned_ids(folder))
    rows: list[dict[str, Any]] = []
    promoted = None
    if folder.is_dir():
        registry = _registry(folder)
        promoted = registry.promoted()
        for checkpoint_id in sorted({*checkpoint_ids(folder), *pruned}):
            try:
                row = _row(registry, checkpoint_id, promoted)
                rows.append(row | {"has_weights": checkpoint_id not in pruned})
            except CheckpointError as error:
                rows.append({"id": checkpoint_id, "damaged": str(error)})
    if json_:
        print_json({"promoted": promoted, "checkpoints": rows})
    else:
        _print_rows([row for row in rows if "damaged" not in row])
        if not rows:
            say("no checkpoints yet: the first appears after the first learning round")
    damaged = [row for row in rows if "damaged" in row]
    for row in damaged:
        say(f"error: {row['damaged']}")
    if damaged:
        raise typer.Exit(ExitCode.DAMAGED)


@app.command()
def show(
    checkpoint_id: IdArgument = None,
    truth: Annotated[
        bool,
        typer.Option("--truth", help="Also rank its quasi-distance against the true geodesic."),
    ] = False,
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Show how good a checkpoint is, and why.

    Its origin, its probes, its losses, and why the gate took or refused it: what sanity (T0) and
    probes (T1) said, and what became of it in life as shadow (T2), canary (T3) and promoted (T4).
    With --truth, in a simulated world, also how its quasi-distance ranks near places, next to the
    straight line.
    """
    from agentd.commands.checkpoint_text import print_checkpoint

    chosen = born_home(home)
    registry = _registry(chosen.checkpoints_folder)
    manifest = registry.manifest(checkpoint_id or _acting(registry))
    data = manifest.model_dump(mode="json")
    data["promoted"] = manifest.id == registry.promoted()
    data["anchor"] = manifest.id == registry.anchor()
    data["decisions"] = [
        row.model_dump(mode="json") for row in registry.history() if row.id == manifest.id
    ]
    data["freshness_s"] = freshness_s(learning_rounds(chosen), manifest.id)
    if truth:
        from dataclasses import asdict

        from agentd.evaluate.model import score_home

        config = load_settings(chosen, None, None).config
        data["truth"] = asdict(score_home(chosen, config, manifest.id))
    if json_:
        print_json(data)
    else:
        print_checkpoint(data)


@app.command()
def rollback(home: HomeOption = None) -> None:
    """Go back to the model that acted before.

    Works on a running life and on a stopped one; prints the id of the checkpoint that acts now.
    """
    from agentd.client import Client

    chosen = born_home(home)
    with Client(chosen.path) as client:
        if client.is_running():
            acting = str(client.call("checkpoint.rollback")["checkpoint"])
        else:
            with chosen.locked():
                acting = _registry(chosen.checkpoints_folder).rollback()
    typer.echo(acting)
    say(f"{acting} acts from the next episode on")


@app.command()
def verify(
    checkpoint_id: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="Only this one [default: all].", show_default=False),
    ] = None,
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Compare files with their recorded hashes."""
    from learners.errors import DamagedCheckpointError, NewerCheckpointError

    folder = born_home(home).checkpoints_folder
    ids = checkpoint_ids(folder) if checkpoint_id is None else [checkpoint_id]
    rows = []
    for name in ids:
        try:
            _registry(folder).verify(name)
            rows.append({"id": name, "ok": True, "problem": None})
        except (DamagedCheckpointError, NewerCheckpointError) as error:
            rows.append({"id": name, "ok": False, "problem": str(error)})
    if json_:
        print_json({"checkpoints": rows})
    else:
        print_table(("checkpoint", "ok"), [[row["id"], row["ok"]] for row in rows])
    for row in rows:
        if not row["ok"]:
            say(f"error: {row['problem']}")
    if not all(row["ok"] for row in rows):
        raise typer.Exit(ExitCode.DAMAGED)


def learning_rounds(home: "Home") -> list[dict[str, Any]]:
    """Return the life's own account of its rounds: from the running life, else as it was saved."""
    from agentd.client import Client, NotRunningError

    with Client(home.path) as client:
        try:
            return list(client.call("status")["learning"]["rounds"])
        except NotRunningError:
            path = home.state_folder / "life_state.json"
    try:
        return list(json.loads(path.read_text("utf-8"))["rounds"])
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        say(f"{path} cannot be read ({error}): how fresh the checkpoint was is unknown")
        return []


def freshness_s(rounds: list[dict[str, Any]], checkpoint_id: str) -> float | None:
    """Return the age of the oldest new observation when the checkpoint began to act.

    Measured by the life's clock: the stamps of a simulated world run at another pace.
    """
    found = (row.get("freshness_s") for row in rounds if row["checkpoint"] == checkpoint_id)
    return next(found, None)


def acting_checkpoint(home: "Home") -> str:
    """Return the checkpoint that acts in a life; refuse one where none does yet."""
    return _acting(_registry(home.checkpoints_folder))


def _registry(folder: Path) -> "Registry":
    from learners.registry import Registry

    if not folder.is_dir():
        raise NotFoundError(f"{folder} does not exist: this life has no checkpoints yet")
    return Registry(folder)


def _acting(registry: "Registry") -> str:
    acting = registry.promoted()
    if acting is None:
        raise NotFoundError(
            "no checkpoint acts yet; `agentd checkpoints list` shows those that were refused"
        )
    return acting


def _row(registry: "Registry", checkpoint_id: str, promoted: str | None) -> dict[str, Any]:
    manifest = registry.manifest(checkpoint_id)
    errors = manifest.metrics.get("k_step_error", {})
    return {
        "id": manifest.id,
        "parent_id": manifest.parent_id,
        "created_ns": manifest.created_ns,
        "promoted": manifest.id == promoted,
        "accepted": manifest.verdict.accepted,
        "trusted": manifest.trusted,
        "reasons": list(manifest.verdict.reasons),
        "num_updates": manifest.num_updates,
        "rows": list(manifest.rows),
        "k_step_error": errors,
        "effective_rank": manifest.metrics.get("effective_rank"),
    }


def _print_rows(rows: list[dict[str, Any]]) -> None:
    kept = ("checkpoint", "made", "acts", "accepted", "weights", "updates")
    headers = (*kept, "k=1", "k=4", "k=8", "why")
    print_table(
        headers,
        [
            [
                row["id"],
                ago(row["created_ns"]),
                row["promoted"],
                row["accepted"],
                row["has_weights"],
                row["num_updates"],
                *(row["k_step_error"].get(k) for k in ("1", "4", "8")),
                "; ".join(row["reasons"]),
            ]
            for row in rows
        ],
    )
