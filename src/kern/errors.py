"""What kern raises. Every error of its own derives from :class:`KernError`."""

from typing import Literal, TypeAlias

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
    "incomplete",
    "empty",
    "malformed",
    "other",
]
"""What went wrong between kern and a model's service."""


class KernError(Exception):
    """Base of every error that kern raises on purpose."""


class ConfigurationError(KernError):
    """An agent, database or model was set up in a way that cannot work."""


class MissingExtraError(ConfigurationError, ImportError):
    """A package that an extra of the distribution brings is not installed.

    Attributes:
        extra: the extra that brings it.
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
    """A synchronous method was called where it would block runs; nothing was done."""


class ThreadLimitError(KernError):
    """A synchronous function was not called, for no thread became free and no more are allowed."""


class InvalidInputError(KernError, ValueError):
    """A value given to a run cannot be used; nothing was stored or started."""


class RunConflictError(KernError):
    """A run id is in use for something else, or by a transaction that has not ended."""


class DatabaseError(KernError):
    """The database refused or lost an operation."""


class DatabaseUnavailableError(DatabaseError):
    """The database cannot do it now, and may be able to later: try again.

    It cannot be reached, does not let us in, is read-only, full or too busy.

    Attributes:
        address: where the database is, or an empty string.
    """

    def __init__(self, message: str, *, address: str = "") -> None:
        super().__init__(message)
        self.address = address


class OutcomeUnknownError(DatabaseUnavailableError):
    """The database was asked for something and did not answer; it may have done it or not.

    Everything that kern asks of a database can be asked again with the same ids.
    """


class SchemaVersionError(DatabaseError):
    """The tables in the database are newer than this version of kern."""


class ModelError(KernError):
    """The model's service refused, failed or answered with something unusable.

    Attributes:
        kind: what went wrong.
        transient: whether the same call may succeed later.
        retry_after: the seconds for which the service asked to be left alone, or None.
        status_code: the HTTP status of its answer, or None where there was no answer.
        content: the text that the model had produced by then, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: ModelErrorKind = "other",
        transient: bool = False,
        retry_after: float | None = None,
        status_code: int | None = None,
        content: str | None = None,
    ) -> None:
        super().__init__(message)
        self.kind: ModelErrorKind = kind
        self.transient = transient
        self.retry_after = retry_after
        self.status_code = status_code
        self.content = content


class MissingKeyError(ModelError, ConfigurationError):
    """There is no key for the model's service in this process."""


class RunTimeoutError(KernError):
    """A run took longer than its time limit."""


class UsageLimitError(KernError):
    """A run has used as much as it may: asked its model too often, or made too many calls."""


class SessionBusyError(KernError):
    """A run was refused because its session has another one; nothing was stored."""


class QueueFullError(KernError):
    """A run was refused because too many of its agent wait already; nothing was stored."""


class RunNotFoundError(KernError):
    """There is no run with this id in the database."""


class BlobNotFoundError(KernError):
    """What a run refers to by its hash is not in the database, or not the whole of it."""


class ScheduleNotFoundError(KernError):
    """The agent, or the database, has no schedule with this name."""


class RunStateError(KernError):
    """A run is in a state in which this cannot be done with it."""


class JournalError(KernError):
    """What is stored of a run's steps cannot be read; it is kept as it is."""


class NewerJournalError(JournalError):
    """What is stored of a run's steps was written by a newer version of kern."""


class MissingToolError(KernError):
    """A run has to call a tool that its agent does not have any more."""


class ToolsetError(KernError):
    """A toolset did not say in time which tools it has."""


class WebhookError(KernError):
    """The receiver of a webhook was not told.

    Attributes:
        permanent: whether to try again is of no use.
        retry_after: the seconds for which the receiver asked to be left alone, or 0.
    """

    def __init__(self, message: str, *, permanent: bool = False, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after = retry_after


class RunFailedError(KernError):
    """A run ended in ERROR, of something that is no error of kern."""


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


def failure(kind: str | None, message: str) -> KernError:
    """Return the error of which a run failed, perhaps in another process.

    Args:
        kind: the class of what the run failed of.
        message: what it said.
    """
    known: tuple[type[KernError], ...] = (
        BlobNotFoundError,
        ConfigurationError,
        DatabaseError,
        JournalError,
        MissingKeyError,
        MissingToolError,
        ModelError,
        NewerJournalError,
        RunTimeoutError,
        ThreadLimitError,
        ToolsetError,
        UsageLimitError,
    )
    found = next((each for each in known if each.__name__ == kind), RunFailedError)
    return found(message)
