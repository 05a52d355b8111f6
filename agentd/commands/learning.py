"""Commands about learning: learn now."""

import typer

from agentd.commands.options import HomeOption, open_home
from agentd.commands.output import say

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
