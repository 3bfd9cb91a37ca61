"""What is wrong with how kern is set up or called."""

from typing import Self

from kern.errors.base import KernError


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
        extra: the extra that brings it; None where the error comes from another process.

    Example:
        >>> MissingExtraError.of("asyncpg", "postgres").extra
        'postgres'
    """

    def __init__(self, message: str, extra: str | None = None) -> None:
        super().__init__(message)
        self.extra = extra

    @classmethod
    def of(cls, module: str, extra: str) -> Self:
        """Return the error for a package and the extra that brings it."""
        message = f"The package {module} is not installed. Run: pip install 'kern-agents[{extra}]'"
        return cls(message, extra)


class MissingLibraryError(ConfigurationError, ImportError):
    """A package is installed, and a shared library that it needs is not.

    Attributes:
        library: the library, as in ``libgomp.so.1``; None where the error comes from another
            process.

    Example:
        >>> MissingLibraryError.of("libgomp.so.1").message.rpartition(": ")[2]
        'apt-get install libgomp1'
    """

    def __init__(self, message: str, library: str | None = None) -> None:
        super().__init__(message)
        self.library = library

    @classmethod
    def of(cls, library: str) -> Self:
        """Return the error for a library, which names the package of Debian that has it."""
        name, _, version = library.partition(".so.")
        package = f"{name}-{version}" if name[-1:].isdigit() else name + version
        message = (
            f"The shared library {library} is not installed. On Debian and Ubuntu run: "
            f"apt-get install {package}"
        )
        return cls(message, library)


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
