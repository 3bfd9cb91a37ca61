"""The port of tools: what a model can have called, and where what a call raises is caught."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence, Set
from dataclasses import InitVar, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

from typing_extensions import Unpack

from kern.aio.tasks import see_out
from kern.binder import Binder
from kern.errors import (
    AgentRunException,
    ConfigurationError,
    InvalidInputError,
    ThreadLimitError,
    described,
)
from kern.media import Audio, File, Image, Video, max_media_size
from kern.run.base import RunContext
from kern.run.codec import decode_object
from kern.run.content import Content, TextPart, is_content
from kern.run.message import Message
from kern.run.requirement import CallPaused, OnExpiry
from kern.run.tool import TOOL_NAME, ToolSchema
from kern.tools.rules import (
    Interrupt,
    ToolRules,
    UserFunction,
    checked,
    condition_of,
    hook_of,
    hooks_around,
)

logger = logging.getLogger("kern")

# How long a call that is stopped from outside is waited for, in seconds.
_GRACE = 1.0


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a call of a tool came to.

    Attributes:
        content: what the model is told: a text, or parts, such as an image.
        data: the same as a JSON value for programs, or None.
        is_error: whether the call failed.
        metadata: what programs want to know beside it; it is stored nowhere.
        ends: whether the run ends with the call, and the content is its answer.
        messages: what the model is told after the results of all calls of its answer.
        images: only when it is made: images that are added to the content, as with the next three.
        videos: videos.
        audios: recordings.
        files: documents.

    Raises:
        InvalidInputError: the content is neither a text nor a tuple of parts; or media cannot be
            read, is too large or of no known type.

    Example:
        >>> chart = Image(url="https://example.com/chart.png")
        >>> len(ToolResult("A chart:", images=[chart]).content)
        2
    """

    content: Content = ""
    data: object | None = None
    is_error: bool = False
    metadata: Mapping[str, object] | None = field(default=None, kw_only=True)
    ends: bool = field(default=False, kw_only=True)
    messages: tuple[Message, ...] = field(default=(), kw_only=True)
    images: InitVar[Sequence[Image]] = ()
    videos: InitVar[Sequence[Video]] = ()
    audios: InitVar[Sequence[Audio]] = ()
    files: InitVar[Sequence[File]] = ()

    def __post_init__(
        self,
        images: Sequence[Image],
        videos: Sequence[Video],
        audios: Sequence[Audio],
        files: Sequence[File],
    ) -> None:
        if not is_content(self.content):
            raise InvalidInputError(
                "The content of a ToolResult must be a text or a tuple of parts, not "
                f"{type(self.content).__name__}; values go into data."
            )
        if media := [*images, *videos, *audios, *files]:
            said = self.content
            parts = ((TextPart(said),) if said else ()) if isinstance(said, str) else said
            limit = max_media_size()
            content = (*parts, *(each.to_part(limit) for each in media))
            object.__setattr__(self, "content", content)


class Tool(ABC):
    """What a model can have called. A subclass says in :meth:`execute` what a call does.

    Attributes:
        name: what the model calls.
        schema: what the model is told.
        asks_for: the values of the run that its code asks for by name
            (:data:`~kern.run.base.RUN_VALUES`); what it does not ask for is not made. With
            ``session_state`` its context has the state of the session, with ``images`` the media.
        is_thought: whether a call is nothing but a step in which the model thinks.

    The keywords of :class:`~kern.tools.rules.ToolRules` are attributes, too.

    Example:
        >>> class Shell(Tool):
        ...     def __init__(self):
        ...         super().__init__(ToolSchema("shell", "Runs a command.", {"type": "object"}))
        ...
        ...     async def execute(self, arguments, context, limit):
        ...         return ToolResult(f"ran {arguments}")
        >>> Shell()
        Shell('shell')
    """

    asks_for: Set[str] = frozenset()
    is_thought: bool = False

    on_interrupt: Interrupt = "retry"
    timeout: float | None = None
    requires_confirmation: bool | UserFunction = False
    requires_user_input: bool | UserFunction = False
    user_input_fields: Sequence[str] | None = None
    external_execution: bool | UserFunction = False
    expires_in: float | None = None
    on_expiry: OnExpiry = "reject"
    external_execution_silent: bool = False
    approval_type: Literal["required", "audit"] | None = None
    approval_strict: bool = False
    sequential: bool = False
    call_limit: int | None = None
    stop_after_tool_call: bool = False
    show_result: bool = False
    cache_results: bool = False
    cache_dir: str | Path | None = None
    cache_ttl: float = 3600
    pre_hook: UserFunction | None = None
    post_hook: UserFunction | None = None
    tool_hooks: Sequence[UserFunction] | None = None
    instructions: str | None = None
    add_instructions: bool = True
    title: str | None = None
    annotations: object = None

    def __init__(self, schema: ToolSchema, **rules: Unpack[ToolRules]) -> None:
        """Check the tool's rules.

        Args:
            schema: what the model is told; it names the tool.
            **rules: see :class:`~kern.tools.rules.ToolRules`.

        Raises:
            ConfigurationError: a rule or the name cannot be used.
            TypeError: there is no such rule; the text names the nearest one.
        """
        if not TOOL_NAME.fullmatch(schema.name):
            raise ConfigurationError(
                f"{schema.name!r} cannot name a tool: use 1 to 64 letters, digits, underscores and "
                "dashes. @tool(name=...) gives a function another name."
            )
        self.name: str = schema.name
        self.schema: ToolSchema = schema
        self.rules: dict[str, Any] = checked(type(self).__name__, rules)
        for name, value in self.rules.items():
            setattr(self, name, value)
        self.before: Binder | None = hook_of("pre_hook", self.pre_hook, self.name)
        self.after: Binder | None = hook_of("post_hook", self.post_hook, self.name)
        self.around: tuple[Binder, ...] = hooks_around(self.tool_hooks, f"the tool {self.name}")
        self.condition: Binder | None = condition_of(self.rules, self.call_properties, self.name)

    def renamed(self, name: str) -> Self:
        """Have the tool another name, and return it."""
        self.name, self.schema = name, replace(self.schema, name=name)
        return self

    @property
    def needs_person(self) -> bool:
        """Whether a person has to do something before each call, or some."""
        return bool(
            self.requires_confirmation or self.requires_user_input or self.external_execution
        )

    @property
    def call_schema(self) -> dict[str, object]:
        """The arguments of a call as a JSON Schema, with those that only a person gives."""
        return self.schema.parameters

    @property
    def call_properties(self) -> Mapping[str, Mapping[str, object]]:
        """The arguments of a call by their names, each as a JSON Schema."""
        properties = self.call_schema.get("properties")
        return properties if isinstance(properties, Mapping) else {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @property
    def is_portable(self) -> bool:
        """Whether the tool is the same in every process that has its agent.

        A tool that holds something of one caller says False: runs of others must not meet it.
        """
        return True

    def unfit(self, arguments: str) -> str | None:
        """Return what the model is told of arguments that cannot fit, or None.

        It is asked before a person is: nobody has to confirm what cannot be done.

        Args:
            arguments: a JSON object, as the model wrote it, so it may be none.
        """
        try:
            self.read(or_none(arguments))
        except ValueError as error:
            return self.told(error)
        return None

    def read(self, arguments: str) -> dict[str, Any]:
        """Return the arguments that a model wrote, by their names.

        Raises:
            ValueError: they are no JSON object; the text is for the model.
        """
        try:
            return decode_object(arguments)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"Invalid JSON: {error}") from None

    def told(self, error: Exception) -> str:
        """Return what the model is told of arguments that do not fit."""
        return f"The arguments do not fit {self.name}: {error}"

    @abstractmethod
    async def execute(
        self, arguments: str, context: RunContext, limit: asyncio.Timeout
    ) -> ToolResult:
        """Do what a call of the tool does.

        Args:
            arguments: a JSON object, as the model wrote it, so it may be none.
            context: of this call.
            limit: the time limit of the call, which has begun; what should not count, such as a
                wait for a thread, reschedules it.

        Returns:
            The result.

        Raises:
            BaseException: whatever it is, it is the error of this call.
        """

    async def call(
        self, arguments: str, context: RunContext, execute: "Execute | None" = None
    ) -> ToolResult:
        """Make a call, within the tool's time limit.

        The tool's code is in a task of its own, which it may cancel: so a cancel of the caller's
        task is the run's. That alone passes on; whatever the code raises otherwise is its error,
        whose traceback is logged at the level DEBUG.

        At the time limit the code is cancelled, and the model is told at once: what the code does
        to clean up goes on beside the run. A cancel of the run waits a second for it.

        Args:
            arguments: a JSON object, as the model wrote it; blanks and ``null`` are an empty one.
            context: of this call; it is stopped at the end.
            execute: does it, in place of :meth:`execute`.

        Returns:
            The result, or as an error what the tool raised.

        Raises:
            asyncio.CancelledError: the caller was cancelled, and the tool did not return.
            ThreadLimitError: no thread became free for a synchronous function.
            CallPaused: the call waits for a person.
        """
        arguments = or_none(arguments)
        limit = asyncio.timeout(None)
        work = asyncio.create_task(
            self._outcome(arguments, context, limit, execute or self.execute)
        )
        context.begun(work, limit)
        try:
            async with limit:
                await asyncio.wait({work})
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            await self._stopped(work, context)
        finally:
            context.stop()
            if not work.done():
                see_out(work, f"run {context.run_id}: the tool {self.name}")
        outcome: ToolResult | BaseException
        if work.cancelled():  # It was cancelled once more as it ended.
            outcome = asyncio.CancelledError()
        elif work.done():
            outcome = work.result()
        else:
            outcome = TimeoutError(f"it did not return within {self.timeout:g} s")
        if isinstance(outcome, ToolResult):
            return outcome
        if isinstance(outcome, AgentRunException):
            return _as_asked(outcome)
        logger.debug("run %s: the tool %s raised", context.run_id, self.name, exc_info=outcome)
        return ToolResult(described(outcome), is_error=True)

    async def _stopped(
        self, work: "asyncio.Task[ToolResult | BaseException]", context: RunContext
    ) -> None:
        """Stop a call whose caller was cancelled; raise that, unless the tool returns even so."""
        context.stop()
        work.cancel()
        await asyncio.wait({work}, timeout=_GRACE)
        outcome = work.result() if work.done() else None
        if not isinstance(outcome, ToolResult):
            raise asyncio.CancelledError from outcome

    async def _outcome(
        self, arguments: str, context: RunContext, limit: asyncio.Timeout, execute: "Execute"
    ) -> ToolResult | BaseException:
        self.begin(limit)
        try:
            result = await execute(arguments, context, limit)
            if isinstance(result, ToolResult):
                return result
            return TypeError(f"it returned {type(result).__name__} in place of a ToolResult")
        except (CallPaused, ThreadLimitError):
            raise  # The model can do nothing about it.
        except BaseException as error:  # Also what would end the process of other runs.
            return error

    def begin(self, limit: asyncio.Timeout) -> None:
        """Have the time limit of a call begin now."""
        if self.timeout is not None:
            limit.reschedule(asyncio.get_running_loop().time() + self.timeout)


Execute: TypeAlias = Callable[[str, RunContext, asyncio.Timeout], Awaitable[ToolResult]]
"""What does the work of a call, as :meth:`Tool.execute` does."""


def or_none(arguments: str) -> str:
    """Return arguments, or an empty object if a model wrote none."""
    return "{}" if arguments.strip() in ("", "null") else arguments


def _as_asked(error: AgentRunException) -> ToolResult:
    """Return what a tool has said with an error about how the run goes on."""
    said: object = error.agent_message if error.stop_execution else None
    content = str(error) if said is None else _message("assistant", said).text
    return ToolResult(
        content or type(error).__name__,
        is_error=not error.stop_execution,
        ends=error.stop_execution,
        messages=() if error.stop_execution else (*_messages(error),),
    )


def _messages(error: AgentRunException) -> Iterator[Message]:
    if error.user_message is not None:
        yield _message("user", error.user_message)
    if error.agent_message is not None:
        yield _message("assistant", error.agent_message)
    for each in error.messages:
        yield _message("user", each)


def _message(role: Literal["user", "assistant"], said: object) -> Message:
    if isinstance(said, Message):
        return said
    return Message.from_dict(said) if isinstance(said, dict) else Message(role, str(said))
