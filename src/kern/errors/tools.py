"""What tool calls fail of, and by what they steer their run."""

from typing import TYPE_CHECKING, ClassVar

from kern.errors.base import KernError

if TYPE_CHECKING:
    from collections.abc import Sequence


class MissingToolError(KernError):
    """A run has to call a tool that its agent does not have any more.

    Example:
        >>> MissingToolError("The agent has no tool 'search' any more.").message
        "The agent has no tool 'search' any more."
    """


class StepError(KernError):
    """A step inside a tool has failed, or cannot be done as it was asked for.

    Attributes:
        kind: the class of what the step's function raised at its last try, such as
            ``"ConnectionError"``; None where that is not the reason. What was raised is its
            ``__cause__``, unless an earlier attempt at the run has met it.

    Example:
        >>> StepError("The step charge failed.", kind="ConnectionError").kind
        'ConnectionError'
    """

    def __init__(self, message: str, kind: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind


class NestingError(KernError):
    """A tool call would begin a run within too many others (``KERN_MAX_NESTING``).

    It is the error of that call, and no run ends with it: the model is told.

    Example:
        >>> NestingError("No run is begun: there are 16 runs around it already.").message
        'No run is begun: there are 16 runs around it already.'
    """


class ToolsetError(KernError):
    """A toolset did not say in time which tools it has.

    Example:
        >>> ToolsetError("The toolset did not answer within 30 s.").message
        'The toolset did not answer within 30 s.'
    """


class AgentRunException(KernError):  # noqa: N818 # the name that is known
    """What a tool or its hook raises to say how the run goes on; the model is told its text.

    Attributes:
        user_message: a text or message that the model is told beside it, as said by the user.
        agent_message: the same, as said by the agent itself.
        messages: further messages, or dicts with ``role`` and ``content``.
        stop_execution: whether the run ends with this call.

    Example:
        >>> error = RetryAgentRun("Too short.", user_message="I meant the long form.")
        >>> error.user_message, error.stop_execution
        ('I meant the long form.', False)
    """

    stop_execution: ClassVar[bool] = False

    def __init__(
        self,
        exc: object = "",
        user_message: object = None,
        agent_message: object = None,
        messages: "Sequence[object] | None" = None,
    ) -> None:
        super().__init__(str(exc))
        self.user_message = user_message
        self.agent_message = agent_message
        self.messages = list(messages or ())


class RetryAgentRun(AgentRunException):
    """The model is to try again, with what the error says.

    Example:
        >>> def search(query: str) -> str:
        ...     if len(query) < 3:
        ...         raise RetryAgentRun("Use at least three letters.")
        ...     return f"found {query}"
    """


class StopAgentRun(AgentRunException):
    """The run ends with this call, COMPLETED; what the error says is the answer.

    With an ``agent_message`` that is the answer.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.testing import Reply, ScriptedModel
        >>> def hang_up() -> str:
        ...     raise StopAgentRun("Goodbye.")
        >>> model = ScriptedModel([Reply.tool_calls(("hang_up", {}))])
        >>> agent = Agent("Clerk", model, tools=[hang_up])
        >>> agent.run("That is all.").content
        'Goodbye.'
    """

    stop_execution: ClassVar[bool] = True


ModelRetry = RetryAgentRun
"""The same under the name by which other libraries know it."""
