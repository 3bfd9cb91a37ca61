"""A database in this process's memory, for tests and for agents that need not survive it."""

from kern.db.sqlite import SqliteDb
from kern.keywords import explained

__all__ = ["InMemoryDb"]


class InMemoryDb(SqliteDb):
    """Sessions and runs in memory: everything that SQLite does, until the process ends.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.testing import ScriptedModel
        >>> agent = Agent("Poet", ScriptedModel(["Roses are red."]), db=InMemoryDb())
        >>> run = agent.run("A line, please.", background=True)
        >>> agent.wait_run(run.run_id).content
        'Roses are red.'
    """

    @explained
    def __init__(self, session_table: str = "kern_sessions") -> None:
        """Make an empty database.

        Args:
            session_table: the table of the sessions; the others are named after it.

        Raises:
            ConfigurationError: ``session_table`` is not an identifier.
        """
        super().__init__(":memory:", session_table)
