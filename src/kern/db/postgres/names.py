"""The names of kern's objects in one schema of PostgreSQL."""

from hashlib import blake2s

import msgspec


class Names(msgspec.Struct, frozen=True):
    """The quoted names of kern's tables in one schema, for one session table."""

    schema: str
    session_table: str

    @property
    def sessions(self) -> str:
        """The table of the sessions."""
        return self._quoted(self.session_table)

    @property
    def sessions_of_users(self) -> str:
        """The index that the second version of the tables has made, as PostgreSQL names it."""
        return self._quoted(f"{self.session_table}_user_id_idx")

    @property
    def runs(self) -> str:
        """The table of the runs."""
        return self._quoted(f"{self.session_table}_runs")

    @property
    def positions(self) -> str:
        """The sequence that numbers the runs in the order of their acceptance."""
        return self._quoted(f"{self.session_table}_positions")

    @property
    def events(self) -> str:
        """The table of the runs' journals."""
        return self._quoted(f"{self.session_table}_run_events")

    @property
    def webhooks(self) -> str:
        """The outbox: the table of the webhooks that are to be sent."""
        return self._quoted(f"{self.session_table}_webhooks")

    @property
    def processes(self) -> str:
        """The table of the processes that execute runs."""
        return self._quoted(f"{self.session_table}_processes")

    @property
    def tick(self) -> str:
        """The table whose one row says when the runs were swept last."""
        return self._quoted(f"{self.session_table}_tick")

    @property
    def blobs(self) -> str:
        """The table of what is too large for a row of a journal, in chunks."""
        return self._quoted(f"{self.session_table}_blobs")

    @property
    def schedules(self) -> str:
        """The table of the schedules."""
        return self._quoted(f"{self.session_table}_schedules")

    @property
    def budgets(self) -> str:
        """The table of the budgets, and of what was used of them."""
        return self._quoted(f"{self.session_table}_budgets")

    @property
    def states(self) -> str:
        """The table of the sessions' states, a row for each key."""
        return self._quoted(f"{self.session_table}_states")

    @property
    def approvals(self) -> str:
        """The table of the approvals that runs wait for, or have had."""
        return self._quoted(f"{self.session_table}_approvals")

    @property
    def keys(self) -> str:
        """The table of the API keys."""
        return self._quoted(f"{self.session_table}_keys")

    @property
    def figures(self) -> str:
        """The table of the figures, a row for each agent and span of time."""
        return self._quoted(f"{self.session_table}_figures")

    @property
    def memories(self) -> str:
        """The table of what is remembered of users."""
        return self._quoted(f"{self.session_table}_memories")

    @property
    def components(self) -> str:
        """The table of agents at rest, a row a version."""
        return self._quoted(f"{self.session_table}_components")

    @property
    def contents(self) -> str:
        """The table of what knowledge bases were loaded with."""
        return self._quoted(f"{self.session_table}_contents")

    @property
    def versions(self) -> str:
        """The table that holds the version of the others."""
        return self._quoted("kern_versions")

    @property
    def queue(self) -> str:
        """PgQueuer's queue, which all session tables of the schema share."""
        return self._quoted("pgqueuer")

    @property
    def enqueue(self) -> str:
        """The function that inserts an entry into the queue."""
        return self._quoted("kern_enqueue")

    @property
    def channel(self) -> str:
        """The channel on which processes that share the tables notify each other."""
        name = f"{self.schema}.{self.session_table}".encode()
        return f"kern_{blake2s(name, digest_size=12).hexdigest()}"

    def _quoted(self, name: str) -> str:
        return f'"{self.schema}"."{name}"'
