"""Errors that a caller of the learners can act on."""


class CheckpointError(Exception):
    """Base of the errors below; the message names the checkpoint and its folder."""


class UnknownCheckpointError(CheckpointError, LookupError):
    """No complete checkpoint has this id."""


class NothingToRollBackError(CheckpointError, LookupError):
    """No checkpoint was promoted before the present one."""


class DamagedCheckpointError(CheckpointError):
    """A file of the checkpoint is missing, unreadable or not what the manifest says."""


class NewerCheckpointError(CheckpointError):
    """The checkpoint or the registry was written by a newer format than this program knows."""


class RecipeError(ValueError):
    """A recipe has an unknown or contradictory part; the message names it and what is accepted."""
