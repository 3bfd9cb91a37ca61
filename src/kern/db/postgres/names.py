"""The names of kern's objects in one schema of PostgreSQL."""

from dataclasses import dataclass
from hashlib import blake2s


@dataclass(frozen=True)
class Names:
    """The quoted names of kern's tables in one schema, for one session table."""

    schema: str
    session_table: str

    @property
    def sessions(self) -> str:
        """The table of the sessions."""
        return f'"{self.schema}"."{self.session_table}"'

    @property
    def runs(self) -> str:
        """The table of the runs."""
        return f'"{self.schema}"."{self.session_table}_runs"'

    @property
    def events(self) -> str:
        """The table of the runs' journals."""
        return f'"{self.schema}"."{self.session_table}_run_events"'

    @property
    def slots(self) -> str:
        """The table of the runs that count towards a user's limit."""
        return f'"{self.schema}"."{self.session_table}_slots"'

    @property
    def schedules(self) -> str:
        """The table of the schedules."""
        return f'"{self.schema}"."{self.session_table}_schedules"'

    @property
    def versions(self) -> str:
        """The table that holds the version of the others."""
        return f'"{self.schema}"."kern_versions"'

    @property
    def queue(self) -> str:
        """PgQueuer's queue, which all session tables of the schema share."""
        return f'"{self.schema}"."pgqueuer"'

    @property
    def channel(self) -> str:
        """The channel on which processes that share the tables notify each other."""
        name = f"{self.schema}.{self.session_table}".encode()
        return f"kern_{blake2s(name, digest_size=12).hexdigest()}"
