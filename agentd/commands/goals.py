"""Commands about goals: goal add, list, explain, cancel."""

import base64
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentd.commands.options import HomeOption, JsonOption, born_home, open_home
from agentd.commands.output import print_json, print_table, say
from agentd.exit_codes import AgentdError, ExitCode, NotFoundError, UsageError

if TYPE_CHECKING:
    from agentd.client import Client
    from agentd.home import Home

app = typer.Typer(no_args_is_help=True, help="Ask a running life to find or reach something.")

_ENDED = ("reached", "failed", "cancelled")
_TOLD_KINDS = ("goal", "mode")
_POLL_S = 0.25
_UNIT_S = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


class DamagedStateError(AgentdError):
    """What a life saved about its goals cannot be read."""

    exit_code = ExitCode.DAMAGED


@app.command()
def add(
    label: Annotated[
        str | None,
        typer.Argument(help="What to find, in your own words, as in chair.", show_default=False),
    ] = None,
    xy: Annotated[
        tuple[float, float] | None,
        typer.Option("--xy", metavar="X Y", help="Go to a point [m].", show_default=False),
    ] = None,
    image: Annotated[
        Path | None,
        typer.Option("--image", metavar="FILE", help="Go to where it was taken (PNG, JPEG)."),
    ] = None,
    explore: Annotated[
        bool, typer.Option("--explore", help="Explore until nothing is left.")
    ] = False,
    patrol: Annotated[
        bool, typer.Option("--patrol", help="Look at every place again, the oldest look first.")
    ] = False,
    rounds: Annotated[
        int | None,
        typer.Option("--rounds", min=0, help="Rounds of a patrol [default: 1; 0: no end]."),
    ] = None,
    priority: Annotated[
        int, typer.Option("--priority", help="Higher goes first and interrupts lower.")
    ] = 0,
    deadline: Annotated[
        str | None,
        typer.Option("--deadline", metavar="TIME", help="Give up after, as in 90s, 5m, 2h."),
    ] = None,
    deadline_steps: Annotated[
        int | None,
        typer.Option("--deadline-steps", min=1, help="Give up after.", show_default=False),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow it to its end and tell where it goes and why.")
    ] = False,
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Ask for an object, a place, an image, or a round.

    Prints the goal's id. With --wait, ends when the goal does, with exit code 8 if it was missed.
    """
    from agentd.client import Client

    args = _target(label, xy, image, explore=explore, patrol=patrol)
    if rounds is not None and not patrol:
        raise UsageError("--rounds is of a patrol: add --patrol")
    extra = {
        "rounds": rounds,
        "priority": priority or None,
        "deadline_s": None if deadline is None else seconds_of(deadline),
        "deadline_steps": deadline_steps,
    }
    args |= {key: value for key, value in extra.items() if value is not None}
    with Client(open_home(home).path) as client:
        since = int(client.call("events", since=1 << 53)["next"]) if wait else 0
        answer = client.call("goal.add", **args)
        goal_id = str(answer["goal_id"])
        if not wait:
            print_json(answer) if json_ else typer.echo(goal_id)
            if answer.get("note"):
                say(f"{goal_id}: {answer['note']}")
            return
        goal, why = follow_goal(client, goal_id, since, pause_s=_POLL_S)
    if json_:
        print_json({"goal": goal, "why": why})
    else:
        typer.echo(f"{goal_id} {goal['state']} after {goal['steps']} steps: {goal['reason']}")
    if goal["state"] != "reached":
        raise typer.Exit(ExitCode.GOAL_MISSED)


def _target(
    label: str | None,
    xy: tuple[float, float] | None,
    image: Path | None,
    *,
    explore: bool,
    patrol: bool,
) -> dict[str, Any]:
    """Return the one target that was asked for, as the life takes it."""
    given = [label is not None, xy is not None, image is not None, explore, patrol]
    if sum(given) != 1:
        raise UsageError(
            "name what to find, or give --xy X Y, --image FILE, --explore or --patrol: "
            "exactly one of them"
        )
    if xy is not None:
        return {"x": xy[0], "y": xy[1]}
    if image is not None:
        from agentd.goal_images import BadImageError, read_image

        try:
            return {"image": base64.b64encode(read_image(image)).decode()}
        except BadImageError as error:
            raise UsageError(f"--image {image}: {error}") from error
    if explore:
        return {"explore": True}
    return {"patrol": True} if patrol else {"label": label}


def seconds_of(text: str) -> float:
    """Return the seconds of a duration such as "90", "90s", "5m" or "2h".

    Raises:
        UsageError: If it is none, or not above 0.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|)", text.strip().lower())
    seconds = 0.0 if match is None else float(match[1]) * _UNIT_S[match[2]]
    if seconds <= 0:
        raise UsageError(f"--deadline {text!r} is no time; accepted are 90s, 5m, 2h")
    return seconds


@app.command()
def explain(
    goal_id: Annotated[str, typer.Argument(help="Id of the goal, as in g3.")],
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Tell why it went where it went.

    Asks the running life; of one that is stopped, its last snapshot.
    """
    from agentd.client import Client, NotRunningError
    from agentd.explain import explain as explained
    from agentd.room_names import RoomNames

    life = born_home(home)
    try:
        with Client(life.path) as client:
            told = client.call("goal.explain", goal_id=goal_id)["goal"]
    except NotRunningError:
        told = _saved_goal(life, goal_id)
    names = RoomNames.of_memory(life.memory_folder)
    found = explained(told, names.place)
    if json_:
        print_json({"goal": told, **found.as_dict()})
        return
    typer.echo(f"{goal_id} {told['kind']} {told['label']}, {told['state']}")
    typer.echo("\n".join(found.lines()))


def _saved_goal(life: "Home", goal_id: str) -> dict[str, Any]:
    """Return a goal of a life that does not run, as its last snapshot has it."""
    goals = _saved_goals(life)
    if goal_id not in goals:
        known = ", ".join(list(goals)[-5:]) or "none"
        raise NotFoundError(f"no goal {goal_id!r}; the last goals are: {known}")
    return goals[goal_id]


def _saved_goals(life: "Home") -> dict[str, dict[str, Any]]:
    """Return the goals of the last snapshot by their id."""
    path = life.state_folder / "life_state.json"
    try:
        rows = json.loads(path.read_bytes())["goals"]
        goals = {str(row["goal_id"]): dict(row) for row in rows}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedStateError(f"{path} cannot be read: {error}") from error
    return {i: {k: v for k, v in goal.items() if k != "png"} for i, goal in goals.items()}


def follow_goal(
    client: "Client",
    goal_id: str,
    since: int,
    *,
    pause_s: float,
    tell: Callable[[str], None] = say,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Wait for the end of a goal and tell what the life does meanwhile, and why.

    Args:
        client: Client of the life.
        goal_id: Goal to wait for.
        since: Number of the first event to tell.
        pause_s: Time between two looks.
        tell: Takes each line.

    Returns:
        The goal as it ended, and the events that were told.

    Raises:
        NotRunningError: If the life ends first.
        NotFoundError: If the life no longer knows the goal.
    """
    why: list[dict[str, Any]] = []
    while True:
        goals = {goal["goal_id"]: goal for goal in client.call("goal.list")["goals"]}
        news = client.call("events", since=since)  # after the state: its last words are in
        since = int(news["next"])
        for event in news["events"]:
            if event["kind"] in _TOLD_KINDS:
                why.append(event)
                tell(f"step {event['step']}: {event['text']}")
        if goal_id not in goals:
            raise NotFoundError(f"the life no longer knows the goal {goal_id}")
        if goals[goal_id]["state"] in _ENDED:
            return goals[goal_id], why
        time.sleep(pause_s)


@app.command("list")
def list_(home: HomeOption = None, json_: JsonOption = False) -> None:
    """Show the goals and how they ended.

    Asks the running life; of one that is stopped, its last snapshot.
    """
    from agentd.client import Client, NotRunningError

    life = born_home(home)
    try:
        with Client(life.path) as client:
            result = client.call("goal.list")
    except NotRunningError:
        kept = _saved_goals(life).values()
        result = {"goals": [{k: v for k, v in row.items() if k != "story"} for row in kept]}
    if json_:
        print_json(result)
        return
    goals = result["goals"]
    if not goals:
        say("no goals; add one with: agentd goal add chair")
    columns = ("goal_id", "kind", "label", "priority", "state", "steps")
    rows = [
        [*(goal.get(column, 0) for column in columns), goal["reason"] or goal.get("doing", "")]
        for goal in goals
    ]
    print_table(("goal", *columns[1:], "why"), rows)
    if goals:
        say(f"the whole story of one: agentd goal explain {goals[-1]['goal_id']}")


@app.command()
def cancel(
    goal_id: Annotated[str, typer.Argument(help="Id of the goal, as in g3.")],
    home: HomeOption = None,
) -> None:
    """Give a goal up."""
    from agentd.client import Client

    with Client(open_home(home).path) as client:
        goal = client.call("goal.cancel", goal_id=goal_id)["goal"]
    say(f"{goal_id} {goal['state']}: {goal['reason']}")
