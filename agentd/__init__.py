"""The life around the agent: command line, loop, daemon, worlds, evaluation.

From a notebook, `agentd.open(path)` opens a life for reading; see `agentd.api`.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from agentd.api.opened import OpenLife as OpenLife
    from agentd.api.opened import open_life as open  # noqa: F401


def __getattr__(name: str) -> Any:
    """Load what reads lives when it is asked for: `import agentd` stays light."""
    if name in ("open", "OpenLife"):
        from agentd.api import opened

        return opened.open_life if name == "open" else opened.OpenLife
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
