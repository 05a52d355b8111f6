"""Runs the guardian of a robot: `python -m agentd.guardian --home FOLDER`."""

import argparse
import sys
from pathlib import Path

from pydantic import ValidationError

from agentd.exit_codes import AgentdError, UsageError
from agentd.guardian.service import guard
from agentd.home import Home, default_home
from configs.errors import ConfigError
from configs.load import load_config
from configs.schema import AgentConfig


def main(words: list[str] | None = None) -> int:
    """Guard until SIGTERM or SIGINT; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m agentd.guardian", description=__doc__)
    parser.add_argument("--home", type=Path, default=None, help="folder of the life")
    parser.add_argument("--profile", default=None, help="settings to begin with")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="sets")
    parser.add_argument(
        "--settings-from-stdin", action="store_true", help="all settings, as JSON, instead"
    )
    parser.add_argument(
        "--leave-after",
        type=float,
        default=None,
        metavar="SECONDS",
        help="end when nobody was connected for so long",
    )
    options = parser.parse_args(words)
    home = Home(options.home or default_home())
    try:
        if options.settings_from_stdin:
            config = AgentConfig.model_validate_json(sys.stdin.read())
        else:
            born = home.read().born if home.exists else None
            config = load_config(
                options.profile, home.config_file, None, options.sets, born=born
            ).config
        guard(home, config, options.leave_after)
    except ValidationError as error:
        sys.stderr.write(f"error: the settings on standard input: {error.errors()[0]['msg']}\n")
        return int(UsageError.exit_code)
    except (AgentdError, ConfigError) as error:
        sys.stderr.write(f"error: {error}\n")
        return int(getattr(error, "exit_code", 2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
