"""The agent: one class, put together from what it can do, a file a subject."""

from kern.agent.conversation import Conversation
from kern.agent.nesting import Nesting
from kern.agent.sync.context import SyncContextPreview
from kern.agent.sync.continuing import SyncContinuing
from kern.agent.sync.controlling import SyncControlling
from kern.agent.sync.listing import SyncListing
from kern.agent.sync.memories import SyncUserMemories
from kern.agent.sync.printing import SyncPrinting
from kern.agent.sync.saving import SyncSaving
from kern.agent.sync.schedules import SyncScheduling
from kern.agent.sync.sessions import SyncSessions
from kern.agent.sync.state import SyncSessionStates
from kern.agent.sync.streaming import SyncStreaming
from kern.keywords import public
from kern.run.agent import Output
from kern.run.base import Deps


@public
class Agent(
    SyncPrinting[Deps, Output],
    SyncControlling[Deps, Output],
    SyncContinuing[Deps, Output],
    SyncStreaming[Deps, Output],
    SyncListing[Deps, Output],
    SyncScheduling[Deps, Output],
    SyncSessions[Deps, Output],
    SyncContextPreview[Deps, Output],
    SyncSaving[Deps, Output],
    SyncSessionStates[Deps, Output],
    SyncUserMemories[Deps, Output],
    Nesting[Deps, Output],
):
    """A model with a task, and the methods to run it.

    An agent holds no state of its runs: one object can serve any number of them at a time, in
    any number of event loops. Every asynchronous method has a synchronous twin without the
    leading ``a`` (``wait_run`` for ``await_run``), for code without an event loop. Background
    runs that it begins execute in a thread of their own for as long as the interpreter lives, and
    go on at the next start. On an event loop that executes runs it raises SyncInLoopError.

    To a type checker it is ``Agent[Deps, Output]``: the type of its dependencies, and of what its
    runs answer. ``Agent(...)`` needs neither.

    Attributes:
        id: the agent's identity across processes; every process that uses an agent of this id on
            the same database shares its background runs.
        name: what people call it.
        model: who answers.
        tools: what the model can have called, by name.
        toolsets: tools that are known only once a run executes.
        tool_call_limit: how many calls a run may make, or None for any number.
        max_turns: how often a run may ask the model, or None for any number.
        usage_limits: how much a run may use, or None for any amount.
        middleware: what is done around its runs, model calls and tool calls.
        live: whether answers come piece by piece though nobody reads them yet.
        dependencies: what the tools find in their context.
        db: where its sessions and runs are kept; None for nowhere.

    Example:
        >>> from kern.models.openai import OpenAIResponses
        >>> agent = Agent("Market Researcher", OpenAIResponses("gpt-5.4-mini"), max_turns=20)
        >>> agent.id
        'market-researcher'
    """

    def conversation(
        self, session_id: str | None = None, user_id: str | None = None
    ) -> Conversation[Deps, Output]:
        """Return a conversation with the agent, to be carried on explicitly.

        Args:
            session_id: the session; by default a new one.
            user_id: on whose behalf; by default the agent's user.

        Raises:
            InvalidInputError: an id cannot be used.
        """
        return Conversation(self, session_id, user_id)
