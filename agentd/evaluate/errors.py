"""Errors that a caller of the evaluation can act on."""

from agentd.exit_codes import NotYetError


class EvaluationError(NotYetError):
    """The evaluation cannot be played as asked; the message says why and what would do."""
