"""Commands about goals: goal add, list, cancel."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentd.commands.options import HomeOption, JsonOption, open_home
from agentd.commands.output import print_json, print_table, say
from agentd.exit_codes import ExitCode, NotFoundError, UsageError

if TYPE_CHECKING:
    from agentd.client import Client

app = typer.Typer(no_args_is_help=True, help="Ask a running life to find or reach something.")

_ENDED = ("reached", "failed", "cancelled")
_TOLD_KINDS = ("goal", "mode")
_POLL_S = 0.25


@app.command()
def add(
    label: Annotated[
        str | None, typer.Argument(help="What to find, as in chair.", show_default=False)
    ] = None,
    xy: Annotated[
        tuple[float, float] | None,
        typer.Option("--xy", metavar="X Y", help="Go to a point [m].", show_default=False),
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
    """Ask for an object, or for a point with --xy.

    Prints the goal's id. With --wait, ends when the goal does, with exit code 8 if it was missed.
    """
    from agentd.client import Client

    if (label is None) == (xy is None):
        raise UsageError("name what to find, or give --xy X Y: exactly one of the two")
    args: dict[str, Any] = {"label": label} if xy is None else {"x": xy[0], "y": xy[1]}
    if deadline_steps is not None:
        args["deadline_steps"] = deadline_steps
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
    """Show the goals and how they ended."""
    from agentd.client import Client

    with Client(open_home(home).path) as client:
        result = client.call("goal.list")
    if json_:
        print_json(result)
        return
    goals = result["goals"]
    if not goals:
        say("no goals; add one with: agentd goal add chair")
    columns = ("goal_id", "kind", "label", "state", "steps", "reason")
    print_table(("goal", *columns[1:]), [[goal[column] for column in columns] for goal in goals])


@app.command()
def cancel(
    goal_id: Annotated[str, typer.Argument(help="Id of the goal, as in g3.")],
    home: HomeOption = None,
) -> None:
    """Give a goal up."""
    from agentd.client import Client

    with Client(open_home(home).path) as client:
        client.call("goal.cancel", goal_id=goal_id)
    say(f"{goal_id} cancelled")
