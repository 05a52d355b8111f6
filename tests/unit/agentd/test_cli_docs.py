"""docs/cli.md says what the command line does."""

from pathlib import Path

from typer.main import get_command
from typer.testing import CliRunner

from agentd.cli import app
from agentd.commands.docs import render
from agentd.exit_codes import ExitCode

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"


def commands(group, name="agentd"):
    for word, command in getattr(group, "commands", {}).items():
        yield f"{name} {word}", command
        yield from commands(command, f"{name} {word}")


def test_the_page_is_not_stale():
    assert PAGE.read_text("utf-8") == render(), "run: python -m agentd.commands.docs > docs/cli.md"


def test_every_command_and_option_has_help():
    for name, command in commands(get_command(app)):
        assert command.help, name
        for parameter in command.params:
            assert parameter.help, f"{name} {parameter.name}"


def test_every_command_is_on_the_page():
    text = render()
    for name, command in commands(get_command(app)):
        if not hasattr(command, "commands"):
            assert f"## {name}\n" in text


def test_short_help_fits_the_screen():
    for name, command in commands(get_command(app)):
        assert "..." not in command.get_short_help_str(60), name


def test_reading_commands_have_json():
    reading = [
        "status",
        "report",
        "eval goals",
        "doctor",
        "goal list",
        "memory search",
        "memory list",
    ]
    reading += [
        "memory stats",
        "memory show",
        "memory changes",
        "memory compact",
        "memory export",
        "memory plan",
        "memory fsck",
    ]
    reading += ["eval explore", "learn recipes", "learn compare", "learn probe"]
    reading += ["checkpoints list", "checkpoints show", "checkpoints verify", "config show"]
    by_name = dict(commands(get_command(app)))
    for name in reading:
        options = {opt for p in by_name[f"agentd {name}"].params for opt in p.opts}
        assert "--json" in options, name


def test_eval_without_a_command_plays_goals():
    asked = CliRunner().invoke(app, ["eval", "--arms", "nobody", "--houses", "1"])
    named = CliRunner().invoke(app, ["eval", "goals", "--arms", "nobody", "--houses", "1"])
    assert asked.exit_code == named.exit_code == ExitCode.USAGE
    assert "no arm 'nobody'" in asked.output
    assert asked.output == named.output


def test_eval_refuses_an_unknown_command():
    result = CliRunner().invoke(app, ["eval", "sing"])
    assert result.exit_code == ExitCode.USAGE
    assert "No such command 'sing'" in result.output
