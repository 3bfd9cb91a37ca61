"""PgQueuer's access to PostgreSQL, over kern's connections."""

from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.ports.driver import NotifyCallback
from typing_extensions import override

from kern.db.postgres.connections import Connections
from kern.db.postgres.listener import Listener
from kern.db.queue_tables import queue_queries


def open_queries(connections: Connections, schema: str) -> Queries:
    """Return PgQueuer's statements for the queue in ``schema``."""
    return queue_queries(_Driver(connections), schema)


class _Driver(AsyncpgPoolDriver):
    """PgQueuer's own driver, but that it goes on listening when its connection was lost."""

    def __init__(self, connections: Connections) -> None:
        super().__init__(connections.pool)
        self._connections = connections
        self._listener: Listener | None = None

    @override
    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        self._listener = self._connections.listener(
            channel,
            callback,
            # The queue looks for itself every second.
            lost=lambda: None,
            back=lambda: None,
        )
        await self._listener.start()

    @override
    async def remove_listener(self, channel: str, callback: NotifyCallback) -> None:
        if self._listener is not None:
            await self._listener.close()
            self._listener = None

    @override
    async def __aexit__(self, *_: object) -> None:
        await self.remove_listener("", lambda _: None)
