"""What all errors of kern derive from."""

from typing import Any


class KernError(Exception):
    """Base of every error that kern raises on purpose.

    Attributes:
        run_output: the :class:`~kern.run.agent.RunOutput` of the run that failed of it, where it
            was raised to the run's caller; None elsewhere.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.testing import Reply, ScriptedModel
        >>> agent = Agent("Poet", ScriptedModel([Reply.http_error(401)]))
        >>> try:
        ...     agent.run("A line, please.")
        ... except KernError as error:
        ...     print(type(error).__name__, error.run_output.status)
        ModelAuthenticationError ERROR
    """

    run_output: Any = None  # Its class is in a room above.

    @property
    def message(self) -> str:
        """What the error says."""
        return str(self)


def described(error: BaseException) -> str:
    """Return what an error says, after its class; what a group of errors holds is said, too.

    Args:
        error: any error, also one that has no text, or whose text cannot be read.
    """
    try:
        text = str(error)
    except BaseException as broken:  # It is the code of a user, too.
        text = f"its text cannot be read: {type(broken).__name__}"
    if isinstance(error, BaseExceptionGroup):
        text = "; ".join([text, *map(described, error.exceptions)])
    name = type(error).__name__
    return f"{name}: {text}" if text else name
