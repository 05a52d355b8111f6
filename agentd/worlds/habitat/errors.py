"""What can go wrong with Habitat."""

from agentd.exit_codes import AgentdError, ExitCode


class HabitatError(AgentdError):
    """The simulator cannot do what is asked; the message says what and how to mend it."""

    exit_code = ExitCode.USAGE


class SimulatorLostError(HabitatError):
    """The process of the simulator ended, is silent, or speaks nonsense."""

    exit_code = ExitCode.WORLD_SILENT


class EpisodeFileError(HabitatError):
    """A file of episodes cannot be used; names the file and the key."""
