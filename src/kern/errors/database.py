"""What databases fail of."""

from kern.errors.base import KernError


class DatabaseError(KernError):
    """The database refused or lost an operation.

    Example:
        >>> issubclass(DatabaseUnavailableError, DatabaseError)
        True
    """


class ComponentNotFoundError(KernError):
    """There is no saved agent or team of this id, or not this version of it.

    Example:
        >>> from kern import Agent, InMemoryDb
        >>> try:
        ...     Agent.load("no-such-agent", db=InMemoryDb())
        ... except ComponentNotFoundError as error:
        ...     print(error.message.partition(" in ")[0])
        There is no agent 'no-such-agent'
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
