"""What is refused because there is enough of it."""

from typing import TYPE_CHECKING

from kern.errors.base import KernError

if TYPE_CHECKING:
    from datetime import datetime


class UsageLimitError(KernError):
    """A run has used as much as it may: asked its model too often, or made too many calls.

    Example:
        >>> from kern import Agent, UsageLimits
        >>> from kern.testing import Reply, ScriptedModel
        >>> def look() -> str:
        ...     return "Nothing new."
        >>> model = ScriptedModel([Reply.tool_calls(("look", {}))] * 2)
        >>> agent = Agent("Watcher", model, tools=[look], usage_limits=UsageLimits(tool_calls=1))
        >>> try:
        ...     agent.run("What is new?")
        ... except UsageLimitError as error:
        ...     print(error.run_output.metrics.tool_calls)
        1
    """


class BudgetExceededError(KernError):
    """A user has used up a budget: a run was refused, or has ended before its next model call.

    Attributes:
        user_id: the user; like the next three, only where the error is raised by what has met it.
        per: the period of the budget.
        limit: the limit that was reached, such as ``cost=5``.
        resets_at: when the next period begins, in UTC.

    Example:
        >>> import asyncio
        >>> from kern import Agent, Budget, InMemoryDb
        >>> from kern.testing import ScriptedModel
        >>> db = InMemoryDb()
        >>> agent = Agent("Poet", ScriptedModel(), db=db)
        >>> async def ask():
        ...     await db.aset_budget(Budget("ada", per="day", tokens=1))
        ...     await agent.arun("A word, please.", user_id="ada")
        ...     try:
        ...         await agent.arun("Another one.", user_id="ada")
        ...     except BudgetExceededError as error:
        ...         print(error.user_id, error.per, error.limit)
        >>> asyncio.run(ask())
        ada day tokens=1
    """

    def __init__(
        self,
        message: str,
        *,
        user_id: str | None = None,
        per: str | None = None,
        limit: str | None = None,
        resets_at: "datetime | None" = None,
    ) -> None:
        super().__init__(message)
        self.user_id = user_id
        self.per = per
        self.limit = limit
        self.resets_at = resets_at


class SessionBusyError(KernError):
    """A run was refused because its session has another one; nothing was stored.

    Example:
        >>> from kern import Agent, InMemoryDb
        >>> from kern.testing import Reply, ScriptedModel
        >>> agent = Agent("Poet", ScriptedModel([Reply.hang()]), db=InMemoryDb())
        >>> first = agent.run("An epic, please.", session_id="ada", background=True)
        >>> try:
        ...     agent.run("And?", session_id="ada", background=True, session_policy="reject")
        ... except SessionBusyError:
        ...     print(agent.cancel_run(first.run_id))
        True
    """


class QueueFullError(KernError):
    """A run was refused because too many of its agent wait already; nothing was stored.

    Example:
        >>> def submitted(agent, task):  # an Agent(..., max_queued_runs=100)
        ...     try:
        ...         return agent.run(task, background=True)
        ...     except QueueFullError:
        ...         return None  # tell the user to come back
    """
