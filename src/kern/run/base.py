"""What user code is told of the run that calls it."""

from asyncio import Future, Timeout
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Generic, Self, cast, overload

from typing_extensions import TypeVar

from kern.errors import KernError
from kern.media import Audio, File, Image, Media, Video
from kern.run.message import Message
from kern.run.requirement import RunRequirement
from kern.run.status import CancellationStage, RunStatus
from kern.run.stepping import Steps

__all__ = [
    "MEDIA_VALUES",
    "RUN_VALUES",
    "STATE_VALUES",
    "CancellationStage",
    "Deps",
    "Result",
    "RunContext",
    "RunInfo",
    "RunStatus",
    "current_run",
    "current_user",
]


@dataclass(frozen=True, slots=True)
class RunInfo:
    """Which attempt at which run something happens in.

    Attributes:
        run_id: the run.
        session_id: its conversation.
        agent_id: its agent.
        user_id: on whose behalf it runs.
        attempt: which attempt at the run this is, from 1 on.
        parent_run_id: the run whose tool started it.
        agent_name: what people call its agent, where that is known.
        traceparent: the trace that it was submitted in, as W3C Trace Context writes it, or None.

    Example:
        >>> from kern import Agent, Middleware
        >>> from kern.testing import ScriptedModel
        >>> class Names(Middleware):
        ...     async def run(self, run, execute):
        ...         print(run.agent_id, run.attempt)
        ...         return await execute()
        >>> agent = Agent("Poet", ScriptedModel(["Roses."]), middleware=[Names()])
        >>> _ = agent.run("A word, please.")
        poet 1
    """

    run_id: str
    session_id: str
    agent_id: str
    user_id: str | None
    attempt: int
    parent_run_id: str | None
    agent_name: str | None = None
    traceparent: str | None = None


Deps = TypeVar("Deps", bound=Mapping[str, object], default=Mapping[str, object], covariant=True)
"""The type of an agent's dependencies."""

Result = TypeVar("Result")


@dataclass(eq=False)
class RunContext(Generic[Deps]):
    """What user code is told of the run that calls it: give it a parameter of this type.

    There is one object a run, which hooks, instructions and factories share. Each tool call gets a
    copy with a session state of its own.

    Attributes:
        run_id: the run.
        session_id: its conversation.
        agent_id: its agent.
        user_id: on whose behalf it runs.
        metadata: what the caller attached to it.
        attempt: which attempt at the run this is, from 1 on.
        tool_call_id: the provider's id of this tool call; empty outside of one.
        idempotency_key: names this tool call, the same on every attempt; hand it to services that
            can recognise a request made twice. Empty outside of a call.
        dependencies: what the agent and the run were given for their functions.
        media: what the run was given, and what its tools have made before this turn, where the tool
            has a parameter for it.
        session_state: the state of the session, which may be changed and assigned; None where the
            run has none.
        knowledge_filters: what narrows a search of the knowledge.
        output_schema: the form of the answer.
        tools: what the model can have called.
        knowledge: what the agent searches.
        members: the members of the team that runs; None of the run of an agent.
        workflow_id: the workflow that runs the agent.
        workflow_name: its name.
        debug_mode: whether more is logged of the run.
        answers: what people have answered where this tool call has waited for them.
        is_approved: whether a person has allowed this tool call.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.testing import Reply, ScriptedModel
        >>> def whoami(run_context: RunContext) -> str:
        ...     '''Say who asks.'''
        ...     return f"{run_context.user_id} in {run_context.session_id}"
        >>> model = ScriptedModel([Reply.tool_calls(("whoami", {})), "Ada."])
        >>> agent = Agent("Doorman", model, tools=[whoami])
        >>> agent.run("Who am I?", user_id="ada", session_id="hall").tools[0].result
        'ada in hall'
    """

    run_id: str
    session_id: str
    agent_id: str = ""
    user_id: str | None = None
    metadata: Mapping[str, object] | None = None
    attempt: int = 1
    tool_call_id: str = ""
    idempotency_key: str = ""
    dependencies: Deps = field(default_factory=lambda: cast("Deps", {}), repr=False)
    media: tuple[Media, ...] = field(default=(), repr=False)
    session_state: dict[str, Any] | None = field(default=None, repr=False)
    knowledge_filters: object = field(default=None, repr=False)
    output_schema: object = field(default=None, repr=False)
    tools: Sequence[object] | None = field(default=None, repr=False)
    knowledge: object = field(default=None, repr=False)
    members: Sequence[object] | None = field(default=None, repr=False)
    workflow_id: str | None = None
    workflow_name: str | None = None
    debug_mode: bool = False
    answers: tuple[RunRequirement, ...] = field(default=(), repr=False)
    is_approved: bool = False
    _agent: object = field(default=None, repr=False)
    _told: Callable[[], Callable[[], list[Message]] | None] = field(
        default=lambda: None, repr=False
    )
    _emit: Callable[[object], None] | None = field(default=None, repr=False)
    _stopped: Event = field(default_factory=Event, repr=False)
    _steps: Steps | None = field(default=None, repr=False)

    @property
    def messages(self) -> list[Message]:
        """What the run's model was told and has answered so far."""
        told = self._told()
        return [] if told is None else told()

    @property
    def cancelled(self) -> bool:
        """Whether the run has been stopped: what the tool returns from now on is thrown away."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Let :attr:`cancelled` say True."""
        self._stopped.set()

    def emit(self, item: object) -> None:
        """Let those who read the run's stream have a piece of what a tool yields.

        It may be called from any thread.

        Args:
            item: a text, or a :class:`~kern.run.event.CustomEvent`; nothing else is told.
        """
        if self._emit is not None:
            self._emit(item)

    def for_call(
        self, tool_call_id: str, idempotency_key: str, emit: Callable[[object], None]
    ) -> Self:
        """Return the context of a tool call in the run.

        Args:
            tool_call_id: the provider's id of the call.
            idempotency_key: names the call.
            emit: takes what it yields, in any thread.
        """
        context = copy(self)
        context.tool_call_id, context.idempotency_key = tool_call_id, idempotency_key
        context._emit = emit
        context._stopped = Event()
        return context

    def values(self, names: Iterable[str]) -> dict[str, object]:
        """Return what functions of users ask for by these names (:data:`RUN_VALUES`)."""
        return {name: self._value(name) for name in names if name in RUN_VALUES}

    def _value(self, name: str) -> object:
        if (kind := _MEDIA.get(name)) is not None:
            return [each for each in self.media if isinstance(each, kind)]
        match name:
            case "run_context":
                return self
            case "agent":
                return self._agent
            case "team":
                return None if self.members is None else self._agent
            case "session_state" if self.session_state is None:
                return {}
        return getattr(self, name, None)

    def begun(self, work: "Future[Any]", limit: Timeout) -> None:
        """Let the call's steps know the task of the tool's code, and its time limit."""
        if self._steps is not None:
            self._steps.begun(work, limit)

    @overload
    async def step(
        self,
        name: str,
        function: Callable[..., Awaitable[Result]],
        *arguments: object,
        retries: int = 0,
        delay: float = 1.0,
        timeout: float | None = None,
    ) -> Result: ...

    @overload
    async def step(
        self,
        name: str,
        function: Callable[..., Result],
        *arguments: object,
        retries: int = 0,
        delay: float = 1.0,
        timeout: float | None = None,
    ) -> Result: ...

    async def step(
        self,
        name: str,
        function: Callable[..., Awaitable[Result] | Result],
        *arguments: object,
        retries: int = 0,
        delay: float = 1.0,
        timeout: float | None = None,
    ) -> Result:
        """Do a part of a tool's work once, and return what it came to.

        That is committed before this returns. Where the process is lost later in the call, the tool
        begins again from its top, and gets the same here without the function being called; so
        what a tool does between its steps must lead to the same steps each time. A failure is
        kept, too, once no retries are left.

        Args:
            name: names the step within the call; the second of a name is another step. Two of one
                name cannot be under way at a time, nor a step within a step.
            function: what to do, synchronous (then it is called in a thread) or not. It returns a
                JSON value, which comes back as JSON gives it: a tuple as a list.
            arguments: what it is called with.
            retries: how often it is tried again after an error.
            delay: seconds before that, doubled each time, at most 300.
            timeout: seconds that a try may take; by default any. A synchronous function is left
                behind in its thread.

        Raises:
            StepError: the function raised at its last try, or returned what has no JSON form, now
                or in an earlier attempt (``kind`` says which class of error); or the step cannot be
                done as it was asked for.
            KernError: this is no context of a tool call.

        Example:
            >>> async def order(item: str, run_context: RunContext) -> str:
            ...     charge = await run_context.step("charge", charge_card, item, retries=2)
            ...     await run_context.step("mail", send_receipt, charge["id"])
            ...     return f"{item} is on its way"
        """
        return cast(
            "Result",
            await self._own_steps().step(
                name, function, arguments, retries=retries, delay=delay, timeout=timeout
            ),
        )

    @overload
    def step_sync(
        self,
        name: str,
        function: Callable[..., Awaitable[Result]],
        *arguments: object,
        retries: int = 0,
        delay: float = 1.0,
        timeout: float | None = None,
    ) -> Result: ...

    @overload
    def step_sync(
        self,
        name: str,
        function: Callable[..., Result],
        *arguments: object,
        retries: int = 0,
        delay: float = 1.0,
        timeout: float | None = None,
    ) -> Result: ...

    def step_sync(
        self,
        name: str,
        function: Callable[..., Awaitable[Result] | Result],
        *arguments: object,
        retries: int = 0,
        delay: float = 1.0,
        timeout: float | None = None,
    ) -> Result:
        """Do what :meth:`step` does, in a synchronous tool.

        The function is called in the tool's own thread, so what belongs to that, such as a
        connection, can be used; with a ``timeout`` it is called in another.
        """
        return cast(
            "Result",
            self._own_steps().step_sync(
                name, function, arguments, retries=retries, delay=delay, timeout=timeout
            ),
        )

    async def sleep(self, seconds: float) -> None:
        """Wait within a tool call, across restarts.

        When it ends is committed at its beginning, so a lost process does not begin it anew. One of
        more than five seconds of a background run gives the run's slot back: the tool's code is
        stopped as by a cancel (``asyncio.CancelledError``) once its steps under way and the run's
        other calls have ended, and begins again from its top when it is time, with its steps
        replayed, whatever its ``on_interrupt``. The tool's ``timeout`` does not count a sleep; that
        of the run does.

        Args:
            seconds: how long.

        Raises:
            StepError: this is within a step, or after the call.
            KernError: this is no context of a tool call.
        """
        await self._own_steps().sleep(seconds)

    def sleep_sync(self, seconds: float) -> None:
        """Do what :meth:`sleep` does, in a synchronous tool."""
        self._own_steps().sleep_sync(seconds)

    def _own_steps(self) -> Steps:
        if self._steps is None:
            raise KernError(
                "Only the context of a tool call has steps: a hook, an instruction or a factory "
                "is called again by the next attempt. Do what may be done only once in a tool."
            )
        return self._steps


_MEDIA: dict[str, type[Media]] = {
    "images": Image,
    "videos": Video,
    "audio": Audio,
    "audios": Audio,
    "files": File,
}

MEDIA_VALUES = frozenset(_MEDIA)
"""Those of :data:`RUN_VALUES` for which the run's media has to be read."""

STATE_VALUES = frozenset({"run_context", "session_state"})
"""Those for which the state of the session has to be read."""

RUN_VALUES: dict[str, type | str | None] = {
    "agent": "Agent",
    "team": "Team",
    "run_context": RunContext,
    "session_state": None,
    "dependencies": None,
    "metadata": None,
    "user_id": None,
    "session_id": None,
    "run_id": None,
    "debug_mode": None,
    **dict.fromkeys(_MEDIA),
}
"""What functions of users may ask for wherever kern calls them, for :class:`kern.binder.Binder`."""

current_run: ContextVar[str | None] = ContextVar("current_run", default=None)
"""The id of the run whose tool is executing; the runs that it starts are its children."""

current_user: ContextVar[str | None] = ContextVar("current_user", default=None)
"""The user of that run; the runs that it starts are for the same user."""
