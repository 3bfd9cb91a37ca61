"""What becomes of runs, and of what is asked of them."""

from kern.errors.base import KernError


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
        kern.errors.runs.RunCancelledError: The run verse was cancelled.
    """


class RunNotFoundError(KernError):
    """There is no run with this id in the database.

    Example:
        >>> from kern import Agent, InMemoryDb
        >>> Agent("Poet", db=InMemoryDb()).retry_run("no-such-run")
        Traceback (most recent call last):
        kern.errors.runs.RunNotFoundError: There is no run 'no-such-run' in SQLite file ':memory:'.
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


class ScheduleNotFoundError(KernError):
    """The agent, or the database, has no schedule with this name.

    Example:
        >>> from kern import Agent, InMemoryDb
        >>> Agent("Poet", db=InMemoryDb()).pause_schedule("nightly")
        Traceback (most recent call last):
        kern.errors.runs.ScheduleNotFoundError: There is no schedule 'nightly'.
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
        kern.errors.runs.RunStateError: Run line is COMPLETED, not ERROR.
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
