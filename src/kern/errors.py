"""What kern raises. Every error of its own derives from :class:`KernError`."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias, cast

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

ModelErrorKind: TypeAlias = Literal[
    "rate_limit",
    "overloaded",
    "timeout",
    "connection",
    "server",
    "authentication",
    "not_found",
    "invalid_request",
    "context_length",
    "content_filter",
    "refused",
    "output_limit",
    "incomplete",
    "empty",
    "malformed",
    "other",
]
"""What went wrong between kern and a model's service."""


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


class ConfigurationError(KernError):
    """An agent, database or model was set up in a way that cannot work.

    Example:
        >>> from kern.db.sqlite import SqliteDb
        >>> try:
        ...     SqliteDb("kern.db", session_table="my table")
        ... except ConfigurationError as error:
        ...     print(error.message.partition(":")[0])
        session_table 'my table' is not an identifier
    """


class MissingExtraError(ConfigurationError, ImportError):
    """A package that an extra of the distribution brings is not installed.

    Attributes:
        extra: the extra that brings it.

    Example:
        >>> MissingExtraError("asyncpg", "postgres").extra
        'postgres'
    """

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(
            f"The package {module} is not installed. Run: pip install 'kern-agents[{extra}]'"
        )
        self.extra = extra


class MissingLibraryError(ConfigurationError, ImportError):
    """A package is installed, and a shared library that it needs is not.

    Attributes:
        library: the library, as in ``libgomp.so.1``.

    Example:
        >>> MissingLibraryError("libgomp.so.1").message.rpartition(": ")[2]
        'apt-get install libgomp1'
    """

    def __init__(self, library: str) -> None:
        name, _, version = library.partition(".so.")
        package = f"{name}-{version}" if name[-1:].isdigit() else name + version
        super().__init__(
            f"The shared library {library} is not installed. On Debian and Ubuntu run: "
            f"apt-get install {package}"
        )
        self.library = library


class SyncInLoopError(KernError):
    """A synchronous method was called where it would block runs; nothing was done.

    Example:
        >>> import asyncio
        >>> from kern import Agent, InMemoryDb
        >>> from kern.testing import ScriptedModel
        >>> agent = Agent("Poet", ScriptedModel(["Roses.", "Violets."]), db=InMemoryDb())
        >>> async def ask():
        ...     await agent.arun("A word, please.", background=True)  # this loop executes it
        ...     try:
        ...         agent.run("Another one.")
        ...     except SyncInLoopError:
        ...         return (await agent.arun("Another one.")).content
        >>> asyncio.run(ask()) in ("Roses.", "Violets.")
        True
    """


class ThreadLimitError(KernError):
    """A synchronous function was not called, for no thread became free and no more are allowed.

    Example:
        >>> error = ThreadLimitError("All threads are at work. Raise KERN_MAX_THREADS.")
        >>> "KERN_MAX_THREADS" in error.message
        True
    """


class InvalidInputError(KernError, ValueError):
    """A value given to a run cannot be used; nothing was stored or started.

    Example:
        >>> from kern.media import Image
        >>> try:
        ...     Image(url="cat.png")
        ... except InvalidInputError as error:
        ...     print(error.message.rpartition(". ")[2])
        Give a file of this machine with filepath=...
    """


class RunConflictError(KernError):
    """A run id is in use for something else, or by a transaction that has not ended.

    Example:
        >>> from kern import Agent, InMemoryDb
        >>> from kern.testing import ScriptedModel
        >>> agent = Agent("Shop", ScriptedModel(["Done."]), db=InMemoryDb())
        >>> agent.run("Order a kettle.", run_id="order-17").content
        'Done.'
        >>> try:
        ...     agent.run("Order two kettles.", run_id="order-17")
        ... except RunConflictError as error:
        ...     print(error.message.partition(". ")[0])
        run_id 'order-17' is in use for another input or agent
    """


class DatabaseError(KernError):
    """The database refused or lost an operation.

    Example:
        >>> issubclass(DatabaseUnavailableError, DatabaseError)
        True
    """


class DatabaseUnavailableError(DatabaseError):
    """The database cannot do it now, and may be able to later: try again.

    It cannot be reached, does not let us in, is read-only, full or too busy.

    Attributes:
        address: where the database is, or an empty string.

    Example:
        >>> from kern.db.postgres import PostgresDb
        >>> try:
        ...     PostgresDb("postgresql://ai:ai@127.0.0.1:9/ai").get_sessions()
        ... except DatabaseUnavailableError as error:
        ...     print(error.address)
        127.0.0.1:9
    """

    def __init__(self, message: str, *, address: str = "") -> None:
        super().__init__(message)
        self.address = address


class OutcomeUnknownError(DatabaseUnavailableError):
    """The database was asked for something and did not answer; it may have done it or not.

    Everything that kern asks of a database can be asked again with the same ids.

    Example:
        >>> def submitted(agent, order):
        ...     while True:
        ...         try:  # the same id is the same run, however often it is submitted
        ...             return agent.run(order.text, run_id=order.id, background=True)
        ...         except OutcomeUnknownError:
        ...             continue
    """


class SchemaVersionError(DatabaseError):
    """The tables in the database are newer than this version of kern.

    Example:
        >>> try:
        ...     raise SchemaVersionError("The tables have version 9, and this kern knows 7.")
        ... except DatabaseError as error:
        ...     print(error)
        The tables have version 9, and this kern knows 7.
    """


class ModelError(KernError):
    """The model's service refused, failed or answered with something unusable.

    One of a kind that has a class of its own is of that class.

    Attributes:
        kind: what went wrong.
        transient: whether the same call may succeed later.
        retry_after: the seconds for which the service asked to be left alone, or None.
        status_code: the HTTP status of its answer, or None where there was no answer.
        content: the text that the model had produced by then, or None.
        model_name: what the model is called, where that was said.
        model_id: the model's id, where that was said.

    Example:
        >>> type(ModelError("Slow down.", kind="rate_limit")).__name__
        'ModelRateLimitError'
    """

    _kind: ClassVar[ModelErrorKind] = "other"

    def __new__(cls, message: str = "", *_: object, **options: object) -> Self:
        """Make an error of the class that its kind has."""
        found = _CLASSES.get(options.get("kind"), cls) if cls is ModelError else cls
        return cast(Self, super().__new__(found, message))

    def __init__(
        self,
        message: str,
        status_code: int | None = None,
        model_name: str | None = None,
        model_id: str | None = None,
        *,
        kind: ModelErrorKind | None = None,
        transient: bool = False,
        retry_after: float | None = None,
        content: str | None = None,
    ) -> None:
        super().__init__(message)
        self.kind: ModelErrorKind = kind or self._kind
        self.transient = transient
        self.retry_after = retry_after
        self.status_code = status_code
        self.content = content
        self.model_name = model_name
        self.model_id = model_id


class ModelRateLimitError(ModelError):
    """The model's service has been asked too often, or what was paid for is used up.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.testing import Reply, ScriptedModel
        >>> agent = Agent("Poet", ScriptedModel([Reply.http_error(429)]))
        >>> try:
        ...     agent.run("A line, please.")
        ... except ModelRateLimitError as error:
        ...     print(error.kind, error.status_code, error.transient)
        rate_limit 429 True
    """

    _kind = "rate_limit"


class ContextWindowExceededError(ModelError):
    """The conversation is longer than the model can read.

    Example:
        >>> ContextWindowExceededError("The conversation is too long.").kind
        'context_length'
    """

    _kind = "context_length"


class OutputLimitError(ModelError):
    """The answer was cut off: it had as many tokens as it may have. What there was is the content.

    See ``max_output_tokens``, by whichever name the model takes it.

    Example:
        >>> OutputLimitError("The answer was cut off.", content="Roses are").content
        'Roses are'
    """

    _kind = "output_limit"


class ModelAuthenticationError(ModelError):
    """The model's service does not take the key, or not for this.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.testing import Reply, ScriptedModel
        >>> try:
        ...     Agent("Poet", ScriptedModel([Reply.http_error(401)])).run("A line, please.")
        ... except ModelAuthenticationError as error:
        ...     print(error.kind, error.transient)
        authentication False
    """

    _kind = "authentication"


class MissingKeyError(ModelAuthenticationError, ConfigurationError):
    """There is no key for the model's service in this process.

    Example:
        >>> issubclass(MissingKeyError, ModelAuthenticationError)
        True
    """


_CLASSES: dict[object, type[ModelError]] = {
    each._kind: each
    for each in (
        ModelRateLimitError,
        ContextWindowExceededError,
        OutputLimitError,
        ModelAuthenticationError,
    )
}


class RunTimeoutError(KernError):
    """A run took longer than its time limit.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.testing import Reply, ScriptedModel
        >>> agent = Agent("Poet", ScriptedModel([Reply.hang()]), timeout=0.01)
        >>> try:
        ...     agent.run("A line, please.")
        ... except RunTimeoutError as error:
        ...     print(error.run_output.status)
        ERROR
    """


class ServerShutdownError(KernError):
    """A run in the foreground had not ended when its server did, and the time for that was up.

    Example:
        >>> ServerShutdownError("The server ends.").run_output is None
        True
    """


class RunCancelledError(KernError):
    """A run was cancelled.

    Example:
        >>> from kern.run import get_cancellation_manager
        >>> manager = get_cancellation_manager()
        >>> known = manager.cancel_run("verse")
        >>> manager.raise_if_cancelled("verse")
        Traceback (most recent call last):
        kern.errors.RunCancelledError: The run verse was cancelled.
    """


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


class OutputSchemaError(KernError):
    """An answer does not have the form that it must have, though the model was asked again.

    Attributes:
        content: the answer, or None where the run failed elsewhere: there its content is it.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.testing import ScriptedModel
        >>> agent = Agent("Counter", ScriptedModel(["three", "four"]), output_schema=list[int])
        >>> try:
        ...     agent.run("Count.")
        ... except OutputSchemaError as error:
        ...     print(error.run_output.content)
        four
    """

    def __init__(self, message: str, *, content: str | None = None) -> None:
        super().__init__(message)
        self.content = content


class CheckTrigger(StrEnum):
    """Why a check refuses what went into a run, or came out of it.

    Example:
        >>> CheckTrigger("pii_detected") is CheckTrigger.PII_DETECTED
        True
    """

    OFF_TOPIC = "off_topic"
    INPUT_NOT_ALLOWED = "input_not_allowed"
    OUTPUT_NOT_ALLOWED = "output_not_allowed"
    VALIDATION_FAILED = "validation_failed"
    PROMPT_INJECTION = "prompt_injection"
    PII_DETECTED = "pii_detected"


class CheckError(KernError):
    """A hook or guardrail refuses what went into a run, or came out of it: the run ends in ERROR.

    Attributes:
        check_trigger: why; a text of one's own where none of :class:`CheckTrigger` fits.
        additional_data: what else is to be known of it, JSON values, or None.
        error_id: the trigger as a text.
        type: what kind of error it is, as a text.

    Example:
        >>> error = InputCheckError("No homework, please.", CheckTrigger.OFF_TOPIC)
        >>> error.error_id, error.type
        ('off_topic', 'input_check_error')
    """

    type: ClassVar[str] = "check_error"
    _default: ClassVar[CheckTrigger] = CheckTrigger.VALIDATION_FAILED

    def __init__(
        self,
        message: str,
        check_trigger: CheckTrigger | str | None = None,
        additional_data: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        trigger = self._default if check_trigger is None else check_trigger
        known = CheckTrigger.__members__.values()
        self.check_trigger = next((each for each in known if each == trigger), trigger)
        self.additional_data = None if additional_data is None else dict(additional_data)

    @property
    def error_id(self) -> str:
        """The trigger as a text."""
        return str(self.check_trigger)


class InputCheckError(CheckError):
    """A hook or guardrail refuses a run's input.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.testing import ScriptedModel
        >>> def no_homework(run_input):
        ...     if "homework" in run_input.input_content:
        ...         raise InputCheckError("No homework, please.", CheckTrigger.OFF_TOPIC)
        >>> agent = Agent("Tutor", ScriptedModel(), pre_hooks=[no_homework])
        >>> agent.run("Do my homework.")
        Traceback (most recent call last):
        kern.errors.InputCheckError: No homework, please.
    """

    type = "input_check_error"
    _default = CheckTrigger.INPUT_NOT_ALLOWED


class OutputCheckError(CheckError):
    """A hook or guardrail refuses what a run has answered; the answer is no content of the run.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.testing import ScriptedModel
        >>> def no_shouting(run_output):
        ...     if run_output.content.isupper():
        ...         raise OutputCheckError("The answer is too loud.")
        >>> agent = Agent("Crier", ScriptedModel(["HEAR YE!"]), post_hooks=[no_shouting])
        >>> agent.run("What is new?")
        Traceback (most recent call last):
        kern.errors.OutputCheckError: The answer is too loud.
    """

    type = "output_check_error"
    _default = CheckTrigger.OUTPUT_NOT_ALLOWED


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


class RunNotFoundError(KernError):
    """There is no run with this id in the database.

    Example:
        >>> from kern import Agent, InMemoryDb
        >>> Agent("Poet", db=InMemoryDb()).retry_run("no-such-run")
        Traceback (most recent call last):
        kern.errors.RunNotFoundError: There is no run 'no-such-run' in SQLite file ':memory:'.
    """


class SessionNotFoundError(KernError):
    """There is no session with this id, or it is another user's.

    Example:
        >>> from kern import Agent, InMemoryDb
        >>> agent = Agent("Poet", db=InMemoryDb())
        >>> try:
        ...     agent.set_session_name("no-such-session", session_name="Bonn")
        ... except SessionNotFoundError as error:
        ...     print(error)
        There is no session 'no-such-session', or it is another user's.
    """


class BlobNotFoundError(KernError):
    """What a run refers to by its hash is not in the database, or not the whole of it.

    Example:
        >>> from kern import Agent, InMemoryDb
        >>> agent = Agent("Poet", db=InMemoryDb())
        >>> try:
        ...     agent.get_blob("no-such-run", "0" * 64)
        ... except BlobNotFoundError as error:
        ...     print(error.message.rpartition("It is ")[2])
        deleted with its run; a copy of the run's messages does not keep it.
    """


class ScheduleNotFoundError(KernError):
    """The agent, or the database, has no schedule with this name.

    Example:
        >>> from kern import Agent, InMemoryDb
        >>> Agent("Poet", db=InMemoryDb()).pause_schedule("nightly")
        Traceback (most recent call last):
        kern.errors.ScheduleNotFoundError: There is no schedule 'nightly'.
    """


class RunStateError(KernError):
    """A run is in a state in which this cannot be done with it.

    Example:
        >>> from kern import Agent, InMemoryDb
        >>> from kern.testing import ScriptedModel
        >>> agent = Agent("Poet", ScriptedModel(["Roses are red."]), db=InMemoryDb())
        >>> run = agent.run("A line, please.", run_id="line")
        >>> agent.retry_run("line")  # only a run that has failed can be tried again
        Traceback (most recent call last):
        kern.errors.RunStateError: Run line is COMPLETED, not ERROR.
    """


class RequirementExpiredError(KernError):
    """Nobody has answered in time what a run waited for, and its tool has ``on_expiry="fail"``.

    Example:
        >>> RequirementExpiredError("Nobody has answered in time.").message
        'Nobody has answered in time.'
    """


class JournalError(KernError):
    """What is stored of a run's steps cannot be read; it is kept as it is.

    Example:
        >>> issubclass(NewerJournalError, JournalError)  # of both the run is kept as it is
        True
    """


class NewerJournalError(JournalError):
    """What is stored of a run's steps was written by a newer version of kern.

    Example:
        >>> NewerJournalError("Step 7 was written by a newer kern.").message
        'Step 7 was written by a newer kern.'
    """


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


class ToolsetError(KernError):
    """A toolset did not say in time which tools it has.

    Example:
        >>> ToolsetError("The toolset did not answer within 30 s.").message
        'The toolset did not answer within 30 s.'
    """


class WebhookError(KernError):
    """The receiver of a webhook was not told.

    Attributes:
        permanent: whether to try again is of no use.
        retry_after: the seconds for which the receiver asked to be left alone, or 0.

    Example:
        >>> WebhookError("example.com answered 410.", permanent=True).permanent
        True
    """

    def __init__(self, message: str, *, permanent: bool = False, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after = retry_after


class RunFailedError(KernError):
    """A run ended in ERROR, of something that is no error of kern.

    Example:
        >>> from kern import Agent, InMemoryDb
        >>> from kern.testing import FunctionModel
        >>> agent = Agent("Poet", FunctionModel(lambda request: 1 / 0), db=InMemoryDb())
        >>> try:
        ...     for event in agent.run("A line, please.", stream=True, background=True):
        ...         pass
        ... except RunFailedError as error:
        ...     print(error.run_output.error)
        ZeroDivisionError: division by zero
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
