"""The names of the tables in a SQLite file, ready for statements."""

LIVE = "('PENDING', 'RUNNING', 'PAUSED')"
"""The statuses of runs that have not ended."""


class Tables:
    """The tables that belong to one table of sessions.

    Attributes:
        sessions: the conversations.
        runs: the runs.
        journal: the rows of their journals.
        webhooks: the outbox.
        processes: who executes runs.
        tick: when the last sweep was.
        blobs: what is too large for a row.
        schedules: what runs by the clock.
        budgets: how much users may use.
        states: the states of the sessions, a row for each key.
        approvals: what runs wait for, or have had, where there is a record of it.
        keys: the API keys.
        figures: what happened in each span of time.
        memories: what is remembered of users.
        memory_words: the words of these.
        components: agents at rest, a row a version.
        contents: what knowledge bases were loaded with.
        expiries: the index of the pauses that expire.
        unstored: the index of what has ended and is to be erased.
    """

    def __init__(self, session_table: str) -> None:
        """Name the tables after ``session_table``, an identifier."""
        self.sessions = f'"{session_table}"'
        self.runs = f'"{session_table}_runs"'
        self.journal = f'"{session_table}_run_events"'
        self.webhooks = f'"{session_table}_webhooks"'
        self.processes = f'"{session_table}_processes"'
        self.tick = f'"{session_table}_tick"'
        self.blobs = f'"{session_table}_blobs"'
        self.schedules = f'"{session_table}_schedules"'
        self.budgets = f'"{session_table}_budgets"'
        self.states = f'"{session_table}_states"'
        self.approvals = f'"{session_table}_approvals"'
        self.keys = f'"{session_table}_keys"'
        self.figures = f'"{session_table}_figures"'
        self.memories = f'"{session_table}_memories"'
        self.memory_words = f'"{session_table}_memory_words"'
        self.components = f'"{session_table}_components"'
        self.contents = f'"{session_table}_contents"'
        self.expiries = f'"{session_table}_runs_expires"'
        self.unstored = f'"{session_table}_runs_unstored"'


def each_of(column: str, table: str, condition: str) -> str:
    """Return a query for every value that an indexed column has, at one seek for each.

    Args:
        column: the column; its value is called ``value``.
        table: the table.
        condition: of the partial index that begins with the column.
    """
    return f"""
WITH RECURSIVE each_of (value) AS (
    SELECT min({column}) FROM {table} WHERE {condition}
    UNION ALL
    SELECT (SELECT min({column}) FROM {table} WHERE {condition} AND {column} > value)
    FROM each_of WHERE value IS NOT NULL
)
SELECT value FROM each_of WHERE value IS NOT NULL"""
