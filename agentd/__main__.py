"""Makes `python -m agentd` the same as `agentd`."""

from agentd.cli import main

main()
